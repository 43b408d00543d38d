//! What stands between a template's source and `gotmpl`: a repair, a check, and its errors in our words.

use std::sync::Arc;

use gotmpl::FuncMap;
use gotmpl::parse::{CommandNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr};

use crate::error::TemplateError;
use crate::functions::FIELD;

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

/// Checks that every function exists, and rewrites what `gotmpl` has no notion of: methods of variables and of the
/// scratch pad, and what a missing item of a variable is.
pub(crate) fn adapt(mut tree: ListNode, library: &FuncMap) -> Result<ListNode, TemplateError> {
    Adapter { library }.list(&mut tree)?;
    Ok(tree)
}

/// Functions of the engine itself.
const BUILT_IN: [&str; 19] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "print", "println", "printf", "len", "index",
    "slice", "call", "html", "js", "urlquery",
];

struct Adapter<'a> {
    library: &'a FuncMap,
}

impl Adapter<'_> {
    fn list(&self, list: &mut ListNode) -> Result<(), TemplateError> {
        list.nodes.iter_mut().try_for_each(|node| self.node(node))
    }

    fn node(&self, node: &mut Node) -> Result<(), TemplateError> {
        match node {
            Node::List(list) => self.list(list),
            Node::Action(action) => self.pipe(&mut action.pipe),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                self.pipe(&mut branch.pipe)?;
                self.list(&mut branch.body)?;
                branch.else_body.as_mut().map_or(Ok(()), |list| self.list(list))
            }
            Node::Template(call) => call.pipe.as_mut().map_or(Ok(()), |pipe| self.pipe(pipe)),
            Node::Define(define) => self.list(&mut define.body),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        }
    }

    fn pipe(&self, pipe: &mut PipeNode) -> Result<(), TemplateError> {
        for command in &mut pipe.commands {
            if let Some(method) = command.args.first().and_then(scratch_method) {
                command.args[0] = method;
            }
            command
                .args
                .iter_mut()
                .try_for_each(|argument| self.expression(argument))?;
        }
        Ok(())
    }

    fn expression(&self, expression: &mut Expr) -> Result<(), TemplateError> {
        let (pos, base, fields) = match expression {
            Expr::Identifier(pos, name) => return self.function(*pos, name),
            Expr::Pipe(_, pipe) => return self.pipe(pipe),
            Expr::Field(pos, fields) => (*pos, Expr::Dot(*pos), std::mem::take(fields)),
            Expr::Variable(pos, name, fields) if !fields.is_empty() => {
                let fields = std::mem::take(fields);
                (*pos, Expr::Variable(*pos, name.clone(), Vec::new()), fields)
            }
            Expr::Chain(pos, inner, fields) => {
                if let Some(method) = scratch_method(&Expr::Chain(*pos, inner.clone(), fields.clone())) {
                    *expression = method;
                    return Ok(());
                }
                self.expression(inner)?;
                (*pos, (**inner).clone(), std::mem::take(fields))
            }
            _ => return Ok(()),
        };
        // `.a.b` becomes `(FIELD . "a" "b")`.
        let names = fields
            .iter()
            .map(|name| Expr::String(pos, Arc::from(name.as_str())));
        let function = Expr::Identifier(pos, SmolStr::from(FIELD));
        let args = [function, base].into_iter().chain(names).collect();
        let commands = vec![CommandNode { pos, args }];
        *expression = Expr::Pipe(
            pos,
            PipeNode {
                pos,
                decl: Vec::new(),
                commands,
                is_assign: false,
            },
        );
        Ok(())
    }

    fn function(&self, pos: Pos, name: &SmolStr) -> Result<(), TemplateError> {
        let name = name.as_str();
        if self.library.contains_key(name) || BUILT_IN.contains(&name) {
            return Ok(());
        }
        let known = self.library.keys().map(String::as_str).chain(BUILT_IN);
        let hint = known
            .filter(|known| is_near(name, known))
            .min()
            .map(str::to_owned);
        Err(TemplateError::UnknownFunction {
            line: pos.line,
            name: name.to_owned(),
            hint,
        })
    }
}

/// `scratch.Set` is one function here.
fn scratch_method(expression: &Expr) -> Option<Expr> {
    let Expr::Chain(pos, inner, fields) = expression else {
        return None;
    };
    let ([method], Expr::Identifier(_, name)) = (fields.as_slice(), &**inner) else {
        return None;
    };
    (name.as_str() == "scratch").then(|| Expr::Identifier(*pos, SmolStr::from(format!("scratch.{method}"))))
}

/// Whether one letter was changed, left out or added, or the case is wrong.
fn is_near(given: &str, known: &str) -> bool {
    if given.eq_ignore_ascii_case(known) {
        return true;
    }
    let (given, known): (Vec<char>, Vec<char>) = (given.chars().collect(), known.chars().collect());
    let start = given.iter().zip(&known).take_while(|(a, b)| a == b).count();
    let (given, known) = (&given[start..], &known[start..]);
    let end = given
        .iter()
        .rev()
        .zip(known.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    given.len() - end.min(given.len()) <= 1 && known.len() - end.min(known.len()) <= 1
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
