//! The one task that owns the core: inputs in, decisions made durable, then told.
//!
//! Inputs that have gathered are handled together and committed with one flush. Only what is durable is shown to
//! readers, answered, or sent to nodes. When the disk fails, nothing is answered with success, new commands are refused
//! at once, and the changes that the core has made already are tried again until they are durable.
//!
//! This module does not know who asks (HTTP, MQTT) nor how decisions are made (the core).

mod journal;
mod turn;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_coordinator_core::{Command, Coordinator, Input, Refusal, Response};
use holdfast_shared::id::NodeId;
use holdfast_shared::wire::ToAgent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::snapshots::Snapshots;
use crate::store::Store;

/// Inputs that wait before those who give them have to.
const QUEUE: usize = 4096;

/// Bytes of agents' messages, as they came, that wait before those who give them have to: decoded they are larger.
const QUEUE_BYTES: u32 = 32 * 1024 * 1024;

/// Tells agents what the core wants them to know.
pub trait Messenger: Send {
    /// Sends a message to a node, or drops it: the core says it again when the node reports. Never waits.
    fn send(&self, node: NodeId, message: &ToAgent);
}

/// Why a command did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The core refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk failed before it was handled; nothing has changed.
    #[error("the coordinator cannot store changes now ({0}); nothing was changed")]
    NotTaken(String),
    /// The disk failed after it was handled.
    #[error("the change could not be stored ({0}); it is tried again and may still take effect")]
    NotStored(String),
    /// The coordinator is shutting down.
    #[error("the coordinator is shutting down")]
    Stopped,
}

/// What the runtime is given to do.
enum Task {
    Command(Command, oneshot::Sender<Result<Response, CommandError>>),
    Input {
        input: Input,
        /// What it takes up in the queue.
        _room: OwnedSemaphorePermit,
    },
}

/// Gives tasks to the runtime. Clones are cheap.
#[derive(Clone)]
pub struct Handle {
    tasks: mpsc::Sender<Task>,
    room: Arc<Semaphore>,
    /// What readers see.
    pub snapshots: Arc<Snapshots>,
}

impl Handle {
    /// Has a command carried out; once this succeeds it is durable, and readers see it.
    ///
    /// # Errors
    /// When it is refused, or cannot be stored.
    pub async fn command(&self, command: Command) -> Result<Response, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.tasks
            .send(Task::Command(command, reply))
            .await
            .map_err(|_| CommandError::Stopped)?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }

    /// Hands over what an agent said in so many bytes. Waits while the runtime is busy; false when it has ended.
    pub async fn input(&self, input: Input, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(QUEUE_BYTES);
        match Arc::clone(&self.room).acquire_many_owned(bytes).await {
            Ok(room) => self.tasks.send(Task::Input { input, _room: room }).await.is_ok(),
            Err(_) => false,
        }
    }
}

/// The runtime before it runs: handles to it can be made and given away already.
pub struct Seat {
    tasks: mpsc::Receiver<Task>,
    snapshots: Arc<Snapshots>,
}

/// A place for a runtime whose readers begin with `snapshots`.
pub fn seat(snapshots: Snapshots) -> (Handle, Seat) {
    let (sender, tasks) = mpsc::channel(QUEUE);
    let snapshots = Arc::new(snapshots);
    (
        Handle {
            tasks: sender,
            room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)),
            snapshots: Arc::clone(&snapshots),
        },
        Seat { tasks, snapshots },
    )
}

/// What a runtime works with.
pub struct Parts {
    /// Decides.
    pub core: Coordinator,
    /// Keeps.
    pub store: Box<dyn Store>,
    /// Tells.
    pub messenger: Box<dyn Messenger>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Says what time it is.
    pub clock: Clock,
}

/// A running runtime. It ends, with everything durable that can be, when the last [`Handle`] is gone or
/// [`Running::stop`] is called.
pub struct Running {
    stop: oneshot::Sender<()>,
    /// Closed when the thread has ended, however it did.
    ended: watch::Receiver<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Waits for the runtime to end without having been told to: a mistake in the program, which a restart may cure.
    pub async fn failed(&self) {
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Ends the runtime after what it does now, and waits for that.
    pub async fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the runtime panicked");
        }
    }
}

impl Seat {
    /// Runs on a thread of its own: a flush blocks it, and must block nobody else.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn run(self, parts: Parts, failing: Arc<AtomicBool>) -> std::io::Result<Running> {
        let (stop, stopped) = oneshot::channel();
        let (alive, ended) = watch::channel(());
        let timers = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let runtime = turn::Runtime::new(self.snapshots, parts, failing);
        let thread = std::thread::Builder::new().name("core".into()).spawn(move || {
            let _alive = alive;
            timers.block_on(runtime.run(self.tasks, stopped));
        })?;
        Ok(Running { stop, ended, thread })
    }
}
