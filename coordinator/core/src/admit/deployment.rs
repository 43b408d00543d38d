//! What operators do with deployments: promote, halt, let go on, give up.

use std::collections::BTreeSet;

use holdfast_shared::id::{AllocId, DeploymentId};
use holdfast_shared::model::{Deployment, DeploymentStatus, Trigger};

use crate::deployment;
use crate::effect::{Refusal, Response};
use crate::input::DeploymentAction;
use crate::ledger::Ledger;

/// Acts on a deployment; an evaluation carries on from there.
pub(super) fn act(
    ledger: &mut Ledger,
    id: DeploymentId,
    action: &DeploymentAction,
) -> Result<Response, Refusal> {
    let known = ledger.state.deployments.get(&id).cloned();
    let deployment = known.ok_or_else(|| Refusal::NotFound(format!("deployment {id}")))?;
    if !deployment.status.is_active() {
        return Err(Refusal::Invalid(format!(
            "can't {} terminal deployment",
            words(action)
        )));
    }
    let mut reverted_version = None;
    match action {
        DeploymentAction::Promote { groups } => {
            let groups = promotable(ledger, &deployment, groups.as_deref())?;
            deployment::promote(ledger, id, &groups);
        }
        DeploymentAction::Pause => deployment::pause(ledger, id, true),
        DeploymentAction::Resume => deployment::pause(ledger, id, false),
        DeploymentAction::Fail => reverted_version = deployment::give_up(ledger, &deployment),
        DeploymentAction::SetHealth { healthy, unhealthy } => {
            are_members(ledger, &deployment, healthy.iter().chain(unhealthy))?;
            reverted_version = deployment::set_health(ledger, &deployment, healthy, unhealthy);
        }
        DeploymentAction::Unblock if deployment.status == DeploymentStatus::Blocked => {
            deployment::succeed(ledger, id);
        }
        DeploymentAction::Unblock => {
            let status = deployment.status.as_str();
            return Err(Refusal::Invalid(format!(
                "can't unblock a deployment that is {status}: only one that waits for other regions is blocked"
            )));
        }
    }
    let mut eval = ledger.new_eval(&deployment.job, Trigger::DeploymentWatcher);
    eval.deployment = Some(id);
    let response = Response {
        eval: Some(eval.id),
        eval_create_index: ledger.index(),
        job_modify_index: deployment.job_spec_modify_index,
        index: ledger.state.index,
        reverted_version,
        ..Response::default()
    };
    ledger.put_eval(eval);
    Ok(response)
}

/// What it does, as refusals say it.
fn words(action: &DeploymentAction) -> &'static str {
    match action {
        DeploymentAction::Promote { .. } => "promote",
        DeploymentAction::Pause => "pause",
        DeploymentAction::Resume => "resume",
        DeploymentAction::Fail => "fail",
        DeploymentAction::SetHealth { .. } => "set health of allocations for a",
        DeploymentAction::Unblock => "unblock",
    }
}

/// Whether all of these allocations belong to the deployment.
fn are_members<'a>(
    ledger: &Ledger,
    deployment: &Deployment,
    ids: impl Iterator<Item = &'a AllocId>,
) -> Result<(), Refusal> {
    for id in ids {
        let Some(alloc) = ledger.state.allocs.get(id) else {
            return Err(Refusal::NotFound(format!("alloc {id}")));
        };
        if alloc.deployment != Some(deployment.id) {
            let text = format!("alloc {id} is not part of deployment {}", deployment.id);
            return Err(Refusal::Invalid(text));
        }
    }
    Ok(())
}

/// The groups to promote, each with enough healthy canaries.
fn promotable(
    ledger: &Ledger,
    deployment: &Deployment,
    wanted: Option<&[String]>,
) -> Result<BTreeSet<String>, Refusal> {
    let all = || deployment.groups.keys().map(str::to_owned).collect();
    let groups: BTreeSet<String> = wanted.map_or_else(all, |names| names.iter().cloned().collect());
    for name in &groups {
        let Some(group) = deployment.groups.get(name) else {
            return Err(Refusal::Invalid(format!(
                "the deployment has no task group {name:?}"
            )));
        };
        let healthy = deployment::healthy_canaries(&ledger.state, deployment, name);
        if healthy < group.desired_canaries && !group.promoted {
            let wanted = group.desired_canaries;
            return Err(Refusal::Invalid(format!(
                "Task group {name:?} has {healthy}/{wanted} healthy allocations"
            )));
        }
    }
    Ok(groups)
}
