//! Agents, by MQTT: bytes of the wire to inputs of the core, effects of the core to bytes of the wire.
//!
//! Two ways lead there: the broker inside this process ([`embedded`]), with [`gate`] at its door, or one that runs
//! elsewhere ([`external`]). Neither is trusted to keep anything: what gets lost is said again.

pub mod embedded;
pub mod external;
pub mod gate;
mod noise;
pub mod url;

use std::sync::Arc;

use holdfast_coordinator_core::Input;
use holdfast_shared::topics::Topic;
use holdfast_shared::wire;
use tracing::warn;

use crate::error::chain;
use crate::metrics::Metrics;
use noise::Noise;

/// Turns what agents publish into inputs, and counts what makes no sense.
pub struct Translator {
    metrics: Arc<Metrics>,
    malformed: Noise,
}

impl Translator {
    /// A translator that counts in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            malformed: Noise::default(),
        }
    }

    /// The input that a message on `topic` is; `None`, with a warning, when it is none.
    pub fn input(&self, topic: &str, payload: &[u8]) -> Option<Input> {
        Metrics::count(&self.metrics.mqtt_received);
        let topic = match Topic::parse(topic) {
            Ok(topic) => topic,
            Err(error) => return self.ignore(topic, &error.to_string()),
        };
        let node = topic.node();
        let input = match topic {
            Topic::Report(_) => wire::decode(payload).map(|message| Input::Agent(node, message)),
            Topic::Presence(_) => wire::decode(payload).map(|message| Input::Presence(node, message)),
            Topic::Assignments(_) => return self.ignore(&topic.to_string(), "agents do not write here"),
        };
        match input {
            Ok(input) => Some(input),
            Err(error) => self.ignore(&topic.to_string(), &chain(&error)),
        }
    }

    fn ignore(&self, topic: &str, reason: &str) -> Option<Input> {
        Metrics::count(&self.metrics.mqtt_malformed);
        if let Some(count) = self.malformed.notable(topic) {
            let node = Topic::parse(topic)
                .map(|topic| topic.node().to_string())
                .unwrap_or_default();
            warn!(node, topic, reason, count, "message ignored");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use holdfast_shared::id::{IdGenerator, NodeId};
    use holdfast_shared::wire::Presence;

    use super::*;

    #[test]
    fn what_makes_no_sense_is_counted_and_ignored() {
        let metrics = Arc::new(Metrics::new());
        let translator = Translator::new(Arc::clone(&metrics));
        let node = NodeId::generate(&mut IdGenerator::from_seed(1));
        let (report, presence) = (Topic::Report(node).to_string(), Topic::Presence(node).to_string());
        let online = Presence {
            session: 1,
            online: true,
        };
        assert_eq!(
            translator.input(&presence, &wire::encode(&online)),
            Some(Input::Presence(node, online))
        );
        let assignments = Topic::Assignments(node).to_string();
        for (topic, payload) in [
            (report.as_str(), b"".as_slice()),
            (&report, b"\x01\xff\xff"),
            (&report, b"\x63whatever"),
            (&presence, b"\x01"),
            (&assignments, b"\x01"),
            ("living/room/lamp", b"on"),
        ] {
            assert_eq!(translator.input(topic, payload), None, "{topic}");
        }
        assert_eq!(metrics.mqtt_malformed.load(Ordering::Relaxed), 6);
    }
}
