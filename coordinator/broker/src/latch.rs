//! Something that happens once and that anybody can wait for, also afterwards.

use tokio::sync::Semaphore;

/// Closed until it is opened, then open for ever.
#[derive(Debug)]
pub(crate) struct Latch {
    /// Never has a permit: waiting for one ends when the semaphore is closed, which opens the latch.
    semaphore: Semaphore,
}

impl Latch {
    pub(crate) fn new() -> Self {
        Self {
            semaphore: Semaphore::new(0),
        }
    }

    /// Lets everybody through who waits, or ever will.
    pub(crate) fn open(&self) {
        self.semaphore.close();
    }

    /// Waits until the latch is open.
    pub(crate) async fn wait(&self) {
        // Always an error: there are no permits.
        let _ = self.semaphore.acquire().await;
    }
}
