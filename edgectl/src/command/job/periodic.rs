//! `job periodic …`, and when a periodic job launches next.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::PeriodicForceResponse;
use holdfast_shared::model::Job;
use holdfast_shared::time::{Duration, Timestamp};

use super::{Watching, find, request};
use crate::session::{Exit, Session};

/// What can be done with periodic jobs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Launch an instance now
    Force(Force),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `job periodic force`.
#[derive(Debug, Args)]
pub struct Force {
    /// The job, or the first characters of its id
    id: String,
    #[command(flatten)]
    watching: Watching,
}

/// Launches an instance of a periodic job, whatever the clock says.
///
/// # Errors
/// When the job is not found, or the coordinator refuses.
pub fn force(session: &mut Session<'_>, args: &Force) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let answer: PeriodicForceResponse = session
        .client
        .fetch(&request(&stub, "/periodic/force").with_body(serde_json::Value::Null))
        .with_context(|| format!("Error forcing periodic job {:?}", stub.id))?
        .decode()?;
    if args.watching.detach {
        session.console.line("Force periodic successful");
    }
    args.watching.follow(session, &answer.eval_id)
}

/// When a job launches next, in its own zone and as a distance: `2026-11-22T03:00:00Z (19h3m17s from now)`.
pub fn next_launch(job: &Job, now: Timestamp) -> Option<String> {
    let periodic = job.periodic.as_ref().filter(|it| it.is_enabled())?;
    if job.parameterized_job.is_some() && !job.dispatched {
        return None;
    }
    holdfast_cron::next_launch(periodic, now).map(|at| moment(job, at, now))
}

/// A time in the zone of a job, and as a distance.
pub fn moment(job: &Job, at: Timestamp, now: Timestamp) -> String {
    let zone = job.periodic.as_ref().and_then(|it| it.time_zone.as_deref());
    let zone = holdfast_cron::zone(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let instant = jiff::Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or_default();
    let local = instant.to_zoned(zone);
    let offset = if local.offset().is_zero() {
        "Z".to_owned()
    } else {
        local.strftime("%:z").to_string()
    };
    // To the second on both ends, as the time itself is shown.
    let whole = |at: Timestamp| at.0.div_euclid(1_000_000_000);
    let distance = Duration::from_secs(whole(at) - whole(now));
    format!(
        "{}{offset} ({distance} from now)",
        local.strftime("%Y-%m-%dT%H:%M:%S")
    )
}
