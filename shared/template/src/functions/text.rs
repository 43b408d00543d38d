//! Text.

use std::sync::Arc;

use gotmpl::Value;
use regex_lite::Regex;

use super::{Outcome, Row, exactly, integer_of, list_of, map, string, text_of};

pub(super) const TABLE: &[Row] = &[
    exactly("toLower", 1, |_, args| Ok(string(lower(text_of(&args[0])?)))),
    exactly("toUpper", 1, |_, args| Ok(string(upper(text_of(&args[0])?)))),
    exactly("toTitle", 1, |_, args| Ok(string(title(text_of(&args[0])?)))),
    exactly("trim", 2, |_, args| {
        let set = text_of(&args[0])?;
        Ok(string(text_of(&args[1])?.trim_matches(|c| set.contains(c))))
    }),
    exactly("trimPrefix", 2, |_, args| {
        let text = text_of(&args[1])?;
        Ok(string(text.strip_prefix(text_of(&args[0])?).unwrap_or(text)))
    }),
    exactly("trimSuffix", 2, |_, args| {
        let text = text_of(&args[1])?;
        Ok(string(text.strip_suffix(text_of(&args[0])?).unwrap_or(text)))
    }),
    exactly("trimSpace", 1, |_, args| Ok(string(text_of(&args[0])?.trim()))),
    exactly("split", 2, |_, args| {
        Ok(split(text_of(&args[0])?, text_of(&args[1])?))
    }),
    exactly("splitToMap", 3, |_, args| split_to_map(args)),
    exactly("join", 2, |_, args| {
        let items: Result<Vec<&str>, String> = list_of(&args[1])?.iter().map(text_of).collect();
        Ok(string(items?.join(text_of(&args[0])?)))
    }),
    exactly("replaceAll", 3, |_, args| {
        Ok(string(
            text_of(&args[2])?.replace(text_of(&args[0])?, text_of(&args[1])?),
        ))
    }),
    exactly("regexReplaceAll", 3, |_, args| {
        let regex = regex(text_of(&args[0])?)?;
        Ok(string(regex.replace_all(text_of(&args[2])?, text_of(&args[1])?)))
    }),
    exactly("regexMatch", 2, |_, args| {
        Ok(Value::Bool(
            regex(text_of(&args[0])?)?.is_match(text_of(&args[1])?),
        ))
    }),
    exactly("indent", 2, |_, args| {
        let spaces = integer_of(&args[0])?;
        let spaces = usize::try_from(spaces).ok().filter(|spaces| *spaces <= 1_000);
        let spaces = spaces.ok_or("indent value must be a positive integer")?;
        Ok(string(indent(spaces, text_of(&args[1])?)))
    }),
];

/// The expression, or what is wrong with it.
pub(super) fn regex(expression: &str) -> Result<Regex, String> {
    Regex::new(expression).map_err(|error| format!("{expression:?} is no regular expression: {error}"))
}

/// Letter by letter: Go never turns one letter into two.
pub(super) fn upper(text: &str) -> String {
    text.chars().map(|c| single(c, c.to_uppercase())).collect()
}

/// See [`upper`].
pub(super) fn lower(text: &str) -> String {
    text.chars().map(|c| single(c, c.to_lowercase())).collect()
}

fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => c,
    }
}

/// Upper-cases the first letter of every word.
pub(super) fn title(text: &str) -> String {
    let mut at_start = true;
    let cased = text.chars().map(|c| {
        let cased = if at_start { single(c, c.to_uppercase()) } else { c };
        at_start = !(c.is_alphanumeric() || matches!(c, '_' | '\''));
        cased
    });
    cased.collect()
}

fn split(separator: &str, text: &str) -> Value {
    let text = text.trim();
    if text.is_empty() {
        return Value::List(Arc::from([]));
    }
    if separator.is_empty() {
        return Value::List(text.chars().map(|c| string(c.to_string())).collect());
    }
    Value::List(text.split(separator).map(string).collect())
}

/// `splitToMap "," ":" "a:1,b:2"`.
fn split_to_map(args: &[Value]) -> Outcome {
    let (separator, inner, text) = (text_of(&args[0])?, text_of(&args[1])?, text_of(&args[2])?);
    let pairs = text.trim().split(separator).filter(|pair| !pair.is_empty());
    Ok(map(pairs.map(|pair| {
        let (key, value) = pair.split_once(inner).unwrap_or((pair, ""));
        (key, string(value))
    })))
}

/// Puts blanks before every line that is not empty.
pub(super) fn indent(spaces: usize, text: &str) -> String {
    let blanks = " ".repeat(spaces);
    let lines = text.split('\n');
    let lines = lines.map(|line| {
        if line.is_empty() {
            String::new()
        } else {
            format!("{blanks}{line}")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
