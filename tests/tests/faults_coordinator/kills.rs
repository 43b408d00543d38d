//! kill -9 of the coordinator at any moment, with operators at work: what it acknowledged is there afterwards.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::{Dice, Fleet, HttpResponse, holds_for, http_request, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::tasks::{self, Tasks};
use holdfast_tests::site::{PATIENCE, Site};

/// Rounds unless `HOLDFAST_FAULT_ROUNDS` says otherwise.
const ROUNDS: u64 = 200;

/// Operators; each has a job of its own.
const OPERATORS: usize = 3;

/// The way to the coordinator, whether it runs or not.
#[derive(Clone)]
struct Door {
    netns: PathBuf,
    address: SocketAddr,
}

impl Door {
    fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<HttpResponse> {
        http_request(&self.netns, self.address, method, path, body)
    }

    /// Reads what has to be there; `None` for what is not.
    fn read(&self, path: &str) -> anyhow::Result<(u64, Option<Value>)> {
        let answer = self.ask("GET", path, "")?;
        let index = answer
            .header("X-Nomad-Index")
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
        match answer.status {
            200 => Ok((index, Some(serde_json::from_str(&answer.body)?))),
            404 => Ok((index, None)),
            status => anyhow::bail!("GET {path}: {status} {}", answer.body),
        }
    }
}

/// What an operator wants of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is gone, or never was there.
    Purged,
    /// It is registered as of this step.
    Registered(u64),
    /// It is registered as of this step, and stopped.
    Stopped(u64),
}

/// Somebody who changes one job, and remembers every word that the coordinator gave.
struct Operator {
    name: String,
    /// How many tasks its job has.
    tasks: usize,
    dice: Dice,
    acknowledged: Wish,
    /// What was asked for and not answered: it may have happened.
    doubtful: Option<Wish>,
    step: u64,
    /// The newest index that was heard of, in whatever answer.
    index: u64,
    /// Spec index of the newest acknowledged registration.
    job_index: u64,
    /// Evaluations that were acknowledged since the last look.
    evaluations: Vec<String>,
    acknowledgements: u64,
}

impl Operator {
    fn new(number: usize, dice: Dice) -> Self {
        Self {
            name: format!("operated-{number}"),
            // The first one keeps an agent busy; the others only the coordinator.
            tasks: usize::from(number == 0),
            dice,
            acknowledged: Wish::Purged,
            doubtful: None,
            step: 0,
            index: 0,
            job_index: 0,
            evaluations: Vec::new(),
            acknowledgements: 0,
        }
    }

    /// One life of the coordinator: checks what is there, then changes it until nobody answers any more. An error is a
    /// broken promise.
    fn live(&mut self, door: &Door) -> anyhow::Result<()> {
        if !self.check(door)? {
            return Ok(());
        }
        while self.change(door)? {}
        Ok(())
    }

    /// Whether everything acknowledged is there; false when the coordinator went away meanwhile.
    fn check(&mut self, door: &Door) -> anyhow::Result<bool> {
        let Ok((index, job)) = door.read(&format!("/v1/job/{}", self.name)) else {
            return Ok(false);
        };
        ensure!(index >= 1, "{}: no index", self.name);
        let found = match &job {
            None => Wish::Purged,
            Some(job) => {
                let step = job["Meta"]["step"]
                    .as_str()
                    .and_then(|it| it.parse().ok())
                    .context("no step")?;
                if job["Stop"] == true {
                    Wish::Stopped(step)
                } else {
                    Wish::Registered(step)
                }
            }
        };
        let doubtful = self.doubtful.take();
        ensure!(
            found == self.acknowledged || Some(found) == doubtful,
            "{}: {:?} was acknowledged, {doubtful:?} was asked for, {found:?} is there",
            self.name,
            self.acknowledged
        );
        if let Some(job) = &job {
            let now = job["JobModifyIndex"].as_u64().context("no index")?;
            ensure!(
                now >= self.job_index
                    && (found != self.acknowledged || now == self.job_index || doubtful.is_some()),
                "{}: spec index {now} after {}",
                self.name,
                self.job_index
            );
            self.job_index = now;
        }
        self.acknowledged = found;
        for id in std::mem::take(&mut self.evaluations) {
            match door.read(&format!("/v1/evaluation/{id}")) {
                Ok((_, found)) => ensure!(found.is_some(), "{}: evaluation {id} was acknowledged", self.name),
                Err(_) => return Ok(false),
            }
        }
        self.check_index_and_versions(door)
    }

    fn check_index_and_versions(&mut self, door: &Door) -> anyhow::Result<bool> {
        let Ok((index, _)) = door.read("/v1/status/leader") else {
            return Ok(false);
        };
        ensure!(
            index >= self.index,
            "the index went from {} back to {index}",
            self.index
        );
        if self.acknowledged == Wish::Purged {
            return Ok(true);
        }
        let Ok((_, Some(list))) = door.read(&format!("/v1/job/{}/versions", self.name)) else {
            return Ok(false);
        };
        let versions = list["Versions"].as_array().context("no versions")?;
        let numbers: Vec<u64> = versions.iter().filter_map(|it| it["Version"].as_u64()).collect();
        let newest = numbers.first().copied().context("no version")?;
        let complete = numbers
            .iter()
            .zip((0..=newest).rev())
            .all(|(number, expected)| *number == expected);
        ensure!(
            complete && numbers.len() as u64 == (newest + 1).min(6),
            "{}: versions {numbers:?}",
            self.name
        );
        Ok(true)
    }

    /// Changes something; false when nobody answers.
    fn change(&mut self, door: &Door) -> anyhow::Result<bool> {
        let registered = matches!(self.acknowledged, Wish::Registered(_));
        let (wish, method, path, body) = match (self.dice.between(0, 8), registered) {
            (0, true) => (
                self.stopped(),
                "DELETE",
                format!("/v1/job/{}", self.name),
                String::new(),
            ),
            (1, true) => (
                Wish::Purged,
                "DELETE",
                format!("/v1/job/{}?purge=true", self.name),
                String::new(),
            ),
            (2, true) => (
                self.acknowledged,
                "PUT",
                format!("/v1/job/{}/evaluate", self.name),
                "{}".to_owned(),
            ),
            _ => {
                self.step += 1;
                (
                    Wish::Registered(self.step),
                    "PUT",
                    "/v1/jobs".to_owned(),
                    self.job().to_string(),
                )
            }
        };
        self.doubtful = Some(wish);
        let Ok(answer) = door.ask(method, &path, &body) else {
            return Ok(false);
        };
        if answer.status == 200 && serde_json::from_str::<Value>(&answer.body).is_err() {
            // Cut off in the middle of the answer.
            return Ok(false);
        }
        ensure!(
            answer.status == 200,
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        let told: Value = serde_json::from_str(&answer.body)?;
        (self.acknowledged, self.doubtful) = (wish, None);
        self.acknowledgements += 1;
        self.index = self.index.max(told["Index"].as_u64().context("no index")?);
        self.job_index = match wish {
            Wish::Purged => 0,
            _ => told["JobModifyIndex"].as_u64().context("no spec index")?,
        };
        self.evaluations.extend(
            told["EvalID"]
                .as_str()
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
        );
        Ok(true)
    }

    fn stopped(&self) -> Wish {
        match self.acknowledged {
            Wish::Registered(step) | Wish::Stopped(step) => Wish::Stopped(step),
            Wish::Purged => Wish::Purged,
        }
    }

    fn job(&self) -> Value {
        let task = json!({
            "Name": "sleep", "Driver": "raw_exec", "Config": { "command": "/bin/sleep", "args": ["7102"] },
            "KillTimeout": 1_000_000_000_u64, "Resources": { "CPU": 20, "MemoryMB": 16 },
        });
        // Some records are so large that they are stored in parts.
        let noise = "noise ".repeat(self.step as usize % 4 * 1000);
        json!({ "Job": {
            "ID": self.name, "Name": self.name, "Type": "service", "Datacenters": ["dc1"],
            "Meta": { "step": self.step.to_string(), "noise": noise },
            "TaskGroups": [{ "Name": "g", "Count": self.tasks, "Tasks": [task] }],
        }})
    }
}

/// Lives of the coordinator, each of which ends with SIGKILL at a random moment.
fn kill_and_restart(
    site: &mut Site,
    operators: &mut [Operator],
    steady: &Tasks,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    let rounds = env::var("HOLDFAST_FAULT_ROUNDS").map_or(Ok(ROUNDS), |text| text.parse())?;
    let machine = &site.coordinator.machine;
    let door = Door {
        netns: machine.netns(),
        address: site.coordinator.http(),
    };
    for round in 0..rounds {
        // Some die before they answer anybody.
        let (starts_only, most) = if dice.hits(0.2) { (true, 150) } else { (false, 600) };
        if starts_only {
            site.coordinator.launch()?
        } else {
            site.coordinator.restart()?
        }
        let life = Duration::from_millis(dice.between(0, most));
        thread::scope(|scope| {
            let (broken, promises) = mpsc::channel();
            for operator in operators.iter_mut() {
                let (door, broken) = (&door, broken.clone());
                scope.spawn(move || {
                    let outcome = if starts_only { Ok(()) } else { operator.live(door) };
                    if let Err(error) = outcome {
                        drop(broken.send(error));
                    }
                });
            }
            let word = promises.recv_timeout(life);
            site.coordinator.kill(Signal::KILL)?;
            match word {
                Ok(error) => Err(error),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
            }
        })
        .with_context(|| format!("round {round}"))?;
        if round % 20 == 19 {
            steady
                .are_untouched(site)
                .with_context(|| format!("round {round}"))?;
        }
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_at_any_moment_and_no_task_stops() {
    let mut dice = Dice::from_environment();
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&tasks::job("steady", 7101, 2, "", 50))?;
        let steady = Tasks::started(&site, 7101, 2)?;
        let mut operators: Vec<Operator> = (0..OPERATORS)
            .map(|number| Operator::new(number, Dice::new(dice.between(0, u64::MAX))))
            .collect();
        site.coordinator.kill(Signal::KILL)?;
        kill_and_restart(&mut site, &mut operators, &steady, &mut dice)?;

        site.coordinator.restart()?;
        let door = Door {
            netns: site.coordinator.machine.netns(),
            address: site.coordinator.http(),
        };
        for operator in &mut operators {
            ensure!(operator.check(&door)?, "the coordinator does not answer");
            ensure!(
                operator.acknowledgements >= 20,
                "{} got to do {}",
                operator.name,
                operator.acknowledgements
            );
        }
        tasks::await_ready(&site)?;
        let wanted = usize::from(matches!(operators[0].acknowledged, Wish::Registered(_)));
        wait_for("the first operator's task to be as it should", PATIENCE, || {
            let count = Tasks::now(&site, 7102)?.count();
            ensure!(count == wanted, "{count} run, not {wanted}");
            Ok(())
        })?;
        for agent in &site.agents {
            ensure!(
                !tasks::is_fenced(&site, agent)?,
                "generations went back: {:?}",
                tasks::events(&site, agent)?
            );
        }
        holds_for("the steady tasks", Duration::from_secs(4), || {
            steady.are_untouched(&site)
        })
    });
}
