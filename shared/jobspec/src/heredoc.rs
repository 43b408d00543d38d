//! The repair of `<<-` heredocs.
//!
//! `hcl-edit` dedents them wrongly: with interpolations it eats text. So the marker is hidden from it, length for
//! length, and the template evaluation dedents by the language's own rule.

use std::collections::BTreeSet;

/// A text whose `<<-TAG` became ` <<TAG`, and where those markers now start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Masked {
    pub(crate) text: String,
    pub(crate) flush: BTreeSet<usize>,
}

/// Hides the `-` of every heredoc marker.
pub(crate) fn mask(text: &str) -> Masked {
    let mut scanner = Scanner {
        text: text.as_bytes(),
        at: 0,
        depth: 0,
        flush: BTreeSet::new(),
    };
    scanner.expression(None);
    let flush = scanner.flush;
    let mut masked = text.to_owned();
    for start in &flush {
        masked.replace_range(start - 1..start + 2, " <<");
    }
    Masked { text: masked, flush }
}

/// The parser refuses what nests deeper, and says so better.
const DEEPEST: usize = 128;

/// Just enough of a lexer to tell a marker from text in strings, comments and other heredocs.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// How many interpolations are open; no real file gets near [`DEEPEST`].
    depth: usize,
    /// Where the masked markers start: one byte after the original `<<-`.
    flush: BTreeSet<usize>,
}

impl Scanner<'_> {
    fn starts_with(&self, prefix: &str) -> bool {
        self.text[self.at..].starts_with(prefix.as_bytes())
    }

    /// Scans code up to the brace that closes an interpolation, or to the end of the file.
    fn expression(&mut self, close: Option<u8>) {
        let mut depth = 0_usize;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'#' => self.skip_past("\n"),
                b'/' if self.starts_with("//") => self.skip_past("\n"),
                b'/' if self.starts_with("/*") => self.skip_past("*/"),
                b'<' if self.starts_with("<<") => self.heredoc(),
                b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' if close.is_some() && depth == 0 => {
                    self.at += 1;
                    return;
                }
                b'}' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return;
                }
                // A string ends at the end of its line at the latest.
                b'\n' => return,
                b'$' | b'%' if self.starts_with("$${") || self.starts_with("%%{") => self.at += 3,
                b'$' | b'%' if self.text.get(self.at + 1) == Some(&b'{') => {
                    self.at += 2;
                    if self.depth < DEEPEST {
                        self.depth += 1;
                        self.expression(Some(b'}'));
                        self.depth -= 1;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn heredoc(&mut self) {
        let start = self.at;
        self.at += 2;
        let is_flush = self.text.get(self.at) == Some(&b'-');
        let tag_start = self.at + usize::from(is_flush);
        let is_tag = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let tag_end = tag_start
            + self.text[tag_start..]
                .iter()
                .take_while(|byte| is_tag(byte))
                .count();
        if tag_end == tag_start {
            return;
        }
        if is_flush {
            self.flush.insert(start + 1);
        }
        let tag = &self.text[tag_start..tag_end];
        self.at = tag_end;
        self.skip_past("\n");
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if line.trim_ascii() == tag {
                // What follows the closing tag on its line is code again.
                self.at += line.len();
                return;
            }
            self.skip_past("\n");
        }
    }

    fn skip_past(&mut self, end: &str) {
        let rest = &self.text[self.at..];
        let found = rest
            .windows(end.len())
            .position(|window| window == end.as_bytes());
        self.at += found.map_or(rest.len(), |position| position + end.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_markers_are_masked() {
        for (text, masked) in [
            ("a = <<-EOT\n  x\n  EOT\n", "a =  <<EOT\n  x\n  EOT\n"),
            (
                "a = <<EOT\n<<-EOT\nEOT\nb = <<-B\nB\n",
                "a = <<EOT\n<<-EOT\nEOT\nb =  <<B\nB\n",
            ),
            ("a = \"<<-EOT\" # <<-EOT\n", "a = \"<<-EOT\" # <<-EOT\n"),
            (
                "a = \"${f(<<-E\nE\n)}\" /* <<-X */",
                "a = \"${f( <<E\nE\n)}\" /* <<-X */",
            ),
        ] {
            assert_eq!(mask(text).text, masked);
        }
        assert_eq!(mask("a = <<-EOT\nEOT\n").flush, BTreeSet::from([5]));
    }
}
