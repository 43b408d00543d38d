//! The tasks of a fleet, watched from outside: as processes, whatever anybody says about them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use holdfast_tests::{Agent, AgentPlan, wait_for};

use holdfast_tests::site::{PATIENCE, Site};

/// What the tasks of [`job`] run, each with a number of its own for the job.
fn command_line(number: u32) -> String {
    format!("/bin/sleep {number}")
}

/// A job with a plain process on each of `count` nodes; nobody restarts or reschedules it quietly. `policy` goes into
/// the group; `priority` makes versions differ that need no new tasks.
pub(crate) fn job(name: &str, number: u32, count: u32, policy: &str, priority: u32) -> String {
    format!(
        r#"
job "{name}" {{
  datacenters = ["dc1"]
  priority    = {priority}
  group "g" {{
    count = {count}
    {policy}
    constraint {{
      operator = "distinct_hosts"
      value    = "true"
    }}
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    update {{
      min_healthy_time = "0s"
    }}
    task "sleep" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["{number}"]
      }}
      kill_timeout = "1s"
      resources {{
        cpu    = 20
        memory = 16
      }}
    }}
  }}
}}
"#
    )
}

/// Nodes without podman.
pub(crate) fn nodes(count: usize) -> Vec<AgentPlan> {
    (1..=count)
        .map(|number| AgentPlan::new(&format!("edge-{number}")))
        .collect()
}

/// The processes of a job, by node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tasks {
    number: u32,
    by_node: BTreeMap<String, BTreeSet<u32>>,
}

impl Tasks {
    /// Those that run now.
    pub(crate) fn now(site: &Site, number: u32) -> anyhow::Result<Self> {
        let of_agent = |agent: &Agent| Ok((agent.name().to_owned(), processes(agent, number)?));
        let by_node = site.agents.iter().map(of_agent).collect::<anyhow::Result<_>>()?;
        Ok(Self { number, by_node })
    }

    /// Those that run once there are `count` of them.
    pub(crate) fn started(site: &Site, number: u32, count: usize) -> anyhow::Result<Self> {
        wait_for(&format!("{count} × sleep {number}"), PATIENCE, || {
            let tasks = Self::now(site, number)?;
            ensure!(tasks.count() == count, "{:?}", tasks.by_node);
            Ok(tasks)
        })
    }

    /// How many run.
    pub(crate) fn count(&self) -> usize {
        self.by_node.values().map(BTreeSet::len).sum()
    }

    /// They run still, the very same processes, and no others beside them.
    pub(crate) fn are_untouched(&self, site: &Site) -> anyhow::Result<()> {
        let now = Self::now(site, self.number)?;
        ensure!(
            now == *self,
            "the tasks {:?} became {:?}",
            self.by_node,
            now.by_node
        );
        Ok(())
    }
}

fn processes(agent: &Agent, number: u32) -> anyhow::Result<BTreeSet<u32>> {
    let list = agent.machine.run("ps", &["-e", "-o", "pid=,args="])?;
    let wanted = command_line(number);
    let lines = list.lines().filter_map(|line| line.trim().split_once(' '));
    let pids = lines
        .filter(|(_, args)| args.trim() == wanted)
        .map(|(pid, _)| pid.parse());
    Ok(pids.collect::<Result<_, _>>()?)
}

/// All nodes are ready.
pub(crate) fn all_ready(site: &Site) -> anyhow::Result<()> {
    for agent in &site.agents {
        let node = agent.node(&site.coordinator)?;
        ensure!(
            node["Status"] == "ready",
            "{} is {}",
            agent.name(),
            node["Status"]
        );
    }
    Ok(())
}

/// Waits until all nodes are ready.
pub(crate) fn await_ready(site: &Site) -> anyhow::Result<()> {
    wait_for("all nodes to be ready", PATIENCE, || all_ready(site))
}

/// What happened to a node, as the coordinator remembers it.
pub(crate) fn events(site: &Site, agent: &Agent) -> anyhow::Result<Vec<String>> {
    let id = agent.node(&site.coordinator)?["ID"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let node = site.coordinator.read(&format!("/v1/node/{id}"))?;
    let events = node["Events"].as_array().cloned().unwrap_or_default();
    let texts = events.iter().filter_map(|event| event["Message"].as_str());
    Ok(texts.map(str::to_owned).collect())
}

/// Whether the coordinator has found that a node holds something newer than it knows.
pub(crate) fn is_fenced(site: &Site, agent: &Agent) -> anyhow::Result<bool> {
    let is_fence = |text: &String| text.starts_with("coordinator state is older than the node's");
    Ok(events(site, agent)?.iter().any(is_fence))
}
