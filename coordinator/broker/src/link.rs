//! The thread between a connection's task and the rest of the broker: wake it, end it, wait for its end.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::inbox::Ending;
use crate::latch::Latch;

/// One connection, as others see it.
#[derive(Debug)]
pub(crate) struct Link {
    wake: Notify,
    verdict: OnceLock<Ending>,
    /// Opened when the connection has ended and said so to the inbox.
    ended: Latch,
}

impl Link {
    /// A new link, and the guard that marks it as ended however its task comes to its end.
    pub(crate) fn new() -> (Arc<Self>, LinkEnd) {
        let link = Arc::new(Self {
            wake: Notify::new(),
            verdict: OnceLock::new(),
            ended: Latch::new(),
        });
        (Arc::clone(&link), LinkEnd(link))
    }

    /// Tells the connection's task that there is something to deliver.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Asks the connection to end. The first reason given is the one that counts.
    pub(crate) fn close(&self, reason: Ending) {
        // A second reason is of no interest.
        let _ = self.verdict.set(reason);
        self.wake.notify_one();
    }

    /// Why the connection was asked to end, if it was.
    pub(crate) fn verdict(&self) -> Option<Ending> {
        self.verdict.get().copied()
    }

    /// Waits for [`Link::wake`] or [`Link::close`]; for the connection's own task only.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until somebody asked the connection to end; for the connection's own task only.
    pub(crate) async fn closed(&self) -> Ending {
        loop {
            if let Some(reason) = self.verdict() {
                return reason;
            }
            self.woken().await;
        }
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        self.ended.wait().await;
    }
}

/// Marks the link as ended when dropped, also by a panic: nobody waits for ever for a task that is gone.
#[derive(Debug)]
pub(crate) struct LinkEnd(Arc<Link>);

impl Drop for LinkEnd {
    fn drop(&mut self) {
        self.0.ended.open();
    }
}
