//! The functions of the Sprig library that configuration files use, under their names with `sprig_`.

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gotmpl::Value;
use sha2::{Digest, Sha256};

use super::encodings::hex;
use super::text::{indent, lower, regex, title, upper};
use super::{ANY, Outcome, Row, between, exactly, integer_of, list_of, map, map_of, string, text_of};
use crate::digests;
use crate::json::{self, Style};

pub(super) const TABLE: &[Row] = &[
    // Text.
    exactly("sprig_upper", 1, |_, args| Ok(string(upper(text_of(&args[0])?)))),
    exactly("sprig_lower", 1, |_, args| Ok(string(lower(text_of(&args[0])?)))),
    exactly("sprig_title", 1, |_, args| Ok(string(title(text_of(&args[0])?)))),
    exactly("sprig_trim", 1, |_, args| Ok(string(text_of(&args[0])?.trim()))),
    exactly("sprig_trimAll", 2, |_, args| {
        let set = text_of(&args[0])?;
        Ok(string(text_of(&args[1])?.trim_matches(|c| set.contains(c))))
    }),
    exactly("sprig_trimPrefix", 2, |_, args| {
        let text = text_of(&args[1])?;
        Ok(string(text.strip_prefix(text_of(&args[0])?).unwrap_or(text)))
    }),
    exactly("sprig_trimSuffix", 2, |_, args| {
        let text = text_of(&args[1])?;
        Ok(string(text.strip_suffix(text_of(&args[0])?).unwrap_or(text)))
    }),
    exactly("sprig_hasPrefix", 2, |_, args| {
        Ok(Value::Bool(text_of(&args[1])?.starts_with(text_of(&args[0])?)))
    }),
    exactly("sprig_hasSuffix", 2, |_, args| {
        Ok(Value::Bool(text_of(&args[1])?.ends_with(text_of(&args[0])?)))
    }),
    exactly("sprig_contains", 2, |_, args| {
        Ok(Value::Bool(text_of(&args[1])?.contains(text_of(&args[0])?)))
    }),
    exactly("sprig_replace", 3, |_, args| {
        Ok(string(
            text_of(&args[2])?.replace(text_of(&args[0])?, text_of(&args[1])?),
        ))
    }),
    exactly("sprig_repeat", 2, |_, args| {
        Ok(string(text_of(&args[1])?.repeat(count(&args[0])?)))
    }),
    exactly("sprig_trunc", 2, |_, args| {
        truncate(integer_of(&args[0])?, text_of(&args[1])?)
    }),
    exactly("sprig_nospace", 1, |_, args| {
        Ok(string(text_of(&args[0])?.replace(char::is_whitespace, "")))
    }),
    exactly("sprig_indent", 2, |_, args| {
        Ok(string(indent(count(&args[0])?, text_of(&args[1])?)))
    }),
    exactly("sprig_nindent", 2, |_, args| {
        Ok(string(format!(
            "\n{}",
            indent(count(&args[0])?, text_of(&args[1])?)
        )))
    }),
    between("sprig_quote", 0, ANY, |_, args| {
        let quoted = args
            .iter()
            .map(|value| serde_json::Value::from(value.to_string()).to_string());
        Ok(string(quoted.collect::<Vec<_>>().join(" ")))
    }),
    between("sprig_squote", 0, ANY, |_, args| {
        Ok(string(
            args.iter()
                .map(|value| format!("'{value}'"))
                .collect::<Vec<_>>()
                .join(" "),
        ))
    }),
    between("sprig_cat", 0, ANY, |_, args| {
        Ok(string(
            args.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        ))
    }),
    exactly("sprig_regexMatch", 2, |_, args| {
        Ok(Value::Bool(
            regex(text_of(&args[0])?)?.is_match(text_of(&args[1])?),
        ))
    }),
    exactly("sprig_regexReplaceAll", 3, |_, args| {
        Ok(string(
            regex(text_of(&args[0])?)?.replace_all(text_of(&args[1])?, text_of(&args[2])?),
        ))
    }),
    // Defaults.
    between("sprig_default", 1, 2, |_, args| {
        let given = args.get(1).filter(|value| value.is_truthy());
        Ok(given.unwrap_or(&args[0]).clone())
    }),
    exactly("sprig_empty", 1, |_, args| Ok(Value::Bool(!args[0].is_truthy()))),
    between("sprig_coalesce", 0, ANY, |_, args| {
        Ok(args
            .iter()
            .find(|value| value.is_truthy())
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    exactly("sprig_ternary", 3, |_, args| {
        Ok(args[usize::from(!args[2].is_truthy())].clone())
    }),
    exactly("sprig_fail", 1, |_, args| Err(text_of(&args[0])?.to_owned())),
    // Numbers.
    between("sprig_add", 0, ANY, |_, args| fold(args, 0, i64::checked_add)),
    between("sprig_mul", 1, ANY, |_, args| fold(args, 1, i64::checked_mul)),
    exactly("sprig_add1", 1, |_, args| {
        Ok(Value::Int(whole(&args[0])?.saturating_add(1)))
    }),
    exactly("sprig_sub", 2, |_, args| two(args, i64::checked_sub)),
    exactly("sprig_div", 2, |_, args| two(args, i64::checked_div)),
    exactly("sprig_mod", 2, |_, args| two(args, i64::checked_rem)),
    between("sprig_max", 1, ANY, |_, args| {
        fold(args, i64::MIN, |a, b| Some(a.max(b)))
    }),
    between("sprig_min", 1, ANY, |_, args| {
        fold(args, i64::MAX, |a, b| Some(a.min(b)))
    }),
    exactly("sprig_atoi", 1, |_, args| {
        Ok(Value::Int(text_of(&args[0])?.parse().unwrap_or(0)))
    }),
    exactly("sprig_int", 1, |_, args| {
        Ok(Value::Int(whole(&args[0]).unwrap_or(0)))
    }),
    exactly("sprig_int64", 1, |_, args| {
        Ok(Value::Int(whole(&args[0]).unwrap_or(0)))
    }),
    exactly("sprig_float64", 1, |_, args| {
        Ok(Value::Float(args[0].to_string().parse().unwrap_or(0.0)))
    }),
    exactly("sprig_toString", 1, |_, args| Ok(string(args[0].to_string()))),
    exactly("sprig_until", 1, |_, args| steps(0, integer_of(&args[0])?, 1)),
    exactly("sprig_untilStep", 3, |_, args| {
        steps(
            integer_of(&args[0])?,
            integer_of(&args[1])?,
            integer_of(&args[2])?,
        )
    }),
    between("sprig_seq", 1, 3, sequence),
    // Lists.
    between("sprig_list", 0, ANY, |_, args| Ok(Value::List(args.into()))),
    exactly("sprig_first", 1, |_, args| {
        Ok(list_of(&args[0])?.first().cloned().unwrap_or(Value::Nil))
    }),
    exactly("sprig_last", 1, |_, args| {
        Ok(list_of(&args[0])?.last().cloned().unwrap_or(Value::Nil))
    }),
    exactly("sprig_rest", 1, |_, args| {
        Ok(Value::List(list_of(&args[0])?.iter().skip(1).cloned().collect()))
    }),
    exactly("sprig_initial", 1, |_, args| {
        let list = list_of(&args[0])?;
        Ok(Value::List(list[..list.len().saturating_sub(1)].into()))
    }),
    exactly("sprig_append", 2, |_, args| {
        Ok(Value::List(
            list_of(&args[0])?.iter().chain([&args[1]]).cloned().collect(),
        ))
    }),
    exactly("sprig_reverse", 1, |_, args| {
        Ok(Value::List(list_of(&args[0])?.iter().rev().cloned().collect()))
    }),
    exactly("sprig_has", 2, |_, args| {
        Ok(Value::Bool(list_of(&args[1])?.contains(&args[0])))
    }),
    exactly("sprig_uniq", 1, |_, args| {
        let mut kept: Vec<Value> = Vec::new();
        for item in list_of(&args[0])? {
            if !kept.contains(item) {
                kept.push(item.clone());
            }
        }
        Ok(Value::List(kept.into()))
    }),
    exactly("sprig_sortAlpha", 1, |_, args| {
        let mut texts: Vec<String> = list_of(&args[0])?.iter().map(ToString::to_string).collect();
        texts.sort();
        Ok(Value::List(texts.into_iter().map(string).collect()))
    }),
    exactly("sprig_join", 2, |_, args| {
        let texts: Vec<String> = list_of(&args[1])?.iter().map(ToString::to_string).collect();
        Ok(string(texts.join(text_of(&args[0])?)))
    }),
    exactly("sprig_splitList", 2, |_, args| {
        Ok(Value::List(
            text_of(&args[1])?.split(text_of(&args[0])?).map(string).collect(),
        ))
    }),
    // Maps.
    between("sprig_dict", 0, ANY, |_, args| {
        let pairs = args.chunks(2).map(|pair| {
            (
                pair[0].to_string(),
                pair.get(1).cloned().unwrap_or_else(|| string("")),
            )
        });
        Ok(map(pairs))
    }),
    exactly("sprig_get", 2, |_, args| {
        Ok(map_of(&args[0])?
            .get(text_of(&args[1])?)
            .cloned()
            .unwrap_or_else(|| string("")))
    }),
    exactly("sprig_hasKey", 2, |_, args| {
        Ok(Value::Bool(map_of(&args[0])?.contains_key(text_of(&args[1])?)))
    }),
    between("sprig_keys", 1, ANY, |_, args| {
        let mut keys: Vec<Value> = Vec::new();
        for arg in args {
            keys.extend(map_of(arg)?.keys().map(|key| Value::String(Arc::clone(key))));
        }
        Ok(Value::List(keys.into()))
    }),
    exactly("sprig_values", 1, |_, args| {
        Ok(Value::List(map_of(&args[0])?.values().cloned().collect()))
    }),
    between("sprig_pluck", 1, ANY, |_, args| {
        let key = text_of(&args[0])?;
        let mut found = Vec::new();
        for arg in &args[1..] {
            found.extend(map_of(arg)?.get(key).cloned());
        }
        Ok(Value::List(found.into()))
    }),
    // Encodings.
    exactly("sprig_b64enc", 1, |_, args| {
        Ok(string(STANDARD.encode(text_of(&args[0])?)))
    }),
    exactly("sprig_b64dec", 1, |_, args| {
        let bytes = STANDARD
            .decode(text_of(&args[0])?)
            .map_err(|error| error.to_string())?;
        String::from_utf8(bytes)
            .map(string)
            .map_err(|error| error.to_string())
    }),
    exactly("sprig_toJson", 1, |_, args| {
        json::print(
            &args[0],
            Style {
                indent: 0,
                escape_html: true,
            },
        )
        .map(string)
    }),
    exactly("sprig_fromJson", 1, |_, args| json::parse(text_of(&args[0])?)),
    exactly("sprig_sha1sum", 1, |_, args| {
        Ok(string(hex(&digests::sha1(text_of(&args[0])?.as_bytes()))))
    }),
    exactly("sprig_sha256sum", 1, |_, args| {
        Ok(string(hex(&Sha256::digest(text_of(&args[0])?))))
    }),
    exactly("sprig_adler32sum", 1, |_, args| {
        Ok(string(adler32(text_of(&args[0])?).to_string()))
    }),
    exactly("sprig_semverCompare", 2, |_, args| {
        satisfies(text_of(&args[0])?, text_of(&args[1])?).map(Value::Bool)
    }),
];

fn count(value: &Value) -> Result<usize, String> {
    let count = usize::try_from(integer_of(value)?)
        .ok()
        .filter(|count| *count <= 1_000_000);
    count.ok_or_else(|| "a number from 0 to 1000000 is required".to_owned())
}

/// A whole number, or text or a float that is one.
#[expect(clippy::cast_possible_truncation, reason = "the original truncates as well")]
fn whole(value: &Value) -> Result<i64, String> {
    match value {
        Value::Float(number) => Ok(*number as i64),
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::String(text) => text
            .parse()
            .map_err(|_| format!("{text:?} is not a whole number")),
        other => integer_of(other),
    }
}

fn fold(args: &[Value], start: i64, operation: fn(i64, i64) -> Option<i64>) -> Outcome {
    let mut total = start;
    for arg in args {
        total = operation(total, whole(arg)?).ok_or("the result is too large")?;
    }
    Ok(Value::Int(total))
}

fn two(args: &[Value], operation: fn(i64, i64) -> Option<i64>) -> Outcome {
    operation(whole(&args[0])?, whole(&args[1])?)
        .map(Value::Int)
        .ok_or_else(|| "division by zero or too large".to_owned())
}

/// The first letters, or for a negative length the last.
fn truncate(length: i64, text: &str) -> Outcome {
    let letters: Vec<char> = text.chars().collect();
    let wanted = usize::try_from(length.unsigned_abs())
        .unwrap_or(usize::MAX)
        .min(letters.len());
    let kept = if length < 0 {
        &letters[letters.len() - wanted..]
    } else {
        &letters[..wanted]
    };
    Ok(string(kept.iter().collect::<String>()))
}

fn steps(start: i64, end: i64, step: i64) -> Outcome {
    let mut list = Vec::new();
    let mut next = start;
    while step > 0 && next < end || step < 0 && next > end {
        list.push(Value::Int(next));
        if list.len() > 100_000 {
            return Err("more than 100000 numbers".to_owned());
        }
        next = next.saturating_add(step);
    }
    Ok(Value::List(list.into()))
}

/// `seq end`, `seq start end` or `seq start step end`, with the end, as text.
fn sequence(_: &crate::render::Run, args: &[Value]) -> Outcome {
    let numbers: Vec<i64> = args.iter().map(whole).collect::<Result<_, _>>()?;
    let towards = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, step, end) = match numbers[..] {
        [end] => (1, towards(1, end), end),
        [start, end] => (start, towards(start, end), end),
        [start, step, end] => (start, step, end),
        _ => return Ok(string("")),
    };
    let list = steps(start, end.saturating_add(step.signum()), step)?;
    let texts: Vec<String> = list_of(&list)?.iter().map(ToString::to_string).collect();
    Ok(string(texts.join(" ")))
}

fn adler32(text: &str) -> u32 {
    let (a, b) = text.bytes().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

type Version = [u64; 3];

/// Three numbers, and how many of them were written.
fn version(text: &str) -> Result<(Version, usize), String> {
    let plain = text.trim().trim_start_matches('v');
    let plain = plain.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = [0; 3];
    let mut written = 0;
    for (index, part) in plain.split('.').enumerate() {
        if matches!(part, "x" | "X" | "*") {
            break;
        }
        let slot = numbers
            .get_mut(index)
            .ok_or_else(|| format!("{text:?} is not a version"))?;
        *slot = part.parse().map_err(|_| format!("{text:?} is not a version"))?;
        written = index + 1;
    }
    Ok((numbers, written))
}

/// Whether a version fulfils a condition such as `>=1.2.0, <2 || ^3.1`.
fn satisfies(condition: &str, given: &str) -> Result<bool, String> {
    let (given, _) = version(given)?;
    for alternative in condition.split("||") {
        let parts = alternative.split([',', ' ']).filter(|part| !part.is_empty());
        let mut all = true;
        for part in parts {
            all &= satisfies_one(part, given)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn satisfies_one(part: &str, given: Version) -> Result<bool, String> {
    let start = part.find(|c: char| !"<>=!~^".contains(c)).unwrap_or(part.len());
    let (operator, wanted) = part.split_at(start);
    let (wanted, written) = version(wanted)?;
    let ordering = given.cmp(&wanted);
    // The first so many numbers must be the same.
    let same = |count: usize| given[..count] == wanted[..count];
    Ok(match operator {
        ">" => ordering == Ordering::Greater,
        "<" => ordering == Ordering::Less,
        ">=" | "=>" => ordering != Ordering::Less,
        "<=" | "=<" => ordering != Ordering::Greater,
        "!=" => ordering != Ordering::Equal,
        "~" | "~>" => ordering != Ordering::Less && same(written.clamp(1, 2)),
        "^" => {
            let first = wanted.iter().position(|number| *number > 0).unwrap_or(0);
            ordering != Ordering::Less && same((first + 1).min(written.max(1)))
        }
        _ => same(written),
    })
}
