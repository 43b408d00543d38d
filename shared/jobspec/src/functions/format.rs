//! `format` and `formatlist`: Go's verbs over values.

use super::{Failure, Function, Kind, Outcome, variadic};
use crate::number::Number;
use crate::types::{Type, to_number};
use crate::value::Value;

const FORMAT: (&str, Kind) = ("format", Kind::Text);
const ARGS: (&str, Kind) = ("args", Kind::Nullable);

pub(super) const TABLE: &[Function] = &[
    variadic("format", &[FORMAT], ARGS, |_, args| {
        format(super::text(&args[0]), &args[1..])
            .map(Value::String)
            .map_err(Failure::Call)
    }),
    variadic("formatlist", &[FORMAT], ARGS, |_, args| {
        format_list(super::text(&args[0]), &args[1..])
    }),
];

/// Formats once for each element of the lists among the arguments; other arguments repeat.
fn format_list(template: &str, args: &[Value]) -> Outcome {
    let mut length: Option<usize> = None;
    for (index, items) in args
        .iter()
        .enumerate()
        .filter_map(|(index, arg)| Some((index, arg.items()?)))
    {
        match length {
            Some(length) if length != items.len() => {
                let reason = format!(
                    "argument {} has length {}, which is inconsistent with argument 1 of length {length}",
                    index + 1,
                    items.len()
                );
                return Err(Failure::Argument(index + 1, reason));
            }
            _ => length = Some(items.len()),
        }
    }
    let rows = (0..length.unwrap_or(1)).map(|row| {
        let row: Vec<Value> = args
            .iter()
            .map(|arg| {
                arg.items()
                    .map_or_else(|| arg.clone(), |items| items[row].clone())
            })
            .collect();
        format(template, &row).map(Value::String).map_err(Failure::Call)
    });
    rows.collect::<Result<_, _>>().map(Value::List)
}

/// Wider or more precise is a mistake.
const WIDEST: usize = 1_000;

/// One `%…` of a template.
#[derive(Debug, Default)]
struct Verb {
    /// As it is written.
    text: String,
    offset: usize,
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    /// Which argument it asks for, from 1.
    argument: Option<usize>,
    letter: char,
}

fn format(template: &str, args: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut next = 0;
    let mut highest = 0;
    let mut rest = template.char_indices().peekable();
    while let Some((offset, c)) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let verb = read_verb(template, offset, &mut rest)?;
        if verb.letter == '%' {
            out.push('%');
            continue;
        }
        let index = verb.argument.unwrap_or(next + 1);
        next = index;
        highest = highest.max(index);
        let Some(value) = args.get(index - 1) else {
            return Err(format!(
                "not enough arguments for {:?} at {}: need index {index} but have {} total",
                verb.text,
                verb.offset,
                args.len()
            ));
        };
        out.push_str(&write(&verb, index, value)?);
    }
    if highest < args.len() {
        return Err(format!(
            "too many arguments; only {highest} used by format string"
        ));
    }
    Ok(out)
}

fn read_verb(
    template: &str,
    offset: usize,
    rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
) -> Result<Verb, String> {
    let mut verb = Verb {
        offset,
        ..Verb::default()
    };
    let mut in_precision = false;
    while let Some((at, c)) = rest.next() {
        match c {
            '+' => verb.plus = true,
            '-' => verb.minus = true,
            '#' => verb.sharp = true,
            ' ' => verb.space = true,
            '0' if verb.width.is_none() && !in_precision => verb.zero = true,
            '0'..='9' => {
                let digit = c as usize - '0' as usize;
                let number = if in_precision {
                    &mut verb.precision
                } else {
                    &mut verb.width
                };
                *number = Some((number.unwrap_or(0) * 10 + digit).min(WIDEST));
            }
            '.' => {
                in_precision = true;
                verb.precision = Some(0);
            }
            '[' => {
                let digits: String = std::iter::from_fn(|| rest.next_if(|(_, c)| *c != ']'))
                    .map(|(_, c)| c)
                    .collect();
                rest.next();
                verb.argument = digits.parse().ok().filter(|index| *index > 0);
            }
            letter => {
                verb.letter = letter;
                verb.text = template[offset..at + letter.len_utf8()].to_owned();
                return Ok(verb);
            }
        }
    }
    Err(format!(
        "unrecognized format character at end of string, offset {offset}"
    ))
}

fn write(verb: &Verb, index: usize, value: &Value) -> Result<String, String> {
    let letter = match (verb.letter, value) {
        ('v', _) if verb.sharp => return Ok(pad(verb, value.to_json().to_string())),
        ('v', Value::Number(_)) => 'g',
        ('v', Value::Bool(_)) => 't',
        ('v', Value::String(_)) => 's',
        ('v', other) => return Ok(pad(verb, other.to_json().to_string())),
        (letter, _) => letter,
    };
    let unsupported = |reason: String| {
        format!(
            "unsupported value for {:?} at {}: {reason}",
            verb.text, verb.offset
        )
    };
    if value.is_null() && "tbdoxXeEfgGsq".contains(letter) {
        return Err(unsupported("null value cannot be formatted".to_owned()));
    }
    match letter {
        't' => Type::Bool
            .convert(value.clone())
            .map(|flag| pad(verb, flag.as_text().unwrap_or_default()))
            .map_err(unsupported),
        's' | 'q' => {
            let text = value
                .as_text()
                .ok_or_else(|| unsupported(format!("string required, but have {}", value.type_name())))?;
            let text: String = text.chars().take(verb.precision.unwrap_or(usize::MAX)).collect();
            Ok(pad(
                verb,
                if letter == 'q' {
                    serde_json::Value::from(text).to_string()
                } else {
                    text
                },
            ))
        }
        'b' | 'd' | 'o' | 'x' | 'X' => {
            if let ('x' | 'X', Value::String(text)) = (letter, value)
                && to_number(value.clone()).is_err()
            {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                return Ok(pad(verb, if letter == 'X' { hex.to_uppercase() } else { hex }));
            }
            let number = to_number(value.clone()).map_err(unsupported)?;
            Ok(pad_number(verb, integer(letter, number)))
        }
        'e' | 'E' | 'f' | 'g' | 'G' => {
            let number = to_number(value.clone()).map_err(unsupported)?;
            Ok(pad_number(verb, float(letter, verb.precision, number)))
        }
        other => {
            let _ = index;
            Err(format!(
                "unsupported format verb {other:?} in {:?} at offset {}",
                verb.text, verb.offset
            ))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Go truncates as well")]
fn integer(letter: char, number: Number) -> String {
    let whole = match number {
        Number::Int(whole) => whole,
        Number::Float(number) => number as i128,
    };
    let size = whole.unsigned_abs();
    let digits = match letter {
        'b' => format!("{size:b}"),
        'o' => format!("{size:o}"),
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        _ => size.to_string(),
    };
    if whole < 0 { format!("-{digits}") } else { digits }
}

fn float(letter: char, precision: Option<usize>, number: Number) -> String {
    let value = number.as_f64();
    match letter {
        'f' => format!("{value:.*}", precision.unwrap_or(6)),
        'e' | 'E' => {
            let text = exponent(&format!("{value:.*e}", precision.unwrap_or(6)));
            if letter == 'E' { text.to_uppercase() } else { text }
        }
        _ => match precision {
            None => number.to_string(),
            Some(digits) => {
                let rounded = format!("{value:.*e}", digits.max(1) - 1);
                rounded
                    .parse::<f64>()
                    .map_or(rounded, |rounded| rounded.to_string())
            }
        },
    }
}

/// Rust's `1.2e3` as Go's `1.2e+03`.
fn exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text.to_owned();
    };
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn pad_number(verb: &Verb, text: String) -> String {
    let signed = match () {
        () if text.starts_with('-') => text,
        () if verb.plus => format!("+{text}"),
        () if verb.space => format!(" {text}"),
        () => text,
    };
    let width = verb.width.unwrap_or(0);
    if !verb.zero || verb.minus || signed.chars().count() >= width {
        return pad(verb, signed);
    }
    let (sign, digits) = signed.split_at(usize::from(signed.starts_with(['-', '+', ' '])));
    let zeros = "0".repeat(width - signed.chars().count());
    format!("{sign}{zeros}{digits}")
}

fn pad(verb: &Verb, text: String) -> String {
    let missing = verb.width.unwrap_or(0).saturating_sub(text.chars().count());
    if verb.minus {
        text + &" ".repeat(missing)
    } else {
        " ".repeat(missing) + &text
    }
}
