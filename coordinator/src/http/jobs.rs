//! `/v1/jobs`, `/v1/jobs/parse`, `/v1/validate/job`.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use holdfast_api::{
    JobListStub, JobRegisterRequest, JobRegisterResponse, JobValidateRequest, JobsParseRequest, job_value,
};
use holdfast_coordinator_core::Command;
use holdfast_coordinator_core::state::Table;
use holdfast_jobspec::ParseOptions;
use holdfast_shared::model::{Job, Submission};
use tracing::warn;

use super::admission::Admission;
use super::ask::Ask;
use super::problem::Problem;
use super::{App, Shared, answer, body, job};

/// What clients may know about their own text.
const FILE_NAME: &str = "input.hcl";

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, job::SUMMARY_TABLES, |state| {
        let jobs = state
            .jobs
            .values()
            .filter(|job| ask.wants_namespace(job.namespace()));
        let jobs = jobs.filter(|job| job.id().starts_with(&ask.prefix));
        Ok(jobs
            .map(|it| JobListStub::of(it, job::summary_of(state, it), ask.flag("meta")))
            .collect())
    })
    .await
}

pub(super) async fn register(State(app): Shared, ask: Ask, bytes: Bytes) -> Result<Response, Problem> {
    let request: JobRegisterRequest = body::read(&bytes)?;
    submit(&app, &ask, request).await
}

/// Registers a job for whoever asks.
pub(super) async fn submit(app: &App, ask: &Ask, request: JobRegisterRequest) -> Result<Response, Problem> {
    let JobRegisterRequest {
        job,
        enforce_index,
        job_modify_index,
        preserve_counts,
        eval_priority,
        submission,
        ..
    } = request;
    let job = job.ok_or_else(|| Problem::bad_request("Job must be specified"))?;
    let job = placed(app, ask, *job)?;
    let (job, warnings) =
        Admission::of(job, &app.runtime.snapshots.load(), &app.identity.region).accepted()?;
    if !warnings.is_empty() {
        warn!(job = %job.key(), warnings, "job registered with warnings");
    }
    let submission = submission.map(|it| {
        Box::new(Submission {
            job: job.key(),
            version: 0,
            job_modify_index: 0,
            source: it.source,
            format: it.format,
            variable_flags: it.variable_flags,
            variables: it.variables,
        })
    });
    let command = Command::RegisterJob {
        job: Box::new(job),
        check_index: enforce_index.then_some(job_modify_index),
        preserve_counts,
        eval_priority: (eval_priority > 0).then_some(eval_priority),
        submission,
    };
    let done = app.runtime.command(command).await?;
    let view = JobRegisterResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        job_modify_index: done.job_modify_index,
        warnings,
        index: done.index,
        ..JobRegisterResponse::default()
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

/// The job with the namespace and region of the request where it names none.
pub(super) fn placed(app: &App, ask: &Ask, mut job: Job) -> Result<Job, Problem> {
    if job.id().is_empty() {
        return Err(Problem::bad_request("Job ID hasn't been provided"));
    }
    let namespace = job.namespace.get_or_insert_with(|| ask.namespace().to_owned());
    if namespace.is_empty() {
        ask.namespace().clone_into(namespace);
    }
    let region = &app.identity.region;
    // `global` is what clients fill in without knowing better.
    if job
        .region
        .as_deref()
        .is_none_or(|it| it.is_empty() || it == "global")
    {
        job.region = Some(region.clone());
    }
    if job.region() != region {
        return Err(Problem::no_path_to_region());
    }
    Ok(job)
}

pub(super) async fn validate(State(app): Shared, ask: Ask, bytes: Bytes) -> Result<Response, Problem> {
    let request: JobValidateRequest = body::read(&bytes)?;
    let job = request
        .job
        .ok_or_else(|| Problem::bad_request("Job must be specified"))?;
    let state = app.runtime.snapshots.load();
    let verdict = Admission::of(*job, &state, &app.identity.region).verdict();
    Ok(answer::json(&verdict, state.index, ask.pretty))
}

pub(super) async fn parse(State(app): Shared, ask: Ask, bytes: Bytes) -> Result<Response, Problem> {
    let request: JobsParseRequest = body::read(&bytes)?;
    if request.job_hcl.is_empty() {
        return Err(Problem::bad_request("Job spec is empty"));
    }
    // Without a base folder: the files of the coordinator are nobody's business.
    let options = ParseOptions {
        file_name: FILE_NAME.to_owned(),
        var_files: vec![("input.vars".to_owned(), request.variables)],
        ..ParseOptions::default()
    };
    let mut job = holdfast_jobspec::parse_job(&request.job_hcl, &options).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Problem::bad_request(format!("Failed to parse job: {}", lines.join("\n")))
    })?;
    if request.canonicalize {
        job.canonicalize();
    }
    let index = app.runtime.snapshots.load().table_index(Table::Jobs);
    Ok(answer::json(&job_value(&job), index, ask.pretty).into_response())
}
