//! `status`: jobs, or whatever an id leads to.

use anyhow::{Context as _, Result};
use clap::Args;
use holdfast_api::{Context, SearchRequest, SearchResponse};

use super::{Verbosity, alloc, deployment, eval, job, node};
use crate::cli::Command;
use crate::client::Request;
use crate::output::json::Format;
use crate::session::{Exit, FAILED, Session};

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// A job, node, allocation, evaluation or deployment, or how its id starts; all jobs when absent
    id: Option<String>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// What is shown for each kind of match, in the order in which they are tried.
const KINDS: [(Context, &str); 5] = [
    (Context::Jobs, "Jobs"),
    (Context::Allocs, "Allocations"),
    (Context::Nodes, "Nodes"),
    (Context::Evals, "Evaluations"),
    (Context::Deployment, "Deployments"),
];

/// Shows what an id leads to.
///
/// # Errors
/// When the coordinator does not answer.
pub fn run(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let Some(id) = &args.id else {
        let all = job::status::Status {
            how: args.how,
            format: args.format.clone(),
            ..Default::default()
        };
        return job::status::run(session, &all);
    };
    let request = SearchRequest {
        prefix: id.clone(),
        context: "all".to_owned(),
    };
    let found: SearchResponse = session
        .client
        .fetch(&Request::put("/v1/search", request))
        .with_context(|| format!("Error querying search with id {id:?}"))?
        .decode()?;
    // A job of exactly this name wins over everything that only starts like it.
    if found.of(Context::Jobs).contains(id) {
        return show(session, args, Context::Jobs, id);
    }
    let matches: Vec<(Context, &str, &[String])> = KINDS
        .into_iter()
        .map(|(context, title)| (context, title, found.of(context)))
        .filter(|(_, _, ids)| !ids.is_empty())
        .collect();
    match matches.as_slice() {
        [] => {
            session
                .console
                .error(format_args!("No matches found for id {id:?}"));
            Ok(FAILED)
        }
        [(context, _, _)] => show(session, args, *context, id),
        several => {
            session
                .console
                .error(format_args!("Multiple matches found for id {id:?}"));
            for (_, title, ids) in several {
                session
                    .console
                    .error(format_args!("\n{title}:\n{}", ids.join(", ")));
            }
            Ok(FAILED)
        }
    }
}

/// Runs the command that shows things of this kind, as if it had been typed.
fn show(session: &mut Session<'_>, args: &Status, context: Context, id: &str) -> Result<Exit> {
    let (how, format) = (args.how, args.format.clone());
    let id = id.to_owned();
    let command = match context {
        Context::Jobs => {
            let status = job::status::Status {
                id: Some(id),
                how,
                format,
                ..Default::default()
            };
            Command::Job {
                verb: job::Verb::Status(status),
            }
        }
        Context::Allocs => {
            let status = alloc::Status {
                id: Some(id),
                how,
                format,
                short: false,
                stats: false,
            };
            Command::Alloc {
                verb: alloc::Verb::Status(status),
            }
        }
        Context::Nodes => {
            let status = node::Status {
                id: Some(id),
                how,
                format,
                ..Default::default()
            };
            Command::Node {
                verb: node::Verb::Status(status),
            }
        }
        Context::Evals => Command::Eval {
            verb: eval::Verb::Status(eval::Status::of(id, how, format)),
        },
        _ => Command::Deployment {
            verb: deployment::Verb::Status(deployment::Status::of(id, how, format)),
        },
    };
    command.run(session)
}
