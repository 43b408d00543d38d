//! The last retained message of each topic, bounded in number and bytes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::message::Message;
use crate::topic;

/// The retained messages, ordered by topic, so that one filter's messages can be walked in steps.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<Arc<str>, Arc<Message>>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

/// The store has no room for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Retained {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            bytes: 0,
            max_messages,
            max_bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps `message` as the one of its topic, or removes that when the payload is empty. A message without the
    /// retain flag changes nothing, whatever its payload.
    ///
    /// When there is no room, the topic's former message goes nevertheless: an old value is worse than none.
    pub(crate) fn store(&mut self, message: &Arc<Message>) -> Result<(), Full> {
        if !message.retain {
            return Ok(());
        }
        if let Some(former) = self.messages.remove(&message.topic) {
            self.bytes -= former.cost();
        }
        if message.payload.is_empty() {
            return Ok(());
        }
        if self.messages.len() >= self.max_messages || self.bytes + message.cost() > self.max_bytes {
            return Err(Full);
        }
        self.bytes += message.cost();
        self.messages
            .insert(Arc::clone(&message.topic), Arc::clone(message));
        Ok(())
    }

    /// The first message that `filter` selects with a topic after `after`, or from the start.
    pub(crate) fn next(&self, filter: &str, after: Option<&str>) -> Option<&Arc<Message>> {
        let prefix = topic::literal_prefix(filter);
        if prefix == filter {
            return if after.is_none() {
                self.messages.get(filter)
            } else {
                None
            };
        }
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        self.messages
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .find(|(name, _)| topic::matches(filter, name))
            .map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Qos;

    fn message(topic: &str, payload: &'static str, retain: bool) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: Bytes::from(payload),
            qos: Qos::AtMostOnce,
            retain,
        })
    }

    fn walk(retained: &Retained, filter: &str) -> Vec<String> {
        let mut topics: Vec<String> = Vec::new();
        while let Some(message) = retained.next(filter, topics.last().map(String::as_str)) {
            topics.push(message.topic.to_string());
        }
        topics
    }

    #[test]
    fn a_filter_walks_exactly_its_topics_in_order() {
        let mut retained = Retained::new(10, 10_000);
        for topic in ["b/x", "a", "a/x", "a/y/z", "ab", "c"] {
            retained.store(&message(topic, "1", true)).unwrap();
        }
        for (filter, expected) in [
            ("a", vec!["a"]),
            ("a/#", vec!["a", "a/x", "a/y/z"]),
            ("a/+", vec!["a/x"]),
            ("+/x", vec!["a/x", "b/x"]),
            ("#", vec!["a", "a/x", "a/y/z", "ab", "b/x", "c"]),
            ("d/#", vec![]),
        ] {
            assert_eq!(walk(&retained, filter), expected, "{filter}");
        }
    }

    #[test]
    fn only_an_empty_message_with_the_retain_flag_removes() {
        let mut retained = Retained::new(10, 10_000);
        for (change, expected) in [
            (message("a", "1", true), Some("1")),
            (message("a", "2", true), Some("2")),
            (message("a", "3", false), Some("2")),
            (message("a", "", false), Some("2")),
            (message("a", "", true), None),
        ] {
            retained.store(&change).unwrap();
            assert_eq!(
                retained.next("a", None).map(|m| &m.payload[..]),
                expected.map(str::as_bytes)
            );
        }
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }

    #[test]
    fn a_full_store_refuses_new_topics_and_forgets_rather_than_keeps_an_old_value() {
        let mut retained = Retained::new(2, 200);
        retained.store(&message("a", "1", true)).unwrap();
        retained.store(&message("b", "1", true)).unwrap();
        assert_eq!(retained.store(&message("c", "1", true)), Err(Full));
        let large = Arc::new(Message {
            topic: "a".into(),
            payload: Bytes::from(vec![0; 500]),
            qos: Qos::AtMostOnce,
            retain: true,
        });
        assert_eq!(retained.store(&large), Err(Full));
        assert!(retained.next("a", None).is_none());
        retained.store(&message("c", "1", true)).unwrap();
    }
}
