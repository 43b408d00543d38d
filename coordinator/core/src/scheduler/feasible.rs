//! Whether a node qualifies for a group at all: everything that does not depend on what else runs there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::interpolate::resolve_target;
use holdfast_shared::model::{Constraint, Drivers, Job, Node, TaskGroup, Volume};

use super::constraint::Matcher;
use super::devices::{self, DeviceAsk, TakenDevices};

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
/// The first thing that speaks against it, as people read it.
pub(crate) fn qualifies(job: &Job, group: &TaskGroup, node: &Node) -> Result<(), String> {
    if !is_in_reach(job, node) {
        return Err("datacenter or node pool".into());
    }
    let requirements = Requirements::new(job, group);
    match requirements.unmet(node) {
        None => Ok(()),
        Some(at) => Err(requirements.text(at).to_string()),
    }
}

/// Everything that a group requires of a node in itself, understood once for all nodes.
#[derive(Debug)]
pub(crate) struct Requirements<'a> {
    list: Vec<(Requirement<'a>, Arc<str>)>,
}

#[derive(Debug)]
enum Requirement<'a> {
    Constraint(Check<'a>),
    Driver(&'a str),
    Devices(Vec<DeviceAsk<'a>>),
    HostNetwork(&'a str),
    Volume(&'a Volume),
}

impl<'a> Requirements<'a> {
    /// What `group` of `job` requires, in the order in which it is looked at.
    pub(crate) fn new(job: &'a Job, group: &'a TaskGroup) -> Self {
        let mut list = Vec::new();
        let mut seen = BTreeSet::new();
        let mut constraint = |it: &'a Constraint| {
            // Who has passed it once passes it again.
            let first = seen.insert((&it.left, &it.operand, &it.right));
            (first && !is_distinct(it)).then(|| {
                let check = Check::new(&it.left, &it.operand, &it.right);
                (Requirement::Constraint(check), describe(it).into())
            })
        };
        list.extend(job.constraints.iter().flatten().filter_map(&mut constraint));
        let missing: Arc<str> = "missing drivers".into();
        let drivers = group.tasks().iter().map(|task| Requirement::Driver(&task.driver));
        list.extend(drivers.map(|it| (it, Arc::clone(&missing))));
        list.extend(group.constraints.iter().flatten().filter_map(&mut constraint));
        let of_tasks = group
            .tasks()
            .iter()
            .flat_map(|task| task.constraints.iter().flatten());
        list.extend(of_tasks.filter_map(&mut constraint));
        let asks = devices::asks(group);
        if !asks.is_empty() {
            list.push((Requirement::Devices(asks), "missing devices".into()));
        }
        let ports = group
            .networks()
            .iter()
            .flat_map(|network| network.reserved_ports().iter().chain(network.dynamic_ports()));
        for port in ports.filter(|port| !matches!(port.host_network.as_str(), "" | "default")) {
            let name = port.host_network.as_str();
            let text = format!("missing host network {name:?} for port {:?}", port.label);
            list.push((Requirement::HostNetwork(name), text.into()));
        }
        let incompatible: Arc<str> = "missing compatible host volumes".into();
        let volumes = group.volumes.iter().flatten().map(|(_, volume)| volume);
        list.extend(volumes.map(|it| (Requirement::Volume(it), Arc::clone(&incompatible))));
        Self { list }
    }

    /// The first requirement that the node does not meet.
    pub(crate) fn unmet(&self, node: &Node) -> Option<usize> {
        (0..self.list.len()).find(|at| !self.is_met(*at, node))
    }

    /// Whether the node meets a requirement.
    pub(crate) fn is_met(&self, at: usize, node: &Node) -> bool {
        self.list[at].0.is_met_by(node)
    }

    /// Whether nodes with these drivers meet a requirement, when it is about nothing else.
    pub(crate) fn is_met_by_drivers(&self, at: usize, drivers: &Drivers) -> Option<bool> {
        match &self.list[at].0 {
            Requirement::Driver(name) => Some(works(drivers, name)),
            _ => None,
        }
    }

    /// The property that a requirement is about, when it is about nothing else.
    pub(crate) fn property(&self, at: usize) -> Option<&'a str> {
        match &self.list[at].0 {
            Requirement::Constraint(check) if check.matcher.is_some() => match check.left {
                Target::Text(_) | Target::NodeId => None,
                _ => Some(check.source),
            },
            _ => None,
        }
    }

    /// A requirement, as people read it.
    pub(crate) fn text(&self, at: usize) -> &Arc<str> {
        &self.list[at].1
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nodes of one computed class may differ in them.
    pub(crate) fn are_unique(&self) -> bool {
        self.list
            .iter()
            .any(|(it, _)| matches!(it, Requirement::Constraint(check) if check.is_unique()))
    }
}

fn works(drivers: &Drivers, name: &str) -> bool {
    drivers
        .get(name)
        .is_some_and(|driver| driver.detected && driver.healthy)
}

impl Requirement<'_> {
    fn is_met_by(&self, node: &Node) -> bool {
        let print = &node.fingerprint;
        match self {
            Self::Constraint(check) => check.holds(node),
            Self::Driver(name) => works(&print.drivers, name),
            Self::Devices(asks) => devices::assign(asks, node, &TakenDevices::new()).is_some(),
            Self::HostNetwork(name) => print.host_networks.contains_key(*name),
            Self::Volume(volume) => {
                let host = print.host_volumes.get(&volume.source);
                matches!(volume.kind.as_str(), "" | "host")
                    && host.is_some_and(|host| volume.read_only || !host.read_only)
            }
        }
    }
}

/// One comparison of a node's properties, understood once for all nodes.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    /// The left side as it is written.
    source: &'a str,
    left: Target<'a>,
    operand: &'a str,
    right: Target<'a>,
    /// When the right side is the same for every node.
    matcher: Option<Matcher<'a>>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(left: &'a str, operand: &'a str, right: &'a str) -> Self {
        let right = Target::new(right);
        let matcher = match right {
            Target::Text(text) => Some(Matcher::new(operand, Some(text))),
            _ => None,
        };
        Self {
            source: left,
            left: Target::new(left),
            operand,
            right,
            matcher,
        }
    }

    /// Whether it holds on the node, with both sides resolved there.
    pub(crate) fn holds(&self, node: &Node) -> bool {
        let left = self.left.on(node);
        match &self.matcher {
            Some(matcher) => matcher.matches(left.as_deref()),
            None => Matcher::new(self.operand, self.right.on(node).as_deref()).matches(left.as_deref()),
        }
    }

    /// Whether nodes of one computed class may differ in it.
    pub(crate) fn is_unique(&self) -> bool {
        self.left.is_unique() || self.right.is_unique()
    }
}

/// What a side of a comparison stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// The text itself.
    Text(&'a str),
    Attribute(&'a str),
    Meta(&'a str),
    NodeId,
    Class,
    /// Another reference.
    Property(&'a str),
}

impl<'a> Target<'a> {
    /// The target that a job writes so.
    pub(crate) fn new(text: &'a str) -> Self {
        let Some(inner) = text.strip_prefix("${") else {
            return Self::Text(text);
        };
        // The closing brace is optional; what text behind it means, nobody but the resolver has to know.
        let name = inner.strip_suffix('}').unwrap_or(inner);
        match name {
            _ if name.contains('}') => Self::Property(text),
            "node.unique.id" => Self::NodeId,
            "node.class" => Self::Class,
            _ => match (name.strip_prefix("attr."), name.strip_prefix("meta.")) {
                (Some(key), _) => Self::Attribute(key),
                (_, Some(key)) => Self::Meta(key),
                _ => Self::Property(text),
            },
        }
    }

    /// What it is on the node; `None` when the node lacks it.
    pub(crate) fn on<'n>(self, node: &'n Node) -> Option<Cow<'n, str>>
    where
        'a: 'n,
    {
        let print = &node.fingerprint;
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Attribute(key) => print.attributes.get(key).map(|text| text.as_str().into()),
            Self::Meta(key) => print.meta.get(key).map(|text| text.as_str().into()),
            Self::NodeId => Some(node.id.to_string().into()),
            // A class that nobody set is empty, not missing.
            Self::Class => Some(print.node_class.as_str().into()),
            Self::Property(target) => resolve_target(target, node).map(Cow::Borrowed),
        }
    }

    /// Whether it stands for something that is a node's own.
    fn is_unique(self) -> bool {
        match self {
            Self::Text(_) | Self::Class => false,
            Self::NodeId => true,
            Self::Attribute(key) | Self::Meta(key) => key.starts_with("unique."),
            Self::Property(target) => target.contains("unique."),
        }
    }
}

/// Whether a constraint is about other allocations, not about the node.
pub(crate) fn is_distinct(constraint: &Constraint) -> bool {
    matches!(
        constraint.operand.as_str(),
        "distinct_hosts" | "distinct_property"
    )
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
