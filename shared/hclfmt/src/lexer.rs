//! Cuts a source into tokens. Any text can be cut: what is no HCL becomes [`Kind::Unknown`], and what is never closed
//! ends with the source. Every character is looked at a bounded number of times.

use crate::token::{Kind, Token, extends_previous};

/// What surrounds the place that the lexer has reached.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    /// Braces inside a template sequence; they must not be taken for its end.
    Brace,
    /// `${ … }` or `%{ … }`.
    Template,
    /// `"…"`.
    Quote,
    /// A heredoc, with its closing word.
    Heredoc(&'a str),
}

/// Operators of more than one character, longest first.
const LONG_OPERATORS: &[(&str, Kind)] = &[
    ("...", Kind::Ellipsis),
    ("::", Kind::DoubleColon),
    ("==", Kind::Operator),
    ("!=", Kind::Operator),
    ("<=", Kind::Operator),
    (">=", Kind::Operator),
    ("=>", Kind::Operator),
    ("&&", Kind::Operator),
    ("||", Kind::Operator),
];

/// The tokens of `source`, all with their blanks at zero.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        rest: source,
        tokens: Vec::new(),
        scopes: Vec::new(),
    };
    while !lexer.rest.is_empty() {
        match lexer.scopes.last().copied() {
            Some(Scope::Quote) => lexer.quoted(),
            Some(Scope::Heredoc(word)) => lexer.heredoc(word),
            _ => lexer.code(),
        }
    }
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token<'a>>,
    scopes: Vec<Scope<'a>>,
}

impl<'a> Lexer<'a> {
    /// Takes the next `length` bytes as one token; nothing when there are none.
    fn take(&mut self, kind: Kind, length: usize) {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        if !text.is_empty() {
            self.tokens.push(Token {
                kind,
                text,
                blanks: 0,
            });
        }
    }

    fn code(&mut self) {
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.rest = &self.rest[blanks..];
        let Some(first) = self.rest.chars().next() else {
            return;
        };
        match first {
            '\n' => self.take(Kind::Newline, 1),
            '\r' if self.rest.starts_with("\r\n") => self.take(Kind::Newline, 2),
            '#' => self.line_comment(),
            '/' if self.rest.starts_with("//") => self.line_comment(),
            '/' if self.rest.starts_with("/*") => {
                let end = self.rest[2..].find("*/").map_or(self.rest.len(), |at| at + 4);
                self.take(Kind::Comment, end);
            }
            '"' => {
                self.take(Kind::OpenQuote, 1);
                self.scopes.push(Scope::Quote);
            }
            '<' if self.rest.starts_with("<<") => self.open_heredoc(),
            '{' => {
                self.take(Kind::OpenBrace, 1);
                self.scopes.push(Scope::Brace);
            }
            '~' if self.rest.starts_with("~}") && self.in_template() => self.close_brace(2),
            '}' => self.close_brace(1),
            '0'..='9' => self.take(Kind::Number, number_length(self.rest)),
            _ if is_word_start(first) => {
                let length = self.rest.find(|it| !is_word(it)).unwrap_or(self.rest.len());
                self.take(Kind::Ident, length);
            }
            _ => self.operator(first),
        }
    }

    fn line_comment(&mut self) {
        let length = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        self.take(Kind::Comment, length);
    }

    fn in_template(&self) -> bool {
        matches!(self.scopes.last(), Some(Scope::Template))
    }

    fn close_brace(&mut self, length: usize) {
        let kind = match self.scopes.pop() {
            Some(Scope::Template) => Kind::CloseTemplate,
            _ => Kind::CloseBrace,
        };
        self.take(kind, length);
    }

    fn operator(&mut self, first: char) {
        let long = LONG_OPERATORS
            .iter()
            .find(|(text, _)| self.rest.starts_with(text));
        if let Some((text, kind)) = long {
            return self.take(*kind, text.len());
        }
        let kind = match first {
            '=' => Kind::Equal,
            '[' => Kind::OpenBracket,
            ']' => Kind::CloseBracket,
            '(' => Kind::OpenParen,
            ')' => Kind::CloseParen,
            ',' => Kind::Comma,
            '.' => Kind::Dot,
            ':' => Kind::Colon,
            '?' => Kind::Question,
            '!' => Kind::Bang,
            '-' => Kind::Minus,
            '+' | '*' | '/' | '%' | '<' | '>' => Kind::Operator,
            _ => Kind::Unknown,
        };
        self.take(kind, first.len_utf8());
    }

    /// `<<WORD` or `<<-WORD` at the end of a line; `<` otherwise.
    fn open_heredoc(&mut self) {
        let after = &self.rest[2..];
        let after = after.strip_prefix('-').unwrap_or(after);
        let length = after.find(|it| !is_word(it)).unwrap_or(after.len());
        let (word, after) = after.split_at(length);
        let line_end = ["\n", "\r\n"].into_iter().find(|it| after.starts_with(it));
        match line_end.filter(|_| word.starts_with(is_word_start)) {
            Some(line_end) => {
                self.take(Kind::OpenHeredoc, self.rest.len() - after.len() + line_end.len());
                self.scopes.push(Scope::Heredoc(word));
            }
            None => self.take(Kind::Operator, 1),
        }
    }

    /// Text up to the next template sequence, the closing quote or the end of the line.
    fn quoted(&mut self) {
        let mut at = 0;
        let bytes = self.rest.as_bytes();
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' | b'\n' => break,
                b'\\' => at += 1 + next_length(&self.rest[at + 1..]),
                b'$' | b'%' => match template_length(&self.rest[at..]) {
                    Sequence::Opens(_) => break,
                    Sequence::Text(length) => at += length,
                },
                _ => at += 1,
            }
        }
        self.take(Kind::QuotedText, at);
        match self.rest.as_bytes().first() {
            Some(b'"') => {
                self.take(Kind::CloseQuote, 1);
                self.scopes.pop();
            }
            Some(b'$' | b'%') => self.open_template(),
            // A quote does not go on in the next line.
            _ => drop(self.scopes.pop()),
        }
    }

    fn open_template(&mut self) {
        if let Sequence::Opens(length) = template_length(self.rest) {
            self.take(Kind::OpenTemplate, length);
            self.scopes.push(Scope::Template);
        }
    }

    /// One line of a heredoc, up to the next template sequence.
    fn heredoc(&mut self, word: &str) {
        if self.tokens.last().is_some_and(|it| it.text.ends_with('\n')) {
            let line = self.rest.find('\n').map_or(self.rest, |at| &self.rest[..at]);
            if line.trim() == word {
                self.take(Kind::CloseHeredoc, line.strip_suffix('\r').unwrap_or(line).len());
                self.scopes.pop();
                return;
            }
        }
        let mut at = 0;
        let bytes = self.rest.as_bytes();
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\n' => {
                    at += 1;
                    break;
                }
                b'$' | b'%' => match template_length(&self.rest[at..]) {
                    Sequence::Opens(_) => break,
                    Sequence::Text(length) => at += length,
                },
                _ => at += 1,
            }
        }
        if at == 0 {
            self.open_template();
        } else {
            self.take(Kind::HeredocText, at);
        }
    }
}

/// What a `$` or `%` in a text is.
enum Sequence {
    /// The beginning of a template sequence, of this length.
    Opens(usize),
    /// Plain text, of this length.
    Text(usize),
}

/// `${` opens, `$${` is the escaped text, and a `$` alone is just that; `%` likewise.
fn template_length(text: &str) -> Sequence {
    let bytes = text.as_bytes();
    let Some(&sign) = bytes.first() else {
        return Sequence::Text(0);
    };
    match (bytes.get(1), bytes.get(2)) {
        (Some(b'{'), Some(b'~')) => Sequence::Opens(3),
        (Some(b'{'), _) => Sequence::Opens(2),
        (Some(&second), Some(b'{')) if second == sign => Sequence::Text(3),
        _ => Sequence::Text(1),
    }
}

/// Digits, and then a fraction and an exponent if they are complete.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let bytes = text.as_bytes();
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        length += if fraction > 0 { fraction + 1 } else { 0 };
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits((length + 1 + sign).min(text.len()));
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    length
}

/// Bytes of the first character; a quote cannot be closed by half of one.
fn next_length(text: &str) -> usize {
    match text.chars().next() {
        // The end of the line ends the quote even when it is escaped.
        None | Some('\n') => 0,
        Some(character) => character.len_utf8(),
    }
}

fn is_word_start(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn is_word(character: char) -> bool {
    matches!(character, '-' | '_') || character.is_alphanumeric() || extends_previous(character)
}
