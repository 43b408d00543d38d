//! What is wrong with a job file, and where: one line for programs, a picture for people.

use std::fmt;
use std::sync::Arc;

use crate::source::{Source, Span};
use crate::syntax::fix::Fix;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of thing, in a few words.
    pub summary: String,
    /// What exactly, and how to put it right.
    pub detail: String,
    /// Where; a variable that nobody set has no place.
    at: Option<(Arc<Source>, Span)>,
    /// The replacement that puts it right, where that can be guessed.
    pub(crate) fix: Option<Box<Fix>>,
}

impl Diagnostic {
    pub(crate) fn new(
        at: (&Arc<Source>, Span),
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let (source, span) = at;
        Self {
            summary: summary.into(),
            detail: detail.into(),
            at: Some((Arc::clone(source), span)),
            fix: None,
        }
    }

    /// A diagnostic that belongs to no place in a file.
    pub(crate) fn without_place(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            detail: detail.into(),
            at: None,
            fix: None,
        }
    }

    /// The bytes of the file that it is about.
    pub(crate) fn span(&self) -> Option<Span> {
        self.at.as_ref().map(|(_, span)| span.clone())
    }

    /// `file:line,column-column`, when it has a place.
    pub fn place(&self) -> Option<String> {
        self.at.as_ref().map(|(source, span)| source.place(span))
    }

    /// Line and column where it starts, both from 1.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.at.as_ref().map(|(source, span)| source.position(span.start))
    }

    /// Several lines for a terminal: the message, and the line of the file with the place underlined.
    pub fn render(&self) -> String {
        let mut out = format!("Error: {}\n", self.summary);
        if let Some((source, span)) = &self.at {
            let (line, column) = source.position(span.start);
            let text = source.line_at(span.start);
            let gutter = line.to_string().len();
            let rest = text.chars().count().saturating_sub(column - 1).max(1);
            let width = source
                .text
                .get(span.clone())
                .map_or(1, |it| it.chars().count())
                .clamp(1, rest);
            let (blank, indent, carets) = (" ".repeat(gutter), " ".repeat(column - 1), "^".repeat(width));
            out.push_str(&format!("{blank}--> {}:{line}:{column}\n", source.name));
            out.push_str(&format!(
                "{blank} |\n{line} | {text}\n{blank} | {indent}{carets}\n"
            ));
        }
        out.push_str(&self.detail);
        out.push('\n');
        if let Some((fix, (source, _))) = self.fix.as_ref().zip(self.at.as_ref()) {
            out.push_str(&fix.render(source));
        }
        out
    }
}

impl Fix {
    /// What to do, and the lines as they should be.
    fn render(&self, source: &Source) -> String {
        let (line, _) = source.position(self.span.start);
        let start = source.text[..self.span.start].rfind('\n').map_or(0, |it| it + 1);
        let rest = source.text[self.span.end..].lines().next().unwrap_or_default();
        let right = format!(
            "{}{}{rest}",
            &source.text[start..self.span.start],
            self.replacement
        );
        let gutter = " ".repeat(line.to_string().len());
        let mut out = format!("help: {}\n{gutter} |\n", self.help);
        for (index, text) in right.lines().enumerate() {
            out.push_str(&format!("{} | {text}\n", line + index));
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place().unwrap_or_else(|| "<nil>".to_owned());
        write!(f, "{place}: {}; {}", self.summary, self.detail)
    }
}

/// Everything that is wrong with a job file, in the order in which it was found; never empty when it is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// The diagnostics.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them for a terminal, see [`Diagnostic::render`].
    pub fn render(&self) -> String {
        self.0
            .iter()
            .map(Diagnostic::render)
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }

    /// The value of a result; its error is kept here.
    pub(crate) fn take<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.push(diagnostic)).ok()
    }

    /// `value`, unless something is wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
