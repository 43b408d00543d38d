//! What the core asks for.

use holdfast_shared::id::{EvalId, NodeId};
use holdfast_shared::wire::ToAgent;

use crate::input::RequestId;
use crate::state::Delta;

/// Something the shell must do. Effects are executed in order: a `Persist` always precedes the `Reply` or `Publish`
/// that depends on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make these changes durable. They are applied to the core's own state already.
    Persist(Vec<Delta>),
    /// Answer a command.
    Reply(RequestId, Result<Response, Refusal>),
    /// Tell a node something. It may get lost: the core tells it again when the node reports.
    Publish(NodeId, ToAgent),
}

/// Answers to commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The evaluation that the command created.
    pub eval: Option<EvalId>,
    /// Every evaluation that it created, where there may be several.
    pub evals: Vec<EvalId>,
    /// Index of the evaluations; 0 when there are none.
    pub eval_create_index: u64,
    /// Spec index of the job, where a job was meant.
    pub job_modify_index: u64,
    /// Id of the job that was launched, where one was.
    pub launched: Option<String>,
    /// The stable version that was registered anew, where a deployment was given up.
    pub reverted_version: Option<u64>,
    /// Index of the state that holds the change.
    pub index: u64,
}

/// Why a command was refused. Nothing was changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What it names does not exist.
    #[error("{0} not found")]
    NotFound(String),
    /// It makes no sense as it is; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else was faster; the text says how things are.
    #[error("{0}")]
    Conflict(String),
    /// Its agent cannot be reached; the text says why.
    #[error("No path to node: {0}")]
    NoPath(String),
    /// The credential is not the one that the node enrolled with.
    #[error("node {0} is enrolled with another secret")]
    WrongSecret(NodeId),
}
