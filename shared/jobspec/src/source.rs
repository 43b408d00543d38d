//! Source text and places in it.

use std::ops::Range;

/// A place: bytes of a file's text.
pub(crate) type Span = Range<usize>;

/// One file's text, as it was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What messages call the file; may be empty.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The line that a byte is on, without its line break.
    pub(crate) fn line_at(&self, offset: usize) -> &str {
        let offset = self.floor(offset);
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[offset..]
            .find('\n')
            .map_or(self.text.len(), |length| offset + length);
        self.text[start..end].trim_end_matches('\r')
    }

    /// `name:line,column-column`, as the original writes places.
    pub(crate) fn place(&self, span: &Span) -> String {
        let (line, column) = self.position(span.start);
        let (end_line, end_column) = self.position(span.end);
        let name = &self.name;
        if line == end_line {
            format!("{name}:{line},{column}-{end_column}")
        } else {
            format!("{name}:{line},{column}-{end_line},{end_column}")
        }
    }

    /// The nearest character boundary at or before a byte.
    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Source::new("a.hcl", "x = 1\né = \"b\"\n");
        assert_eq!(source.place(&(0..1)), "a.hcl:1,1-2");
        assert_eq!(source.place(&(11..14)), "a.hcl:2,5-8");
        assert_eq!(source.place(&(0..6)), "a.hcl:1,1-2,1");
        assert_eq!(source.line_at(12), "é = \"b\"");
    }
}
