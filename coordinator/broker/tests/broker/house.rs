//! A broker with a gate for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use holdfast_broker::{
    Broker, BrokerConfig, Connect, Ending, Gate, Inbound, Inbox, Permissions, Refusal, Session,
};

use crate::client::soon;

/// `admin` may do everything, `node` what is its own, `banned` nothing. Everybody's password is `secret`.
struct TestGate;

impl Gate for TestGate {
    fn authenticate(&self, connect: &Connect<'_>) -> Result<Session, Refusal> {
        match (connect.username, connect.password) {
            (Some("banned"), _) => Err(Refusal::NotAuthorized),
            (Some("admin"), Some("secret")) => Ok(Session::new(Rules { own: None })),
            (Some("node"), Some("secret")) => Ok(Session::new(Rules {
                own: Some(format!("n/{}/", connect.client_id)),
            })),
            _ => Err(Refusal::BadCredentials),
        }
    }
}

struct Rules {
    own: Option<String>,
}

impl Permissions for Rules {
    fn may_publish(&self, topic: &str) -> bool {
        self.own
            .as_ref()
            .is_none_or(|own| topic.starts_with(own) || topic.starts_with("in/"))
    }

    fn may_subscribe(&self, filter: &str) -> bool {
        self.own.as_ref().is_none_or(|own| filter.starts_with(own))
    }

    fn is_for_coordinator(&self, topic: &str) -> bool {
        topic.starts_with("in/")
    }
}

pub(crate) struct House {
    pub(crate) broker: Broker,
    pub(crate) inbox: Inbox,
    pub(crate) address: SocketAddr,
}

/// A broker on a free port of the loopback address.
pub(crate) fn house() -> House {
    house_with(|_| {})
}

pub(crate) fn house_with(adjust: impl FnOnce(&mut BrokerConfig)) -> House {
    let mut config = BrokerConfig::plain("127.0.0.1:0".parse().unwrap());
    adjust(&mut config);
    let (broker, inbox) = Broker::start(config, Arc::new(TestGate)).unwrap();
    let address = broker.local_addr().or_else(|| broker.tls_addr()).unwrap();
    House {
        broker,
        inbox,
        address,
    }
}

/// An event of the inbox in few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    In(String),
    Says(String, String, String),
    Out(String, Ending),
}

impl Event {
    /// `None` for what is only a sign of life.
    fn of(inbound: Inbound) -> Option<Self> {
        Some(match inbound {
            Inbound::Connected { client_id, .. } => Self::In(client_id.to_string()),
            Inbound::Message {
                client_id,
                topic,
                payload,
            } => Self::Says(
                client_id.to_string(),
                topic.to_string(),
                String::from_utf8(payload.to_vec()).unwrap(),
            ),
            Inbound::Alive { .. } => return None,
            Inbound::Disconnected { client_id, reason } => Self::Out(client_id.to_string(), reason),
        })
    }
}

pub(crate) fn arrives(client: &str) -> Event {
    Event::In(client.into())
}

pub(crate) fn says(client: &str, topic: &str, payload: &str) -> Event {
    Event::Says(client.into(), topic.into(), payload.into())
}

pub(crate) fn leaves(client: &str, reason: Ending) -> Event {
    Event::Out(client.into(), reason)
}

impl House {
    /// The next event that is more than a sign of life.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            let inbound = soon(self.inbox.recv()).await.expect("the broker is gone");
            if let Some(event) = Event::of(inbound) {
                return event;
            }
        }
    }

    /// The next event if there is one now.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        std::iter::from_fn(|| self.inbox.try_recv()).find_map(Event::of)
    }

    pub(crate) async fn expect(&mut self, events: impl IntoIterator<Item = Event>) {
        for expected in events {
            assert_eq!(self.event().await, expected);
        }
    }
}
