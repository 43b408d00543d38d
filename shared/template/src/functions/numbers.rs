//! Numbers.

use gotmpl::Value;

use super::{Outcome, Row, between, exactly, integer_of, text_of};

pub(super) const TABLE: &[Row] = &[
    exactly("add", 2, |_, args| {
        arithmetic(args, i64::checked_add, |a, b| a + b)
    }),
    exactly("subtract", 2, |_, args| {
        arithmetic(args, i64::checked_sub, |a, b| a - b)
    }),
    exactly("multiply", 2, |_, args| {
        arithmetic(args, i64::checked_mul, |a, b| a * b)
    }),
    exactly("divide", 2, |_, args| {
        arithmetic(args, i64::checked_div, |a, b| a / b)
    }),
    exactly("modulo", 2, |_, args| {
        let (right, left) = (integer_of(&args[0])?, integer_of(&args[1])?);
        left.checked_rem(right)
            .map(Value::Int)
            .ok_or_else(|| "division by zero".to_owned())
    }),
    exactly("minimum", 2, |_, args| {
        arithmetic(args, |a, b| Some(a.min(b)), f64::min)
    }),
    exactly("maximum", 2, |_, args| {
        arithmetic(args, |a, b| Some(a.max(b)), f64::max)
    }),
    between("loop", 1, 2, |_, args| {
        let (from, to) = match args {
            [to] => (0, integer_of(to)?),
            _ => (integer_of(&args[0])?, integer_of(&args[1])?),
        };
        if to.saturating_sub(from) > LOOP_LIMIT {
            return Err(format!("more than {LOOP_LIMIT} rounds"));
        }
        Ok(Value::List((from..to).map(Value::Int).collect()))
    }),
    exactly("parseBool", 1, |_, args| match text_of(&args[0])? {
        "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        other => Err(format!("{other:?} is neither true nor false")),
    }),
    exactly("parseInt", 1, |_, args| {
        parse(args, Value::Int(0), |text| text.parse().map(Value::Int).ok())
    }),
    exactly("parseUint", 1, |_, args| {
        parse(args, Value::Uint(0), |text| text.parse().map(Value::Uint).ok())
    }),
    exactly("parseFloat", 1, |_, args| {
        parse(args, Value::Float(0.0), |text| {
            text.parse().map(Value::Float).ok()
        })
    }),
];

/// A template that loops more often than this is a mistake.
const LOOP_LIMIT: i64 = 1_000_000;

fn parse(args: &[Value], empty: Value, read: impl Fn(&str) -> Option<Value>) -> Outcome {
    let text = text_of(&args[0])?;
    if text.is_empty() {
        return Ok(empty);
    }
    read(text).ok_or_else(|| format!("{text:?} is no such number"))
}

/// The right operand comes first, so that pipes read naturally: `10 | subtract 1` is 9.
fn arithmetic(args: &[Value], integers: fn(i64, i64) -> Option<i64>, floats: fn(f64, f64) -> f64) -> Outcome {
    let (right, left) = (&args[0], &args[1]);
    if let (Ok(left), Ok(right)) = (integer_of(left), integer_of(right)) {
        return integers(left, right).map(Value::Int).ok_or_else(|| {
            if right == 0 {
                "division by zero".to_owned()
            } else {
                "the result is too large".to_owned()
            }
        });
    }
    Ok(Value::Float(floats(float_of(left)?, float_of(right)?)))
}

#[expect(clippy::cast_precision_loss, reason = "Go converts the same way")]
fn float_of(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Uint(number) => Ok(*number as f64),
        other => Err(format!("unknown type for {other:?}")),
    }
}
