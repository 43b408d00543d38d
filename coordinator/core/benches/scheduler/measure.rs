//! One case, measured.

use holdfast_coordinator_core::rehearsal::Rehearsal;
use holdfast_coordinator_core::{Delta, Options};
use rustix::time::{ClockId, clock_gettime};

use super::ALLOCATOR;
use super::region::{NOW, Shape};

/// Evaluations of one case at most.
const RUNS_MAX: usize = 1000;

/// What one evaluation of a case takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Nanoseconds of processor time.
    pub(super) nanos: f64,
    /// Bytes allocated.
    pub(super) bytes: f64,
    /// Allocations placed.
    pub(super) placed: usize,
}

/// Measures evaluations of `shape` until they have taken `millis`.
pub(super) fn measure(shape: &Shape, millis: u64) -> Measured {
    let (state, job) = shape.region();
    let mut rehearsal = Rehearsal::new(Options::default(), state, NOW);
    // Indexes of nodes outlive evaluations: only the first one after a change of nodes would bring them up to date.
    rehearsal.prepare(&job);
    let before = ALLOCATOR.total_allocated();
    let deltas = rehearsal.evaluate(&job);
    let bytes = ALLOCATOR.total_allocated() - before;
    let placed = placements(&deltas);
    rehearsal.rewind(&deltas);
    let (mut spent, mut times) = (0.0, Vec::new());
    while spent < millis as f64 * 1e6 && times.len() < RUNS_MAX {
        let began = processor_nanos();
        let deltas = rehearsal.evaluate(&job);
        let took = processor_nanos() - began;
        assert_eq!(
            placements(&deltas),
            placed,
            "the same evaluation has another outcome"
        );
        spent += took;
        times.push(took);
        rehearsal.rewind(&deltas);
    }
    times.sort_by(f64::total_cmp);
    Measured {
        nanos: times[times.len() / 2],
        bytes: bytes as f64,
        placed,
    }
}

fn placements(deltas: &[Delta]) -> usize {
    deltas
        .iter()
        .filter(|delta| matches!(delta, Delta::Allocation(_)))
        .count()
}

/// Processor time of this thread: others on the machine do not count.
fn processor_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
