//! Places of expressions.

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::template::Element;

use crate::source::Span;

/// The whole of an expression.
pub(crate) fn of(expression: &Expression) -> Span {
    expression.span().unwrap_or_default()
}

/// Where an expression starts, as HashiCorp's library sees it: the first part of a template, the bracket of a
/// list, the name of a function, the root of a traversal.
pub(crate) fn start_of(expression: &Expression) -> Span {
    let whole = of(expression);
    match expression {
        Expression::String(_) if whole.len() >= 2 => whole.start + 1..whole.end - 1,
        Expression::StringTemplate(template) => match template.iter().next() {
            // A lone interpolation is no template at all.
            Some(Element::Interpolation(_)) if template.iter().count() == 1 => whole,
            Some(element) => first_of(element),
            None => whole,
        },
        Expression::HeredocTemplate(heredoc) => heredoc.template.iter().next().map_or(whole, first_of),
        Expression::Array(_) | Expression::Object(_) | Expression::ForExpr(_) => whole.start..whole.start + 1,
        Expression::FuncCall(call) => call.name.name.span().unwrap_or(whole),
        Expression::Traversal(traversal) => start_of(&traversal.expr),
        Expression::BinaryOp(operation) => start_of(&operation.lhs_expr),
        Expression::UnaryOp(operation) => operation.operator.span().unwrap_or(whole),
        Expression::Conditional(conditional) => start_of(&conditional.cond_expr),
        Expression::Parenthesis(inner) => start_of(inner.inner()),
        _ => whole,
    }
}

fn first_of(element: &Element) -> Span {
    match element {
        Element::Interpolation(interpolation) => start_of(&interpolation.expr),
        other => other.span().unwrap_or_default(),
    }
}
