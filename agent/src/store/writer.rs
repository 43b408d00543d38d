//! The store in a thread of its own: a memory card that takes seconds to confirm a write stops the agent's decisions for
//! that long, but neither its keep-alives nor what its tasks and drivers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_agent_core::LocalDelta;
use tokio::sync::oneshot;

use super::{Store, StoreError};

/// How often a disk that did not take changes is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The agent's end of the store.
#[derive(Debug)]
pub struct Writer {
    orders: Option<Sender<Order>>,
    behind: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
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
        let behind = Arc::new(AtomicBool::new(store.is_behind()));
        let mut shelf = Shelf {
            store,
            behind: Arc::clone(&behind),
            reported: false,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || shelf.serve(&received))?;
        Ok(Self {
            orders: Some(orders),
            behind,
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
        self.behind.load(Ordering::Relaxed)
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
            if !self.behind.swap(true, Ordering::Relaxed) {
                tracing::error!("the store has failed; the agent goes on without it until it is restarted");
            }
        }
    }
}

/// What runs in the thread.
struct Shelf {
    store: Store,
    behind: Arc<AtomicBool>,
    reported: bool,
}

impl Shelf {
    fn serve(&mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(RETRY) {
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
        if self.store.is_behind() {
            let result = self.store.retry();
            self.note(result);
        }
    }

    /// Says once that the disk does not take changes, and once that it does again.
    fn note(&mut self, result: Result<(), StoreError>) {
        let behind = self.store.is_behind();
        self.behind.store(behind, Ordering::Relaxed);
        match result {
            Err(error) if !self.reported => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "changes are kept in memory until the disk takes them");
                self.reported = true;
            }
            Ok(()) if self.reported && !behind => {
                tracing::info!("the store is up to date again");
                self.reported = false;
            }
            _ => {}
        }
    }
}
