//! The command tree: every noun and verb there is, and what they lead to.

use anyhow::{Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::client::Connection;
use crate::command::{
    alloc, completion, deployment, eval, fmt, job, local, node, operator, scheduler, server, service, status,
    system,
};
use crate::session::{DONE, Exit, Session};

/// Commands of the original that we have yet to learn.
const NOT_YET: &[(&str, &[&str])] = &[
    ("job", &["action"]),
    ("alloc", &["checks", "exec", "fs", "logs", "pause", "signal"]),
    ("node", &["config", "identity", "intro"]),
    ("eval", &["delete"]),
    ("service", &["delete"]),
    ("server", &["force-leave", "join"]),
    (
        "operator",
        &[
            "api",
            "autopilot",
            "client-state",
            "debug",
            "gossip",
            "metrics",
            "raft",
            "root",
            "snapshot",
            "utilization",
        ],
    ),
    ("local", &["alloc", "restart"]),
];

/// Nouns of the original that we have yet to learn, with all their verbs.
const NOT_YET_NOUNS: &[&str] = &[
    "acl",
    "agent",
    "agent-info",
    "check",
    "config",
    "keygen",
    "keyring",
    "license",
    "login",
    "monitor",
    "namespace",
    "plugin",
    "quota",
    "recommendation",
    "scaling",
    "secret",
    "sentinel",
    "setup",
    "tls",
    "var",
    "volume",
];

/// Runs jobs on a fleet of edge nodes, and shows what becomes of them.
#[derive(Debug, Parser)]
#[command(
    name = "edgectl",
    disable_version_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "Long flags take one dash or two. NOMAD_… variables work too; EDGE_… ones win over them."
)]
pub struct Cli {
    /// How to reach the coordinator.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The nouns, and the few commands that have none.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
pub enum Command {
    /// Run, watch and stop jobs
    #[command(arg_required_else_help = true)]
    Job {
        /// What to do with them.
        #[command(subcommand)]
        verb: job::Verb,
    },
    /// Look at nodes
    #[command(arg_required_else_help = true)]
    Node {
        /// What to do with them.
        #[command(subcommand)]
        verb: node::Verb,
    },
    /// Look at allocations
    #[command(arg_required_else_help = true)]
    Alloc {
        /// What to do with them.
        #[command(subcommand)]
        verb: alloc::Verb,
    },
    /// Look at evaluations
    #[command(arg_required_else_help = true)]
    Eval {
        /// What to do with them.
        #[command(subcommand)]
        verb: eval::Verb,
    },
    /// Look at deployments
    #[command(arg_required_else_help = true)]
    Deployment {
        /// What to do with them.
        #[command(subcommand)]
        verb: deployment::Verb,
    },
    /// Look at services
    #[command(arg_required_else_help = true)]
    Service {
        /// What to do with them.
        #[command(subcommand)]
        verb: service::Verb,
    },
    /// Look at coordinators
    #[command(arg_required_else_help = true)]
    Server {
        /// What to do with them.
        #[command(subcommand)]
        verb: server::Verb,
    },
    /// Decide about the coordinator itself
    #[command(arg_required_else_help = true)]
    Operator {
        /// What to do with it.
        #[command(subcommand)]
        verb: operator::Verb,
    },
    /// Decide about the region as a whole
    #[command(arg_required_else_help = true)]
    System {
        /// What to do with it.
        #[command(subcommand)]
        verb: system::Verb,
    },
    /// Ask the agent of this machine, with no coordinator in reach
    #[command(arg_required_else_help = true)]
    Local {
        /// What to do with it.
        #[command(subcommand)]
        verb: local::Verb,
    },
    /// List jobs, or show whatever an id leads to
    Status(status::Status),
    /// Format job files
    Fmt(fmt::Fmt),
    /// Print where the web interface is
    Ui,
    /// Print or install the completion of a shell
    Completion(completion::Completion),
    /// Print the version
    Version,
    /// Anything else
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// The command tree as clap sees it.
pub fn command() -> clap::Command {
    Cli::command()
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// Whatever kept it from being done, in words for the operator.
    pub fn run(&self, session: &mut Session<'_>) -> Result<Exit> {
        match self {
            Self::Job { verb } => run_job(session, verb),
            Self::Node { verb } => match verb {
                node::Verb::Status(args) => node::status(session, args),
                node::Verb::Drain(args) => node::drain::run(session, args),
                node::Verb::Eligibility(args) => node::eligibility::run(session, args),
                node::Verb::Pool { verb } => node::pool::run(session, verb),
                node::Verb::Meta { verb } => match verb {
                    node::meta::Verb::Read(args) => node::meta::read(session, args),
                    node::meta::Verb::Apply(args) => node::meta::apply(session, args),
                    node::meta::Verb::Other(words) => unknown(&session.program, Some("node meta"), words),
                },
                node::Verb::Purge(args) => node::eligibility::purge(session, args),
                node::Verb::Other(words) => unknown(&session.program, Some("node"), words),
            },
            Self::Alloc { verb } => match verb {
                alloc::Verb::Status(args) => alloc::status(session, args),
                alloc::Verb::Restart(args) => alloc::act::restart(session, args),
                alloc::Verb::Stop(args) => alloc::act::stop(session, args),
                alloc::Verb::Other(words) => unknown(&session.program, Some("alloc"), words),
            },
            Self::Eval { verb } => match verb {
                eval::Verb::List(args) => eval::list(session, args),
                eval::Verb::Status(args) => eval::status(session, args),
                eval::Verb::Other(words) => unknown(&session.program, Some("eval"), words),
            },
            Self::Deployment { verb } => on_deployment(session, verb),
            Self::Service { verb } => match verb {
                service::Verb::List(args) => service::list(session, args),
                service::Verb::Info(args) => service::info(session, args),
                service::Verb::Other(words) => unknown(&session.program, Some("service"), words),
            },
            Self::Server { verb } => match verb {
                server::Verb::Members(args) => server::members(session, args),
                server::Verb::Other(words) => unknown(&session.program, Some("server"), words),
            },
            Self::Operator { verb } => match verb {
                operator::Verb::AdoptState(args) => operator::adopt_state(session, args),
                operator::Verb::Scheduler { verb } => scheduler::run(session, verb),
                operator::Verb::Other(words) => unknown(&session.program, Some("operator"), words),
            },
            Self::System { verb } => match verb {
                system::Verb::Gc => system::gc(session),
                system::Verb::Reconcile { verb } => match verb {
                    system::Reconcile::Summaries => system::reconcile_summaries(session),
                    system::Reconcile::Other(words) => {
                        unknown(&session.program, Some("system reconcile"), words)
                    }
                },
                system::Verb::Other(words) => unknown(&session.program, Some("system"), words),
            },
            Self::Local { verb } => match verb {
                local::Verb::Status(args) => local::status(session, args),
                local::Verb::Other(words) => unknown(&session.program, Some("local"), words),
            },
            Self::Status(args) => status::run(session, args),
            Self::Completion(args) => completion::run(session, args),
            Self::Fmt(args) => fmt::run(session, args),
            Self::Ui => ui(session),
            Self::Version => version(session),
            Self::Other(words) => unknown(&session.program, None, words),
        }
    }
}

fn on_deployment(session: &mut Session<'_>, verb: &deployment::Verb) -> Result<Exit> {
    match verb {
        deployment::Verb::List(args) => deployment::list(session, args),
        deployment::Verb::Status(args) => deployment::status(session, args),
        deployment::Verb::Promote(args) => deployment::act::promote(session, args),
        deployment::Verb::Pause(args) => deployment::act::pause(session, args),
        deployment::Verb::Resume(args) => deployment::act::resume(session, args),
        deployment::Verb::Fail(args) => deployment::act::fail(session, args),
        deployment::Verb::Unblock(args) => deployment::act::unblock(session, args),
        deployment::Verb::Other(words) => unknown(&session.program, Some("deployment"), words),
    }
}

/// Runs what is to be done with jobs.
fn run_job(session: &mut Session<'_>, verb: &job::Verb) -> Result<Exit> {
    match verb {
        job::Verb::Run(args) => job::run::run(session, args),
        job::Verb::Status(args) => job::status::run(session, args),
        job::Verb::Stop(args) => job::stop::run(session, args),
        job::Verb::Start(args) => job::start::run(session, args),
        job::Verb::Restart(args) => job::restart::run(session, args),
        job::Verb::Tag { verb } => match verb {
            job::tag::Verb::Apply(args) => job::tag::apply(session, args),
            job::tag::Verb::Unset(args) => job::tag::unset(session, args),
            job::tag::Verb::Other(words) => unknown(&session.program, Some("job tag"), words),
        },
        job::Verb::Validate(args) => job::validate::run(session, args),
        job::Verb::Inspect(args) => job::inspect::run(session, args),
        job::Verb::Fmt(args) => fmt::run(session, args),
        job::Verb::Init(args) => job::init::run(session, args),
        job::Verb::Allocs(args) => job::allocs::allocs(session, args),
        job::Verb::Explain(args) => job::explain::run(session, args),
        job::Verb::Deployments(args) => job::allocs::deployments(session, args),
        job::Verb::Plan(args) => job::plan::run(session, args),
        job::Verb::History(args) => job::history::run(session, args),
        job::Verb::Revert(args) => job::revert::run(session, args),
        job::Verb::Scale(args) => job::scale::run(session, args),
        job::Verb::ScalingEvents(args) => job::scale::events(session, args),
        job::Verb::Eval(args) => job::eval::run(session, args),
        job::Verb::Promote(args) => job::promote::run(session, args),
        job::Verb::Dispatch(args) => job::dispatch::run(session, args),
        job::Verb::Periodic { verb } => match verb {
            job::periodic::Verb::Force(args) => job::periodic::force(session, args),
            job::periodic::Verb::Other(words) => unknown(&session.program, Some("job periodic"), words),
        },
        job::Verb::Other(words) => unknown(&session.program, Some("job"), words),
    }
}

fn ui(session: &mut Session<'_>) -> Result<Exit> {
    match session.ui_address() {
        Some(address) => session.console.line(address),
        None => bail!(
            "the coordinator is reached over a socket file, which no browser opens: set an http:// address"
        ),
    }
    Ok(DONE)
}

fn version(session: &mut Session<'_>) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    // Called by the original's name, we answer as scripts expect it.
    let line = if session.program == "nomad" {
        format!("Nomad v{version}")
    } else {
        format!("edgectl v{version}")
    };
    session.console.line(line);
    Ok(DONE)
}

/// Says that a command is not there: yet, or at all.
fn unknown(program: &str, noun: Option<&str>, words: &[String]) -> Result<Exit> {
    let first = words.first().map_or("", String::as_str);
    let (name, is_known) = match noun {
        Some(noun) => {
            let verbs = NOT_YET
                .iter()
                .find(|(it, _)| *it == noun)
                .map_or(&[][..], |(_, verbs)| verbs);
            (format!("{noun} {first}"), verbs.contains(&first))
        }
        None => {
            let verb = words.get(1).filter(|it| !it.starts_with('-'));
            let name = verb.map_or_else(|| first.to_owned(), |verb| format!("{first} {verb}"));
            (name, NOT_YET_NOUNS.contains(&first))
        }
    };
    if is_known {
        bail!("{program}: `{name}` is not available yet");
    }
    let help = noun.map_or_else(
        || format!("{program} -help"),
        |noun| format!("{program} {noun} -help"),
    );
    bail!("{program}: there is no command `{name}`; `{help}` lists those that there are")
}
