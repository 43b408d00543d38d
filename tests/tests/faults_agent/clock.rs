//! A box whose clock is wrong by years when it boots.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use holdfast_tests::site::{PATIENCE, Site};
use holdfast_tests::{Agent, AgentPlan, Coordinator, CoordinatorPlan, Fleet, Machine, wait_for};
use rustix::process::Signal;

use super::tasks::{await_settled, is_untouched, job, lives, node};

/// Clocks as boxes have them: without a battery, and set wrongly by hand.
const LONG_AGO: &str = "@1970-01-01 00:00:10";
const FAR_AHEAD: &str = "+20y";

/// What makes a program believe in another time; its durations stay right, as they do in the kernel.
fn wrong_clock(time: &str) -> anyhow::Result<Vec<(String, String)>> {
    let library = fs::read_dir("/usr/lib")?
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .context("libfaketime is not installed: run `cargo xtask setup`")?;
    let library = library.to_str().context("a plain path")?.to_owned();
    Ok([
        ("LD_PRELOAD", library),
        ("FAKETIME", time.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec())
}

fn with_clock(mut plan: AgentPlan, time: &str) -> anyhow::Result<AgentPlan> {
    plan.environment = wrong_clock(time)?;
    Ok(plan)
}

/// The year that the agent's own log begins with: proof that it believes what it was told.
fn ensure_believes(agent: &Agent, year: &str) -> anyhow::Result<()> {
    let log = agent.log()?;
    ensure!(
        log.lines().any(|line| line.contains(&format!("{year}-"))),
        "its clock does not show {year}:\n{log}"
    );
    Ok(())
}

/// Enrols with this clock, runs a job, survives a power cut without an uplink, and is the same after the clock was set.
fn lives_with_clock(time: &str, year: &str) {
    Fleet::scenario(|fleet| {
        let plan = with_clock(node("edge-1"), time)?;
        let mut site = Site::start(fleet, vec![plan])?;
        site.run_job(&job("steady", 1010, r#"max_client_disconnect = "1h""#))?;
        let original = site.await_only_running("steady")?;
        ensure_believes(&site.agents[0], year)?;

        site.agents[0].machine.unplug()?;
        site.agents[0].power_cycle(fleet)?;
        wait_for("both tasks to run without anybody", PATIENCE, || {
            let lives = lives(&site.agents[0])?;
            let status = site.agents[0].local_status()?;
            ensure!(lives.iter().any(|it| it.starts_with("sleep 11010 ")), "{lives:?}");
            ensure!(lives.len() >= 2, "{lives:?}");
            ensure!(status["allocations"][0]["client_status"] == "running", "{status}");
            Ok(())
        })?;
        let before = lives(&site.agents[0])?;
        site.agents[0].machine.plug()?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;

        // Somebody sets the clock: sessions do not go back, and nothing is touched.
        site.agents[0].set_environment(Vec::new());
        site.agents[0].kill(Signal::KILL)?;
        site.agents[0].restart()?;
        await_settled(&site.agents[0], 1)?;
        is_untouched(&site.agents[0], &before)?;
        let row = site.await_only_running("steady")?;
        ensure!(row["ID"] == original["ID"], "{row:?}");
        Ok(())
    });
}

#[test]
fn a_box_that_boots_in_1970_enrols_runs_and_reboots_offline() {
    lives_with_clock(LONG_AGO, "1970");
}

#[test]
fn a_box_whose_clock_is_years_ahead_enrols_runs_and_reboots_offline() {
    lives_with_clock(FAR_AHEAD, &(this_year() + 20).to_string());
}

fn this_year() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    // The average year of the calendar; right but for some hours at the turn of a year.
    1970 + since.as_secs() / 31_556_952
}

/// An authority, and a certificate of it for `address`; valid from now on for two days.
struct Certificates {
    authority: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn make(machine: &Machine, dir: &Path, address: &str) -> anyhow::Result<Self> {
        let script = r#"
set -e
cd "$1"
new() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
new ca
openssl req -x509 -new -key ca.key -subj "/CN=test authority" -days 2 -out ca.pem \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
new server
openssl req -new -key server.key -subj "/CN=coordinator" -out server.csr
printf 'subjectAltName=IP:%s\nbasicConstraints=CA:FALSE\n' "$2" >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
openssl pkcs8 -topk8 -nocrypt -in server.key -out server.p8
"#;
        let dir_text = dir.to_str().context("a plain path")?;
        machine.run("sh", &["-c", script, "sh", dir_text, address])?;
        Ok(Self {
            authority: dir.join("ca.pem"),
            chain: dir.join("server.pem"),
            key: dir.join("server.p8"),
        })
    }
}

/// A coordinator that only takes TLS, and an agent that believes in its authority and has this clock.
fn tls_site(fleet: &Fleet, time: &str) -> anyhow::Result<(Coordinator, Agent)> {
    let office = fleet.machine("office")?;
    // The coordinator's machine is the next one.
    let certificates = Certificates::make(&office, office.dir(), "10.66.0.11")?;
    let flags = [
        "--mqtt-tls-addr".to_owned(),
        "10.66.0.11:8883".to_owned(),
        "--mqtt-tls-cert".to_owned(),
        certificates.chain.display().to_string(),
        "--mqtt-tls-key".to_owned(),
        certificates.key.display().to_string(),
    ];
    let plan = CoordinatorPlan {
        flags: flags.to_vec(),
        ..CoordinatorPlan::default()
    };
    let coordinator = Coordinator::start(fleet, plan)?;
    let machine = fleet.machine("edge-1")?;
    let plan = with_clock(AgentPlan::new("edge-1"), time)?
        .flag("--ca-file")
        .flag(certificates.authority.display().to_string());
    let agent = Agent::on(fleet, machine, "mqtts://10.66.0.11:8883".to_owned(), plan)?;
    Ok((coordinator, agent))
}

#[test]
fn a_box_that_boots_in_1970_enrols_over_tls() {
    Fleet::scenario(|fleet| {
        let (coordinator, agent) = tls_site(fleet, LONG_AGO)?;
        agent.await_status(&coordinator, "ready", PATIENCE)?;
        ensure_believes(&agent, "1970")
    });
}

#[test]
fn a_box_whose_clock_is_years_ahead_says_why_it_refuses_the_certificate_and_enrols_once_it_is_set() {
    Fleet::scenario(|fleet| {
        let (coordinator, mut agent) = tls_site(fleet, FAR_AHEAD)?;
        wait_for(
            "the agent to say that a certificate has expired",
            PATIENCE,
            || {
                let log = agent.log()?;
                ensure!(log.contains("certificate expired"), "{log}");
                Ok(())
            },
        )?;
        ensure!(agent.is_running() && agent.local_status()?["link"]["connected"] == false);
        agent.set_environment(Vec::new());
        agent.kill(Signal::TERM)?;
        agent.restart()?;
        agent.await_status(&coordinator, "ready", PATIENCE)?;
        Ok(())
    });
}
