//! Short ids: which record an operator means by the first characters of its id.

use anyhow::{Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{ApiError, Client, Request};

/// What a prefix leads to.
#[derive(Debug)]
pub enum Match<T> {
    /// Nothing has such an id.
    Nothing,
    /// One record.
    One(T),
    /// Several records; the operator has to say more.
    Several(Vec<T>),
}

impl<T> From<Vec<T>> for Match<T> {
    fn from(mut found: Vec<T>) -> Self {
        match found.len() {
            0 => Self::Nothing,
            1 => found.pop().map_or(Self::Nothing, Self::One),
            _ => Self::Several(found),
        }
    }
}

/// Lists the records of `path` whose id starts with `prefix`.
///
/// # Errors
/// When the prefix is too short to mean anything, or the coordinator does not answer.
pub fn by_prefix<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    prefix: &str,
    what: &str,
) -> Result<Match<T>> {
    if prefix.chars().count() < 2 {
        bail!("Identifier must contain at least two characters.");
    }
    let request = Request::get(path).query("prefix", clean(prefix));
    let reply = client
        .fetch(&request)
        .map_err(|error| anyhow!("Error querying {what}: {error}"))?;
    let mut listed: Vec<Value> = reply.decode()?;
    // The coordinator was asked for a little less than was typed.
    listed.retain(|it| it["ID"].as_str().is_none_or(|id| id.starts_with(prefix)));
    let found: Result<Vec<T>, _> = listed.into_iter().map(serde_json::from_value).collect();
    Ok(found.map_err(|source| ApiError::Shape { source })?.into())
}

/// An id prefix as the coordinator takes it: an odd last digit is dropped, dashes do not count.
pub fn clean(prefix: &str) -> &str {
    let digits = prefix.chars().filter(|c| *c != '-').count();
    if digits % 2 == 1 {
        &prefix[..prefix.len() - prefix.chars().last().map_or(0, char::len_utf8)]
    } else {
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_digit_at_the_end_is_dropped() {
        for (prefix, cleaned) in [
            ("633fcd79", "633fcd79"),
            ("633fcd7", "633fcd"),
            ("633fcd79-95c", "633fcd79-95"),
        ] {
            assert_eq!(clean(prefix), cleaned);
        }
    }
}
