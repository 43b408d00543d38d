//! The task's environment, files of its sandbox, the clock.

use std::path::{Component, Path};

use super::{Outcome, Row, between, exactly, string, text_of};
use crate::render::Run;
use gotmpl::Value;

pub(super) const TABLE: &[Row] = &[
    exactly("env", 1, |run, args| {
        let name = text_of(&args[0])?;
        Ok(string(run.env.get(name).map(String::as_str).unwrap_or_default()))
    }),
    exactly("envOrDefault", 2, |run, args| {
        let value = run.env.get(text_of(&args[0])?).map(String::as_str);
        Ok(match value {
            Some(value) if !value.is_empty() => string(value),
            _ => args[1].clone(),
        })
    }),
    exactly("mustEnv", 1, |run, args| {
        let name = text_of(&args[0])?;
        run.env
            .get(name)
            .map(|value| string(value.as_str()))
            .ok_or_else(|| format!("{name} is not set"))
    }),
    exactly("file", 1, file),
    between("timestamp", 0, 1, timestamp),
];

/// Reads a file of the sandbox; links may not lead out of it.
fn file(run: &Run, args: &[Value]) -> Outcome {
    let path = Path::new(text_of(&args[0])?);
    let outside = || format!("'{}' is outside of sandbox", path.display());
    let sandbox = run.sandbox.as_deref().ok_or_else(outside)?;
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(outside());
    }
    let read = |error: std::io::Error| format!("cannot read '{}': {error}", path.display());
    let sandbox = sandbox.canonicalize().map_err(read)?;
    // An absolute path must already lie inside; `join` of one replaces the sandbox.
    let target = sandbox.join(path);
    if path.is_absolute() && !target.starts_with(&sandbox) {
        return Err(outside());
    }
    let target = target.canonicalize().map_err(read)?;
    if !target.starts_with(&sandbox) {
        return Err(outside());
    }
    std::fs::read_to_string(target).map(string).map_err(read)
}

/// The time as RFC 3339, or as Unix seconds with the layout "unix".
fn timestamp(run: &Run, args: &[Value]) -> Outcome {
    let seconds = run.now_ms.div_euclid(1000);
    match args.first().map(text_of).transpose()? {
        None => Ok(string(rfc3339(seconds))),
        Some("unix") => Ok(string(seconds.to_string())),
        Some(layout) => Err(format!(
            "the layout {layout:?} is not supported; use none, or \"unix\""
        )),
    }
}

fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date by eras of 400 years that start in March, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_783_084_799, "2026-07-03T13:19:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }
}
