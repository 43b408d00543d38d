//! `/v1/job/:id/plan`: what a job would do, worked out on the newest snapshot.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::{AllocationMetric, Evaluation, GoTime, JobPlanRequest, JobPlanResponse, PlanAnnotations};
use holdfast_coordinator_core::dry_run::DryRun;
use holdfast_coordinator_core::{Refusal, State as Snapshot};
use holdfast_shared::model::Job;
use holdfast_shared::time::Timestamp;

use super::admission::Admission;
use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, allocations, answer, body, jobs};
use crate::runtime::CommandError;

pub(super) async fn plan(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobPlanRequest = body::read(&bytes)?;
    let job = request
        .job
        .ok_or_else(|| Problem::bad_request("Job must be specified"))?;
    if job.id() != id {
        return Err(Problem::bad_request("Job ID does not match"));
    }
    let job = jobs::placed(&app, &ask, *job)?;
    let (state, now) = (app.runtime.snapshots.load(), app.clock.now());
    let (job, warnings) = Admission::of(job, &state, &app.identity.region).accepted()?;
    let index = state.index;
    // A plan of a large job is work for a while.
    let planned = tokio::task::spawn_blocking(move || {
        let outcome = DryRun::of(&state, &app.options, now, &job);
        outcome.map(|run| view(&state, &run, (&job, request.diff), now))
    });
    let outcome = planned.await.expect("planning neither panics nor is aborted");
    let view = outcome.map_err(|refusal: Refusal| Problem::from(CommandError::Refused(refusal)))?;
    let view = JobPlanResponse { warnings, ..view };
    Ok(answer::json(&view, index, ask.pretty))
}

/// The answer, without warnings.
fn view(state: &Snapshot, run: &DryRun, (job, with_diff): (&Job, bool), now: Timestamp) -> JobPlanResponse {
    let spec_index = run.current.as_ref().and_then(|job| job.job_modify_index);
    let diff = with_diff.then(|| {
        let mut diff = holdfast_diff::diff(run.current.as_deref(), Some(job), true);
        holdfast_diff::annotate(&mut diff, &run.groups);
        serde_json::to_value(diff).expect("a diff is plain data")
    });
    let failed = run.failed.iter().map(|(name, report)| {
        let metric = AllocationMetric::from(&**report);
        let metric = match job.group(name) {
            Some(group) => metric.with_demand(group),
            None => metric,
        };
        (name.to_owned(), metric)
    });
    let preempted = run
        .preempted
        .iter()
        .map(|it| serde_json::to_value(allocations::stub(state, it)).expect("a list item is plain data"));
    let next = job.periodic.as_ref().filter(|it| it.is_enabled());
    let next = next.and_then(|periodic| holdfast_cron::next_launch(periodic, now));
    JobPlanResponse {
        annotations: Some(PlanAnnotations {
            desired_tg_updates: run
                .groups
                .iter()
                .map(|(name, counts)| (name.to_owned(), counts.into()))
                .collect(),
            preempted_allocs: preempted.collect(),
        }),
        created_evals: run
            .follow_ups
            .iter()
            .map(|it| Evaluation::of(it, Some(job)))
            .collect(),
        diff,
        failed_tg_allocs: failed.collect(),
        job_modify_index: spec_index.unwrap_or(0),
        next_periodic_launch: GoTime::from(next.unwrap_or(Timestamp::ZERO)),
        warnings: String::new(),
        index: spec_index.unwrap_or(0),
    }
}
