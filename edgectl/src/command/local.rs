//! `local …`: the agent of this very machine, asked over its socket file. Works with no coordinator in reach.
//!
//! One JSON object a line in both directions: `{"command":"status"}` is answered by `LocalStatus`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Verbosity;
use crate::environment::Environment;
use crate::output::json::Format;
use crate::output::{IdLength, Labels, Table};
use crate::session::{DONE, Exit, Session};

/// Where the agent listens unless told otherwise.
const DEFAULT_SOCKET: &str = "/run/holdfast/agent.sock";
/// How long the agent may take; it answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the agent of this machine can be asked.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the agent of this machine and what it runs
    Status(Status),
    /// Any other verb
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `local status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The agent's socket file [env: HOLDFAST_SOCKET] [default: /run/holdfast/agent.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// What an agent says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LocalStatus {
    node: LocalNode,
    link: Link,
    allocations: Vec<LocalAllocation>,
    /// Reports that the coordinator has not acknowledged yet.
    outbox_depth: Option<u64>,
    /// Counts up with every assignment.
    generation: Option<u64>,
    /// Tells one life of the coordinator's store from the next.
    epoch: Option<u64>,
    /// Whether something could not be written to disk yet.
    store_behind: bool,
    /// Why, in words.
    store_problem: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LocalNode {
    id: String,
    name: String,
    datacenter: String,
    version: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Link {
    connected: bool,
    since_seconds: Option<f64>,
    coordinator: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LocalAllocation {
    id: String,
    name: String,
    job: String,
    group: String,
    version: u64,
    client_status: String,
    description: String,
    healthy: Option<bool>,
    tasks: Vec<LocalTask>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LocalTask {
    name: String,
    state: String,
    phase: String,
    restarts: u64,
    address: String,
}

/// Shows the agent of this machine.
///
/// # Errors
/// When no agent answers.
pub fn status(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let socket = args
        .socket
        .clone()
        .unwrap_or_else(|| default_socket(&session.environment));
    let answer = ask(&socket, &json!({ "command": "status" }))?;
    if session.print_formatted(&args.format, &answer)? {
        return Ok(DONE);
    }
    let status: LocalStatus = serde_json::from_value(answer)
        .context("the agent's answer is not shaped as expected: it may be of another version")?;
    session.console.line(basics(&status));
    session.console.line("");
    if status.allocations.is_empty() {
        session
            .console
            .section("Allocations", "No allocations on this node");
        return Ok(DONE);
    }
    session
        .console
        .section("Allocations", allocations(&status, args.how.ids()));
    session.console.line("");
    session.console.section("Tasks", tasks(&status, args.how.ids()));
    Ok(DONE)
}

/// The id of this machine's node, as its agent knows it.
///
/// # Errors
/// When no agent answers.
pub fn node_id(environment: &Environment) -> Result<String> {
    let answer = ask(&default_socket(environment), &json!({ "command": "status" }))?;
    answer["node"]["id"]
        .as_str()
        .map(str::to_owned)
        .context("the agent does not tell the id of its node")
}

fn default_socket(environment: &Environment) -> PathBuf {
    PathBuf::from(
        environment
            .raw("HOLDFAST_SOCKET")
            .filter(|it| !it.is_empty())
            .unwrap_or(DEFAULT_SOCKET),
    )
}

fn ask(socket: &Path, request: &Value) -> Result<Value> {
    let name = socket.display();
    let no_agent = |error: std::io::Error| {
        anyhow!(
            "no agent answers at {name}: {error}\nName its socket file with -socket=PATH or HOLDFAST_SOCKET"
        )
    };
    let mut stream = UnixStream::connect(socket).map_err(no_agent)?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(TIMEOUT)))
        .map_err(no_agent)?;
    stream
        .write_all(format!("{request}\n").as_bytes())
        .map_err(no_agent)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(no_agent)?;
    if line.trim().is_empty() {
        bail!("the agent at {name} hung up without an answer: its log says why");
    }
    let answer: Value =
        serde_json::from_str(&line).with_context(|| format!("the answer of {name} is not JSON"))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => bail!("the agent refused: {error}"),
        None => Ok(answer),
    }
}

fn basics(it: &LocalStatus) -> Labels {
    let since = it.link.since_seconds.map(|seconds| {
        let whole = holdfast_shared::time::Duration::from_secs(seconds.max(0.0) as i64);
        format!(" for {whole}")
    });
    let state = if it.link.connected {
        "connected"
    } else {
        "disconnected"
    };
    let mut labels = Labels::new()
        .with("ID", &it.node.id)
        .with("Name", &it.node.name)
        .with("DC", &it.node.datacenter)
        .with("Version", &it.node.version)
        .with("Link", format!("{state}{}", since.unwrap_or_default()))
        .with("Coordinator", it.link.coordinator.as_deref().unwrap_or_default())
        .with_some("Outbox", it.outbox_depth)
        .with_some("Generation", it.generation)
        .with_some("Epoch", it.epoch);
    if it.store_behind {
        let why = it.store_problem.as_deref();
        labels.push(
            "Store",
            format!("behind: {}", why.unwrap_or("the disk does not take everything")),
        );
    }
    labels
}

fn allocations(it: &LocalStatus, ids: IdLength) -> Table {
    let columns = [
        "ID",
        "Name",
        "Job ID",
        "Task Group",
        "Version",
        "Status",
        "Health",
        "Description",
    ];
    Table::new(columns).rows(it.allocations.iter().map(|it| {
        let health = match it.healthy {
            Some(true) => "healthy",
            Some(false) => "unhealthy",
            None => "",
        };
        [
            ids.cut(&it.id),
            &it.name,
            &it.job,
            &it.group,
            &it.version.to_string(),
            &it.client_status,
            health,
            &it.description,
        ]
        .map(str::to_owned)
    }))
}

fn tasks(it: &LocalStatus, ids: IdLength) -> Table {
    let row = |allocation: &LocalAllocation, task: &LocalTask| {
        let restarts = task.restarts.to_string();
        [
            ids.cut(&allocation.id),
            &task.name,
            &task.state,
            &task.phase,
            &restarts,
            &task.address,
        ]
        .map(str::to_owned)
    };
    let tasks = |allocation: &'_ LocalAllocation| {
        allocation
            .tasks
            .iter()
            .map(|task| row(allocation, task))
            .collect()
    };
    let rows: Vec<_> = it.allocations.iter().flat_map::<Vec<_>, _>(tasks).collect();
    Table::new(["Alloc ID", "Task", "State", "Phase", "Restarts", "Address"]).rows(rows)
}
