//! How many jobs a second are registered durably, and what each costs in memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::clients::{Done, side_by_side};
use super::figure::{Figure, Target};
use super::jobs::{Template, register};
use super::server::Server;
use super::{MEMORY_PER_JOB, Size};

/// Connections, and registrations a second of the original, with p50 and p99 in milliseconds where they are known.
const ORIGINAL: [(usize, f64, Option<f64>, f64); 3] = [
    (1, 233.0, Some(3.0), 112.0),
    (16, 635.0, None, 240.0),
    (64, 797.0, Some(68.0), 406.0),
];

/// How many times the original.
const TIMES: f64 = 5.0;

/// Counters of the coordinator that tell what a commit costs.
const COUNTERS: [&str; 3] = [
    "holdfast_store_commits_total",
    "holdfast_store_commit_nanoseconds_total",
    "holdfast_core_turn_nanoseconds_total",
];

/// Nothing can be placed, as no node is there: as it was with the original. Each job has one group.
pub(super) fn measure(size: &Size) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start()?;
    let flush = flush_time(server.folder())?;
    let before = server.memory()?;
    let (mut levels, mut counted) = (Vec::new(), vec![server.counters(COUNTERS)?]);
    for (connections, ..) in ORIGINAL {
        levels.push(level(&server, connections, size.window)?);
        if levels.len() < ORIGINAL.len() {
            counted.push(server.counters(COUNTERS)?);
        }
    }
    // Before the last look at the counters: figures of so many jobs take room themselves.
    let after = server.memory()?;
    counted.push(server.counters(COUNTERS)?);
    let jobs: usize = levels.iter().map(|level| level.done.count()).sum();
    let mut figures = Vec::new();
    for (at, (connections, rate, p50, p99)) in ORIGINAL.into_iter().enumerate() {
        let level = &levels[at];
        let note = level.note(counted[at], counted[at + 1]);
        figures.push(Figure {
            title: format!("registrations, {connections} connections"),
            unit: "/s",
            ours: level.done.rate(),
            original: Some(rate),
            target: Target::AtLeast(rate * TIMES),
            note: format!("{note}; fdatasync of this disk {flush:.2} ms"),
        });
        for (name, share, original) in [("p50", 0.5, p50), ("p99", 0.99, Some(p99))] {
            figures.push(Figure {
                title: format!("  {name}"),
                unit: "ms",
                ours: level.done.percentile(share),
                original,
                target: Target::None,
                note: String::new(),
            });
        }
    }
    figures.push(Figure {
        title: "memory per registered job".into(),
        unit: "KB",
        ours: (after - before) / jobs as f64 / 1e3,
        // 90 MB idle, 1,296 MB after 16,600 jobs.
        original: Some(72.7),
        target: Target::AtMost(MEMORY_PER_JOB),
        note: format!("anonymous memory, over {jobs} jobs of one group with what their evaluations left"),
    });
    Ok(figures)
}

/// What was done with one number of connections.
struct Level {
    done: Done,
    /// Processor time of the coordinator.
    cpu: Duration,
}

fn level(server: &Server, connections: usize, window: Duration) -> anyhow::Result<Level> {
    let template = Template::new(1);
    let before = server.cpu_time()?;
    let start = Instant::now();
    let done = side_by_side(
        server,
        connections,
        |_| start.elapsed() < window,
        |connection, number| {
            let body = template.of(&format!("job-{connections}-{number}"));
            register(connection, &body).map(drop)
        },
    )?;
    let cpu = server.cpu_time()? - before;
    Ok(Level { done, cpu })
}

impl Level {
    /// What bounds it, by the [`COUNTERS`] before and after.
    fn note(&self, before: [f64; 3], after: [f64; 3]) -> String {
        let [commits, in_commits, in_turns] = std::array::from_fn(|at| after[at] - before[at]);
        let jobs = self.done.count() as f64;
        format!(
            "{jobs} jobs in {:.1} s, {:.1} with one flush; a commit takes {:.2} ms, all else of the core {:.2} ms a job; \
             processor time {:.2} ms a job",
            self.done.took.as_secs_f64(),
            jobs / commits,
            in_commits / commits / 1e6,
            (in_turns - in_commits) / jobs / 1e6,
            self.cpu.as_secs_f64() * 1e3 / jobs,
        )
    }
}

/// How long the disk takes to make four kilobytes durable, in a file that need not grow; the median, in milliseconds.
fn flush_time(folder: &Path) -> anyhow::Result<f64> {
    const BLOCK: usize = 4096;
    let file = File::create(folder.join("flush"))?;
    file.write_all_at(&[0; 64 * BLOCK], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for block in 0..64 {
        let start = Instant::now();
        file.write_all_at(&[0x5a; BLOCK], block * BLOCK as u64)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(crate::measure::row::median(times))
}
