//! A bad link: a TCP proxy that stands on a machine, between an agent and its broker.
//!
//! The model is what loss and delay of packets do to a TCP connection, for that is all that either end can see of them.
//! What is read is cut into segments. Each takes the delay; a lost one is sent again after a time-out of two delays
//! that doubles, and what comes behind it has to wait; one that is lost `TRIES` times in a row resets the connection.
//! Connecting costs a round trip, with a second's time-out for lost packets, as in the kernel.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::dice::Dice;
use crate::machine::Machine;
use crate::wait::let_pass;

/// Bytes that travel, and are lost, together.
const SEGMENT: usize = 1400;

/// The first time-out of a packet that opens a connection.
const OPENING_TIMEOUT: Duration = Duration::from_secs(1);

/// The shortest time-out of any other.
const TIMEOUT_MIN: Duration = Duration::from_millis(200);

/// How often a segment is sent before the connection is given up.
const TRIES: u32 = 6;

/// Pause between two looks for a new connection.
const LOOK: Duration = Duration::from_millis(5);

/// How bad a link is.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    /// Time from one end to the other.
    pub delay: Duration,
    /// Share of segments that are lost, in each direction.
    pub loss: f64,
}

/// Nothing is wrong with it.
pub const GOOD: Quality = Quality {
    delay: Duration::ZERO,
    loss: 0.0,
};

/// A running proxy; dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    quality: Quality,
    dice: Mutex<Dice>,
    streams: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    lost: AtomicUsize,
    ends: AtomicBool,
}

impl Proxy {
    /// Starts a proxy on the loopback of `machine` that leads to `upstream`.
    ///
    /// # Errors
    /// When the machine's network cannot be entered.
    pub fn start(
        machine: &Machine,
        upstream: SocketAddr,
        quality: Quality,
        dice: Dice,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            upstream,
            quality,
            dice: Mutex::new(dice),
            streams: Mutex::default(),
            accepted: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
        });
        let (netns, served) = (machine.netns(), Arc::clone(&shared));
        let (ready, address) = channel();
        let listener = thread::spawn(move || {
            let listener = listen(&netns);
            let address = listener.as_ref().map(TcpListener::local_addr);
            // Whoever started this waits for it.
            let _ = ready.send(match address {
                Ok(address) => address.map_err(anyhow::Error::from),
                Err(error) => Err(anyhow!("{error:#}")),
            });
            if let Ok(listener) = listener {
                serve(&listener, &served);
            }
        });
        let address = address.recv().context("the proxy ended at once")??;
        Ok(Self {
            address,
            shared,
            listener: Some(listener),
        })
    }

    /// The broker's URL for whoever should take this way.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many segments were lost so far.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Ends every connection.
    pub fn hang_up(&self) {
        for stream in self.shared.streams().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.hang_up();
        if let Some(listener) = self.listener.take() {
            // One that panicked has said so.
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When something sent now arrives, if its first time-out is `timeout`; `None` when the connection breaks on it.
    fn arrival(&self, mut timeout: Duration) -> Option<Instant> {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = Instant::now() + self.quality.delay;
        for _ in 0..TRIES {
            if !dice.hits(self.quality.loss) {
                return Some(at);
            }
            self.lost.fetch_add(1, Ordering::Relaxed);
            at += timeout;
            timeout *= 2;
        }
        None
    }
}

fn listen(netns: &Path) -> anyhow::Result<TcpListener> {
    let netns = File::open(netns).with_context(|| format!("cannot open {}", netns.display()))?;
    // This thread, and those it starts, stay there.
    move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.ends.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(shared);
                thread::spawn(move || drop(connect(stream, &shared)));
            }
            Err(_) => let_pass(LOOK),
        }
    }
}

/// Opens the other half of a connection, and moves bytes both ways until one end has enough.
fn connect(near: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    near.set_nonblocking(false)?;
    // The packet there, and the one back.
    for _ in 0..2 {
        let Some(at) = shared.arrival(OPENING_TIMEOUT) else {
            return Ok(());
        };
        let_pass(at.saturating_duration_since(Instant::now()));
    }
    let far = TcpStream::connect_timeout(&shared.upstream, OPENING_TIMEOUT * 5)?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        shared.streams().push(stream.try_clone()?);
    }
    let back = (far.try_clone()?, near.try_clone()?);
    let there = {
        let shared = Arc::clone(shared);
        thread::spawn(move || carry(near, far, &shared))
    };
    carry(back.0, back.1, shared);
    // One that panicked has said so.
    let _ = there.join();
    Ok(())
}

/// Moves bytes one way; at its end both ends are closed.
fn carry(mut from: TcpStream, to: TcpStream, shared: &Shared) {
    let (segments, waiting): (Sender<(Instant, Vec<u8>)>, _) = channel();
    let both = [from.try_clone(), to.try_clone()];
    let writer = thread::spawn(move || deliver(&waiting, to));
    let mut behind = Instant::now();
    let mut buffer = [0; SEGMENT];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let Some(at) = shared.arrival((shared.quality.delay * 2).max(TIMEOUT_MIN)) else {
            break;
        };
        // Nothing overtakes what was sent before.
        behind = behind.max(at);
        if segments.send((behind, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
    drop(segments);
    let _ = writer.join();
    for stream in both.into_iter().flatten() {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn deliver(waiting: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (at, bytes) in waiting {
        let_pass(at.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}
