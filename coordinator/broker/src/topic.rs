//! What a well-formed topic and filter are, and when they match. Knows nothing of who may use which.

/// Longest topic or filter accepted, in bytes.
pub(crate) const MAX_TOPIC_BYTES: usize = 1024;
/// Most levels of a topic or filter: bounds the recursion in the subscription tree.
pub(crate) const MAX_TOPIC_LEVELS: usize = 32;

/// Whether clients and the owner may publish to this: well-formed, without wildcard, outside the `$` namespace.
pub(crate) fn is_publishable(topic: &str) -> bool {
    is_well_formed(topic) && !topic.contains(['+', '#']) && !topic.starts_with('$')
}

/// Whether this is a filter in the sense of MQTT 3.1.1, 4.7. `$` filters are, although nobody may subscribe to one.
pub(crate) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    is_well_formed(filter)
        && std::iter::from_fn(|| levels.next().map(|level| (level, levels.peek().is_none()))).all(
            |(level, is_last)| match level {
                "+" => true,
                "#" => is_last,
                literal => !literal.contains(['+', '#']),
            },
        )
}

fn is_well_formed(topic: &str) -> bool {
    !topic.is_empty()
        && topic.len() <= MAX_TOPIC_BYTES
        && !topic.contains('\0')
        && topic.split('/').count() <= MAX_TOPIC_LEVELS
}

/// Whether `filter` selects `topic`. Both must be well-formed, and `topic` outside the `$` namespace.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// The part of a filter before its first wildcard: every topic that it selects starts with it, except that `a/#` also
/// selects `a`.
pub(crate) fn literal_prefix(filter: &str) -> &str {
    let end = filter.find(['+', '#']).unwrap_or(filter.len());
    let prefix = &filter[..end];
    if filter[end..].starts_with('#') {
        prefix.strip_suffix('/').unwrap_or(prefix)
    } else {
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_as_the_specification_says() {
        for good in [
            "a", "/", "a//b", "+", "#", "a/+/b", "a/#", "+/+/#", "/+", "ü/+", "$SYS/#",
        ] {
            assert!(is_filter(good), "{good}");
        }
        for bad in [
            "",
            "a#",
            "a/#/b",
            "#/a",
            "a+",
            "+a/b",
            "a/b+",
            "a\0b",
            &"x".repeat(1025),
            &"/".repeat(32),
        ] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn topics_to_publish_to_have_no_wildcard_and_no_dollar() {
        for good in ["a", "a/b", "/", "übung/1", "a$/b"] {
            assert!(is_publishable(good), "{good}");
        }
        for bad in ["", "a/+", "#", "$SYS/x", "$share/g/t", "a\0"] {
            assert!(!is_publishable(bad), "{bad}");
        }
    }

    #[test]
    fn matching_follows_the_examples_of_the_specification() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("/+", "/a", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
            if expected {
                assert!(topic.starts_with(literal_prefix(filter)), "{filter} {topic}");
            }
        }
    }
}
