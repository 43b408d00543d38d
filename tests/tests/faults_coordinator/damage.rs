//! Every file of the coordinator's store is damaged in turn. It starts all the same, has everything or says what it
//! lost, and no task of the fleet stops.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::{Fleet, holds_for, wait_for};
use rustix::process::Signal;

use crate::tasks::{self, Tasks, job};
use holdfast_tests::site::{PATIENCE, Site};

/// Jobs that have to be there, besides the one with tasks.
const JOBS: usize = 5;

/// Something done to a file.
type Damage = (&'static str, fn(&Path) -> std::io::Result<()>);

const DAMAGES: [Damage; 5] = [
    ("truncated", |file| {
        let bytes = fs::read(file)?;
        fs::write(file, &bytes[..bytes.len() / 2])
    }),
    ("empty", |file| fs::write(file, [])),
    ("flipped in the middle", |file| flip(file, 2)),
    ("flipped near the start", |file| flip(file, 50)),
    ("missing", |file| fs::remove_file(file)),
];

fn flip(file: &Path, part: usize) -> std::io::Result<()> {
    let mut bytes = fs::read(file)?;
    let start = bytes.len() / part;
    bytes
        .iter_mut()
        .skip(start)
        .take(32)
        .for_each(|byte| *byte ^= 0x55);
    fs::write(file, bytes)
}

/// Files below `dir`, without what was put there in vain.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The coordinator starts on what `damage` left of its store. Then everything is as it was.
fn survives(
    site: &mut Site,
    steady: &Tasks,
    what: &str,
    damage: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (data, sound) = (
        site.coordinator.data_dir(),
        site.coordinator.machine.dir().join("sound"),
    );
    ensure!(
        Command::new("cp")
            .arg("-a")
            .arg(&data)
            .arg(&sound)
            .status()?
            .success(),
        "cp -a failed"
    );
    damage(&data)?;
    let silent = site.coordinator.log()?.len();
    site.coordinator
        .restart()
        .with_context(|| format!("{what}: it does not start"))?;
    tasks::await_ready(site).with_context(|| what.to_owned())?;
    let jobs = site.coordinator.read("/v1/jobs")?.as_array().map_or(0, Vec::len);
    let log = site.coordinator.log()?.split_off(silent);
    let confesses = log.contains("acknowledged changes are lost") || log.contains("the state was lost");
    ensure!(
        jobs == JOBS + 1 || confesses,
        "{what}: {jobs} jobs are there, and not a word about the rest:\n{log}"
    );
    println!(
        "{what}: {jobs} jobs are there{}",
        if confesses {
            ", and it says what is lost"
        } else {
            ""
        }
    );
    steady.are_untouched(site).with_context(|| what.to_owned())?;
    site.coordinator.kill(Signal::TERM)?;
    // A journal ends where it is damaged; only what stands behind a gap is put aside.
    if confesses && jobs == 0 && !what.contains("journal-") {
        let aside = files(&data)?
            .iter()
            .any(|file| file.to_string_lossy().contains("damaged-"));
        ensure!(aside, "{what}: what was damaged is not kept");
    }
    fs::remove_dir_all(&data)?;
    fs::rename(&sound, &data)?;
    Ok(())
}

#[test]
fn a_store_that_is_damaged_in_any_file_stops_no_task_and_loses_nothing_silently() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&job("steady", 7501, 2, "", 50))?;
        for number in 0..JOBS {
            site.submit_job(&job(&format!("job-{number}"), 7502, 0, "", 50))?;
        }
        let steady = Tasks::started(&site, 7501, 2)?;
        // The end of a life that had a log to read writes a snapshot beside it.
        site.coordinator.kill(Signal::TERM)?;
        site.coordinator.restart()?;
        tasks::await_ready(&site)?;
        site.coordinator.kill(Signal::TERM)?;
        let data = site.coordinator.data_dir();
        let all = files(&data)?;
        ensure!(
            all.iter().any(|file| file.to_string_lossy().contains("snap.")),
            "no snapshot: {all:?}"
        );
        for file in all {
            let name = file.strip_prefix(&data)?.to_owned();
            for (how, damage) in DAMAGES {
                survives(&mut site, &steady, &format!("{} {how}", name.display()), |data| {
                    Ok(damage(&data.join(&name))?)
                })?;
            }
        }
        for (stray, content) in [
            ("state/snap.0000000000000001", &b""[..]),
            ("state/snap.00000000FFFFFFFF", b"not what it seems"),
            ("state/snap.0000000000000002.generating", b"half of it"),
            ("state/whatever", b"left behind by somebody"),
        ] {
            survives(&mut site, &steady, &format!("a stray {stray}"), |data| {
                Ok(fs::write(data.join(stray), content)?)
            })?;
        }
        site.coordinator.restart()?;
        tasks::await_ready(&site)?;
        site.run_job(&job("later", 7503, 2, "", 50))?;
        wait_for("the fleet to be as before", PATIENCE, || {
            steady.are_untouched(&site)
        })
    });
}

#[test]
fn a_journal_that_is_damaged_after_a_kill_stops_no_task_and_loses_nothing_silently() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&job("steady", 7521, 2, "", 50))?;
        for number in 0..JOBS {
            site.submit_job(&job(&format!("job-{number}"), 7522, 0, "", 50))?;
        }
        let steady = Tasks::started(&site, 7521, 2)?;
        // An orderly end would leave no journal.
        site.coordinator.kill(Signal::KILL)?;
        let data = site.coordinator.data_dir();
        let mut journals = files(&data)?;
        journals.retain(|file| file.to_string_lossy().contains("journal-"));
        ensure!(!journals.is_empty(), "no journal");
        for file in journals {
            // Behind the commits there are only zeros, which may be damaged as anybody likes.
            let mut bytes = fs::read(&file)?;
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1));
            fs::write(&file, bytes)?;
            let name = file.strip_prefix(&data)?.to_owned();
            for (how, damage) in DAMAGES {
                survives(&mut site, &steady, &format!("{} {how}", name.display()), |data| {
                    Ok(damage(&data.join(&name))?)
                })?;
            }
        }
        site.coordinator.restart()?;
        tasks::await_ready(&site)?;
        let jobs = site.coordinator.read("/v1/jobs")?.as_array().map_or(0, Vec::len);
        ensure!(jobs == JOBS + 1, "{jobs} jobs are there after a kill");
        steady.are_untouched(&site)
    });
}

#[test]
fn a_store_without_its_damaged_snapshot_changes_no_node_until_an_operator_adopts_it() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&job("steady", 7511, 2, "", 50))?;
        let steady = Tasks::started(&site, 7511, 2)?;
        // The end of a life that had a log to read writes a snapshot beside it.
        site.coordinator.kill(Signal::TERM)?;
        site.coordinator.restart()?;
        tasks::await_ready(&site)?;
        site.coordinator.kill(Signal::TERM)?;
        let all = files(&site.coordinator.data_dir())?;
        let snapshot = all.iter().find(|file| file.to_string_lossy().contains("snap."));
        flip(snapshot.context("no snapshot")?, 2)?;
        // What it lacks is not known after another start, either.
        for round in 0..2 {
            site.coordinator.restart()?;
            tasks::await_ready(&site)?;
            wait_for("the nodes to be left alone", PATIENCE, || {
                ensure!(tasks::is_fenced(&site, &site.agents[0])?, "not fenced");
                ensure!(tasks::is_fenced(&site, &site.agents[1])?, "not fenced");
                Ok(())
            })?;
            if round == 0 {
                site.edgectl(&["job", "stop", "-detach", "-yes", "steady"])?;
            }
            holds_for("the tasks", Duration::from_secs(3), || {
                steady.are_untouched(&site)
            })?;
            site.coordinator.kill(Signal::TERM)?;
        }
        site.coordinator.restart()?;
        tasks::await_ready(&site)?;
        site.edgectl(&["operator", "adopt-state"])?;
        wait_for("the job to end", PATIENCE, || {
            let left = Tasks::now(&site, 7511)?.count();
            ensure!(left == 0, "{left} tasks run");
            Ok(())
        })
    });
}
