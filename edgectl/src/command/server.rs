//! `server members`: the coordinators of all regions that this one knows.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use holdfast_api::{AgentMember, AgentMembers};

use super::Verbosity;
use crate::client::Request;
use crate::output::Table;
use crate::output::json::Format;
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be asked about coordinators.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List coordinators
    Members(Members),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `server members`.
#[derive(Debug, Args)]
pub struct Members {
    /// Show their protocol and tags too
    #[arg(long)]
    detailed: bool,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Lists coordinators.
///
/// # Errors
/// When the coordinator does not answer.
pub fn members(session: &mut Session<'_>, args: &Members) -> Result<Exit> {
    let reply = session
        .client
        .fetch(&Request::get("/v1/agent/members"))
        .context("Error querying servers")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let mut found: AgentMembers = reply.decode()?;
    if found.members.is_empty() {
        session.console.line("No servers to display");
        return Ok(DONE);
    }
    found
        .members
        .sort_by(|a, b| (tag(a, "region"), &a.name).cmp(&(tag(b, "region"), &b.name)));
    let (leaders, problems) = leaders(session, &found.members);
    session
        .console
        .line(table(&found.members, &leaders, args.detailed || args.how.verbose));
    session.hint("View and manage Nomad servers", "/servers");
    if problems.is_empty() {
        return Ok(DONE);
    }
    let count = crate::output::plural(i64::try_from(problems.len()).unwrap_or(i64::MAX), "error");
    let list: String = problems
        .iter()
        .map(|problem| format!("\t* {problem}\n"))
        .collect();
    session.console.error(format_args!(
        "\nError determining leaders: {count} occurred:\n{list}\n"
    ));
    Ok(FAILED)
}

/// The leader of each region, and of which regions it could not be found out.
fn leaders(session: &Session<'_>, members: &[AgentMember]) -> (BTreeMap<String, String>, Vec<anyhow::Error>) {
    let (mut leaders, mut problems) = (BTreeMap::new(), Vec::new());
    let mut regions: Vec<&str> = members.iter().map(|member| tag(member, "region")).collect();
    regions.dedup();
    for region in regions {
        let request = Request::get("/v1/status/leader").query("region", region);
        let leader = session
            .client
            .fetch(&request)
            .and_then(|reply| reply.decode::<String>());
        match leader {
            Ok(address) => {
                leaders.insert(region.to_owned(), address);
            }
            Err(error) => problems.push(anyhow!("Region {region:?}: {error}")),
        }
    }
    (leaders, problems)
}

fn table(members: &[AgentMember], leaders: &BTreeMap<String, String>, is_detailed: bool) -> Table {
    let is_shown = |column: &str| is_detailed || !matches!(column, "Protocol" | "Tags");
    let row = |it: &AgentMember| {
        let rpc = format!("{}:{}", tag_or(it, "rpc_addr", &it.addr), tag(it, "port"));
        let tags: Vec<String> = it
            .tags
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        [
            ("Name", it.name.clone()),
            ("Address", it.addr.clone()),
            ("Port", it.port.to_string()),
            ("Status", it.status.clone()),
            (
                "Leader",
                leaders
                    .get(tag(it, "region"))
                    .is_some_and(|leader| *leader == rpc)
                    .to_string(),
            ),
            ("Protocol", it.protocol_cur.to_string()),
            ("Raft Version", tag(it, "raft_vsn").to_owned()),
            ("Build", tag(it, "build").to_owned()),
            ("Datacenter", tag(it, "dc").to_owned()),
            ("Region", tag(it, "region").to_owned()),
            ("Tags", tags.join(",")),
        ]
    };
    let heading = row(&AgentMember::default()).map(|(column, _)| column);
    let mut table = Table::new(heading.into_iter().filter(|column| is_shown(column)));
    for it in members {
        table.push(
            row(it)
                .into_iter()
                .filter(|(column, _)| is_shown(column))
                .map(|(_, cell)| cell),
        );
    }
    table
}

fn tag<'a>(it: &'a AgentMember, name: &str) -> &'a str {
    it.tags.get(name).map(String::as_str).unwrap_or_default()
}

fn tag_or<'a>(it: &'a AgentMember, name: &str, otherwise: &'a str) -> &'a str {
    Some(tag(it, name))
        .filter(|value| !value.is_empty())
        .unwrap_or(otherwise)
}
