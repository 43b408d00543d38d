//! Evaluations, and what their plans did.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_shared::model;
use serde::{Deserialize, Serialize};

use crate::allocation::AllocationMetric;
use crate::format::{GoTime, is_default, null_is_default, nullable, or_empty};

/// One request to reconcile one job. Fields without a value are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    /// The evaluation.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job's priority.
    pub priority: i64,
    /// The job's type.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Why it exists.
    pub triggered_by: String,
    /// The job's namespace.
    pub namespace: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// Spec index of the job when it was created.
    #[serde(skip_serializing_if = "is_default")]
    pub job_modify_index: u64,
    /// The node that caused it.
    #[serde(rename = "NodeID", skip_serializing_if = "is_default")]
    pub node_id: String,
    /// Index of that node's change.
    #[serde(skip_serializing_if = "is_default")]
    pub node_modify_index: u64,
    /// The deployment it belongs to.
    #[serde(rename = "DeploymentID", skip_serializing_if = "is_default")]
    pub deployment_id: String,
    /// `pending`, `blocked`, `complete`, `failed` or `canceled`.
    pub status: String,
    /// Why.
    #[serde(skip_serializing_if = "is_default")]
    pub status_description: String,
    /// Not before this time.
    #[serde(skip_serializing_if = "is_default")]
    pub wait_until: GoTime,
    /// The evaluation that follows it.
    #[serde(skip_serializing_if = "is_default")]
    pub next_eval: String,
    /// The evaluation that caused it.
    #[serde(skip_serializing_if = "is_default")]
    pub previous_eval: String,
    /// The evaluation that waits for the capacity it missed.
    #[serde(skip_serializing_if = "is_default")]
    pub blocked_eval: String,
    /// Others of the same chain, when they were asked for.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub related_evals: Vec<EvaluationStub>,
    /// Groups that could not be placed, and why.
    #[serde(
        rename = "FailedTGAllocs",
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_default"
    )]
    pub failed_tg_allocs: BTreeMap<String, AllocationMetric>,
    /// What its plan did.
    #[serde(skip_serializing_if = "is_default")]
    pub plan_annotations: Option<PlanAnnotations>,
    /// Computed node classes that qualified or not.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub class_eligibility: BTreeMap<String, bool>,
    /// How many allocations of each group still wait.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub queued_allocations: BTreeMap<String, i64>,
    /// Index of the state that it looked at.
    pub snapshot_index: u64,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Nanoseconds since 1970.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

impl From<&model::Evaluation> for Evaluation {
    fn from(it: &model::Evaluation) -> Self {
        let updates = it
            .plan
            .iter()
            .map(|(group, counts)| (group.to_owned(), counts.into()));
        let plan = PlanAnnotations {
            desired_tg_updates: updates.collect(),
            ..PlanAnnotations::default()
        };
        let metric =
            |(group, report): (&str, &Arc<model::PlacementReport>)| (group.to_owned(), (&**report).into());
        let queued =
            |(group, &count): (&str, &u64)| (group.to_owned(), i64::try_from(count).unwrap_or(i64::MAX));
        Self {
            id: it.id.to_string(),
            priority: it.priority,
            kind: it.kind.as_str().to_owned(),
            triggered_by: it.trigger.to_string(),
            namespace: it.job.namespace.to_string(),
            job_id: it.job.id.to_string(),
            job_modify_index: it.job_modify_index,
            node_id: or_empty(it.node),
            deployment_id: or_empty(it.deployment),
            status: it.status.as_str().to_owned(),
            status_description: it.status_description.clone(),
            wait_until: it.wait_until.into(),
            next_eval: or_empty(it.next),
            previous_eval: or_empty(it.previous),
            blocked_eval: or_empty(it.blocked),
            failed_tg_allocs: it.failed_placements.iter().map(metric).collect(),
            plan_annotations: (!it.plan.is_empty()).then_some(plan),
            queued_allocations: it.queued.iter().map(queued).collect(),
            snapshot_index: it.create_index,
            create_index: it.create_index,
            modify_index: it.modify_index,
            create_time: it.create_time.0,
            modify_time: it.modify_time.0,
            ..Self::default()
        }
    }
}

impl Evaluation {
    /// The view of an evaluation whose job is this one; `None` when the job is gone.
    pub fn of(it: &model::Evaluation, job: Option<&model::Job>) -> Self {
        let mut view = Self::from(it);
        for (name, metric) in &mut view.failed_tg_allocs {
            if let Some(group) = job.and_then(|job| job.group(name)) {
                *metric = std::mem::take(metric).with_demand(group);
            }
        }
        view
    }
}

/// What other evaluations of a chain are shown by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvaluationStub {
    /// The evaluation.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job's priority.
    pub priority: i64,
    /// The job's type.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Why it exists.
    pub triggered_by: String,
    /// The job's namespace.
    pub namespace: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The node that caused it; empty when none did.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// The deployment it belongs to; empty when none.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// Where it stands.
    pub status: String,
    /// Why.
    pub status_description: String,
    /// Not before this time.
    pub wait_until: GoTime,
    /// The evaluation that follows it; empty when none.
    pub next_eval: String,
    /// The evaluation that caused it; empty when none.
    pub previous_eval: String,
    /// The evaluation that waits for what it missed; empty when none.
    pub blocked_eval: String,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Nanoseconds since 1970.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

impl From<&model::Evaluation> for EvaluationStub {
    fn from(it: &model::Evaluation) -> Self {
        Self {
            id: it.id.to_string(),
            priority: it.priority,
            kind: it.kind.as_str().to_owned(),
            triggered_by: it.trigger.to_string(),
            namespace: it.job.namespace.to_string(),
            job_id: it.job.id.to_string(),
            node_id: or_empty(it.node),
            deployment_id: or_empty(it.deployment),
            status: it.status.as_str().to_owned(),
            status_description: it.status_description.clone(),
            wait_until: it.wait_until.into(),
            next_eval: or_empty(it.next),
            previous_eval: or_empty(it.previous),
            blocked_eval: or_empty(it.blocked),
            create_index: it.create_index,
            modify_index: it.modify_index,
            create_time: it.create_time.0,
            modify_time: it.modify_time.0,
        }
    }
}

/// What a plan did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlanAnnotations {
    /// To each group.
    #[serde(rename = "DesiredTGUpdates", deserialize_with = "null_is_default")]
    pub desired_tg_updates: BTreeMap<String, DesiredUpdates>,
    /// Allocations it pushed out.
    #[serde(with = "nullable")]
    pub preempted_allocs: Vec<serde_json::Value>,
}

/// What a plan did to a group, in numbers of allocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredUpdates {
    /// Left alone.
    pub ignore: u64,
    /// Placed.
    pub place: u64,
    /// Moved off a draining node.
    pub migrate: u64,
    /// Stopped.
    pub stop: u64,
    /// Updated in place.
    pub in_place_update: u64,
    /// Replaced by the new version.
    pub destructive_update: u64,
    /// Placed as canaries.
    pub canary: u64,
    /// Pushed out for others.
    pub preemptions: u64,
    /// Marked unknown.
    pub disconnect: u64,
    /// Taken back after a disconnect.
    pub reconnect: u64,
    /// Rescheduled now.
    pub reschedule_now: u64,
    /// To be rescheduled later.
    pub reschedule_later: u64,
}

impl From<&model::PlanCounts> for DesiredUpdates {
    fn from(it: &model::PlanCounts) -> Self {
        Self {
            ignore: it.ignore,
            place: it.place,
            migrate: it.migrate,
            stop: it.stop,
            in_place_update: it.in_place,
            destructive_update: it.destructive,
            canary: it.canary,
            preemptions: it.preemptions,
            disconnect: it.disconnect,
            reconnect: it.reconnect,
            reschedule_now: it.reschedule_now,
            reschedule_later: it.reschedule_later,
        }
    }
}
