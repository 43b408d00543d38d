//! Whether a node qualifies for a group at all: everything that does not depend on what else runs there.

use std::borrow::Cow;

use holdfast_shared::interpolate::resolve_target;
use holdfast_shared::model::{Constraint, Job, Node, TaskGroup};

use super::constraint;

/// Why a node does not qualify: the text that people read.
pub(crate) type Unfit = String;

/// Whether the job's datacenters and node pool include the node.
pub(crate) fn is_in_reach(job: &Job, node: &Node) -> bool {
    let datacenter = or_default(&node.fingerprint.datacenter, "dc1");
    is_in_pool(job, node) && job.datacenters().iter().any(|pattern| glob(pattern, datacenter))
}

/// Whether the job's node pool includes the node.
pub(crate) fn is_in_pool(job: &Job, node: &Node) -> bool {
    job.node_pool() == "all" || job.node_pool() == or_default(&node.fingerprint.node_pool, "default")
}

fn or_default<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

/// Whether the node qualifies for the group.
///
/// # Errors
/// The first thing that speaks against it.
pub(crate) fn qualifies(job: &Job, group: &TaskGroup, node: &Node) -> Result<(), Unfit> {
    if !is_in_reach(job, node) {
        return Err("datacenter or node pool".into());
    }
    for constraint in job.constraints.iter().flatten() {
        check(constraint, node)?;
    }
    for task in group.tasks() {
        let driver = node.fingerprint.drivers.get(&task.driver);
        if !driver.is_some_and(|driver| driver.detected && driver.healthy) {
            return Err("missing drivers".into());
        }
    }
    for constraint in group.constraints.iter().flatten() {
        check(constraint, node)?;
    }
    for constraint in group
        .tasks()
        .iter()
        .flat_map(|task| task.constraints.iter().flatten())
    {
        check(constraint, node)?;
    }
    check_networks(group, node)?;
    check_volumes(group, node)
}

/// Whether a constraint is about other allocations, not about the node.
pub(crate) fn is_distinct(constraint: &Constraint) -> bool {
    matches!(
        constraint.operand.as_str(),
        "distinct_hosts" | "distinct_property"
    )
}

fn check(constraint: &Constraint, node: &Node) -> Result<(), Unfit> {
    if is_distinct(constraint) {
        return Ok(());
    }
    if holds(&constraint.left, &constraint.operand, &constraint.right, node) {
        Ok(())
    } else {
        Err(describe(constraint))
    }
}

/// Whether `left operand right` holds on the node, with both sides resolved there.
pub(crate) fn holds(left: &str, operand: &str, right: &str, node: &Node) -> bool {
    constraint::holds(
        operand,
        resolve(left, node).as_deref(),
        resolve(right, node).as_deref(),
    )
}

/// What a target stands for on the node: the text itself when it is no reference, `None` when the node lacks it.
pub(crate) fn resolve<'a>(target: &'a str, node: &'a Node) -> Option<Cow<'a, str>> {
    match target.trim_start_matches("${").trim_end_matches('}') {
        _ if !target.starts_with("${") => Some(target.into()),
        "node.unique.id" => Some(node.id.to_string().into()),
        // A class that nobody set is empty, not missing.
        "node.class" => Some(node.fingerprint.node_class.as_str().into()),
        _ => resolve_target(target, node).map(Cow::Borrowed),
    }
}

/// A constraint as people read it.
pub(crate) fn describe(constraint: &Constraint) -> String {
    let operand = if constraint.operand.is_empty() {
        "="
    } else {
        &constraint.operand
    };
    format!("{} {operand} {}", constraint.left, constraint.right)
        .trim()
        .to_owned()
}

fn check_networks(group: &TaskGroup, node: &Node) -> Result<(), Unfit> {
    for network in group.networks() {
        for port in network.reserved_ports().iter().chain(network.dynamic_ports()) {
            let name = port.host_network.as_str();
            if !matches!(name, "" | "default") && !node.fingerprint.host_networks.contains_key(name) {
                return Err(format!("missing host network {name:?} for port {:?}", port.label));
            }
        }
    }
    Ok(())
}

fn check_volumes(group: &TaskGroup, node: &Node) -> Result<(), Unfit> {
    for volume in group.volumes.iter().flatten().map(|(_, volume)| volume) {
        let fits = match volume.kind.as_str() {
            "" | "host" => node
                .fingerprint
                .host_volumes
                .get(&volume.source)
                .is_some_and(|host| volume.read_only || !host.read_only),
            _ => false,
        };
        if !fits {
            return Err("missing compatible host volumes".into());
        }
    }
    Ok(())
}

/// Whether `text` matches `pattern`, in which every `*` stands for any text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, matches) in [
            ("*", "dc1", true),
            ("dc*", "dc1", true),
            ("*1", "dc1", true),
            ("d*1", "dc1", true),
            ("d*c*1", "dc1", true),
            ("dc", "dc1", false),
            ("x*", "dc1", false),
            ("*dc1x", "dc1", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
