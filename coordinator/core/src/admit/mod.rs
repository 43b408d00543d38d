//! What operators want becomes state here, or is refused with a reason. Nothing is placed yet: admission only records
//! what is wanted and asks for an evaluation.

mod deployment;
mod job;
mod job_dispatch;
mod job_scale;
mod job_version;
mod node;
mod operator;

use holdfast_shared::id::{EvalId, JobKey};
use holdfast_shared::model::EvalStatus;

use crate::broker::Broker;
use crate::effect::{Refusal, Response};
use crate::input::{Command, JobAction};
use crate::ledger::Ledger;

pub(crate) use job::{cancel, keep_kind, register_version};
pub(crate) use node::forget as forget_node;

/// Admits one command.
pub(crate) fn admit(ledger: &mut Ledger, broker: &Broker, command: Command) -> Result<Response, Refusal> {
    match command {
        Command::RegisterJob { .. } | Command::Job(_, JobAction::Scale(_) | JobAction::Dispatch(_))
            if ledger.state.scheduling.reject_job_registration =>
        {
            let text = "job registration, dispatch, and scale are disabled by the scheduler configuration";
            Err(Refusal::Invalid(text.into()))
        }
        Command::RegisterJob {
            job,
            check_index,
            preserve_counts,
            eval_priority,
            submission,
        } => job::register(
            ledger,
            *job,
            job::Wish {
                check_index,
                preserve_counts,
                eval_priority,
                submission,
            },
        ),
        Command::Job(key, action) => on_job(ledger, &key, action),
        Command::DeregisterJob {
            key,
            purge,
            no_shutdown_delay,
        } => job::deregister(
            ledger,
            broker,
            &key,
            job::Stop {
                purge,
                no_shutdown_delay,
            },
        ),
        Command::EvaluateJob {
            key,
            force_reschedule,
        } => job::evaluate(ledger, &key, force_reschedule),
        Command::Deployment { id, action } => deployment::act(ledger, id, &action),
        Command::Node { id, action } => node::act(ledger, id, action),
        Command::SetSchedulerConfiguration {
            configuration,
            check_index,
        } => operator::set_scheduler(ledger, configuration, check_index),
        Command::PutNodePool(pool) => operator::put_pool(ledger, *pool),
        Command::RemoveNodePool(name) => operator::remove_pool(ledger, &name),
        Command::Enroll { node, secret_hash } => node::enroll(ledger, node, secret_hash),
        // The first two are not for admission to decide.
        Command::CollectGarbage | Command::AdoptState | Command::Ping => Ok(Response {
            index: ledger.state.index,
            ..Response::default()
        }),
        Command::CancelEvaluation(id) => cancel_evaluation(ledger, id),
    }
}

/// Cancels an evaluation that waits, because an operator says so.
fn cancel_evaluation(ledger: &mut Ledger, id: EvalId) -> Result<Response, Refusal> {
    let eval = ledger.state.evals.get(&id).cloned();
    let mut eval = (*eval.ok_or_else(|| Refusal::NotFound(format!("evaluation {id}")))?).clone();
    if eval.status.is_terminal() {
        return Err(Refusal::Conflict(format!(
            "evaluation {id} is {} already",
            eval.status.as_str()
        )));
    }
    eval.status = EvalStatus::Canceled;
    "canceled by an operator".clone_into(&mut eval.status_description);
    ledger.put_eval(eval);
    Ok(Response {
        index: ledger.state.index,
        ..Response::default()
    })
}

/// Acts on a job that is there.
fn on_job(ledger: &mut Ledger, key: &JobKey, action: JobAction) -> Result<Response, Refusal> {
    let known = ledger.state.jobs.get(key).cloned();
    let job = known.ok_or_else(|| Refusal::NotFound(format!("job {:?}", key.id)))?;
    match action {
        JobAction::Revert {
            version,
            enforce_prior,
        } => job_version::revert(ledger, &job, version, enforce_prior),
        JobAction::SetStable { version, stable } => job_version::set_stable(ledger, &job, version, stable),
        JobAction::Scale(wish) => job_scale::scale(ledger, &job, wish),
        JobAction::Dispatch(wish) => job_dispatch::dispatch(ledger, &job, &wish),
        JobAction::LaunchNow => job_dispatch::launch_now(ledger, &job),
    }
}
