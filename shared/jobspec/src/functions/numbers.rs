//! Numbers.

use super::{Failure, Function, Kind, Outcome, fixed, integer, number, text, variadic};
use crate::number::Number;
use crate::value::Value;

pub(super) const TABLE: &[Function] = &[
    fixed("abs", &[("num", Kind::Number)], |_, args| {
        let value = number(&args[0]);
        Ok(Value::Number(if value < Number::Int(0) {
            value.negate()
        } else {
            value
        }))
    }),
    fixed("ceil", &[("num", Kind::Number)], |_, args| {
        round(&args[0], f64::ceil)
    }),
    fixed("floor", &[("num", Kind::Number)], |_, args| {
        round(&args[0], f64::floor)
    }),
    fixed(
        "log",
        &[("num", Kind::Number), ("base", Kind::Number)],
        |_, args| {
            let (value, base) = (number(&args[0]).as_f64(), number(&args[1]).as_f64());
            finite(value.ln() / base.ln())
        },
    ),
    fixed(
        "pow",
        &[("num", Kind::Number), ("power", Kind::Number)],
        |_, args| finite(number(&args[0]).as_f64().powf(number(&args[1]).as_f64())),
    ),
    fixed("signum", &[("num", Kind::Number)], |_, args| {
        let whole = number(&args[0]).as_i64().ok_or("value must be a whole number")?;
        Ok(Value::int(whole.signum()))
    }),
    variadic("max", &[], ("numbers", Kind::Number), |_, args| {
        extreme(args, |a, b| a > b)
    }),
    variadic("min", &[], ("numbers", Kind::Number), |_, args| {
        extreme(args, |a, b| a < b)
    }),
    fixed(
        "parseint",
        &[("number", Kind::Text), ("base", Kind::Number)],
        |_, args| {
            let base = integer(args, 1)?;
            let radix = u32::try_from(base).ok().filter(|base| (2..=62).contains(base));
            let radix = radix.ok_or_else(|| {
                Failure::Argument(
                    1,
                    "base must be a whole number between 2 and 62 inclusive".to_owned(),
                )
            })?;
            let written = text(&args[0]);
            parse_integer(written, radix)
                .map(|whole| Value::Number(Number::Int(whole)))
                .ok_or_else(|| {
                    Failure::Argument(0, format!("cannot parse {written:?} as a base {radix} integer"))
                })
        },
    ),
    variadic("range", &[], ("params", Kind::Number), |_, args| range(args)),
];

fn round(value: &Value, how: fn(f64) -> f64) -> Outcome {
    Ok(Value::Number(match number(value) {
        whole @ Number::Int(_) => whole,
        Number::Float(number) => Number::from_f64(how(number)),
    }))
}

fn finite(number: f64) -> Outcome {
    if number.is_finite() {
        Ok(Value::Number(Number::from_f64(number)))
    } else {
        Err("the result is not a number that a job can use".into())
    }
}

fn extreme(args: &[Value], is_better: fn(Number, Number) -> bool) -> Outcome {
    let numbers = args.iter().map(number);
    let best = numbers.reduce(|best, next| if is_better(next, best) { next } else { best });
    best.map(Value::Number)
        .ok_or_else(|| "must pass at least one number".into())
}

/// Digits are 0–9, a–z, and beyond base 36 A–Z.
fn parse_integer(text: &str, radix: u32) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    let mut whole: i128 = 0;
    for c in digits.chars() {
        let digit = match c {
            '0'..='9' => c as u32 - '0' as u32,
            'a'..='z' => c as u32 - 'a' as u32 + 10,
            'A'..='Z' if radix <= 36 => c as u32 - 'A' as u32 + 10,
            'A'..='Z' => c as u32 - 'A' as u32 + 36,
            _ => return None,
        };
        if digit >= radix {
            return None;
        }
        whole = whole.checked_mul(radix.into())?.checked_add(digit.into())?;
    }
    Some(if is_negative { -whole } else { whole })
}

/// Longer ranges are mistakes.
const RANGE_LIMIT: usize = 1024;

fn range(args: &[Value]) -> Outcome {
    let zero = Number::Int(0);
    let values: Vec<Number> = args.iter().map(number).collect();
    let down = |start: Number, end: Number| {
        if end < start {
            Number::Int(-1)
        } else {
            Number::Int(1)
        }
    };
    let (start, end, step) = match values[..] {
        [end] => (zero, end, down(zero, end)),
        [start, end] => (start, end, down(start, end)),
        [start, end, step] => (start, end, step),
        _ => return Err("must have one, two, or three arguments".into()),
    };
    let mut list = Vec::new();
    let mut next = start;
    while if step < zero { next > end } else { next < end } {
        if list.len() >= RANGE_LIMIT {
            return Err(
                "more than 1024 values were generated; either decrease the difference between start and \
                        end or use a smaller step"
                    .into(),
            );
        }
        list.push(Value::Number(next));
        next = next.add(step);
    }
    Ok(Value::List(list))
}
