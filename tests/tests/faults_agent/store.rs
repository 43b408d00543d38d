//! The agent's files damaged, one after the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use holdfast_tests::site::Site;
use holdfast_tests::{Agent, Fleet};
use rustix::process::Signal;

use super::tasks::{await_settled, is_untouched, job, lives, node, patient_coordinator, restarts};

/// How often an agent has to start, at least, whatever happened to its files.
const STARTS: usize = 20;

/// A way to damage a file.
type Damage = fn(&mut Vec<u8>);

const DAMAGES: [(&str, Damage); 3] = [
    ("emptied", Vec::clear),
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("a bit flipped every 97 bytes", |bytes| {
        bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 4);
    }),
];

/// What a crash while a snapshot is written, or an older program, may leave in the store.
const STRAYS: [(&str, &[u8]); 5] = [
    ("snap.00000000000000FF.generating", b"half a snapshot"),
    ("snap.00000000000000FF", b""),
    (
        "snap.00000000000000FE",
        b"longer than a header, and passes no checksum of any kind",
    ),
    ("snap.zzz", b"nonsense"),
    ("snap.7FFFFFFFFFFFFFFF", b"newer than any other"),
];

/// Every file that the agent itself keeps: its store, its identity, and its drivers' records.
fn files(agent: &Agent) -> anyhow::Result<BTreeSet<PathBuf>> {
    let data = agent.data_dir();
    let mut found = BTreeSet::new();
    for dir in ["state", "drivers"] {
        collect(&data.join(dir), &mut found)?;
    }
    found.extend(["node.json", "node.backup.json"].map(|name| data.join(name)));
    Ok(found)
}

fn collect(dir: &Path, found: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Kills the agent, lets `damage` happen, and starts it again: it is the same node, and everything still runs.
fn restart_after(
    agent: &mut Agent,
    before: &BTreeSet<String>,
    damage: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let node = agent.local_status()?["node"]["id"].clone();
    agent.kill(Signal::KILL)?;
    damage()?;
    agent.restart()?;
    let status = await_settled(agent, 1)?;
    ensure!(
        status["node"]["id"] == node,
        "it is another node now: {}",
        status["node"]
    );
    is_untouched(agent, before)?;
    let now = lives(agent)?;
    ensure!(now == *before, "more runs than before: {now:#?}");
    Ok(())
}

#[test]
fn an_agent_starts_and_keeps_what_runs_whichever_of_its_files_is_damaged() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start_with(fleet, patient_coordinator(), vec![node("edge-1")])?;
        site.run_job(&job("steady", 1000, ""))?;
        let steady = site.await_only_running("steady")?;
        let agent = &mut site.agents[0];
        let before = lives(agent)?;
        let mut starts = 0;
        for (what, damage) in DAMAGES {
            for file in files(agent)? {
                restart_after(agent, &before, || {
                    // Files come and go: what is not there any more cannot be damaged.
                    let Ok(mut bytes) = fs::read(&file) else {
                        return Ok(());
                    };
                    damage(&mut bytes);
                    Ok(fs::write(&file, bytes)?)
                })
                .with_context(|| format!("{} {what}", file.display()))?;
                starts += 1;
            }
        }
        for (name, content) in STRAYS {
            let stray = agent.data_dir().join("state").join(name);
            restart_after(agent, &before, || Ok(fs::write(&stray, content)?))
                .with_context(|| format!("{name} added"))?;
            starts += 1;
        }
        ensure!(starts >= STARTS, "only {starts} starts");
        println!("started {starts} of {starts} times");
        let row = site.await_only_running("steady")?;
        ensure!(row["ID"] == steady["ID"], "{row:?}");
        ensure!(
            restarts(&site.coordinator, "steady")? == 0,
            "a task was restarted"
        );
        Ok(())
    });
}
