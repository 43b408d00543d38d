//! From text to syntax tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use hcl_edit::expr::Expression;

use crate::diagnostic::Diagnostic;
use crate::heredoc;
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
    let source = Arc::new(Source::new(name, text));
    let masked = heredoc::mask(text);
    match hcl_edit::parser::parse_body(&masked.text) {
        Ok(body) => Ok(File {
            source,
            body,
            flush: masked.flush,
        }),
        Err(error) => Err(syntax::explain(&source, &error)),
    }
}

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
