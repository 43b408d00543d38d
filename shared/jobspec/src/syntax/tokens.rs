//! A rough lexer: enough to tell names, strings and brackets apart.

use crate::source::Span;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    Number,
    /// A whole quoted string, interpolations included.
    String,
    /// A quoted string without end.
    OpenString,
    Heredoc,
    OpenHeredoc,
    /// A line break, or a comment that ends with one.
    Newline,
    /// A single `=`.
    Equals,
    Open(char),
    Close(char),
    /// Operators and punctuation.
    Other,
    Invalid,
    End,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// The tokens of a text; the last is its end.
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = match first {
            ' ' | '\t' | '\r' => {
                at += 1;
                continue;
            }
            '\n' => (Kind::Newline, 1),
            '#' => (Kind::Newline, line(rest)),
            '/' if rest.starts_with("//") => (Kind::Newline, line(rest)),
            '/' if rest.starts_with("/*") => {
                at += rest.find("*/").map_or(rest.len(), |end| end + 2);
                continue;
            }
            '"' => string(rest, 0),
            '<' if rest.starts_with("<<") && heredoc(rest).is_some() => {
                heredoc(rest).unwrap_or((Kind::Other, 2))
            }
            '{' | '[' | '(' => (Kind::Open(first), 1),
            '}' | ']' | ')' => (Kind::Close(first), 1),
            '=' if !rest.starts_with("==") && !rest.starts_with("=>") => (Kind::Equals, 1),
            c if c.is_ascii_digit() => (Kind::Number, number(rest)),
            c if c.is_alphabetic() || c == '_' => {
                (Kind::Name, run(rest, |c| c.is_alphanumeric() || "_-".contains(c)))
            }
            c if "=!<>&|".contains(c) => (Kind::Other, if operator_is_double(rest) { 2 } else { 1 }),
            c if "+-*/%?:,.~".contains(c) => (Kind::Other, if rest.starts_with("...") { 3 } else { 1 }),
            c => (Kind::Invalid, c.len_utf8()),
        };
        tokens.push(Token {
            kind,
            span: at..at + length,
        });
        at += length;
    }
    tokens.push(Token {
        kind: Kind::End,
        span: text.len()..text.len(),
    });
    tokens
}

/// Up to and including the line break.
fn line(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn operator_is_double(text: &str) -> bool {
    ["==", "!=", "<=", ">=", "&&", "||", "=>"]
        .iter()
        .any(|operator| text.starts_with(operator))
}

fn number(text: &str) -> usize {
    let digits = run(text, |c| c.is_ascii_digit());
    let fraction = text[digits..]
        .strip_prefix('.')
        .map_or(0, |rest| run(rest, |c| c.is_ascii_digit()));
    if fraction == 0 {
        digits
    } else {
        digits + 1 + fraction
    }
}

/// Strings inside strings inside strings: no real file gets near this.
const DEEPEST: usize = 128;

/// A quoted string; quotes inside `${…}` do not end it.
fn string(text: &str, nesting: usize) -> (Kind, usize) {
    let bytes = text.as_bytes();
    let mut at = 1;
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' if depth == 0 => return (Kind::String, at + 1),
            b'"' if nesting < DEEPEST => {
                let (kind, length) = string(&text[at..], nesting + 1);
                if kind == Kind::OpenString {
                    return (kind, at + length);
                }
                at += length - 1;
            }
            b'\n' if depth == 0 => return (Kind::OpenString, at),
            b'$' | b'%' if depth == 0 && (text[at..].starts_with("$${") || text[at..].starts_with("%%{")) => {
                at += 2
            }
            b'$' | b'%' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'{' if depth > 0 => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    (Kind::OpenString, text.len())
}

/// A heredoc with the line of its closing tag, without that line's break.
fn heredoc(text: &str) -> Option<(Kind, usize)> {
    let marker = &text[2..];
    let after = marker.strip_prefix('-').unwrap_or(marker);
    let tag = &after[..run(after, |c| c.is_alphanumeric() || "_-".contains(c))];
    let rest = &after[tag.len()..];
    if tag.is_empty() || !(rest.starts_with('\n') || rest.starts_with("\r\n")) {
        return None;
    }
    let mut at = text.len() - rest.len() + line(rest);
    while at < text.len() {
        let length = line(&text[at..]);
        let content = &text[at..at + length];
        if content
            .trim_start()
            .strip_prefix(tag)
            .is_some_and(|after| !after.starts_with(char::is_alphanumeric))
        {
            let indent = content.len() - content.trim_start().len();
            return Some((Kind::Heredoc, at + indent + tag.len()));
        }
        at += length;
    }
    Some((Kind::OpenHeredoc, text.len()))
}
