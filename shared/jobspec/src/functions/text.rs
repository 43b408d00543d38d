//! Text.

use regex::Regex;

use super::{Function, Kind, fixed, integer, text, variadic};
use crate::number::Number;
use crate::value::Value;

const STR: (&str, Kind) = ("str", Kind::Text);

pub(super) const TABLE: &[Function] = &[
    fixed("chomp", &[STR], |_, args| {
        Ok(Value::text(text(&args[0]).trim_end_matches(['\r', '\n'])))
    }),
    fixed("indent", &[("spaces", Kind::Number), STR], |_, args| {
        let spaces = usize::try_from(integer(args, 0)?)
            .ok()
            .filter(|spaces| *spaces <= 1_000);
        let blanks = " ".repeat(spaces.ok_or("the number of spaces must be between 0 and 1000")?);
        Ok(Value::text(text(&args[1]).replace('\n', &format!("\n{blanks}"))))
    }),
    variadic(
        "join",
        &[("separator", Kind::Text)],
        ("lists", Kind::Texts),
        |_, args| {
            let parts = args[1..].iter().filter_map(Value::items).flatten().map(text);
            Ok(Value::text(parts.collect::<Vec<_>>().join(text(&args[0]))))
        },
    ),
    fixed("lower", &[STR], |_, args| {
        Ok(Value::text(text(&args[0]).to_lowercase()))
    }),
    fixed("upper", &[STR], |_, args| {
        Ok(Value::text(text(&args[0]).to_uppercase()))
    }),
    fixed("title", &[STR], |_, args| Ok(Value::text(title(text(&args[0]))))),
    fixed(
        "replace",
        &[STR, ("substr", Kind::Text), ("replace", Kind::Text)],
        |_, args| {
            Ok(Value::text(
                text(&args[0]).replace(text(&args[1]), text(&args[2])),
            ))
        },
    ),
    fixed(
        "regex_replace",
        &[STR, ("pattern", Kind::Text), ("replace", Kind::Text)],
        |_, args| {
            let regex =
                Regex::new(text(&args[1])).map_err(|error| format!("error parsing regexp: {error}"))?;
            Ok(Value::text(regex.replace_all(text(&args[0]), text(&args[2]))))
        },
    ),
    fixed("split", &[("separator", Kind::Text), STR], |_, args| {
        let (separator, whole) = (text(&args[0]), text(&args[1]));
        let parts: Vec<Value> = match separator {
            "" => whole.chars().map(|c| Value::text(c.to_string())).collect(),
            _ => whole.split(separator).map(Value::text).collect(),
        };
        Ok(Value::List(parts))
    }),
    fixed("strlen", &[STR], |_, args| {
        Ok(Value::Number(Number::Int(text(&args[0]).chars().count() as i128)))
    }),
    // Both names: the second is what Terraform calls it.
    fixed("strrev", &[STR], |_, args| {
        Ok(Value::text(reverse(text(&args[0]))))
    }),
    fixed("reverse", &[STR], |_, args| {
        Ok(Value::text(reverse(text(&args[0]))))
    }),
    fixed(
        "substr",
        &[STR, ("offset", Kind::Number), ("length", Kind::Number)],
        |_, args| {
            let letters: Vec<char> = text(&args[0]).chars().collect();
            let (offset, length) = (integer(args, 1)?, integer(args, 2)?);
            let from_end = usize::try_from(-offset).unwrap_or(0);
            let start = usize::try_from(offset).unwrap_or_else(|_| letters.len().saturating_sub(from_end));
            let start = start.min(letters.len());
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(Value::text(
                letters[start..].iter().take(length).collect::<String>(),
            ))
        },
    ),
    fixed("trim", &[STR, ("cutset", Kind::Text)], |_, args| {
        let set = text(&args[1]);
        Ok(Value::text(text(&args[0]).trim_matches(|c| set.contains(c))))
    }),
    fixed("trimprefix", &[STR, ("prefix", Kind::Text)], |_, args| {
        let whole = text(&args[0]);
        Ok(Value::text(whole.strip_prefix(text(&args[1])).unwrap_or(whole)))
    }),
    fixed("trimsuffix", &[STR, ("suffix", Kind::Text)], |_, args| {
        let whole = text(&args[0]);
        Ok(Value::text(whole.strip_suffix(text(&args[1])).unwrap_or(whole)))
    }),
    fixed("trimspace", &[STR], |_, args| {
        Ok(Value::text(text(&args[0]).trim()))
    }),
];

fn reverse(text: &str) -> String {
    text.chars().rev().collect()
}

/// Upper-cases the first letter of every word.
fn title(text: &str) -> String {
    let mut at_start = true;
    let mut out = String::new();
    for c in text.chars() {
        if at_start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        at_start = !(c.is_alphanumeric() || matches!(c, '_' | '\''));
    }
    out
}
