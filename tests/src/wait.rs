//! Waiting on a condition instead of sleeping: the only place in the tests that pauses.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(50);

/// Calls `probe` until it succeeds and returns its value.
///
/// # Errors
/// The last error of `probe` once `deadline` has passed, under a line that names `what` was awaited.
pub fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() >= deadline => {
                return Err(error).with_context(|| format!("waited {deadline:?} in vain for {what}"));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Calls `probe` for as long as `duration`, which has to succeed every time.
///
/// # Errors
/// The first error of `probe`, under a line that names `what` was to hold.
pub fn holds_for(
    what: &str,
    duration: Duration,
    mut probe: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < duration {
        probe().with_context(|| format!("{what} held for no longer than {:?}", start.elapsed()))?;
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Lets `time` pass: for a fault that is to strike at a moment that does not depend on what is going on.
pub fn let_pass(time: Duration) {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::sleep(POLL.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_is_reported_when_time_is_up() {
        let mut looks = 0;
        let error = wait_for(
            "the moon",
            Duration::from_millis(120),
            || -> anyhow::Result<()> {
                looks += 1;
                anyhow::bail!("look {looks}")
            },
        )
        .unwrap_err();
        assert!(looks >= 2, "{looks}");
        assert_eq!(
            format!("{error:#}"),
            format!("waited 120ms in vain for the moon: look {looks}")
        );
    }
}
