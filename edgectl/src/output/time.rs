//! Points in time as people read them: on the local clock, or as a distance from now.

use std::time::SystemTime;

use holdfast_shared::time::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// What "never" looks like.
pub const NEVER: &str = "N/A";

/// Now, on the wall clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// RFC 3339 in the local zone, to the second; `N/A` for never.
pub fn stamp(at: Timestamp) -> String {
    let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(at.0)) else {
        return NEVER.to_owned();
    };
    if !at.is_set() {
        return NEVER.to_owned();
    }
    let local = instant.to_zoned(jiff::tz::TimeZone::system());
    let zone = if local.offset().is_zero() {
        "Z".to_owned()
    } else {
        local.strftime("%:z").to_string()
    };
    format!("{}{zone}", local.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// Now, as [`stamp`] writes it.
pub fn stamp_now() -> String {
    stamp(now())
}

/// `3s ago`, `1m3s ago`, `30s from now`: the two largest units that are not zero.
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    if !at.is_set() {
        return String::new();
    }
    // Both ends are rounded before they are compared, so that listings agree with each other to the second.
    let seconds = |at: Timestamp| at.0.saturating_add(SECOND / 2).div_euclid(SECOND);
    let (then, now) = (seconds(at), seconds(now));
    let direction = if then > now { "from now" } else { "ago" };
    format!("{} {direction}", two_units(then.abs_diff(now)))
}

fn two_units(seconds: u64) -> String {
    const UNITS: [(&str, u64, u64); 6] = [
        ("y", 31_104_000, u64::MAX),
        ("mo", 2_592_000, 12),
        ("d", 86_400, 30),
        ("h", 3_600, 24),
        ("m", 60, 60),
        ("s", 1, 60),
    ];
    let parts = UNITS
        .iter()
        .map(|(name, size, wrap)| (name, seconds / size % wrap));
    let shown: String = parts
        .filter(|(_, count)| *count > 0)
        .take(2)
        .map(|(name, count)| format!("{count}{name}"))
        .collect();
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_show_their_two_largest_units() {
        let at = |secs: i64| Timestamp(1_795_247_000 * SECOND - secs * SECOND);
        for (secs, text) in [
            (0, "0s ago"),
            (3, "3s ago"),
            (63, "1m3s ago"),
            (7380, "2h3m ago"),
            (90_061, "1d1h ago"),
            (3_600, "1h ago"),
            (-30, "30s from now"),
        ] {
            assert_eq!(distance(at(secs), at(0)), text);
        }
        assert_eq!(distance(Timestamp::ZERO, at(0)), "");
        assert_eq!(stamp(Timestamp::ZERO), NEVER);
    }
}
