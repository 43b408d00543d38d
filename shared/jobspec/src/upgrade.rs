//! Job files of the first generation of the language, rewritten in today's.

use crate::diagnostic::Diagnostic;
use crate::parse;
use crate::syntax::fix;
use crate::syntax::tokens::tokenize;

/// More corrections than this are no job file.
const CHANGES_MAX: usize = 500;

/// A job file in today's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// Its text.
    pub text: String,
    /// What was done, with the line that it was done on, in the order in which it was.
    pub changes: Vec<(usize, &'static str)>,
}

/// Corrects every mistake of `source` for which there is a correction, one after the other. Only the syntax is looked
/// at, and nothing else is changed; a file without mistakes stays as it is.
///
/// # Errors
/// The first mistake that nobody can guess the meaning of.
pub fn upgrade(file_name: &str, source: &str) -> Result<Upgraded, Diagnostic> {
    let mut text = source.strip_prefix('\u{feff}').unwrap_or(source).to_owned();
    let mut changes = Vec::new();
    loop {
        let found = match parse::file(file_name, &text) {
            Ok(_) => fix::dotted_key(&text, &tokenize(&text)).map(Box::new),
            Err(error) => match error.fix.as_deref() {
                Some(fix) if fix.is_certain && changes.len() < CHANGES_MAX => error.fix,
                _ => return Err(error),
            },
        };
        let Some(fix) = found.filter(|_| changes.len() < CHANGES_MAX) else {
            return Ok(Upgraded { text, changes });
        };
        let line = text[..fix.span.start].matches('\n').count() + 1;
        text.replace_range(fix.span, &fix.replacement);
        changes.push((line, fix.help));
    }
}
