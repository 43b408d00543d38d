//! Constraints that follow from what a group uses: the original adds them when a job is submitted, and shows them.

use std::collections::BTreeSet;

use holdfast_shared::model::{Constraint, Service, Task, TaskGroup};

/// CNI plugins without which there is no bridge network.
const BRIDGE_PLUGINS: &[&str] = &["bridge", "firewall", "host-local", "loopback", "portmap"];

/// What the group needs of its node and does not ask for itself.
pub(super) fn implied(group: &TaskGroup) -> Vec<Constraint> {
    let mut needs = Needs {
        group,
        found: Vec::new(),
    };
    let tasks = group.tasks();
    let services = || {
        group
            .services()
            .iter()
            .chain(tasks.iter().flat_map(Task::services))
    };
    let is_built_in = |it: &&Service| it.provider == "nomad";
    if tasks.iter().any(|it| it.vault.is_some()) {
        needs.unless_constrained("${attr.vault.version}", "semver", ">= 0.6.1");
    }
    let signals: BTreeSet<&str> = tasks
        .iter()
        .flat_map(signals)
        .filter(|it| !it.is_empty())
        .collect();
    if !signals.is_empty() {
        let signals: Vec<&str> = signals.into_iter().collect();
        needs.unless_equal("${attr.os.signals}", "set_contains", &signals.join(","));
    }
    if services().any(|it| is_built_in(&it)) {
        needs.unless_equal("${attr.nomad.service_discovery}", "=", "true");
    }
    if services().filter(is_built_in).any(|it| !it.checks().is_empty()) {
        needs.unless_equal("${attr.nomad.version}", "semver", ">= 1.4.0");
    }
    for cluster in services()
        .filter(|it| it.provider == "consul")
        .map(|it| it.cluster.as_str())
        .collect::<BTreeSet<_>>()
    {
        let attribute = match cluster {
            "" | "default" => "${attr.consul.version}".to_owned(),
            _ => format!("${{attr.consul.{cluster}.version}}"),
        };
        needs.unless_constrained(&attribute, "semver", ">= 1.8.0");
    }
    if group.networks().iter().any(|it| it.mode == "bridge") {
        for plugin in BRIDGE_PLUGINS {
            needs.unless_constrained(
                &format!("${{attr.plugins.cni.version.{plugin}}}"),
                "semver",
                ">= 0.4.0",
            );
        }
    }
    needs.found
}

/// Signals that the node must know to stop the task and to tell it of changes.
fn signals(task: &Task) -> impl Iterator<Item = &str> {
    let on_change = |mode: Option<&str>| mode == Some("signal");
    let templates = task
        .templates()
        .iter()
        .filter(move |it| on_change(it.change_mode.as_deref()));
    let vault = task
        .vault
        .as_ref()
        .filter(move |it| on_change(it["ChangeMode"].as_str()));
    templates
        .filter_map(|it| it.change_signal.as_deref())
        .chain(vault.and_then(|it| it["ChangeSignal"].as_str()))
        .chain([task.kill_signal.as_str()])
}

struct Needs<'a> {
    group: &'a TaskGroup,
    found: Vec<Constraint>,
}

impl Needs<'_> {
    fn own(&self) -> &[Constraint] {
        self.group.constraints.as_deref().unwrap_or_default()
    }

    fn unless_equal(&mut self, left: &str, operand: &str, right: &str) {
        let constraint = Constraint {
            left: left.into(),
            operand: operand.into(),
            right: right.into(),
        };
        if !self.own().contains(&constraint) {
            self.found.push(constraint);
        }
    }

    fn unless_constrained(&mut self, left: &str, operand: &str, right: &str) {
        if self.own().iter().all(|it| it.left != left) {
            self.unless_equal(left, operand, right);
        }
    }
}
