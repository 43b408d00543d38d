//! The local socket: what `edgectl local` asks, answered with no coordinator anywhere.
//!
//! One JSON object per line in, one per line out. Whoever may open the socket may ask: it belongs to root.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::runtime::Runtime;

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A line somebody sent, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    /// The line.
    pub text: String,
    /// Takes one line.
    pub reply: oneshot::Sender<String>,
}

/// Listens at `path`, in a task of its own, for as long as the agent runs. A socket left by an agent that died is replaced.
///
/// # Errors
/// When another agent answers there, or the socket cannot be made.
pub fn listen(path: &Path, requests: mpsc::Sender<Request>) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another agent answers there: name another socket",
        ));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, requests.clone()))),
                // Out of file descriptors, most likely: a pause gives others the time to close some.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    });
    Ok(())
}

async fn serve(stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let mut text = String::new();
        if (&mut lines).take(LINE_BYTES_MAX).read_line(&mut text).await? == 0 {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        if requests.send(Request { text, reply }).await.is_err() {
            return Ok(());
        }
        let Ok(mut line) = answer.await else { return Ok(()) };
        line.push('\n');
        write.write_all(line.as_bytes()).await?;
    }
}

/// The answer to one line.
pub(crate) fn answer(text: &str, runtime: &Runtime) -> String {
    let request: Value = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(error) => {
            return json!({"error": format!("one JSON object per line is expected: {error}")}).to_string();
        }
    };
    match request["command"].as_str() {
        Some("status") => status(runtime).to_string(),
        Some(other) => {
            json!({"error": format!("there is no command {other:?}; there is \"status\"")}).to_string()
        }
        None => json!({"error": "a \"command\" is expected; there is \"status\""}).to_string(),
    }
}

fn status(runtime: &Runtime) -> Value {
    let (agent, node) = (&runtime.agent, &runtime.node);
    let (connected, since) = agent.link();
    let held = agent.held();
    let allocations: Vec<Value> = agent.allocs().map(allocation).collect();
    json!({
        "node": {
            "id": node.id.to_string(),
            "name": node.fingerprint.name,
            "datacenter": node.fingerprint.datacenter,
            "version": node.fingerprint.version,
        },
        "link": {
            "connected": connected,
            "since_seconds": clock::now().mono.since(since).as_secs(),
            "coordinator": runtime.coordinator,
        },
        "allocations": allocations,
        "outbox_depth": agent.outbox_depth(),
        "epoch": held.epoch,
        "generation": held.generation,
        "store_behind": runtime.store.is_behind(),
        "store_problem": runtime.store.problem(),
    })
}

fn allocation(record: &holdfast_agent_core::AllocRecord) -> Value {
    let tasks: Vec<Value> = record
        .tasks
        .iter()
        .map(|(name, task)| {
            json!({
                "name": name,
                "state": task.state.state.as_str(),
                "phase": format!("{:?}", task.phase).to_lowercase(),
                "restarts": task.state.restarts,
                "address": task.address,
            })
        })
        .collect();
    json!({
        "id": record.assigned.id.to_string(),
        "name": record.assigned.name,
        "job": record.assigned.job,
        "group": record.assigned.group,
        "version": record.assigned.job_version,
        "client_status": record.client.as_str(),
        "description": record.description,
        "healthy": record.healthy,
        "tasks": tasks,
    })
}
