//! What people meant: corrections of the mistakes that older job files are full of.
//!
//! The first generation of the language let much pass that today's refuses. Each correction is one replacement, so that
//! it can be shown beside the mistake, and made by `fmt -upgrade`.

use super::tokens::{Kind, Token};
use crate::source::Span;

/// One replacement that puts one mistake right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fix {
    /// What is replaced; empty where something is put in.
    pub(crate) span: Span,
    /// What takes its place.
    pub(crate) replacement: String,
    /// What to do, for people.
    pub(crate) help: &'static str,
    /// Whether it is what was meant, beyond doubt; otherwise it is only shown.
    pub(crate) is_certain: bool,
}

fn fix(span: Span, replacement: impl Into<String>, help: &'static str) -> Option<Fix> {
    Some(Fix {
        span,
        replacement: replacement.into(),
        help,
        is_certain: true,
    })
}

/// What would put right the mistake that the parser found at `failed_at` and that was named `summary` at `span`.
pub(crate) fn find(
    text: &str,
    tokens: &[Token],
    failed_at: usize,
    summary: &str,
    span: &Span,
) -> Option<Fix> {
    let at = tokens.iter().position(|token| token.span.end > span.start)?;
    match summary {
        "Invalid argument name" => quoted_name(text, tokens, at),
        "Unexpected comma after argument"
        | "Missing newline after argument"
        | "Missing newline after block definition" => several_on_a_line(tokens, at),
        "Invalid single-argument block definition" | "Argument definition required" => {
            single_line_block(tokens, at)
        }
        "Attribute redefined" => repeated(text, tokens, at),
        "Invalid character" => foreign_character(text, span),
        _ => shell_variable(text, tokens, failed_at)
            .or_else(|| blank_before_marker(text, tokens))
            .or_else(|| block_in_an_object(tokens, failed_at)),
    }
}

/// Keys of a map that have dots in them, which stand for something else today. The parser takes them, so that they are
/// looked for apart.
pub(crate) fn dotted_key(text: &str, tokens: &[Token]) -> Option<Fix> {
    let is_dot = |token: &Token| token.kind == Kind::Other && &text[token.span.clone()] == ".";
    for (at, token) in tokens.iter().enumerate() {
        let begins = at == 0 || matches!(tokens[at - 1].kind, Kind::Newline | Kind::Open('{'));
        if token.kind != Kind::Name || !begins {
            continue;
        }
        let mut end = at;
        while tokens.get(end + 1).is_some_and(is_dot)
            && tokens.get(end + 2).is_some_and(|it| it.kind == Kind::Name)
        {
            end += 2;
        }
        if end > at && tokens[end + 1].kind == Kind::Equals {
            let span = token.span.start..tokens[end].span.end;
            let quoted = format!("\"{}\"", &text[span.clone()]);
            return fix(span, quoted, "write keys with dots in quotes");
        }
    }
    None
}

/// `"name" = value`: the name alone where it can stand so, else its block becomes a map.
fn quoted_name(text: &str, tokens: &[Token], at: usize) -> Option<Fix> {
    let token = &tokens[at];
    let name = text[token.span.clone()].trim_matches('"');
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    if is_name {
        return fix(
            token.span.clone(),
            name,
            "write the names of arguments without quotes",
        );
    }
    let brace = opening(tokens, at)?;
    let is_plain = tokens.get(brace.checked_sub(1)?)?.kind == Kind::Name
        && (brace == 1 || tokens[brace - 2].kind == Kind::Newline);
    let start = tokens[brace].span.start;
    let help = "a name like this can be a key of a map: set one instead of opening a block";
    is_plain.then(|| fix(start..start, "= ", help)).flatten()
}

/// The bracket around a token.
fn opening(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens[..at].iter().enumerate().rev() {
        match token.kind {
            Kind::Close(_) => depth += 1,
            Kind::Open(_) if depth == 0 => return Some(index),
            Kind::Open(_) => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The first attribute of the body of the one at `at` that has its name.
pub(crate) fn first_of_its_name(text: &str, tokens: &[Token], at: usize) -> usize {
    let name = &text[tokens[at].span.clone()];
    let (mut depth, mut first) = (0_usize, at);
    for (index, token) in tokens[..at].iter().enumerate().rev() {
        match token.kind {
            Kind::Close(_) => depth += 1,
            Kind::Open(_) if depth == 0 => break,
            Kind::Open(_) => depth -= 1,
            Kind::Name
                if depth == 0
                    && tokens[index + 1].kind == Kind::Equals
                    && text[token.span.clone()] == *name =>
            {
                first = index;
            }
            _ => {}
        }
    }
    first
}

/// An attribute that its body has already: needless when it says the same, else one of the two is wrong.
fn repeated(text: &str, tokens: &[Token], at: usize) -> Option<Fix> {
    let (first, again) = (
        attribute(tokens, first_of_its_name(text, tokens, at))?,
        attribute(tokens, at)?,
    );
    let words = |tokens: &[Token]| -> Vec<String> {
        let breaks = |token: &&Token| token.kind != Kind::Newline;
        let word = |token: &Token| text[token.span.clone()].to_owned();
        tokens.iter().filter(breaks).map(word).collect()
    };
    let span = again.first()?.span.start..again.last()?.span.end;
    if words(first) == words(again) {
        return fix(span, "", "leave out what was said already");
    }
    let shown = text[span.clone()].replace('\n', "\n# ");
    Some(Fix {
        span,
        replacement: format!("# {shown}"),
        help: "keep the one that is meant, and leave out the other, for example this one",
        is_certain: false,
    })
}

/// The tokens of an attribute, from its name to the end of its value.
fn attribute(tokens: &[Token], at: usize) -> Option<&[Token]> {
    let mut depth = 0_usize;
    let ends = |token: &Token| {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) if depth == 0 => return true,
            Kind::Close(_) => depth -= 1,
            Kind::Newline | Kind::End => return depth == 0,
            _ => {}
        }
        false
    };
    let length = tokens.get(at..)?.iter().position(ends)?;
    tokens.get(at..at + length)
}

fn several_on_a_line(tokens: &[Token], at: usize) -> Option<Fix> {
    let token = &tokens[at];
    let is_last = tokens
        .get(at + 1)
        .is_none_or(|next| matches!(next.kind, Kind::Newline | Kind::End));
    match token.kind {
        Kind::Other if is_last => fix(
            token.span.clone(),
            "",
            "leave out what stands behind the argument",
        ),
        Kind::Other => fix(token.span.clone(), "\n", "give each argument a line of its own"),
        Kind::Name | Kind::String | Kind::Close('}') => fix(
            token.span.start..token.span.start,
            "\n",
            "give each argument and each closing brace a line of its own",
        ),
        _ => None,
    }
}

fn single_line_block(tokens: &[Token], at: usize) -> Option<Fix> {
    let brace = opening(tokens, at)?;
    let behind = tokens[brace].span.end;
    (tokens[brace].kind == Kind::Open('{'))
        .then(|| fix(behind..behind, "\n", "begin a new line behind the opening brace"))
        .flatten()
}

fn foreign_character(text: &str, span: &Span) -> Option<Fix> {
    let rest = &text[span.start..];
    let first = rest.chars().next()?;
    let end = span.start + first.len_utf8();
    match first {
        ';' => fix(span.start..end, "\n", "separate arguments by line breaks"),
        '\u{a0}' => fix(span.start..end, " ", "use plain blanks"),
        '\'' | '\u{201c}' | '\u{201d}' => {
            let behind = rest.lines().next()?.get(first.len_utf8()..)?;
            let (content, _) = behind.split_once(['\'', '\u{201c}', '\u{201d}'])?;
            let closing = behind[content.len()..].chars().next()?.len_utf8();
            let quoted = format!("\"{content}\"");
            let span = span.start..end + content.len() + closing;
            (!content.contains('"'))
                .then(|| fix(span, quoted, "enclose strings in plain double quotes"))
                .flatten()
        }
        _ => None,
    }
}

/// `${NAME:-default}` and its kin are meant for a shell.
fn shell_variable(text: &str, tokens: &[Token], failed_at: usize) -> Option<Fix> {
    let inside = tokens.iter().find(|token| {
        matches!(token.kind, Kind::Heredoc | Kind::String)
            && token.span.start < failed_at
            && failed_at <= token.span.end
    })?;
    let before = text.get(inside.span.start..failed_at)?;
    let opened = before.rfind("${").or_else(|| before.rfind("%{"))?;
    let is_closed = before[opened..].contains('}') || before[..opened].ends_with(['$', '%']);
    let at = inside.span.start + opened;
    let sign = &text[at..=at];
    (!is_closed)
        .then(|| {
            fix(
                at..at,
                sign,
                "write $${ and %%{ where the text is meant for somebody else",
            )
        })
        .flatten()
}

/// `<< EOT`.
fn blank_before_marker(text: &str, tokens: &[Token]) -> Option<Fix> {
    let mut others = tokens.iter().filter(|token| token.kind == Kind::Other);
    let sign = others.find(|token| {
        let rest = &text[token.span.start..];
        let marker = rest
            .strip_prefix("<<")
            .map(|it| it.strip_prefix('-').unwrap_or(it));
        let blank = marker.is_some_and(|it| it.starts_with([' ', '\t']));
        let line = marker.and_then(|it| it.lines().next()).unwrap_or("").trim();
        blank && !line.is_empty() && line.chars().all(|c| c.is_alphanumeric() || c == '_')
    })?;
    let rest = &text[sign.span.start..];
    let signs = if rest.starts_with("<<-") { 3 } else { 2 };
    let blanks = rest[signs..].len() - rest[signs..].trim_start_matches([' ', '\t']).len();
    let start = sign.span.start + signs;
    fix(
        start..start + blanks,
        "",
        "write the marker of a heredoc right behind <<",
    )
}

/// `name { … }` between the braces of an object is one more object.
fn block_in_an_object(tokens: &[Token], failed_at: usize) -> Option<Fix> {
    let at = tokens.iter().position(|token| token.span.end > failed_at)?;
    // The parser fails somewhere around the brace.
    let brace = (at.saturating_sub(1)..at + 3)
        .find(|it| tokens.get(*it).is_some_and(|it| it.kind == Kind::Open('{')))?;
    let is_key = brace > 0 && matches!(tokens[brace - 1].kind, Kind::Name | Kind::String);
    let outer = opening(tokens, brace)?;
    let in_object = outer > 0 && tokens[outer - 1].kind == Kind::Equals;
    let start = tokens[brace].span.start;
    (is_key && in_object)
        .then(|| fix(start..start, "= ", "inside a map, set keys to values with ="))
        .flatten()
}

#[cfg(test)]
mod tests {
    use crate::upgrade;

    #[test]
    fn what_older_files_are_full_of_is_put_right() {
        for (old, new) in [
            ("env {\n  \"A\" = \"1\"\n}\n", "env {\n  A = \"1\"\n}\n"),
            (
                "tags {\n  \"a.b\" = \"1\"\n}\n",
                "tags = {\n  \"a.b\" = \"1\"\n}\n",
            ),
            ("a = 1 b = 2\n", "a = 1 \nb = 2\n"),
            ("a = 1,\nb = 2\n", "a = 1\nb = 2\n"),
            ("a = 1, b = 2\n", "a = 1\n b = 2\n"),
            ("n { a = 1, b = 2 }\n", "n {\n a = 1\n b = 2 \n}\n"),
            ("n { a = 1 b = 2 }\n", "n {\n a = 1 \nb = 2 \n}\n"),
            ("n { a = 1\n}\n", "n {\n a = 1\n}\n"),
            ("n {\n  a = 1 }\n", "n {\n  a = 1 \n}\n"),
            ("a = 'x'\n", "a = \"x\"\n"),
            ("a = 1;\n", "a = 1\n\n"),
            ("a = \u{201c}x\u{201d}\n", "a = \"x\"\n"),
            ("m = {\n  a.b = 1\n}\n", "m = {\n  \"a.b\" = 1\n}\n"),
            (
                "m = {\n  n {\n    a = 1\n  }\n}\n",
                "m = {\n  n = {\n    a = 1\n  }\n}\n",
            ),
            ("d = << EOT\n  x\nEOT\n", "d = <<EOT\n  x\nEOT\n"),
            (
                "d = <<EOT\n  echo ${X:-2}\nEOT\n",
                "d = <<EOT\n  echo $${X:-2}\nEOT\n",
            ),
            ("a = \"${X:-2}\"\n", "a = \"$${X:-2}\"\n"),
            (
                "b {\n  a = [1,\n2]\n  c = 3\n  a = [1, 2]\n}\n",
                "b {\n  a = [1,\n2]\n  c = 3\n  \n}\n",
            ),
        ] {
            let upgraded = upgrade("a", old).map(|it| it.text);
            assert_eq!(upgraded.as_deref(), Ok(new), "{old:?}");
        }
    }

    #[test]
    fn what_is_right_stays_as_it_is_and_what_nobody_can_guess_is_an_error() {
        let right = "job \"j\" {\n  meta = {\n    \"a.b\" = \"${x.y}\"\n  }\n}\n";
        let upgraded = upgrade("a", right).unwrap();
        assert_eq!((upgraded.text.as_str(), upgraded.changes.len()), (right, 0));
        for wrong in ["a = [1, 2\n", "a = 1\na = 2\n", "a {\n"] {
            assert!(upgrade("a", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_mistake_is_shown_with_its_correction() {
        for (text, ending) in [
            (
                "job \"j\" {\n  \"type\" = \"batch\"\n}\n",
                "Argument names must not be quoted.\nhelp: write the names of arguments without quotes\n  |\n2 |   type = \"batch\"\n",
            ),
            (
                "job \"j\" {\n  type = \"batch\"\n  type = \"batch\"\n}\n",
                "Each argument may be set only once.\nhelp: leave out what was said already\n  |\n3 |   \n",
            ),
            (
                "job \"j\" {\n  type = \"batch\"\n  type = \"system\" # all\n}\n",
                "may be set only once.\nhelp: keep the one that is meant, and leave out the other, for example this one\n  \
                 |\n3 |   # type = \"system\" # all\n",
            ),
        ] {
            let told = crate::parse::file("a.hcl", text).unwrap_err().render();
            assert!(told.ends_with(ending), "{told}");
        }
    }
}
