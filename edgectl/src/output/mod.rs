//! Everything that edgectl prints goes through here: the console, and the few shapes that output is made of.
//!
//! Owns spacing, colours and notation. Deliberately does not know what a job or a node is.

pub mod json;
pub mod labels;
pub mod size;
pub mod table;
pub mod time;

use std::fmt::Display;
use std::io::Write;

pub use labels::Labels;
pub use table::Table;

/// What an absent value looks like.
pub const NONE: &str = "<none>";

/// How many characters of an id people see unless they ask for all of them.
pub const SHORT_ID: usize = 8;

/// How the console looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether headings and verdicts are coloured.
    pub color: bool,
    /// Whether standard output is a terminal, on which lines may be drawn again.
    pub terminal: bool,
}

/// Where output and errors go. A reader that hangs up early (`| head`) is no error.
pub struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// How it looks.
    pub style: Style,
}

impl<'a> Console<'a> {
    /// A console over two streams.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, style: Style) -> Self {
        Self { out, err, style }
    }

    /// Writes a line to standard output.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Writes text without a line break to standard output.
    pub fn text(&mut self, text: impl Display) {
        let _ = write!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Writes a line to standard error.
    pub fn error(&mut self, text: impl Display) {
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{text}");
    }

    /// Writes a heading and, below it, what it heads.
    pub fn section(&mut self, title: &str, body: impl Display) {
        let title = self.bold(title);
        self.line(title);
        self.line(body);
    }

    /// `text` in bold, where there are colours.
    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// `text` in the colour of warnings, where there are colours.
    pub fn warning(&self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// `text` in the colour of errors, where there are colours.
    pub fn alarm(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// How long the ids of a listing are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdLength(usize);

impl IdLength {
    /// Full ids when `verbose`, else their first eight characters.
    pub const fn of(verbose: bool) -> Self {
        Self(if verbose { 36 } else { SHORT_ID })
    }

    /// `id`, cut to this length.
    pub fn cut(self, id: &str) -> &str {
        id.char_indices().nth(self.0).map_or(id, |(end, _)| &id[..end])
    }
}

/// `1 allocation`, `2 allocations`.
pub fn plural(count: i64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
