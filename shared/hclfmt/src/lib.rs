//! The canonical format of HCL files: what `nomad fmt` and HashiCorp's other formatters write, byte for byte.
//!
//! It owns blanks and nothing else: each line is indented by the brackets that are open, tokens are set apart by rule,
//! and the `=` and the comments of consecutive lines are aligned. Lines are neither joined nor broken, and what stands in
//! quotes, heredocs and comments is kept.
//! It deliberately does not know whether a source is valid; whoever formats files parses them first and refuses to touch
//! one that is not.

mod layout;
mod lexer;
mod spacing;
mod token;

/// `source` in the canonical format. Any text is accepted; one that is no HCL keeps everything but its blanks.
pub fn format(source: &str) -> String {
    let (mark, source) = match source.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", source),
    };
    let mut tokens = lexer::tokens(source);
    layout::lay_out(&mut tokens);
    let mut formatted = String::with_capacity(source.len() + source.len() / 8);
    formatted.push_str(mark);
    for token in &tokens {
        formatted.extend(std::iter::repeat_n(' ', token.blanks));
        formatted.push_str(token.text);
    }
    formatted
}

/// Whether `source` is in the canonical format already.
pub fn check(source: &str) -> bool {
    format(source) == source
}

#[cfg(test)]
mod tests;
