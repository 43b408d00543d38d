//! Lines: how far each is indented, and how assignments and comments of neighbouring lines align.

use std::ops::Range;

use crate::spacing::is_apart;
use crate::token::{Kind, Token};

/// The most blanks that are written in one place. No file that people write comes near; without a limit, a file could be
/// made whose canonical form is the square of its size.
const MOST_BLANKS: usize = 1_000;

/// One line in three cells, as positions in the list of tokens; each cell may be empty.
#[derive(Debug, Clone)]
struct Line {
    /// Everything up to the other two.
    lead: Range<usize>,
    /// From the `=` of a whole assignment.
    assign: Range<usize>,
    /// The comment that ends the line.
    comment: Range<usize>,
}

/// Chooses the blanks before each token.
pub(crate) fn lay_out(tokens: &mut [Token<'_>]) {
    let lines = lines(tokens);
    indent(tokens, &lines);
    for line in &lines {
        space(tokens, &line.lead);
        space(tokens, &line.assign);
    }
    align(tokens, &lines, |line| (line.lead.clone(), line.assign.clone()));
    align(tokens, &lines, |line| {
        (line.lead.start..line.assign.end, line.comment.clone())
    });
}

fn lines(tokens: &[Token<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        if token.ends_line() || at + 1 == tokens.len() {
            lines.push(cells(tokens, start..at + 1));
            start = at + 1;
        }
    }
    lines
}

fn cells(tokens: &[Token<'_>], mut line: Range<usize>) -> Line {
    let whole = line.end;
    if line.len() > 1 && tokens[line.end - 1].kind == Kind::Comment {
        line.end -= 1;
    }
    let equal = line.clone().skip(1).find(|&at| tokens[at].kind == Kind::Equal);
    // An assignment that goes on in the next line aligns with nothing.
    let assign = equal
        .filter(|&at| nesting(&tokens[at..line.end]) == 0)
        .unwrap_or(line.end);
    Line {
        lead: line.start..assign,
        assign: assign..line.end,
        comment: line.end..whole,
    }
}

fn nesting(tokens: &[Token<'_>]) -> isize {
    tokens.iter().map(|it| it.kind.nesting()).sum()
}

/// Two blanks for each line that left brackets open. A line counts once, however many it opens, and its brackets are
/// closed together.
fn indent(tokens: &mut [Token<'_>], lines: &[Line]) {
    let mut open: Vec<usize> = Vec::new();
    for line in lines {
        let first = line.lead.start;
        if tokens[first].kind == Kind::Newline {
            continue;
        }
        // What a heredoc contains does not indent what follows.
        let code = &tokens[first..line.assign.end];
        let heredoc = code.iter().position(|it| it.kind == Kind::OpenHeredoc);
        let change = nesting(&code[..heredoc.unwrap_or(code.len())]);
        let mut closed = change.min(0).unsigned_abs();
        while closed > 0
            && let Some(last) = open.last_mut()
        {
            let now = closed.min(*last);
            closed -= now;
            *last -= now;
            if *last == 0 {
                open.pop();
            }
        }
        tokens[first].blanks = (2 * open.len()).min(MOST_BLANKS);
        if change > 0 {
            open.push(change.unsigned_abs());
        }
    }
}

fn space(tokens: &mut [Token<'_>], cell: &Range<usize>) {
    for at in cell.clone().skip(1) {
        let before = (at >= cell.start + 2).then(|| tokens[at - 2].kind);
        tokens[at].blanks = usize::from(is_apart(before, &tokens[at - 1], tokens[at].kind));
    }
}

/// Puts the second cells of consecutive lines below each other, one blank after the longest first cell.
fn align(tokens: &mut [Token<'_>], lines: &[Line], cells: impl Fn(&Line) -> (Range<usize>, Range<usize>)) {
    for chain in lines.chunk_by(|a, b| cells(a).1.is_empty() == cells(b).1.is_empty()) {
        if cells(&chain[0]).1.is_empty() {
            continue;
        }
        let widths = chain
            .iter()
            .map(|line| tokens[cells(line).0].iter().map(Token::columns).sum());
        let widths: Vec<usize> = widths.collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        for (line, width) in chain.iter().zip(widths) {
            tokens[cells(line).1.start].blanks = (widest - width + 1).min(MOST_BLANKS);
        }
    }
}
