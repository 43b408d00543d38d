//! What an operator wants of a restart, made out of flags and answers.

use std::io::IsTerminal as _;

use anyhow::{Result, anyhow, bail};
use holdfast_shared::time::Duration;

use super::{Restart, check};

/// How many allocations are restarted at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchSize {
    /// So many.
    Count(usize),
    /// This part of all.
    Percent(usize),
}

impl BatchSize {
    fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| anyhow!("Invalid -batch-size value {text:?}: {why}");
        let (digits, is_percent) = match text.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let number = digits
            .parse()
            .map_err(|_| invalid("batch size must be an integer or a percentage"))?;
        match (number, is_percent) {
            (0, _) => Err(invalid("number value must be greater than zero")),
            (number, true) => Ok(Self::Percent(number)),
            (number, false) => Ok(Self::Count(number)),
        }
    }

    /// How many that is of `all`; parts are rounded up.
    pub(super) fn of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => all.saturating_mul(percent).div_ceil(100).max(1),
        }
    }
}

/// What an operator wants.
#[derive(Debug)]
pub(super) struct Wishes {
    pub(super) batch: BatchSize,
    /// Pause between batches.
    pub(super) wait: Duration,
    /// Whether to ask between batches.
    pub(super) asks: bool,
    /// Whether an error ends it.
    pub(super) fails: bool,
}

impl Wishes {
    /// Reads the flags.
    pub(super) fn of(args: &Restart) -> Result<Self> {
        let batch = BatchSize::parse(&args.batch_size)?;
        let can_ask = args.yes || std::io::stdin().is_terminal();
        let refuse = |flag: &str| {
            anyhow!("Invalid {flag} value \"ask\": \"ask\" cannot be used when terminal is not interactive")
        };
        let asks = args.batch_wait.eq_ignore_ascii_case("ask");
        if asks && !can_ask {
            return Err(refuse("-batch-wait"));
        }
        let wait = if asks {
            Duration::ZERO
        } else {
            let text = &args.batch_wait;
            text.parse()
                .map_err(|error| anyhow!("Invalid -batch-wait value {text:?}: {error}"))?
        };
        let fails = match args.on_error.as_str() {
            "fail" => true,
            "ask" if can_ask => false,
            "ask" => return Err(refuse("-on-error")),
            other => bail!("Invalid -on-error value {other:?}: valid options are \"ask\" and \"fail\""),
        };
        check(args)?;
        Ok(Self {
            batch,
            wait,
            asks,
            fails,
        })
    }
}

/// What an operator answers between batches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// Yes, and from now on after this pause, without being asked.
    Wait(Duration),
}

impl Answer {
    /// Reads an answer; an empty line is yes only when all is well. `None` when it makes no sense.
    pub(super) fn parse(line: &str, all_is_well: bool, may_wait: bool) -> Option<Self> {
        // The end of the input is no answer.
        if line.is_empty() {
            return None;
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "" if all_is_well => Some(Self::Yes),
            "" | "n" | "no" => Some(Self::No),
            "y" | "yes" => Some(Self::Yes),
            other if may_wait => other.parse().ok().map(Self::Wait),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_number_or_a_part_rounded_up() {
        for (text, of_seven) in [("1", 1), ("3", 3), ("10%", 1), ("30%", 3), ("100%", 7)] {
            assert_eq!(BatchSize::parse(text).unwrap().of(7), of_seven, "{text}");
        }
        for (text, why) in [
            ("x", "must be an integer or a percentage"),
            ("10%20%", "must be an integer or a percentage"),
            ("0", "must be greater than zero"),
        ] {
            let error = BatchSize::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("Invalid -batch-size value {text:?}: ")) && error.ends_with(why),
                "{error}"
            );
        }
    }

    #[test]
    fn an_empty_answer_is_yes_only_when_all_is_well() {
        let wait = Answer::Wait(Duration::from_secs(5));
        for (line, well, may_wait, expected) in [
            ("\n", true, false, Some(Answer::Yes)),
            ("\n", false, false, Some(Answer::No)),
            ("", true, true, None),
            ("Yes\n", false, false, Some(Answer::Yes)),
            ("5s\n", true, true, Some(wait)),
            ("5s\n", true, false, None),
            ("perhaps\n", true, true, None),
        ] {
            assert_eq!(Answer::parse(line, well, may_wait), expected, "{line:?}");
        }
    }
}
