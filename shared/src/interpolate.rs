//! `${…}` in strings: runtime references that are resolved on a node or in a task.
//!
//! Two kinds of reader exist. The scheduler resolves a *target*, which must be one whole reference
//! ([`resolve_target`], `scheduling-semantics.md` 2.6). Tasks and services get *texts* in which any number of references
//! are replaced ([`replace`]).

use std::borrow::Cow;

use crate::model::Node;

/// What a target resolves to on `node`: the text itself when it is no reference, `None` when the node lacks it.
pub fn resolve_target<'a>(target: &'a str, node: &'a Node) -> Option<&'a str> {
    let Some(inner) = target.strip_prefix("${") else {
        return Some(target);
    };
    // The closing brace is optional; text behind it makes the target unresolvable.
    let name = match inner.find('}') {
        Some(at) if at + 1 == inner.len() => &inner[..at],
        Some(_) => return None,
        None => inner,
    };
    node_property(name, node)
        .filter(|text| !text.is_empty() || name.starts_with("attr.") || name.starts_with("meta."))
}

/// A property of a node by its name without `${}`: `attr.kernel.name`, `meta.rack`, `node.class`, …
///
/// `node.unique.id` is not among them, as it is no text of the node; callers that need it look at the id.
pub fn node_property<'a>(name: &str, node: &'a Node) -> Option<&'a str> {
    let print = &node.fingerprint;
    match name {
        "node.unique.name" => Some(&print.name),
        "node.datacenter" => Some(&print.datacenter),
        "node.class" => Some(&print.node_class),
        "node.pool" => Some(&print.node_pool),
        _ => {
            if let Some(key) = name.strip_prefix("attr.") {
                print.attributes.get(key).map(String::as_str)
            } else if let Some(key) = name.strip_prefix("meta.") {
                print.meta.get(key).map(String::as_str)
            } else {
                None
            }
        }
    }
}

/// `text` with every `${name}` replaced by what `lookup` knows; an unknown name stays as it is written.
pub fn replace<'a>(text: &'a str, mut lookup: impl FnMut(&str) -> Option<String>) -> Cow<'a, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}').map(|end| at + end) else {
            break;
        };
        let name = rest[at + 2..end].trim();
        match lookup(name) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=end]),
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_replaced_and_unknown_ones_stay() {
        let lookup = |name: &str| (name == "NOMAD_PORT_http").then(|| "8080".to_owned());
        for (text, expected) in [
            ("plain", "plain"),
            (":${NOMAD_PORT_http}", ":8080"),
            ("${NOMAD_PORT_http}${x}!", "8080${x}!"),
            ("${open", "${open"),
        ] {
            assert_eq!(replace(text, lookup), expected, "{text}");
        }
    }
}
