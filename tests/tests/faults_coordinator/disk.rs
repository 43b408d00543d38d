//! The coordinator's disk is full, or fails and becomes read-only.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::{Fleet, HttpResponse, holds_for, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::tasks::{self, Tasks, job};
use holdfast_tests::site::{PATIENCE, Site};

/// Size of the disk.
const BYTES: u64 = 32 * 1024 * 1024;

/// How long the trouble lasts, beyond the time after which nodes count as gone.
const TROUBLE: Duration = Duration::from_secs(5);

/// A fleet whose coordinator keeps its data on a small disk of its own.
struct Small {
    site: Site,
    steady: Tasks,
    acknowledged: Vec<String>,
}

impl Small {
    fn start(fleet: &Fleet) -> anyhow::Result<Self> {
        let mut site = Site::start(fleet, Vec::new())?;
        site.coordinator.kill(Signal::TERM)?;
        let machine = &site.coordinator.machine;
        let image = machine.dir().join("disk.img");
        File::create(&image)?.set_len(BYTES)?;
        machine.run("mkfs.ext4", &["-q", "-m", "0", &image.to_string_lossy()])?;
        mount(&site, "disk.img")?;
        site.coordinator.restart()?;
        for plan in tasks::nodes(2) {
            site.agents
                .push(holdfast_tests::Agent::start(fleet, &site.coordinator, plan)?);
        }
        tasks::await_ready(&site)?;
        site.run_job(&job("steady", 7601, 2, "", 50))?;
        let steady = Tasks::started(&site, 7601, 2)?;
        Ok(Self {
            site,
            steady,
            acknowledged: vec!["steady".to_owned()],
        })
    }

    /// Registers a job with this much text in it.
    fn register(&mut self, name: &str, bytes: usize) -> anyhow::Result<HttpResponse> {
        let job = json!({ "Job": {
            "ID": name, "Name": name, "Type": "service", "Datacenters": ["dc1"],
            // Text that does not compress to nothing.
            "Meta": { "text": (0..bytes / 8).map(|it| format!("{:08x}", it * 2_654_435_761)).collect::<String>() },
            "TaskGroups": [{ "Name": "g", "Count": 0, "Tasks": [{
                "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/true" } }] }],
        }});
        let answer = self.site.coordinator.request("PUT", "/v1/jobs", &job)?;
        if answer.status == 200 {
            self.acknowledged.push(name.to_owned());
        }
        Ok(answer)
    }

    /// Registers jobs until one is refused.
    fn until_refused(&mut self, name: &str) -> anyhow::Result<HttpResponse> {
        for number in 0..400 {
            let answer = self.register(&format!("{name}-{number}"), 100_000)?;
            if answer.status != 200 {
                return Ok(answer);
            }
        }
        anyhow::bail!("the coordinator never minded")
    }

    /// Changes are refused, in words; everything else goes on.
    fn refuses_and_goes_on(&mut self, refused: &HttpResponse) -> anyhow::Result<()> {
        ensure!(refused.status >= 500, "{refused:?}");
        ensure!(refused.body.contains("could not be stored"), "{refused:?}");
        let again = self.register("refused", 100)?;
        ensure!(
            again.status == 503 && again.body.contains("nothing was changed"),
            "{again:?}"
        );
        let health = self
            .site
            .coordinator
            .request("GET", "/v1/agent/health", &Value::Null)?;
        ensure!(
            health.status == 500 && health.body.contains("cannot be stored"),
            "{health:?}"
        );
        holds_for("reads, contact and tasks", TROUBLE, || {
            self.site.coordinator.read("/v1/job/steady")?;
            tasks::all_ready(&self.site)?;
            self.steady.are_untouched(&self.site)
        })
    }

    /// It takes changes again by itself, and has lost none, over a kill as well.
    fn recovers(&mut self) -> anyhow::Result<()> {
        wait_for("changes to be taken again", PATIENCE, || {
            let answer = self.register("recovered", 100)?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        })?;
        self.keeps_its_word()?;
        self.site.coordinator.kill(Signal::KILL)?;
        self.site.coordinator.restart()?;
        self.keeps_its_word()?;
        self.site.run_job(&job("later", 7602, 2, "", 50))?;
        self.steady.are_untouched(&self.site)
    }

    fn keeps_its_word(&self) -> anyhow::Result<()> {
        tasks::await_ready(&self.site)?;
        for name in &self.acknowledged {
            self.site
                .coordinator
                .read(&format!("/v1/job/{name}"))
                .context("it was acknowledged")?;
        }
        ensure!(
            !tasks::is_fenced(&self.site, &self.site.agents[0])?,
            "generations went back"
        );
        Ok(())
    }

    /// Runs a shell command on the coordinator's machine, with the data folder as `$1`.
    fn shell(&self, script: &str) -> anyhow::Result<String> {
        shell(&self.site, script)
    }
}

fn shell(site: &Site, script: &str) -> anyhow::Result<String> {
    let data = site.coordinator.data_dir();
    site.coordinator
        .machine
        .run("sh", &["-c", script, "sh", &data.to_string_lossy()])
}

fn mount(site: &Site, image: &str) -> anyhow::Result<()> {
    shell(site, &format!("mount -o loop \"$1/../{image}\" \"$1\"")).map(drop)
}

#[test]
fn a_full_disk_refuses_changes_loses_none_and_recovers_by_itself() {
    Fleet::scenario(|fleet| {
        let mut small = Small::start(fleet)?;
        for round in 0..2 {
            small.shell("dd if=/dev/zero of=\"$1/ballast\" bs=64k 2>/dev/null; true")?;
            let refused = small.until_refused(&format!("full-{round}"))?;
            small.refuses_and_goes_on(&refused)?;
            if round == 1 {
                // It is killed and starts with the disk still full.
                small.site.coordinator.kill(Signal::KILL)?;
                small.site.coordinator.restart()?;
                small.keeps_its_word()?;
            }
            small.shell("rm \"$1/ballast\"")?;
            small.recovers()?;
        }
        Ok(())
    });
}

#[test]
fn a_disk_that_fails_and_becomes_read_only_refuses_changes_and_is_used_again_once_it_is_repaired() {
    Fleet::scenario(|fleet| {
        let mut small = Small::start(fleet)?;
        let answer = small.register("before", 100)?;
        ensure!(answer.status == 200, "{answer:?}");
        // What the kernel does to a file system with errors, without the errors.
        small.shell("mount -o remount,abort \"$1\"; grep \"$1 \" /proc/self/mounts")?;
        let refused = small.until_refused("read-only")?;
        small.refuses_and_goes_on(&refused)?;
        // An operator repairs what is on it and mounts that in its place; the coordinator runs all the time. Exit codes
        // up to 3 say that all is well now.
        small.shell(
            "sync; cp \"$1/../disk.img\" \"$1/../repaired.img\"; e2fsck -fy \"$1/../repaired.img\" >&2 || [ $? -lt 4 ]",
        )?;
        mount(&small.site, "repaired.img")?;
        small.recovers()
    });
}
