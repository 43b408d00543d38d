//! Cron expressions with time zones: when a periodic job launches next.
//!
//! The language is that of the original's parser, which no crate speaks: five fields from minute to day of the week, six with
//! a year at the end, seven with a second in front as well; `L`, `W` and `#` for days; names such as `@daily`. Where both
//! days are restricted, either will do. [`Schedule`] is one expression, [`next_launch`] the earliest of a job's.
//!
//! Local times that a clock change skips are no launches. In the hour that a clock change repeats, a schedule with a fixed
//! hour launches the first time only; one that launches in every hour does so in both.

mod field;
mod schedule;

use holdfast_shared::model::Periodic;
use holdfast_shared::time::Timestamp;
use jiff::tz::TimeZone;

pub use schedule::Schedule;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It begins with `@`, and is no name that is known.
    #[error("unknown name")]
    Name,
    /// There are fewer than five fields.
    #[error("missing field(s): it has {0}, and needs at least 5")]
    Fields(usize),
    /// A field cannot be read.
    #[error("syntax error in field {0:?}")]
    Syntax(String),
}

/// The zone of that name; UTC unless given, and `None` when there is no such zone.
pub fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name.unwrap_or_default() {
        "" | "UTC" => Some(TimeZone::UTC),
        "Local" => Some(TimeZone::system()),
        name => TimeZone::get(name).ok(),
    }
}

/// The first launch after a time: the earliest that any of the job's expressions names. `None` when there is none, also
/// because an expression or the zone is not valid.
pub fn next_launch(periodic: &Periodic, after: Timestamp) -> Option<Timestamp> {
    let zone = zone(periodic.time_zone.as_deref())?;
    expressions(periodic)
        .filter_map(|text| Schedule::parse(text).ok()?.next(after, &zone))
        .min()
}

/// The expressions of a job, one or several.
pub fn expressions(periodic: &Periodic) -> impl Iterator<Item = &str> {
    let one = periodic.spec.iter();
    one.chain(periodic.specs.iter().flatten())
        .map(String::as_str)
        .filter(|text| !text.is_empty())
}
