//! The commands, one file a noun, and what several of them print alike.

pub mod alloc;
pub mod completion;
pub mod deployment;
pub mod eval;
pub mod fmt;
pub mod job;
pub mod local;
pub mod node;
pub mod operator;
pub mod placement;
pub mod scheduler;
pub mod server;
pub mod service;
pub mod stats;
pub mod status;
pub mod system;

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};
use holdfast_api::AllocationListStub;
use holdfast_shared::time::Timestamp;

use crate::output::{IdLength, Table};
use crate::session::Session;

/// Flag shared by every listing.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Verbosity {
    /// Print whole ids, and times instead of distances
    #[arg(long, help_heading = "Output")]
    pub verbose: bool,
}

impl Verbosity {
    /// How long ids are.
    pub const fn ids(self) -> IdLength {
        IdLength::of(self.verbose)
    }
}

/// Whether a listing of allocations names their nodes, where it is verbose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeNames {
    /// The listing is of one node.
    Hidden,
    /// The listing is of one job.
    Shown,
}

/// The listing of allocations that jobs, nodes and deployments share; newest first.
pub fn allocations(
    session: &Session<'_>,
    list: &[AllocationListStub],
    how: Verbosity,
    names: NodeNames,
) -> Table {
    let mut sorted: Vec<&AllocationListStub> = list.iter().collect();
    sorted.sort_by(|a, b| b.create_index.cmp(&a.create_index).then_with(|| a.id.cmp(&b.id)));
    let is_wide = |column: &str| match column {
        "Eval ID" => how.verbose,
        "Node Name" => how.verbose && names == NodeNames::Shown,
        _ => true,
    };
    let ids = how.ids();
    let row = |it: &AllocationListStub| {
        [
            ("ID", ids.cut(&it.id).to_owned()),
            ("Eval ID", ids.cut(&it.eval_id).to_owned()),
            ("Node ID", ids.cut(&it.node_id).to_owned()),
            ("Node Name", it.node_name.clone()),
            ("Task Group", it.task_group.clone()),
            ("Version", it.job_version.to_string()),
            ("Desired", it.desired_status.clone()),
            ("Status", it.client_status.clone()),
            ("Created", session.when(Timestamp(it.create_time), how.verbose)),
            ("Modified", session.when(Timestamp(it.modify_time), how.verbose)),
        ]
    };
    let heading = row(&AllocationListStub::default()).map(|(column, _)| column);
    let mut table = Table::new(heading.into_iter().filter(|column| is_wide(column)));
    for it in sorted {
        table.push(
            row(it)
                .into_iter()
                .filter(|(column, _)| is_wide(column))
                .map(|(_, cell)| cell),
        );
    }
    table
}

/// `[a,b]`, as lists of tags are shown.
pub fn bracketed(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// Asks on the terminal before something is done that cannot be undone; `instead` tells scripts how to go without.
///
/// # Errors
/// When there is no terminal to ask on.
pub fn confirm(session: &mut Session<'_>, question: &str, instead: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("{}: {instead}", question.trim_end_matches(" [y/N] "));
    }
    session.console.text(question);
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .context("Error reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
