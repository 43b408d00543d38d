//! From text to syntax tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use hcl_edit::expr::Expression;

use crate::diagnostic::Diagnostic;
use crate::heredoc;
use crate::repeated;
use crate::source::Source;
use crate::syntax;

/// A parsed file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) source: Arc<Source>,
    pub(crate) body: hcl_edit::structure::Body,
    /// Where `<<-` heredocs start.
    pub(crate) flush: BTreeSet<usize>,
}

/// Parses a file of blocks and attributes.
///
/// # Errors
/// The first place where the text is no HCL.
pub(crate) fn file(name: &str, text: &str) -> Result<File, Diagnostic> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > BYTES_MAX {
        let detail = format!("A job file has {} MiB at most.", BYTES_MAX >> 20);
        return Err(Diagnostic::without_place("Job file too large", detail));
    }
    let source = Arc::new(Source::new(name, text));
    let heredoc::Masked { mut text, flush } = heredoc::mask(text);
    for _ in 0..MOST_REPAIRS {
        let error = match hcl_edit::parser::parse_body(&text) {
            Ok(body) => {
                // The parser lets strings inside interpolations run over lines.
                return match syntax::split_string(&source) {
                    None => Ok(File { source, body, flush }),
                    Some(diagnostic) => Err(diagnostic),
                };
            }
            Err(error) => error,
        };
        let is_repeated = error.message().contains("redefined object key");
        let repaired = is_repeated.then(|| repeated::blank_earlier(&text, error.location().offset()));
        match repaired.flatten() {
            Some(repaired) => text = repaired,
            None => return Err(syntax::explain(&source, &error)),
        }
    }
    let detail = format!("More than {MOST_REPAIRS} keys are repeated inside objects.");
    Err(Diagnostic::new((&source, 0..0), "Repeated keys", detail))
}

/// What is larger was not written by people.
const BYTES_MAX: usize = 8 << 20;

/// How many repeated object keys a file may have.
const MOST_REPAIRS: usize = 64;

/// Parses one expression, such as the value of `-var`.
///
/// # Errors
/// The first place where the text is no expression.
pub(crate) fn expression(name: &str, text: &str) -> Result<(Arc<Source>, Expression), Diagnostic> {
    let source = Arc::new(Source::new(name, text));
    match hcl_edit::parser::parse_expr(text) {
        Ok(expression) => Ok((source, expression)),
        Err(error) => Err(syntax::explain(&source, &error)),
    }
}
