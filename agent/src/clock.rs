//! The time, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_agent_core::Now;
use holdfast_shared::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The time: since the boot, suspends included, and as the box believes it.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let mono = boot
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(boot.tv_nsec);
    // A clock before 1970 is as wrong as one at 1970.
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now {
        mono: Timestamp(mono),
        wall: Timestamp(i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX)),
    }
}

/// Identifies the current boot of the box; empty when the kernel does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
