//! Ten thousand connections at once, from several addresses, with a limit on each and on all.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, its helpers included"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_broker::{Broker, BrokerConfig, Connect, Gate, Inbound, Permissions, Refusal, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that each address may have.
const PER_ADDRESS: usize = 1500;
/// Connections that one greedy address tries to have.
const GREEDY: usize = 4000;
/// Connections of each of four others.
const OTHERS: usize = 1500;
/// Open files: both ends of every connection are in this process, except the broker's of those that it refuses.
const FILES: u64 = 19_000;

struct Everybody;

impl Gate for Everybody {
    fn authenticate(&self, _: &Connect<'_>) -> Result<Session, Refusal> {
        Ok(Session::new(Self))
    }
}

impl Permissions for Everybody {
    fn may_publish(&self, _: &str) -> bool {
        true
    }
    fn may_subscribe(&self, _: &str) -> bool {
        true
    }
    fn is_for_coordinator(&self, _: &str) -> bool {
        true
    }
}

fn allow_files() {
    let wanted = Rlimit {
        current: Some(FILES),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, wanted)
        .expect("the hard limit on open files (ulimit -Hn) is 19,000 at least");
}

/// What became of an attempt to connect.
enum Outcome {
    In(TcpStream),
    Refused(u8),
    Closed,
}

/// Connects from `source` with a CONNECT of `id`.
async fn attempt(broker: SocketAddr, source: Ipv4Addr, id: &str) -> Outcome {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    let mut stream = socket.connect(broker).await.unwrap();
    let id_length = u8::try_from(id.len()).unwrap();
    let head = [
        0x10,
        12 + id_length,
        0,
        4,
        b'M',
        b'Q',
        b'T',
        b'T',
        4,
        2,
        0,
        60,
        0,
        id_length,
    ];
    let mut answer = [0; 4];
    let exchange = async {
        stream.write_all(&[&head, id.as_bytes()].concat()).await?;
        stream.read_exact(&mut answer).await
    };
    match timeout(PATIENCE, exchange).await.expect("an answer, or the end") {
        Ok(_) if answer == [0x20, 2, 0, 0] => Outcome::In(stream),
        Ok(_) => Outcome::Refused(answer[3]),
        Err(_) => Outcome::Closed,
    }
}

/// The outcomes of so many attempts at once from one address: streams that are in, refusals, and how many were closed.
async fn crowd(broker: SocketAddr, last: u8, count: usize) -> (Vec<TcpStream>, Vec<u8>, usize) {
    static CROWDS: AtomicUsize = AtomicUsize::new(0);
    let (source, number) = (
        Ipv4Addr::new(127, 0, 1, last),
        CROWDS.fetch_add(1, Ordering::Relaxed),
    );
    let mut attempts = JoinSet::new();
    for index in 0..count {
        attempts.spawn(async move { attempt(broker, source, &format!("c{number}-{index}")).await });
    }
    let (mut streams, mut refusals, mut closed) = (Vec::new(), Vec::new(), 0);
    while let Some(outcome) = attempts.join_next().await {
        match outcome.unwrap() {
            Outcome::In(stream) => streams.push(stream),
            Outcome::Refused(code) => refusals.push(code),
            Outcome::Closed => closed += 1,
        }
    }
    (streams, refusals, closed)
}

async fn ping(stream: &mut TcpStream) {
    let exchange = async {
        stream.write_all(&[0xc0, 0]).await?;
        stream.read_exact(&mut [0; 2]).await
    };
    timeout(PATIENCE, exchange).await.unwrap().unwrap();
}

#[tokio::test]
async fn ten_thousand_at_once_are_served_up_to_each_address_s_limit() {
    allow_files();
    let mut config = BrokerConfig::plain("127.0.0.1:0".parse().unwrap());
    config.limits.max_connections_per_address = PER_ADDRESS;
    let (broker, mut inbox) = Broker::start(config, Arc::new(Everybody)).unwrap();
    let address = broker.local_addr().unwrap();
    // How many have come, and how many are still there.
    let (counts, mut counted) = watch::channel((0_usize, 0_usize));
    tokio::spawn(async move {
        while let Some(event) = inbox.recv().await {
            counts.send_modify(|(arrived, here)| match event {
                Inbound::Connected { .. } => (*arrived, *here) = (*arrived + 1, *here + 1),
                Inbound::Disconnected { .. } => *here -= 1,
                Inbound::Message { .. } | Inbound::Alive { .. } => {}
            });
        }
    });

    let started = Instant::now();
    let (greedy, a, b, c, d) = tokio::join!(
        crowd(address, 1, GREEDY),
        crowd(address, 2, OTHERS),
        crowd(address, 3, OTHERS),
        crowd(address, 4, OTHERS),
        crowd(address, 5, OTHERS),
    );
    println!("10,000 attempts took {:.1?}", started.elapsed());
    for (streams, refusals, closed) in [&a, &b, &c, &d] {
        assert_eq!(
            (streams.len(), refusals.len(), *closed),
            (OTHERS, 0, 0),
            "nobody starves the others"
        );
    }
    let (mut streams, refusals, closed) = greedy;
    assert_eq!(streams.len(), PER_ADDRESS);
    assert_eq!(refusals.len() + closed, GREEDY - PER_ADDRESS);
    assert!(
        !refusals.is_empty() && refusals.iter().all(|code| *code == 3),
        "refused as unavailable"
    );
    assert_eq!(broker.stats().connected, PER_ADDRESS + 4 * OTHERS);
    println!("{} refused politely, {closed} closed", refusals.len());
    assert_eq!(broker.stats().refused_total, (GREEDY - PER_ADDRESS) as u64);
    for stream in &mut streams {
        ping(stream).await;
    }

    // Still full, and told so; then there is room again, exactly as much as was freed.
    let (none, refusals, _) = crowd(address, 1, 100).await;
    assert_eq!((none.len(), refusals), (0, vec![3; 100]));
    streams.truncate(PER_ADDRESS - 200);
    let all = PER_ADDRESS + 4 * OTHERS;
    reaches(&mut counted, (all, all - 200)).await;
    // The place is free a moment after the owner knows.
    let mut again = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while again.len() < 200 {
        assert!(
            Instant::now() < deadline,
            "only {} of 200 places are free again",
            again.len()
        );
        again.extend(crowd(address, 1, 250).await.0);
    }
    assert_eq!(again.len(), 200);
    reaches(&mut counted, (all + 200, all)).await;

    drop((streams, again, a, b, c, d));
    reaches(&mut counted, (all + 200, 0)).await;
    assert_eq!(broker.stats().connected, 0);
}

/// Waits until so many have come and so many are there.
async fn reaches(counted: &mut watch::Receiver<(usize, usize)>, expected: (usize, usize)) {
    let reached = timeout(PATIENCE, counted.wait_for(|counted| *counted == expected))
        .await
        .is_ok();
    assert!(reached, "{:?} instead of {expected:?}", *counted.borrow());
}
