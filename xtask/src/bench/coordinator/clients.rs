//! Clients that work side by side, each on a connection of its own, and how long each request took them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::connection::Connection;
use super::server::Server;

/// What clients have done.
pub(super) struct Done {
    /// From the first request to the last answer.
    pub(super) took: Duration,
    /// How long each request took, ascending.
    latencies: Vec<Duration>,
}

impl Done {
    /// How many requests there were.
    pub(super) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// Requests a second.
    pub(super) fn rate(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this share of the requests did not exceed, in milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let rank = (self.count() as f64 * share).ceil() as usize;
        let at = rank.saturating_sub(1);
        self.latencies
            .get(at)
            .map_or(f64::NAN, |it| it.as_secs_f64() * 1e3)
    }
}

/// Has `clients` clients do `work` with one number after the other, each as soon as it is done with the last one, as
/// long as `goes_on` says so.
pub(super) fn side_by_side(
    server: &Server,
    clients: usize,
    goes_on: impl Fn(usize) -> bool + Sync,
    work: impl Fn(&mut Connection, usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Done> {
    let connections: Vec<Connection> = (0..clients)
        .map(|_| server.connect())
        .collect::<anyhow::Result<_>>()?;
    let next = AtomicUsize::new(0);
    let client = |mut connection: Connection| -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(number) {
                return Ok(latencies);
            }
            let start = Instant::now();
            work(&mut connection, number)?;
            latencies.push(start.elapsed());
        }
    };
    let client = &client;
    let start = Instant::now();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(move || client(connection)))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let took = start.elapsed();
    let mut latencies = Vec::new();
    for outcome in outcomes {
        latencies.extend(outcome.map_err(|_| anyhow!("a client panicked"))??);
    }
    latencies.sort_unstable();
    Ok(Done { took, latencies })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_latencies_that_so_many_did_not_exceed() {
        let done = Done {
            took: Duration::from_secs(2),
            latencies: (1..=100).map(Duration::from_millis).collect(),
        };
        assert_eq!((done.percentile(0.5), done.percentile(0.99)), (50.0, 99.0));
        assert_eq!((done.count(), done.rate()), (100, 50.0));
    }
}
