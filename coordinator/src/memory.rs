//! Memory that a burst of work needed goes back to the system once its thread has become quiet.
//!
//! The allocator looks after what is free only while its thread asks for more, and blocks that another thread has freed
//! wait for their owner: a thread without work would keep all of it.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How often a thread looks at itself.
pub const LOOK: Duration = Duration::from_secs(1);

/// It is quiet when it worked for less than this since its last look; and it has something to give back when it worked for
/// longer since it did so last.
const LITTLE: Duration = Duration::from_millis(50);

/// More than a process can have, and as much as the allocator asks the system for at all.
const TOO_MUCH: usize = usize::MAX / 65_600;

/// Gives back to the system what is free and belongs to this thread, or to threads that have ended.
///
/// The allocator does so before it fails, and this makes it fail: to call it by its name is `unsafe`. Any other allocator
/// just fails.
pub fn give_back() {
    let mut nothing: Vec<u8> = Vec::new();
    // It must not be seen that nobody needs it.
    let refused = black_box(&mut nothing).try_reserve_exact(black_box(TOO_MUCH));
    debug_assert!(
        refused.is_err() || cfg!(target_pointer_width = "32"),
        "nobody has {TOO_MUCH} bytes"
    );
}

/// How much the current thread works, and when it is time to give back what that needed.
#[derive(Debug)]
pub struct Ebb {
    looked: Instant,
    /// Processor time of the thread at that time.
    used: Duration,
    /// And how much of it came since memory was given back.
    worked: Duration,
}

impl Ebb {
    /// For the current thread; others must not look with it.
    pub fn new() -> Self {
        Self {
            looked: Instant::now(),
            used: processor_time(),
            worked: Duration::ZERO,
        }
    }

    /// Gives back memory when the thread has become quiet. To be called at least every [`LOOK`]; costs nothing in between.
    pub fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        let used = processor_time();
        let lately = used.saturating_sub(self.used);
        self.worked += lately;
        if lately < LITTLE && self.worked > LITTLE {
            give_back();
            self.worked = Duration::ZERO;
        }
        (self.looked, self.used) = (Instant::now(), processor_time());
    }
}

/// Has the current thread do so for as long as this is waited for.
pub async fn ebb() -> Infallible {
    let mut ebb = Ebb::new();
    loop {
        tokio::time::sleep(LOOK).await;
        ebb.look();
    }
}

impl Default for Ebb {
    fn default() -> Self {
        Self::new()
    }
}

/// Of the current thread so far.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}
