//! The store in a thread of its own: a memory card that takes seconds to confirm a write stops the agent's decisions for
//! that long, but neither its keep-alives nor what its tasks and drivers do.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast_agent_core::LocalDelta;
use tokio::sync::oneshot;

use super::{Store, StoreError};

/// How often a disk that did not take changes is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The agent's end of the store.
#[derive(Debug)]
pub struct Writer {
    orders: Option<Sender<Order>>,
    problem: Problem,
    thread: Option<JoinHandle<()>>,
}

/// Why changes wait for the disk, in words; `None` while none do.
#[derive(Debug, Clone)]
struct Problem(Arc<Mutex<Option<String>>>);

impl Problem {
    fn get(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Order {
    change: Change,
    done: oneshot::Sender<()>,
}

#[derive(Debug)]
enum Change {
    Deltas(Vec<LocalDelta>),
    BootId(String),
}

impl Writer {
    /// Gives `store` its thread.
    ///
    /// # Errors
    /// When the operating system has no thread for it.
    pub fn start(store: Store) -> std::io::Result<Self> {
        let (orders, received) = channel();
        let waiting = store.is_behind().then(|| "changes wait for the disk".to_owned());
        let problem = Problem(Arc::new(Mutex::new(waiting)));
        let mut shelf = Shelf {
            store,
            problem: problem.clone(),
            reported: false,
            tried: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || shelf.serve(&received))?;
        Ok(Self {
            orders: Some(orders),
            problem,
            thread: Some(thread),
        })
    }

    /// Makes changes durable. Resolves when they are, or when the disk does not take them and they wait in memory.
    pub async fn commit(&self, deltas: Vec<LocalDelta>) {
        self.order(Change::Deltas(deltas)).await;
    }

    /// Notes during which boot the records were written. Resolves as of [`Writer::commit`].
    pub async fn set_boot_id(&self, boot_id: &str) {
        self.order(Change::BootId(boot_id.to_owned())).await;
    }

    /// Whether changes wait for the disk.
    pub fn is_behind(&self) -> bool {
        self.problem.get().is_some()
    }

    /// Why they do, in words.
    pub fn problem(&self) -> Option<String> {
        self.problem.get().clone()
    }

    /// Tries a last time to bring the disk up to date, and ends the thread.
    pub fn close(mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    async fn order(&self, change: Change) {
        let (done, written) = oneshot::channel();
        let sent = self
            .orders
            .as_ref()
            .is_some_and(|orders| orders.send(Order { change, done }).is_ok());
        if !sent || written.await.is_err() {
            // sled brought its thread down. The tasks matter more than the record of them.
            let text = "the store has failed; the agent goes on without it until it is restarted";
            if self.problem.get().replace(text.to_owned()).as_deref() != Some(text) {
                tracing::error!("{text}");
            }
        }
    }
}

/// What runs in the thread.
struct Shelf {
    store: Store,
    problem: Problem,
    reported: bool,
    /// When a disk that did not take changes was last tried again.
    tried: Instant,
}

impl Shelf {
    fn serve(&mut self, orders: &Receiver<Order>) {
        loop {
            // However often there is something new, and not at all while there is nothing to retry.
            let order = if self.store.is_behind() {
                orders.recv_timeout(RETRY.saturating_sub(self.tried.elapsed()))
            } else {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(Order { change, done }) => {
                    let result = match change {
                        Change::Deltas(deltas) => self.store.commit(&deltas),
                        Change::BootId(boot_id) => self.store.set_boot_id(&boot_id),
                    };
                    self.note(result);
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.retry(),
                Err(RecvTimeoutError::Disconnected) => return self.retry(),
            }
        }
    }

    fn retry(&mut self) {
        self.tried = Instant::now();
        if self.store.is_behind() {
            let result = self.store.retry();
            self.note(result);
        }
    }

    /// Says once that the disk does not take changes, and once that it does again.
    fn note(&mut self, result: Result<(), StoreError>) {
        let problem = result.err().map(|error| error.to_string());
        match &problem {
            Some(error) if !self.reported => {
                tracing::error!(error, "changes are kept in memory until the disk takes them");
                self.reported = true;
            }
            None if self.reported => {
                tracing::info!("the store is up to date again");
                self.reported = false;
            }
            _ => {}
        }
        *self.problem.get() = problem;
    }
}
