//! Bodies: recorded ones, and those that restore the moment of a recording.

use holdfast_api::{
    AllocationListStub, Deployment, DeploymentState, Evaluation, GoTime, GroupSummary, JobListStub,
    JobSummary,
};
use holdfast_shared::model::Job;
use holdfast_shared::time::{Duration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::case::shared;
use crate::server::Server;

/// The recorded body of this name.
pub(crate) fn recorded(name: &str) -> Value {
    let path = shared().unwrap().join("recorded/api").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A moment.
pub(crate) fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp(i64::try_from(at.as_nanosecond()).unwrap())
}

/// Today, at this time of day: all recordings are of one day.
pub(crate) fn today(time: &str) -> i64 {
    at(&format!("2026-11-21T{time}Z")).0
}

/// Any view as a body.
pub(crate) fn body(view: &impl Serialize) -> Value {
    serde_json::to_value(view).unwrap()
}

/// A service job as `GET /v1/job/:id` answers it.
pub(crate) fn job(id: &str, datacenters: &str, submitted: &str) -> Job {
    Job {
        id: Some(id.to_owned()),
        kind: Some("service".to_owned()),
        datacenters: Some(vec![datacenters.to_owned()]),
        status: Some("running".to_owned()),
        submit_time: Some(today(submitted)),
        ..Job::default()
    }
}

/// The list item of a job.
pub(crate) fn stub(job: &Job) -> JobListStub {
    JobListStub::of(job, JobSummary::default(), false)
}

/// A summary: counts in the order of the printed columns, Queued to Unknown.
pub(crate) fn summary(groups: &[(&str, [u64; 7])]) -> JobSummary {
    let group = |(name, counts): &(&str, [u64; 7])| {
        let [queued, starting, running, failed, complete, lost, unknown] = *counts;
        (
            (*name).to_owned(),
            GroupSummary {
                queued,
                complete,
                failed,
                running,
                starting,
                lost,
                unknown,
            },
        )
    };
    JobSummary {
        summary: groups.iter().map(group).collect(),
        ..JobSummary::default()
    }
}

/// An allocation of a listing: id and node, version and group, `desired client`, created and modified.
pub(crate) fn alloc(
    ids: [&str; 2],
    version: u64,
    group: &str,
    states: &str,
    times: [&str; 2],
) -> AllocationListStub {
    let (desired, client) = states.split_once(' ').unwrap();
    AllocationListStub {
        id: ids[0].to_owned(),
        node_id: ids[1].to_owned(),
        task_group: group.to_owned(),
        job_version: version,
        desired_status: desired.to_owned(),
        client_status: client.to_owned(),
        create_time: today(times[0]),
        modify_time: today(times[1]),
        ..AllocationListStub::default()
    }
}

/// A deployment of version `version`.
pub(crate) fn deployment(id: &str, job: &str, version: u64, status: &str, description: &str) -> Deployment {
    Deployment {
        id: id.to_owned(),
        namespace: "default".to_owned(),
        job_id: job.to_owned(),
        job_version: version,
        status: status.to_owned(),
        status_description: description.to_owned(),
        ..Deployment::default()
    }
}

/// A group of a deployment: desired, placed, healthy, unhealthy; a deadline, or nothing for never.
pub(crate) fn group(counts: [u64; 4], deadline: &str) -> DeploymentState {
    let [desired_total, placed_allocs, healthy_allocs, unhealthy_allocs] = counts;
    let require_progress_by = if deadline.is_empty() {
        GoTime::default()
    } else {
        Timestamp(today(deadline)).into()
    };
    DeploymentState {
        desired_total,
        placed_allocs,
        healthy_allocs,
        unhealthy_allocs,
        require_progress_by,
        progress_deadline: Duration::from_secs(600),
        ..DeploymentState::default()
    }
}

/// An evaluation of `job`.
pub(crate) fn evaluation(id: &str, job: &str, trigger: &str, status: &str) -> Evaluation {
    Evaluation {
        id: id.to_owned(),
        job_id: job.to_owned(),
        namespace: "default".to_owned(),
        kind: "service".to_owned(),
        priority: 50,
        triggered_by: trigger.to_owned(),
        status: status.to_owned(),
        ..Evaluation::default()
    }
}

/// Answers everything that `job status` asks about one job.
pub(crate) fn serve_job(server: &Server, job: &Job, summary: &JobSummary, rest: [Value; 3]) {
    let [allocations, evaluations, deployment] = rest;
    let path = format!("/v1/job/{}", job.id());
    server
        .on("/v1/jobs", json!([stub(job)]))
        .on(&path, body(job))
        .on(&format!("{path}/summary"), body(summary))
        .on(&format!("{path}/allocations"), allocations)
        .on(&format!("{path}/evaluations"), evaluations)
        .on(&format!("{path}/deployment"), deployment);
}
