//! Who subscribed to what: a tree by topic level, so that a message finds its subscribers without asking all of them.
//!
//! Knows client ids only, neither permissions nor whether a client is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::message::Qos;

/// All subscriptions of all sessions. Filters must be well-formed; their depth bounds the recursion.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    root: Level,
}

/// One level: what continues below it, and who subscribed to a filter that ends here. `+` and `#` are ordinary keys.
#[derive(Debug, Default)]
struct Level {
    below: BTreeMap<Box<str>, Self>,
    subscribers: Vec<(Arc<str>, Qos)>,
}

impl Subscriptions {
    /// Adds a subscription, or changes its quality of service.
    pub(crate) fn insert(&mut self, filter: &str, client: &Arc<str>, qos: Qos) {
        let mut level = &mut self.root;
        for name in filter.split('/') {
            level = level.below.entry(name.into()).or_default();
        }
        match level
            .subscribers
            .iter_mut()
            .find(|(subscriber, _)| subscriber == client)
        {
            Some((_, granted)) => *granted = qos,
            None => level.subscribers.push((Arc::clone(client), qos)),
        }
    }

    /// Removes a subscription if there is one, and the levels that nobody needs any more.
    pub(crate) fn remove(&mut self, filter: &str, client: &str) {
        self.root.remove(filter.split('/'), client);
    }

    /// Every subscriber of a topic once, with the best quality of service that it asked for.
    pub(crate) fn of(&self, topic: &str) -> BTreeMap<Arc<str>, Qos> {
        let mut found = BTreeMap::new();
        self.root.collect(topic.split('/'), &mut found);
        found
    }
}

impl Level {
    fn remove<'a>(&mut self, mut filter: impl Iterator<Item = &'a str>, client: &str) {
        let Some(name) = filter.next() else {
            self.subscribers.retain(|(subscriber, _)| &**subscriber != client);
            return;
        };
        if let Some(level) = self.below.get_mut(name) {
            level.remove(filter, client);
            if level.below.is_empty() && level.subscribers.is_empty() {
                self.below.remove(name);
            }
        }
    }

    fn collect<'a>(
        &self,
        mut topic: impl Iterator<Item = &'a str> + Clone,
        found: &mut BTreeMap<Arc<str>, Qos>,
    ) {
        // `a/#` selects `a` itself and everything below it.
        if let Some(rest) = self.below.get("#") {
            rest.add_to(found);
        }
        let Some(name) = topic.next() else {
            self.add_to(found);
            return;
        };
        for key in [name, "+"] {
            if let Some(level) = self.below.get(key) {
                level.collect(topic.clone(), found);
            }
        }
    }

    fn add_to(&self, found: &mut BTreeMap<Arc<str>, Qos>) {
        for (subscriber, qos) in &self.subscribers {
            let best = found.entry(Arc::clone(subscriber)).or_insert(*qos);
            *best = (*best).max(*qos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic;

    #[test]
    fn the_tree_agrees_with_matching_filter_by_filter() {
        let filters = [
            "a", "a/b", "a/+", "a/#", "#", "+/b", "+", "/", "a/b/c", "+/+/c", "a//c", "b/#", "ü/+",
        ];
        let topics = [
            "a", "a/b", "a/b/c", "b", "b/", "/", "a//c", "c/b", "ü/x", "x/y/z/c",
        ];
        let mut subscriptions = Subscriptions::default();
        for filter in filters {
            subscriptions.insert(filter, &Arc::from(filter), Qos::AtMostOnce);
        }
        for name in topics {
            let found: Vec<_> = subscriptions.of(name).into_keys().collect();
            let mut expected: Vec<Arc<str>> = filters
                .iter()
                .filter(|filter| topic::matches(filter, name))
                .map(|filter| Arc::from(*filter))
                .collect();
            expected.sort();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn overlapping_subscriptions_deliver_once_with_the_best_quality() {
        let (mut subscriptions, client) = (Subscriptions::default(), Arc::from("c"));
        subscriptions.insert("a/+", &client, Qos::AtMostOnce);
        subscriptions.insert("a/#", &client, Qos::AtLeastOnce);
        assert_eq!(
            subscriptions.of("a/b"),
            BTreeMap::from([(client, Qos::AtLeastOnce)])
        );
    }

    #[test]
    fn removing_the_last_subscription_leaves_nothing_behind() {
        let (mut subscriptions, client) = (Subscriptions::default(), Arc::from("c"));
        for filter in ["a/b/c", "a/+", "#"] {
            subscriptions.insert(filter, &client, Qos::AtMostOnce);
        }
        for filter in ["a/b/c", "never/there", "a/+", "#"] {
            subscriptions.remove(filter, "c");
        }
        assert!(subscriptions.root.below.is_empty());
    }
}
