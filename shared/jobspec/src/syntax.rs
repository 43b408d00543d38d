//! Syntax errors in words that help.
//!
//! The parser knows where it failed, not what was meant. A second, rough pass over the tokens finds the mistakes that
//! people make, and names the places that HashiCorp's library names.

pub(crate) mod fix;
pub(crate) mod tokens;

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};
use tokens::{Kind, Token, tokenize};

/// The parser's complaint, with its correction where there is one.
pub(crate) fn explain(source: &Arc<Source>, error: &hcl_edit::parser::Error) -> Diagnostic {
    let failed_at = error.location().offset().min(source.text.len());
    let tokens = tokenize(&source.text);
    let mut diagnostic = name(source, &tokens, error, failed_at);
    if let Some(span) = diagnostic.span() {
        diagnostic.fix =
            fix::find(&source.text, &tokens, failed_at, &diagnostic.summary, &span).map(Box::new);
    }
    diagnostic
}

fn name(
    source: &Arc<Source>,
    tokens: &[Token],
    error: &hcl_edit::parser::Error,
    failed_at: usize,
) -> Diagnostic {
    if error.message().contains("redefined attribute") {
        return redefined(source, tokens, failed_at);
    }
    let mut reader = Reader {
        source,
        tokens,
        at: 0,
        depth: 0,
        failed_at,
        message: error.message(),
    };
    if let Err(diagnostic) = reader.characters().and_then(|()| reader.body(None)) {
        return *diagnostic;
    }
    let span = reader.token_at(failed_at);
    Diagnostic::new((source, span), "Invalid syntax", format!("{}.", error.message()))
}

/// An attribute that its body already has.
fn redefined(source: &Arc<Source>, tokens: &[Token], failed_at: usize) -> Diagnostic {
    let at = tokens
        .iter()
        .position(|token| token.span.contains(&failed_at))
        .unwrap_or(0);
    let name = &source.text[tokens[at].span.clone()];
    let first = fix::first_of_its_name(&source.text, tokens, at);
    let place = source.place(&tokens[first].span);
    let detail =
        format!("The argument {name:?} was already set at {place}. Each argument may be set only once.");
    Diagnostic::new((source, tokens[at].span.clone()), "Attribute redefined", detail)
}

/// A quoted string that runs over a line break.
pub(crate) fn split_string(source: &Arc<Source>) -> Option<Diagnostic> {
    let tokens = tokenize(&source.text);
    let token = tokens.iter().find(|token| token.kind == Kind::OpenString)?;
    let span = token.span.start + 1..token.span.end;
    Some(Diagnostic::new(
        (source, span),
        "Invalid multi-line string",
        SPLIT,
    ))
}

const SPLIT: &str = "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \
                     \\n escape to represent a newline character or use the \"heredoc\" multi-line template syntax.";

type Found = Result<(), Box<Diagnostic>>;

const DEFINITION: &str = "Argument or block definition required";
const SINGLE: &str = "Invalid single-argument block definition";
const FOREIGN: [(char, &str, &str); 3] = [
    (
        '\'',
        "Invalid character",
        "Single quotes are not valid. Use double quotes (\") to enclose strings.",
    ),
    (
        ';',
        "Invalid character",
        "The \";\" character is not valid. Use newlines to separate arguments and blocks, and commas to separate items in collection values.",
    ),
    (
        '`',
        "Invalid character",
        "The \"`\" character is not valid. To create a multi-line string, use the \"heredoc\" syntax, like \"<<EOT\".",
    ),
];

/// The parser refuses what nests deeper.
const DEEPEST: usize = 128;

struct Reader<'a> {
    source: &'a Arc<Source>,
    tokens: &'a [Token],
    at: usize,
    /// How many blocks are open.
    depth: usize,
    /// Where the parser failed.
    failed_at: usize,
    message: &'a str,
}

impl<'a> Reader<'a> {
    fn error(&self, span: Span, summary: &str, detail: &str) -> Found {
        Err(Box::new(Diagnostic::new((self.source, span), summary, detail)))
    }

    fn peek(&self) -> &'a Token {
        // The last token is the end of the file.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> &'a Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn is_comma(&self, token: &Token) -> bool {
        &self.source.text[token.span.clone()] == ","
    }

    fn token_at(&self, offset: usize) -> Span {
        let found = self.tokens.iter().find(|token| token.span.end > offset);
        found.map_or(offset..offset, |token| {
            token.span.start.max(offset.min(token.span.start))..token.span.end
        })
    }

    /// Characters and strings that are wrong wherever they stand.
    fn characters(&self) -> Found {
        for token in self.tokens {
            let start = token.span.start;
            match token.kind {
                Kind::Invalid => {
                    let text = &self.source.text[token.span.clone()];
                    let known = FOREIGN.iter().find(|(c, ..)| text.starts_with(*c));
                    let (summary, detail) = known.map_or(
                        (
                            "Invalid character",
                            "This character is not used within the language.",
                        ),
                        |(_, summary, detail)| (*summary, *detail),
                    );
                    return self.error(token.span.clone(), summary, detail);
                }
                Kind::OpenHeredoc => {
                    let end = self.source.text.len();
                    let detail = "No closing marker was found for the string.";
                    return self.error(end..end, "Unterminated template string", detail);
                }
                Kind::OpenString => {
                    return self.error(start + 1..token.span.end, "Invalid multi-line string", SPLIT);
                }
                Kind::String => {
                    if let Some((span, letter)) = bad_escape(&self.source.text, &token.span) {
                        let detail = format!(
                            "The symbol {letter:?} is not a valid escape sequence selector. Write \\\\ for a backslash."
                        );
                        return self.error(span, "Invalid escape sequence", &detail);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Arguments and blocks, up to the brace that closes those of `open`.
    fn body(&mut self, open: Option<&Token>) -> Found {
        loop {
            let token = self.next();
            match token.kind {
                Kind::Newline => {}
                Kind::End => {
                    let Some(open) = open else { return Ok(()) };
                    let detail = "There is no closing brace for this block before the end of the file. This may be \
                                  caused by incorrect brace nesting elsewhere in this file.";
                    return self.error(open.span.clone(), "Unclosed configuration block", detail);
                }
                Kind::Close('}') if open.is_some() => return Ok(()),
                Kind::Name => self.item(token)?,
                Kind::String => {
                    let quote = token.span.start..token.span.start + 1;
                    let is_argument = self.peek().kind == Kind::Equals;
                    return match is_argument {
                        true => self.error(
                            quote,
                            "Invalid argument name",
                            "Argument names must not be quoted.",
                        ),
                        false => self.error(
                            quote,
                            "Invalid block definition",
                            "Block types must not be quoted.",
                        ),
                    };
                }
                _ => {
                    return self.error(
                        token.span.clone(),
                        DEFINITION,
                        "An argument or block definition is required here.",
                    );
                }
            }
        }
    }

    fn item(&mut self, name: &Token) -> Found {
        let next = self.peek();
        match next.kind {
            Kind::Equals => {
                self.next();
                self.expression(false)?;
                let after = self.next();
                match after.kind {
                    Kind::Newline | Kind::End => Ok(()),
                    _ if self.is_comma(after) => self.error(
                        after.span.clone(),
                        "Unexpected comma after argument",
                        "Argument definitions must be separated by newlines, not commas. An argument definition must \
                         end with a newline.",
                    ),
                    _ => self.error(
                        after.span.clone(),
                        "Missing newline after argument",
                        "An argument definition must end with a newline.",
                    ),
                }
            }
            Kind::Name | Kind::String | Kind::Open('{') => self.block(),
            _ => self.error(
                name.span.clone(),
                DEFINITION,
                "An argument or block definition is required here. To set an argument, use the equals sign \"=\" to \
                 introduce the argument value.",
            ),
        }
    }

    /// From the labels of a block to the line break behind it.
    fn block(&mut self) -> Found {
        let open = loop {
            let token = self.next();
            match token.kind {
                Kind::Name | Kind::String => {}
                Kind::Open('{') => break token,
                Kind::Equals => {
                    let detail = "The equals sign \"=\" indicates an argument definition, and must not be used when \
                                  defining a block.";
                    return self.error(token.span.clone(), "Invalid block definition", detail);
                }
                Kind::Newline => {
                    let detail = "A block definition must have block content delimited by \"{\" and \"}\", starting on \
                                  the same line as the block header.";
                    return self.error(token.span.clone(), "Invalid block definition", detail);
                }
                _ => {
                    let detail =
                        "Either a quoted string block label or an opening brace (\"{\") is expected here.";
                    return self.error(token.span.clone(), "Invalid block definition", detail);
                }
            }
        };
        match self.peek().kind {
            Kind::Newline | Kind::End if self.depth < DEEPEST => {
                self.depth += 1;
                self.body(Some(open))?;
                self.depth -= 1;
            }
            Kind::Newline | Kind::End => return self.generic(self.token_failed()),
            Kind::Close('}') => {
                self.next();
            }
            _ => self.single_line()?,
        }
        let after = self.peek();
        match after.kind {
            Kind::Newline => {
                self.next();
                Ok(())
            }
            Kind::End => Ok(()),
            _ => self.error(
                after.span.clone(),
                "Missing newline after block definition",
                "A block definition must end with a newline.",
            ),
        }
    }

    /// `name = value }` on the line of the opening brace.
    fn single_line(&mut self) -> Found {
        let name = self.next();
        if name.kind != Kind::Name {
            return self.error(
                name.span.clone(),
                DEFINITION,
                "An argument or block definition is required here.",
            );
        }
        let equals = self.next();
        if equals.kind != Kind::Equals {
            let text = &self.source.text[name.span.clone()];
            let detail = format!(
                "A single-line block definition can contain only a single argument. If you meant to define argument \
                 {text:?}, use an equals sign to assign it a value. To define a nested block, place it on a line of its \
                 own within its parent block."
            );
            // Of a string the opening quote counts.
            let end = if equals.kind == Kind::String {
                equals.span.start + 1
            } else {
                equals.span.end
            };
            return self.error(name.span.start..end, "Argument definition required", &detail);
        }
        self.expression(true)?;
        let after = self.next();
        match after.kind {
            Kind::Close('}') => Ok(()),
            Kind::Newline | Kind::End => self.error(
                after.span.clone(),
                SINGLE,
                "An argument definition on the same line as its containing block creates a single-line block \
                 definition, which must also be closed on the same line. Place the block's closing brace immediately \
                 after the argument definition.",
            ),
            _ if self.is_comma(after) => self.error(
                after.span.clone(),
                SINGLE,
                "Single-line block syntax can include only one argument definition. To define multiple arguments, use \
                 the multi-line block syntax with one argument definition per line.",
            ),
            _ => self.error(
                after.span.clone(),
                SINGLE,
                "A single-line block definition must end with a closing brace immediately after its single argument \
                 definition.",
            ),
        }
    }

    /// Steps over a value, up to the line break, closing brace or stray token that ends it.
    fn expression(&mut self, is_single_line: bool) -> Found {
        let mut open: Vec<&Token> = Vec::new();
        let mut wants_operand = true;
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => {
                    return match open.last() {
                        Some(open) => self.unclosed(open),
                        None => Ok(()),
                    };
                }
                Kind::Newline if open.is_empty() => return Ok(()),
                Kind::Other if open.is_empty() && self.is_comma(token) => return Ok(()),
                Kind::Close(_) if open.is_empty() => {
                    let may_end = is_single_line || (self.depth > 0 && token.kind == Kind::Close('}'));
                    return if may_end && !wants_operand {
                        Ok(())
                    } else {
                        self.generic(token)
                    };
                }
                Kind::Name | Kind::Number | Kind::String | Kind::Heredoc
                    if open.is_empty() && !wants_operand =>
                {
                    return Ok(());
                }
                _ => {}
            }
            if open.is_empty() && token.span.start > self.failed_at {
                return self.generic(self.token_failed());
            }
            if let Some(open) = open.last()
                && token.span.contains(&self.failed_at)
            {
                return self.inside(open, token);
            }
            self.next();
            match token.kind {
                Kind::Open(_) => open.push(token),
                Kind::Close(_) => {
                    open.pop();
                    if open.is_empty() && token.span.contains(&self.failed_at) {
                        return self.generic(self.token_failed());
                    }
                    wants_operand = false;
                }
                Kind::Name | Kind::Number | Kind::String | Kind::Heredoc => wants_operand = false,
                Kind::Other if open.is_empty() => {
                    wants_operand = &self.source.text[token.span.clone()] != "*";
                }
                _ => {}
            }
        }
    }

    /// A failure between brackets: mostly a forgotten comma.
    fn inside(&self, open: &Token, token: &Token) -> Found {
        if !matches!(
            token.kind,
            Kind::Name | Kind::Number | Kind::String | Kind::Heredoc | Kind::Newline
        ) {
            return self.generic(token);
        }
        let (summary, detail) = match open.kind {
            Kind::Open('{') => (
                "Missing attribute separator",
                "Expected a newline or comma to mark the beginning of the next attribute.",
            ),
            Kind::Open('[') => (
                "Missing item separator",
                "Expected a comma to mark the beginning of the next item.",
            ),
            _ => (
                "Missing argument separator",
                "A comma is required to separate each function argument from the next.",
            ),
        };
        self.error(token.span.clone(), summary, detail)
    }

    fn token_failed(&self) -> &'a Token {
        let found = self.tokens.iter().find(|token| token.span.end > self.failed_at);
        found.unwrap_or_else(|| self.peek())
    }

    fn unclosed(&self, open: &Token) -> Found {
        let (summary, detail) = match open.kind {
            Kind::Open('{') => (
                "Unterminated object constructor expression",
                "There is no corresponding closing brace before the end of the file.",
            ),
            Kind::Open('[') => (
                "Unterminated tuple constructor expression",
                "There is no corresponding closing bracket before the end of the file.",
            ),
            _ => (
                "Unterminated parenthesis",
                "There is no corresponding closing parenthesis before the end of the file.",
            ),
        };
        self.error(
            open.span.clone(),
            summary,
            &format!("{detail} This may be caused by incorrect nesting elsewhere in this file."),
        )
    }

    /// What the parser said, at a token.
    fn generic(&self, token: &Token) -> Found {
        self.error(
            token.span.clone(),
            "Invalid expression",
            &format!("{}.", self.message),
        )
    }
}

/// The first escape sequence of a string that is none; interpolations are left alone.
fn bad_escape(text: &str, string: &Span) -> Option<(Span, String)> {
    let mut depth = 0_usize;
    let mut chars = text[string.clone()].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '$' | '%' if chars.next_if(|(_, next)| *next == '{').is_some() => depth += 1,
            '{' if depth > 0 => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '\\' => {
                let (next_at, next) = chars.next()?;
                if depth == 0 && !"nrt\"\\uU".contains(next) {
                    let start = string.start + at;
                    return Some((start..string.start + next_at + next.len_utf8(), next.to_string()));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    fn told(text: &str) -> String {
        crate::parse::file("a", text).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    }

    #[test]
    fn mistakes_of_people_are_named() {
        for (text, error) in [
            (
                "a = 1 b = 2\n",
                "a:1,7-8: Missing newline after argument; An argument definition must end with a newline.",
            ),
            ("a = \"x\n", "a:1,6-7: Invalid multi-line string"),
            (
                "job \"j\" {\n  a = [1, 2\n}\n",
                "a:3,1-2: Invalid expression; expected `]`.",
            ),
            ("a = [1 2]\n", "a:1,8-9: Missing item separator; Expected a comma"),
            (
                "a = { b = 1 c = 2 }\n",
                "a:1,13-14: Missing attribute separator; Expected a newline or comma",
            ),
            (
                "a = \"x\\q\"\n",
                "a:1,7-9: Invalid escape sequence; The symbol \"q\" is not",
            ),
            (
                "a = f(1 2)\n",
                "a:1,9-10: Missing argument separator; A comma is required",
            ),
            (
                "job \"j\" = 1\n",
                "a:1,9-10: Invalid block definition; The equals sign",
            ),
            (
                "a {\n} b {\n}\n",
                "a:2,3-4: Missing newline after block definition",
            ),
            ("a = b ? 1\n", "a:1,10-2,1: Invalid syntax; expected `:`."),
        ] {
            let told = told(text);
            assert!(told.starts_with(error), "{text:?}: {told}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused_and_does_no_harm() {
        for deep in ["\"${", "[", "{ a = ", "(", "f(", "-", "!", "a ? b : "] {
            assert!(
                crate::parse::file("a", &format!("a = {}", deep.repeat(50_000))).is_err(),
                "{deep}"
            );
        }
        let blocks = "a {\n".repeat(50_000);
        assert!(crate::parse::file("a", &blocks).is_err());
    }
}
