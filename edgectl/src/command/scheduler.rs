//! `operator scheduler get-config` and `set-config`.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use holdfast_api::{
    SchedulerConfiguration, SchedulerConfigurationResponse, SchedulerConfigurationSetResponse,
};

use crate::client::Request;
use crate::output::Labels;
use crate::output::json::Format;
use crate::session::{DONE, Exit, Session};

const PATH: &str = "/v1/operator/scheduler/configuration";

/// What can be done with the scheduler's settings.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show them
    GetConfig(Get),
    /// Change them
    SetConfig(Set),
}

/// Flags of `operator scheduler get-config`.
#[derive(Debug, Args)]
pub struct Get {
    #[command(flatten)]
    format: Format,
}

/// Which node is the best one.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Algorithm {
    /// The fullest
    Binpack,
    /// The emptiest
    Spread,
}

/// Flags of `operator scheduler set-config`; what is not named stays as it is.
#[derive(Debug, Args)]
pub struct Set {
    /// Change them only if they still have this modify index
    #[arg(long, value_name = "INDEX")]
    check_index: Option<u64>,
    /// Which node is the best one
    #[arg(long, value_enum)]
    scheduler_algorithm: Option<Algorithm>,
    /// Whether tasks may use memory beyond what they reserve
    #[arg(long, value_name = "BOOL")]
    memory_oversubscription: Option<bool>,
    /// Whether jobs are refused
    #[arg(long, value_name = "BOOL")]
    reject_job_registration: Option<bool>,
    /// Whether evaluations wait
    #[arg(long, value_name = "BOOL")]
    pause_eval_broker: Option<bool>,
    /// Whether system jobs may push out others
    #[arg(long, value_name = "BOOL")]
    preempt_system_scheduler: Option<bool>,
    /// Whether service jobs may
    #[arg(long, value_name = "BOOL")]
    preempt_service_scheduler: Option<bool>,
    /// Whether batch jobs may
    #[arg(long, value_name = "BOOL")]
    preempt_batch_scheduler: Option<bool>,
    /// Whether system batch jobs may
    #[arg(long, value_name = "BOOL")]
    preempt_sysbatch_scheduler: Option<bool>,
    /// How many nodes are looked at for one placement; 0 leaves it to the scheduler
    #[arg(long, value_name = "COUNT")]
    node_limit_for_feasibility_checks: Option<u64>,
}

impl Set {
    fn lay_over(&self, it: &mut SchedulerConfiguration) {
        let preemption = &mut it.preemption_config;
        for (wanted, setting) in [
            (
                self.memory_oversubscription,
                &mut it.memory_oversubscription_enabled,
            ),
            (self.reject_job_registration, &mut it.reject_job_registration),
            (self.pause_eval_broker, &mut it.pause_eval_broker),
            (
                self.preempt_system_scheduler,
                &mut preemption.system_scheduler_enabled,
            ),
            (
                self.preempt_service_scheduler,
                &mut preemption.service_scheduler_enabled,
            ),
            (
                self.preempt_batch_scheduler,
                &mut preemption.batch_scheduler_enabled,
            ),
            (
                self.preempt_sysbatch_scheduler,
                &mut preemption.sys_batch_scheduler_enabled,
            ),
        ] {
            *setting = wanted.unwrap_or(*setting);
        }
        if let Some(algorithm) = self.scheduler_algorithm {
            let text = match algorithm {
                Algorithm::Binpack => "binpack",
                Algorithm::Spread => "spread",
            };
            text.clone_into(&mut it.scheduler_algorithm);
        }
        if let Some(limit) = self.node_limit_for_feasibility_checks {
            it.node_limit_for_feasibility_checks = limit;
        }
    }
}

/// Shows or changes the settings.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn run(session: &mut Session<'_>, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::GetConfig(args) => get(session, args),
        Verb::SetConfig(args) => set(session, args),
    }
}

fn get(session: &mut Session<'_>, args: &Get) -> Result<Exit> {
    let reply = session
        .client
        .fetch(&Request::get(PATH))
        .context("Error querying scheduler configuration")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let answer: SchedulerConfigurationResponse = reply.decode()?;
    let it = answer.scheduler_config;
    let preemption = it.preemption_config;
    let labels = Labels::new()
        .with("Scheduler Algorithm", &it.scheduler_algorithm)
        .with("Memory Oversubscription", it.memory_oversubscription_enabled)
        .with("Reject Job Registration", it.reject_job_registration)
        .with("Pause Eval Broker", it.pause_eval_broker)
        .with("Preemption System Scheduler", preemption.system_scheduler_enabled)
        .with(
            "Preemption Service Scheduler",
            preemption.service_scheduler_enabled,
        )
        .with("Preemption Batch Scheduler", preemption.batch_scheduler_enabled)
        .with(
            "Preemption SysBatch Scheduler",
            preemption.sys_batch_scheduler_enabled,
        )
        .with(
            "Node Limit For Feasibility Checks",
            it.node_limit_for_feasibility_checks,
        )
        .with("Modify Index", it.modify_index);
    session.console.line(labels);
    Ok(DONE)
}

fn set(session: &mut Session<'_>, args: &Set) -> Result<Exit> {
    let answer: SchedulerConfigurationResponse = session
        .client
        .fetch(&Request::get(PATH))
        .context("Error querying for scheduler configuration")?
        .decode()?;
    let mut wanted = answer.scheduler_config;
    args.lay_over(&mut wanted);
    let request = Request::put(PATH, &wanted).query_some("cas", args.check_index);
    let done: SchedulerConfigurationSetResponse = session
        .client
        .fetch(&request)
        .context("Error setting scheduler configuration")?
        .decode()?;
    if !done.updated {
        bail!("Scheduler configuration could not be atomically updated, please try again");
    }
    session.console.line("Scheduler configuration updated!");
    Ok(DONE)
}
