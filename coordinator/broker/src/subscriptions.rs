//! Who subscribed to what: filters without wildcards by their text, the others in a tree by topic level, so that a
//! message finds its subscribers without asking all of them. A fleet's filters are nearly all of the first kind.
//!
//! Knows client ids only, neither permissions nor whether a client is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::message::Qos;

/// All subscriptions of all sessions. Filters must be well-formed; their depth bounds the recursion.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    exact: BTreeMap<Arc<str>, Subscribers>,
    root: Level,
}

/// Who subscribed to one filter.
type Subscribers = Vec<(Arc<str>, Qos)>;

/// One level: what continues below it, and who subscribed to a filter that ends here. `+` and `#` are ordinary keys.
#[derive(Debug, Default)]
struct Level {
    below: BTreeMap<Box<str>, Self>,
    subscribers: Subscribers,
}

impl Subscriptions {
    /// Adds a subscription, or changes its quality of service.
    pub(crate) fn insert(&mut self, filter: &Arc<str>, client: &Arc<str>, qos: Qos) {
        let subscribers = if is_exact(filter) {
            self.exact.entry(Arc::clone(filter)).or_default()
        } else {
            let mut level = &mut self.root;
            for name in filter.split('/') {
                level = level.below.entry(name.into()).or_default();
            }
            &mut level.subscribers
        };
        match subscribers
            .iter_mut()
            .find(|(subscriber, _)| subscriber == client)
        {
            Some((_, granted)) => *granted = qos,
            None => {
                if subscribers.is_empty() {
                    // Most filters have one subscriber, for ever.
                    subscribers.reserve_exact(1);
                }
                subscribers.push((Arc::clone(client), qos));
            }
        }
    }

    /// Removes a subscription if there is one, and what nobody needs any more.
    pub(crate) fn remove(&mut self, filter: &str, client: &str) {
        if !is_exact(filter) {
            return self.root.remove(filter.split('/'), client);
        }
        if let Some(subscribers) = self.exact.get_mut(filter) {
            subscribers.retain(|(subscriber, _)| &**subscriber != client);
            if subscribers.is_empty() {
                self.exact.remove(filter);
            }
        }
    }

    /// Every subscriber of a topic once, with the best quality of service that it asked for.
    pub(crate) fn of(&self, topic: &str) -> BTreeMap<Arc<str>, Qos> {
        let mut found = BTreeMap::new();
        if let Some(subscribers) = self.exact.get(topic) {
            add_to(subscribers, &mut found);
        }
        self.root.collect(topic.split('/'), &mut found);
        found
    }
}

/// Whether a filter selects one topic only.
fn is_exact(filter: &str) -> bool {
    !filter.contains(['+', '#'])
}

fn add_to(subscribers: &Subscribers, found: &mut BTreeMap<Arc<str>, Qos>) {
    for (subscriber, qos) in subscribers {
        let best = found.entry(Arc::clone(subscriber)).or_insert(*qos);
        *best = (*best).max(*qos);
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
            add_to(&rest.subscribers, found);
        }
        let Some(name) = topic.next() else {
            add_to(&self.subscribers, found);
            return;
        };
        for key in [name, "+"] {
            if let Some(level) = self.below.get(key) {
                level.collect(topic.clone(), found);
            }
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
            subscriptions.insert(&Arc::from(filter), &Arc::from(filter), Qos::AtMostOnce);
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
        subscriptions.insert(&"a/+".into(), &client, Qos::AtMostOnce);
        subscriptions.insert(&"a/#".into(), &client, Qos::AtLeastOnce);
        assert_eq!(
            subscriptions.of("a/b"),
            BTreeMap::from([(client, Qos::AtLeastOnce)])
        );
    }

    #[test]
    fn removing_the_last_subscription_leaves_nothing_behind() {
        let (mut subscriptions, client) = (Subscriptions::default(), Arc::from("c"));
        for filter in ["a/b/c", "a/+", "#"] {
            subscriptions.insert(&filter.into(), &client, Qos::AtMostOnce);
        }
        for filter in ["a/b/c", "never/there", "a/+", "#"] {
            subscriptions.remove(filter, "c");
        }
        assert!(subscriptions.root.below.is_empty() && subscriptions.exact.is_empty());
    }
}
