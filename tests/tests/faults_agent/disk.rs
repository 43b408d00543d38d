//! The agent's disk is full, or fails and becomes read-only.

use std::collections::BTreeSet;
use std::fs::File;

use anyhow::{Context as _, ensure};
use holdfast_tests::site::{PATIENCE, Site};
use holdfast_tests::{Agent, Fleet, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use super::tasks::{
    await_settled, containers, is_untouched, job, lives, node, patient_coordinator, processes,
};

/// Size of the disk.
const BYTES: u64 = 32 * 1024 * 1024;

/// What the agent logs, and `local status` shows, as long as changes wait.
const WAITING: &str = "changes are kept in memory until the disk takes them";

/// An agent that keeps its data on a small disk of its own, with two jobs of a container and a process each.
struct Small {
    site: Site,
}

impl Small {
    fn start(fleet: &Fleet) -> anyhow::Result<Self> {
        let mut site = Site::start_with(fleet, patient_coordinator(), vec![node("edge-1")])?;
        let agent = &mut site.agents[0];
        agent.kill(Signal::TERM)?;
        let image = agent.machine.dir().join("disk.img");
        File::create(&image)?.set_len(BYTES)?;
        agent
            .machine
            .run("mkfs.ext4", &["-q", "-m", "0", &image.to_string_lossy()])?;
        let mut small = Self { site };
        // Its identity comes along.
        let copy = "mkdir \"$1/../copy\"; cp -a \"$1/.\" \"$1/../copy\"; mount -o loop \"$1/../disk.img\" \"$1\"; cp -a \"$1/../copy/.\" \"$1\"";
        small.shell(copy)?;
        small.agent().restart()?;
        await_settled(small.agent(), 0)?;
        small.site.run_job(&job("steady", 1000, ""))?;
        small.site.run_job(&job("ending", 2000, ""))?;
        Ok(small)
    }

    fn agent(&mut self) -> &mut Agent {
        &mut self.site.agents[0]
    }

    fn mount(&self, image: &str) -> anyhow::Result<()> {
        self.shell(&format!("mount -o loop \"$1/../{image}\" \"$1\""))
            .map(drop)
    }

    /// Runs a shell command on the agent's machine, with its data folder as `$1`.
    fn shell(&self, script: &str) -> anyhow::Result<String> {
        let agent = &self.site.agents[0];
        let data = agent.data_dir();
        agent
            .machine
            .run("sh", &["-c", script, "sh", &data.to_string_lossy()])
    }

    /// Kills a task of the job `steady` and waits until it runs again, and everything else as before.
    fn dies_and_comes_back(&self, life: &str) -> anyhow::Result<()> {
        let agent = &self.site.agents[0];
        let before = lives(agent)?;
        // "sleep 11000 PID START" or "NAME ID START PID".
        let words: Vec<&str> = life.split(' ').collect();
        let pid = if life.starts_with("sleep") {
            words[2]
        } else {
            words[words.len() - 1]
        };
        agent.machine.run("kill", &["-9", pid])?;
        wait_for("the task that was killed to run again", PATIENCE, || {
            let now = lives(agent)?;
            ensure!(!now.contains(life), "it still runs");
            ensure!(now.len() == before.len(), "{now:#?}");
            let others: BTreeSet<&String> = before.iter().filter(|it| *it != life).collect();
            ensure!(others.iter().all(|it| now.contains(*it)), "{now:#?}");
            Ok(())
        })
    }

    /// What runs goes on, what dies comes back, over a kill of the agent as well; and the agent says what is wrong.
    fn goes_on(&mut self, problem: &str) -> anyhow::Result<()> {
        let is_steady = |life: &&String| life.starts_with("sleep 11000 ");
        for _ in 0..2 {
            let process = processes(self.agent())?;
            let process = process.iter().find(is_steady).context("no process")?;
            self.dies_and_comes_back(process)?;
            let containers = containers(self.agent())?;
            let container = containers.first().context("no container")?;
            self.dies_and_comes_back(container)?;
        }
        self.says(problem)?;
        let before = lives(self.agent())?;
        self.agent().kill(Signal::KILL)?;
        self.agent().restart()?;
        await_settled(self.agent(), 2)?;
        is_untouched(self.agent(), &before)?;
        let now = lives(self.agent())?;
        ensure!(now == before, "more runs than before: {now:#?}");
        self.says(problem)
    }

    /// The problem stands in the agent's status and, once for each start of the agent, in its log.
    fn says(&mut self, problem: &str) -> anyhow::Result<()> {
        let status = wait_for("the agent to notice its disk", PATIENCE, || {
            let status = self.site.agents[0].local_status()?;
            ensure!(status["store_behind"] == true, "{status}");
            ensure!(
                status["store_problem"]
                    .as_str()
                    .is_some_and(|it| it.contains(problem)),
                "{status}"
            );
            self.site.agents[0].edgectl()?.run(&["local", "status"])
        })?;
        ensure!(status.contains(problem), "{status}");
        let log = self.site.agents[0].log()?;
        ensure!(log.contains(WAITING) && log.contains(problem), "{log}");
        let times = log.matches(WAITING).count();
        // It is told again when it was well in between; there are two rounds and two starts.
        ensure!(times <= 6, "it is said {times} times");
        Ok(())
    }

    /// A job that was stopped meanwhile has ended for good, and everything is on the disk.
    fn recovers(&mut self) -> anyhow::Result<()> {
        wait_for("everything to be stored", PATIENCE, || {
            let status = self.site.agents[0].local_status()?;
            ensure!(status["store_behind"] == false, "{status}");
            ensure!(status["store_problem"] == Value::Null, "{status}");
            Ok(())
        })?;
        let before = lives(self.agent())?;
        self.agent().kill(Signal::KILL)?;
        self.agent().restart()?;
        wait_for("the agent to have everything in hand", PATIENCE, || {
            let status = self.site.agents[0].local_status()?;
            ensure!(status["link"]["connected"] == true, "no contact: {status}");
            ensure!(status["store_behind"] == false, "{status}");
            let of = |job: &str| {
                let all = status["allocations"].as_array().into_iter().flatten();
                all.filter(|alloc| alloc["job"] == job).all(|alloc| {
                    alloc["client_status"] == if job == "steady" { "running" } else { "complete" }
                })
            };
            ensure!(of("steady") && of("ending"), "{status}");
            Ok(())
        })?;
        is_untouched(self.agent(), &before)?;
        self.site.await_only_running("steady")?;
        ensure!(lives(self.agent())? == before, "something came back");
        Ok(())
    }

    /// An order of the coordinator is obeyed, and its outcome reported, whatever the disk does.
    fn obeys(&mut self) -> anyhow::Result<()> {
        self.site.edgectl(&["job", "stop", "-detach", "-yes", "ending"])?;
        self.site
            .await_allocations("ending", "the job to have ended", |rows| {
                rows.iter().all(|row| row["Status"] == "complete")
            })?;
        let now = lives(self.agent())?;
        ensure!(now.len() == 2, "{now:#?}");
        // Killed now, it does not start again what has ended.
        self.agent().kill(Signal::KILL)?;
        self.agent().restart()?;
        wait_for("contact", PATIENCE, || {
            let status = self.site.agents[0].local_status()?;
            ensure!(status["link"]["connected"] == true, "no contact: {status}");
            Ok(())
        })?;
        holdfast_tests::holds_for(
            "what has ended has ended",
            std::time::Duration::from_secs(3),
            || {
                let now = lives(&self.site.agents[0])?;
                ensure!(now.len() == 2, "{now:#?}");
                Ok(())
            },
        )
    }
}

#[test]
fn with_a_full_disk_everything_goes_on_and_is_stored_once_there_is_room() {
    Fleet::scenario(|fleet| {
        let mut small = Small::start(fleet)?;
        small.shell("dd if=/dev/zero of=\"$1/ballast\" bs=4k 2>/dev/null; true")?;
        small.goes_on("is full")?;
        small.obeys()?;
        small.shell("rm \"$1/ballast\"")?;
        small.recovers()
    });
}

#[test]
fn with_a_disk_that_becomes_read_only_everything_goes_on_and_is_stored_once_it_is_repaired() {
    Fleet::scenario(|fleet| {
        let mut small = Small::start(fleet)?;
        // What the kernel does to a file system with errors, without the errors.
        small.shell("mount -o remount,abort \"$1\"")?;
        small.goes_on("read-only")?;
        let alloc = small.site.await_only_running("steady")?;
        let shown = small.site.alloc_status(&alloc["ID"])?;
        ensure!(shown.contains("Its output is dropped"), "{shown}");
        small.obeys()?;
        // An operator repairs what is on it and mounts that in its place; the agent runs all the time. Exit codes up to 3
        // say that all is well now.
        small.shell(
            "sync; cp \"$1/../disk.img\" \"$1/../repaired.img\"; e2fsck -fy \"$1/../repaired.img\" >&2 || [ $? -lt 4 ]",
        )?;
        small.mount("repaired.img")?;
        small.recovers()
    });
}
