//! Operators and the conditional.

use hcl_edit::Span as _;
use hcl_edit::expr::{BinaryOp, BinaryOperator, Conditional, UnaryOp, UnaryOperator};

use super::{Evaluated, Evaluator, Scope, span_of};
use crate::diagnostic::Diagnostic;
use crate::types::{Type, unify_two};
use crate::value::Value;

impl Evaluator<'_> {
    pub(super) fn unary(&self, operation: &UnaryOp, scope: &Scope<'_>) -> Evaluated {
        let operand = self.evaluate(&operation.expr, scope)?;
        if operand.is_null() {
            let span = operation.operator.span().unwrap_or_default().start..span_of(&operation.expr).end;
            let detail = "Error during operation: argument must not be null.";
            return Err(self.error(span, "Operation failed", detail));
        }
        match operation.operator.value() {
            UnaryOperator::Neg => self
                .number(&operation.expr, operand, "unary operand")
                .map(|number| Value::Number(number.negate())),
            UnaryOperator::Not => match Type::Bool.convert(operand) {
                Ok(Value::Bool(flag)) => Ok(Value::Bool(!flag)),
                Ok(_) => Err(self.unsuitable(operation, "a bool is required")),
                Err(reason) => Err(self.unsuitable(operation, &reason)),
            },
        }
    }

    fn unsuitable(&self, operation: &UnaryOp, reason: &str) -> Diagnostic {
        let detail = format!("Unsuitable value for unary operand: {reason}.");
        self.error(span_of(&operation.expr), "Invalid operand", detail)
    }

    pub(super) fn binary(&self, operation: &BinaryOp, scope: &Scope<'_>) -> Evaluated {
        use BinaryOperator as B;
        let left = self.evaluate(&operation.lhs_expr, scope)?;
        let right = self.evaluate(&operation.rhs_expr, scope)?;
        let operator = *operation.operator.value();
        match operator {
            B::Eq => return Ok(Value::Bool(equal(&left, &right))),
            B::NotEq => return Ok(Value::Bool(!equal(&left, &right))),
            _ if left.is_null() || right.is_null() => {
                let span = span_of(&operation.lhs_expr).start..span_of(&operation.rhs_expr).end;
                let detail = "Error during operation: argument must not be null.";
                return Err(self.error(span, "Operation failed", detail));
            }
            B::And | B::Or => {
                let left = self.flag(operation, left, true)?;
                let right = self.flag(operation, right, false)?;
                return Ok(Value::Bool(if operator == B::And {
                    left && right
                } else {
                    left || right
                }));
            }
            _ => {}
        }
        let left = self.number(&operation.lhs_expr, left, "left operand")?;
        let right = self.number(&operation.rhs_expr, right, "right operand")?;
        let by_zero = || {
            let span = span_of(&operation.lhs_expr).start..span_of(&operation.rhs_expr).end;
            self.error(
                span,
                "Division by zero",
                "The result of a division by zero is not a number that a job can use.",
            )
        };
        Ok(match operator {
            B::Plus => Value::Number(left.add(right)),
            B::Minus => Value::Number(left.subtract(right)),
            B::Mul => Value::Number(left.multiply(right)),
            B::Div => Value::Number(left.divide(right).ok_or_else(by_zero)?),
            B::Mod => Value::Number(left.modulo(right).ok_or_else(by_zero)?),
            B::Less => Value::Bool(left < right),
            B::LessEq => Value::Bool(left <= right),
            B::Greater => Value::Bool(left > right),
            // The others returned above.
            _ => Value::Bool(left >= right),
        })
    }

    fn flag(&self, operation: &BinaryOp, value: Value, is_left: bool) -> Result<bool, Diagnostic> {
        let reason = match Type::Bool.convert(value) {
            Ok(Value::Bool(flag)) => return Ok(flag),
            Ok(_) => "a bool is required".to_owned(),
            Err(reason) => reason,
        };
        let (side, operand) = if is_left {
            ("left", &operation.lhs_expr)
        } else {
            ("right", &operation.rhs_expr)
        };
        let detail = format!("Unsuitable value for {side} operand: {reason}.");
        Err(self.error(span_of(operand), "Invalid operand", detail))
    }

    /// Both results must be of one type; numbers and bools become text where the other is text.
    pub(super) fn conditional(&self, conditional: &Conditional, scope: &Scope<'_>) -> Evaluated {
        let when_true = self.evaluate(&conditional.true_expr, scope)?;
        let when_false = self.evaluate(&conditional.false_expr, scope)?;
        let condition = self.evaluate(&conditional.cond_expr, scope)?;
        let at = || span_of(&conditional.cond_expr);
        if condition.is_null() {
            let detail = "The condition value is null. Conditions must either be true or false.";
            return Err(self.error(at(), "Null condition", detail));
        }
        let Ok(Value::Bool(holds)) = Type::Bool.convert(condition) else {
            let detail = "The condition expression must be of type bool.";
            return Err(self.error(at(), "Incorrect condition type", detail));
        };
        let Some(of) = unify_two(Type::of(&when_true), Type::of(&when_false)) else {
            let detail = format!(
                "The true and false result expressions must have consistent types. The 'true' value is {}, but the \
                 'false' value is {}.",
                when_true.type_name(),
                when_false.type_name()
            );
            let span = span_of(&conditional.true_expr).start..span_of(&conditional.false_expr).end;
            return Err(self.error(span, "Inconsistent conditional result types", detail));
        };
        let chosen = if holds { when_true } else { when_false };
        of.convert(chosen).map_err(|reason| {
            let detail =
                format!("The true and false result expressions must have consistent types: {reason}.");
            self.error(at(), "Inconsistent conditional result types", detail)
        })
    }
}

/// Equality of values of the same kind; `"1" == 1` is false.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b,
        _ => match (left.items(), right.items(), left.entries(), right.entries()) {
            (Some(a), Some(b), _, _) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
            (_, _, Some(a), Some(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && equal(a, b))
            }
            _ => left == right,
        },
    }
}
