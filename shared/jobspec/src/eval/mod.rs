//! Evaluation of expressions.
//!
//! Two things differ from plain HCL, as in the original: a traversal whose root is nothing known here
//! (`attr.kernel.name`, `NOMAD_PORT_http`) becomes its own source text inside `${…}`, for the node to fill in;
//! and errors name the same places as HashiCorp's library does.

mod collections;
mod operators;
mod scope;
mod span;
mod template;
mod traversal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, FuncCall, ObjectKey};

pub(crate) use collections::pairs;
pub(crate) use operators::equal;
pub(crate) use scope::Scope;
pub(crate) use span::{of as span_of, start_of};

use crate::diagnostic::Diagnostic;
use crate::functions::{self, Environment};
use crate::number::Number;
use crate::source::{Source, Span};
use crate::types::{Type, to_number};
use crate::value::Value;

/// What an evaluation answers.
pub(crate) type Evaluated = Result<Value, Diagnostic>;

/// Evaluates the expressions of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evaluator<'a> {
    pub(crate) source: &'a Arc<Source>,
    /// Where `<<-` heredocs start.
    pub(crate) flush: &'a BTreeSet<usize>,
    /// What functions may see of the world.
    pub(crate) environment: &'a Environment,
}

impl Evaluator<'_> {
    /// A diagnostic at a place of this file.
    pub(crate) fn error(&self, span: Span, summary: &str, detail: impl Into<String>) -> Diagnostic {
        Diagnostic::new((self.source, span), summary, detail)
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&self, expression: &Expression, scope: &Scope<'_>) -> Evaluated {
        match expression {
            Expression::Null(_) => Ok(Value::Null),
            Expression::Bool(flag) => Ok(Value::Bool(*flag.value())),
            Expression::Number(_) => {
                // As written: the parser's own number has no more than 64 bits.
                let text = &self.source.text[span_of(expression)];
                Number::parse(text).map(Value::Number).ok_or_else(|| {
                    self.error(
                        span_of(expression),
                        "Invalid number literal",
                        format!("{text} is not a number."),
                    )
                })
            }
            Expression::String(text) => Ok(Value::String(text.value().clone())),
            Expression::Array(items) => items
                .iter()
                .map(|item| self.evaluate(item, scope))
                .collect::<Result<_, _>>()
                .map(Value::Tuple),
            Expression::Object(object) => {
                let mut entries = BTreeMap::new();
                for (key, value) in object.iter() {
                    entries.insert(self.object_key(key, scope)?, self.evaluate(value.expr(), scope)?);
                }
                Ok(Value::Object(entries))
            }
            Expression::StringTemplate(template) => self.quoted(template, scope),
            Expression::HeredocTemplate(heredoc) => self.heredoc(heredoc, scope),
            Expression::Parenthesis(inner) => self.evaluate(inner.inner(), scope),
            Expression::Variable(_) | Expression::Traversal(_) => self.traverse(expression, scope),
            Expression::Conditional(conditional) => self.conditional(conditional, scope),
            Expression::FuncCall(call) => self.call(call, scope),
            Expression::UnaryOp(operation) => self.unary(operation, scope),
            Expression::BinaryOp(operation) => self.binary(operation, scope),
            Expression::ForExpr(for_expr) => self.for_expression(for_expr, scope),
        }
    }

    fn object_key(&self, key: &ObjectKey, scope: &Scope<'_>) -> Result<String, Diagnostic> {
        let expression = match key {
            ObjectKey::Ident(ident) => return Ok(ident.as_str().to_owned()),
            ObjectKey::Expression(expression) => expression,
        };
        if let Expression::Traversal(_) = expression {
            let detail = "If this expression is intended to be a reference, wrap it in parentheses. If it's instead \
                          intended as a literal name containing periods, wrap it in quotes to create a string literal.";
            return Err(self.error(span_of(expression), "Ambiguous attribute key", detail));
        }
        let value = self.evaluate(expression, scope)?;
        if value.is_null() {
            let detail = "Can't use a null value as a key.";
            return Err(self.error(start_of(expression), "Null value as key", detail));
        }
        value.as_text().ok_or_else(|| {
            let detail = format!(
                "Can't use this value as a key: string required, but have {}.",
                value.type_name()
            );
            self.error(start_of(expression), "Incorrect key type", detail)
        })
    }

    fn call(&self, call: &FuncCall, scope: &Scope<'_>) -> Evaluated {
        let name = call.name.name.as_str();
        let name_span = call.name.name.span().unwrap_or_default();
        let written: Vec<&Expression> = call.args.iter().collect();
        match name {
            "try" => return self.try_each(&written, name_span.start..name_span.end + 1, scope),
            "can" if written.len() == 1 => {
                return Ok(Value::Bool(self.evaluate(written[0], scope).is_ok()));
            }
            "convert" if written.len() == 2 => return self.convert(&written, scope),
            _ => {}
        }
        let Some(function) = functions::find(name) else {
            let mut detail = format!("There is no function named {name:?}.");
            if let Some(near) = functions::nearest(name) {
                detail.push_str(&format!(" Did you mean {near:?}?"));
            }
            return Err(self.error(name_span, "Call to unknown function", detail));
        };
        let mut arguments = Vec::with_capacity(written.len());
        let mut spans = Vec::with_capacity(written.len());
        for (index, expression) in written.iter().enumerate() {
            let value = self.evaluate(expression, scope)?;
            if call.args.expand_final() && index + 1 == written.len() {
                let items = value.items().ok_or_else(|| {
                    let detail =
                        "The expanding argument (indicated by ...) must be of a tuple, list, or set type.";
                    self.error(start_of(expression), "Invalid expanding argument value", detail)
                })?;
                spans.extend(items.iter().map(|_| start_of(expression)));
                arguments.extend(items.iter().cloned());
            } else {
                spans.push(start_of(expression));
                arguments.push(value);
            }
        }
        // The closing parenthesis is where a missing argument is missed.
        let close = span_of_call(call).end;
        // A call is complained of at its name and opening parenthesis.
        let name = name_span.start..name_span.end + 1;
        let places = functions::Places {
            name,
            close: close.saturating_sub(1)..close,
            arguments: spans,
        };
        functions::call(function, self.environment, arguments).map_err(|failure| {
            let (span, summary, detail) = failure.describe(function, &places);
            self.error(span, summary, detail)
        })
    }

    /// `try(a, b, …)`: the first that works.
    fn try_each(&self, attempts: &[&Expression], at: Span, scope: &Scope<'_>) -> Evaluated {
        let mut last = None;
        for attempt in attempts {
            match self.evaluate(attempt, scope) {
                Ok(value) => return Ok(value),
                Err(diagnostic) => last = Some(diagnostic),
            }
        }
        let reason = last.map_or_else(
            || "at least one argument is required".to_owned(),
            |last| format!("no expression succeeded:\n- {last}\n\nAt least one expression must produce a successful result"),
        );
        let detail = format!("Call to function \"try\" failed: {reason}.");
        Err(self.error(at, "Error in function call", detail))
    }

    /// `convert(value, type)`.
    fn convert(&self, arguments: &[&Expression], scope: &Scope<'_>) -> Evaluated {
        let of = Type::parse(arguments[1])
            .map_err(|reason| self.error(start_of(arguments[1]), "Invalid type specification", reason))?;
        let value = self.evaluate(arguments[0], scope)?;
        of.convert(value).map_err(|reason| {
            let detail = format!("Invalid value for \"value\" parameter: {reason}.");
            self.error(start_of(arguments[0]), "Invalid function argument", detail)
        })
    }

    /// The number that an operand must be.
    fn number(&self, expression: &Expression, value: Value, what: &str) -> Result<Number, Diagnostic> {
        to_number(value).map_err(|reason| {
            self.error(
                span_of(expression),
                "Invalid operand",
                format!("Unsuitable value for {what}: {reason}."),
            )
        })
    }
}

fn span_of_call(call: &FuncCall) -> Span {
    call.span().unwrap_or_default()
}
