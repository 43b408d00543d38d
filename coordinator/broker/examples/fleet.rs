//! Measures the broker with a fleet on the loopback address: `cargo run -p holdfast-broker --example fleet -- 9000`.
//!
//! Prints the time until all clients are in and subscribed, the broker's memory per idle client (the clients' share of
//! the process is a few bytes each), and how many QoS 1 messages per second reach the owner.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use holdfast_broker::{Broker, BrokerConfig, Connect, Gate, Inbound, Permissions, Qos, Refusal, Session};

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
    fn is_for_coordinator(&self, topic: &str) -> bool {
        topic.starts_with("in/")
    }
}

const MESSAGES_PER_CLIENT: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    let (started, address) = mpsc::channel();
    let (inbox_seen, received) = mpsc::channel();
    std::thread::spawn(move || serve(&started, &inbox_seen));
    let (broker, address): (Arc<Broker>, SocketAddr) = address.recv()?;

    let before = resident_kb()?;
    let start = Instant::now();
    let mut clients = (0..count)
        .map(|index| enter(address, index))
        .collect::<Result<Vec<_>, _>>()?;
    println!("{count} clients in and subscribed after {:.2?}", start.elapsed());
    let per_client = (resident_kb()? - before) as f64 / count as f64;
    println!("{per_client:.1} KB per idle client");

    let start = Instant::now();
    for client in &mut clients {
        let burst: Vec<u8> = (1..=MESSAGES_PER_CLIENT)
            .flat_map(|id| report(id as u8))
            .collect();
        client.write_all(&burst)?;
    }
    for client in &mut clients {
        client.read_exact(&mut [0; 4 * MESSAGES_PER_CLIENT])?;
    }
    let total = count * MESSAGES_PER_CLIENT;
    let rate = total as f64 / start.elapsed().as_secs_f64();
    println!(
        "{total} messages of 200 bytes acknowledged, {rate:.0} per second; in the inbox {}",
        received.try_iter().count()
    );

    let start = Instant::now();
    for index in 0..count {
        broker.publish(&format!("n/{index}/set"), vec![0; 200], false, Qos::AtLeastOnce)?;
    }
    for client in &mut clients {
        client.read_exact(&mut [0; 3])?;
    }
    println!(
        "one message to each client after {:.2?}; {:?}",
        start.elapsed(),
        broker.stats()
    );
    println!("{} MB resident in the end", resident_kb()? / 1024);
    Ok(())
}

fn serve(started: &mpsc::Sender<(Arc<Broker>, SocketAddr)>, seen: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("no runtime");
    runtime.block_on(async {
        let config = BrokerConfig::plain(SocketAddr::from(([127, 0, 0, 1], 0)));
        let (broker, mut inbox) = Broker::start(config, Arc::new(Everybody)).expect("no broker");
        let address = broker.local_addr().expect("a plain listener is configured");
        started.send((Arc::new(broker), address)).expect("main is gone");
        while let Some(event) = inbox.recv().await {
            if matches!(event, Inbound::Message { .. }) && seen.send(()).is_err() {
                return;
            }
        }
    });
}

fn enter(address: SocketAddr, index: usize) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    let id = format!("{index:05}");
    let filter = format!("n/{index}/#");
    let mut packets = vec![0x10, 17, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 5];
    packets.extend(id.as_bytes());
    packets.extend([0x82, filter.len() as u8 + 5, 0, 1, 0, filter.len() as u8]);
    packets.extend(filter.as_bytes());
    packets.push(1);
    stream.write_all(&packets)?;
    stream.read_exact(&mut [0; 4 + 5])?;
    Ok(stream)
}

fn report(packet_id: u8) -> Vec<u8> {
    let mut packet = vec![0x32, 208, 1, 0, 4];
    packet.extend(b"in/x");
    packet.extend([0, packet_id]);
    packet.extend([0; 200]);
    packet
}

fn resident_kb() -> Result<usize, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no value")?.parse()?)
}
