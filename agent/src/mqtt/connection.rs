//! One connection after the other: connect, subscribe, pass messages on, and after its end pause and connect again.

use std::time::Duration;

use holdfast_shared::topics::{self, Role, Topic};
use holdfast_shared::wire::{self, Presence, ToAgent};
use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, Outgoing, Publish, QoS, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connect::{Connector, explain};
use super::{FAREWELL, Line, MqttEvent, Url};
use crate::entropy;
use crate::identity::Sessions;

/// The first pause after a connection ended; it doubles with every failure.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest pause, unless the keep-alive is shorter: who wants to know quickly also wants to be back quickly.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause as long as contact was lost less than [`OUTAGE_SHARE`] of these ago.
const PAUSE_EARLY: Duration = Duration::from_secs(1);

/// No pause is longer than this share of the time without contact: who was away for minutes is back within seconds, and
/// who is away for days does not keep knocking.
const OUTAGE_SHARE: u32 = 150;

/// How long a broker may take to answer. Without this a dead link would show only with the second ping.
const ANSWER: Duration = Duration::from_secs(15);

/// As good as never.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// The first pause after another agent with the same identity turned out to be the node; it doubles each time.
const STAND_BACK_MIN: Duration = Duration::from_secs(30);

/// The longest such pause: the other one is disturbed no more often, and once it is gone this one is noticed.
const STAND_BACK_MAX: Duration = Duration::from_secs(600);

/// Why an agent stands back.
const TWIN: &str = "another agent with this node's identity has connected later and is the node now: if this one's data \
                    directory was copied, remove node.json, node.backup.json and state from one of the copies; tasks go on";

/// A connection that lasted this long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(10);

/// Runs until it is stopped.
pub(super) async fn run(
    connector: Connector,
    mut sessions: Sessions,
    line: Line,
    events: mpsc::Sender<MqttEvent>,
    mut stop: oneshot::Receiver<()>,
) {
    let (mut failures, mut displaced) = (0, 0);
    let mut reported = None;
    let mut lost = Instant::now();
    while let Some(url) = connector.url(failures) {
        let mut connection = Connection::new(&connector, url, sessions.advance(), &events, &line);
        let began = Instant::now();
        let end = tokio::select! {
            end = connection.live() => end,
            _ = &mut stop => {
                connection.farewell().await;
                return;
            }
        };
        line.hang_up();
        if connection.is_up && events.send(MqttEvent::Down).await.is_err() {
            return;
        }
        if connection.is_up {
            lost = Instant::now();
        }
        let good = connection.is_up && began.elapsed() >= GOOD;
        failures = if good { 0 } else { failures + 1 };
        let stands_back = connection.displaced_by.is_some_and(|it| !sessions.rise_above(it));
        let pause = if stands_back {
            displaced += 1;
            stand_back(displaced)
        } else {
            pause(failures, lost.elapsed(), connector.keep_alive())
        };
        if good && connection.displaced_by.is_none() {
            displaced = 0;
            sessions.settle();
        }
        // The same reason every few seconds for weeks would only wear the disk.
        if reported.as_ref() != Some(&end) || connection.is_up {
            tracing::warn!(coordinator = %url, error = end, "no contact with the coordinator");
            reported = Some(end);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut stop => return,
        }
    }
    tracing::warn!("no coordinator is configured; the agent runs what it has");
    let _ = stop.await;
}

/// How long to wait after so many failures and so long an outage: doubling, capped, and different on every box.
fn pause(failures: usize, outage: Duration, keep_alive: Duration) -> Duration {
    let doubled = PAUSE_MIN * (1 << failures.min(10));
    let longest = (outage / OUTAGE_SHARE).clamp(PAUSE_EARLY, PAUSE_MAX);
    jittered(doubled.min(longest).min(keep_alive.max(PAUSE_MIN)))
}

/// How long to leave the field to the other agent, which every attempt costs its connection.
fn stand_back(times: u32) -> Duration {
    let doubled = STAND_BACK_MIN * (1 << times.saturating_sub(1).min(10));
    jittered(doubled.min(STAND_BACK_MAX))
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + entropy::jitter() / 2.0)
}

struct Connection<'a> {
    connector: &'a Connector,
    url: &'a Url,
    session: u64,
    events: &'a mpsc::Sender<MqttEvent>,
    line: &'a Line,
    client: AsyncClient,
    network: EventLoop,
    is_up: bool,
    /// When the broker must have answered what it was last sent.
    answer_by: Option<Instant>,
    /// The session of another agent that is the node.
    displaced_by: Option<u64>,
    /// Messages that could not be understood.
    garbled: u64,
}

impl<'a> Connection<'a> {
    fn new(
        connector: &'a Connector,
        url: &'a Url,
        session: u64,
        events: &'a mpsc::Sender<MqttEvent>,
        line: &'a Line,
    ) -> Self {
        let (client, network) = connector.client(url, session);
        Self {
            connector,
            url,
            session,
            events,
            line,
            client,
            network,
            is_up: false,
            answer_by: None,
            displaced_by: None,
            garbled: 0,
        }
    }

    /// Lives until the connection ends; answers why it did.
    async fn live(&mut self) -> String {
        loop {
            let deadline = self.answer_by.unwrap_or_else(|| Instant::now() + FAR);
            let event = match tokio::time::timeout_at(deadline, self.network.poll()).await {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => return explain(&error),
                Err(_) => return "no answer in time".to_owned(),
            };
            match event {
                Event::Incoming(_) => self.answer_by = None,
                Event::Outgoing(Outgoing::PingReq | Outgoing::Publish(_)) => {
                    self.answer_by.get_or_insert_with(|| Instant::now() + ANSWER);
                }
                Event::Outgoing(_) => {}
            }
            let outcome = match event {
                Event::Incoming(Incoming::ConnAck(_)) => self.on_connected(),
                Event::Incoming(Incoming::SubAck(ack)) => self.on_subscribed(&ack.return_codes).await,
                Event::Incoming(Incoming::Publish(publish)) => self.on_publish(publish).await,
                Event::Incoming(Incoming::Disconnect) => Err("the broker ended the connection"),
                _ if self.is_up && !self.line.is_open() => Err("it was given up"),
                _ => Ok(()),
            };
            if let Err(reason) = outcome {
                return reason.to_owned();
            }
        }
    }

    fn on_connected(&self) -> Result<(), &'static str> {
        let filters = topics::subscriptions(Role::Node(self.connector.node()));
        let filters = filters.into_iter().map(|path| SubscribeFilter {
            path,
            qos: QoS::AtLeastOnce,
        });
        self.client
            .try_subscribe_many(filters)
            .map_err(|_| "the connection takes no subscription")
    }

    async fn on_subscribed(&mut self, codes: &[SubscribeReasonCode]) -> Result<(), &'static str> {
        if codes.contains(&SubscribeReasonCode::Failure) {
            return Err(
                "the broker refuses the subscription: its permissions must let a node read its own topics",
            );
        }
        self.say_online(true)
            .map_err(|()| "the connection takes no message")?;
        self.line.open(self.client.clone());
        self.is_up = true;
        tracing::info!(coordinator = %self.url, session = self.session, "contact with the coordinator");
        let up = MqttEvent::Up {
            session: self.session,
            coordinator: self.url.to_string(),
        };
        self.events.send(up).await.map_err(|_| "the agent ends")
    }

    async fn on_publish(&mut self, publish: Publish) -> Result<(), &'static str> {
        match wire::decode::<ToAgent>(&publish.payload) {
            // No report has this number.
            Ok(ToAgent::Ack { session, seq: 0 }) if session > self.session => {
                self.displaced_by = Some(session);
                Err(TWIN)
            }
            Ok(message) => {
                let message = MqttEvent::Message(Box::new(message));
                self.events.send(message).await.map_err(|_| "the agent ends")
            }
            Err(error) => {
                self.garbled += 1;
                // Whoever sends many must not fill the log.
                if self.garbled.is_power_of_two() {
                    let so_far = self.garbled;
                    tracing::warn!(topic = publish.topic, %error, so_far, "a message cannot be understood");
                }
                Ok(())
            }
        }
    }

    fn say_online(&self, online: bool) -> Result<(), ()> {
        let topic = Topic::Presence(self.connector.node()).to_string();
        let payload = wire::encode(&Presence {
            session: self.session,
            online,
        });
        self.client
            .try_publish(topic, QoS::AtLeastOnce, false, payload)
            .map_err(|_| ())
    }

    /// Says that the node goes, and disconnects so that no will is sent, within [`FAREWELL`].
    async fn farewell(&mut self) {
        if !self.is_up || self.say_online(false).is_err() || self.client.try_disconnect().is_err() {
            return;
        }
        let said = async {
            // Requests leave in order: once DISCONNECT is out, everything before it is.
            while let Ok(event) = self.network.poll().await {
                if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, said).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_outage_and_stay_a_small_part_of_it() {
        let keep_alive = Duration::from_secs(120);
        for (failures, outage_seconds, longest_ms) in [
            (0, 0, 250),
            (1, 1, 500),
            (9, 10, 1_000),
            (40, 150, 1_000),
            (400, 3_000, 20_000),
            (4_000, 3_000_000, 30_000),
        ] {
            let longest = Duration::from_millis(longest_ms);
            for _ in 0..50 {
                let pause = pause(failures, Duration::from_secs(outage_seconds), keep_alive);
                assert!(
                    pause <= longest && pause >= longest / 2,
                    "{failures}, {outage_seconds} s: {pause:?}"
                );
            }
        }
        assert!(pause(40, Duration::from_secs(3_000), Duration::from_secs(1)) <= Duration::from_secs(1));
    }
}
