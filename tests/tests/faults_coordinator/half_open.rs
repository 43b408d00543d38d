//! A cable is cut with no word to either end: each gives the connection up by itself, and nothing of it is left.

use std::time::Duration;

use anyhow::ensure;
use holdfast_tests::usage::open_files;
use holdfast_tests::{AgentPlan, Fleet, wait_for};

use crate::tasks::{self, Tasks};
use holdfast_tests::site::{PATIENCE, Site};

/// Long enough that the detection is seen to be the keep-alive's, and not that of anything shorter.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// One and a half keep-alives, counted from the last ping, and what a busy computer adds. The agent waits for an answer
/// to a ping for at most 15 seconds.
const GIVEN_UP: Duration = Duration::from_secs(25);

#[test]
fn a_half_open_connection_is_given_up_by_both_ends_and_leaves_nothing_behind() {
    Fleet::scenario(|fleet| {
        let plan = AgentPlan::new("edge-1").keep_alive(KEEP_ALIVE);
        let site = Site::start(fleet, vec![plan])?;
        let policy = "disconnect {\n      lost_after = \"1h\"\n      replace    = false\n    }";
        site.run_job(&tasks::job("steady", 7301, 1, policy, 50))?;
        let steady = Tasks::started(&site, 7301, 1)?;
        let (agent, coordinator) = (&site.agents[0], &site.coordinator);
        let of_coordinator = || open_files(coordinator.pid()?);
        let of_agent = || open_files(agent.pid()?);
        let before = (of_coordinator()?, of_agent()?);
        for round in 0..3 {
            let seen = coordinator.log()?.len();
            // No packet of either gets to the other: no FIN, no RST.
            agent.machine.cut(&coordinator.machine)?;
            coordinator.machine.cut(&agent.machine)?;
            wait_for("the broker to give the connection up", GIVEN_UP, || {
                let log = coordinator.log()?.split_off(seen);
                ensure!(
                    log.contains("node disconnected") && log.contains("reason=KeepAlive"),
                    "{log}"
                );
                // The will was published: the node is gone.
                let node = agent.node(coordinator)?;
                ensure!(node["Status"] != "ready", "it is ready");
                let open = of_coordinator()?;
                ensure!(open < before.0, "{open} files are open, of {}", before.0);
                Ok(())
            })?;
            wait_for("the agent to give the connection up", GIVEN_UP, || {
                let status = agent.local_status()?;
                ensure!(status["link"]["connected"] == false, "{status}");
                Ok(())
            })?;
            steady.are_untouched(&site)?;
            agent.machine.heal(&coordinator.machine)?;
            coordinator.machine.heal(&agent.machine)?;
            agent.await_status(coordinator, "ready", PATIENCE)?;
            wait_for("as many open files as before", PATIENCE, || {
                let now = (of_coordinator()?, of_agent()?);
                ensure!(now == before, "round {round}: {before:?} became {now:?}");
                Ok(())
            })?;
        }
        steady.are_untouched(&site)
    });
}
