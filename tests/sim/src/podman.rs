//! Podman on one box, and the driver in front of it: containers that start, end, hang, linger and vanish.

use std::collections::BTreeMap;

use holdfast_agent_core::{Exit, Input, Recovery, Rendered, TaskInput, TaskRef};
use holdfast_shared::id::AllocId;
use holdfast_shared::time::{Duration, Timestamp};

use crate::jobs;
use crate::network::Weather;
use crate::world::{Event, World};

/// Pause before a driver that does not do what it should is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// How long the end of a task that was stopped may take to be seen, before it is taken for granted.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// A container, or a process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    /// Tells runs of the same task apart.
    pub(crate) run: u64,
    /// How it ended, once it has.
    pub(crate) exit: Option<i32>,
    /// Whether the running agent process was told so.
    is_reported: bool,
}

/// Podman on one box.
#[derive(Debug, Default)]
pub(crate) struct Podman {
    pub(crate) containers: BTreeMap<TaskRef, Container>,
    pub(crate) hangs: bool,
    pub(crate) is_away: bool,
    pub(crate) zombies: bool,
    pub(crate) errors: Option<Weather>,
    pub(crate) slow_pull: Option<Weather>,
    pub(crate) short_lives: Option<Weather>,
    runs: u64,
    /// Until when the driver is busy with each task: it does one thing after the other.
    lanes: BTreeMap<TaskRef, Timestamp>,
    /// What the agent process has been told to run, as its shell remembers it.
    live: BTreeMap<TaskRef, u64>,
    lives: u64,
}

/// What the driver is asked to do.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Start(TaskRef),
    Recover(TaskRef),
    Stop(TaskRef, Duration),
    Remove(TaskRef, u64),
    Destroy(AllocId),
}

impl Podman {
    /// Tasks that run right now, whatever the agent believes.
    pub(crate) fn running(&self) -> impl Iterator<Item = &TaskRef> {
        let live = |(_, container): &(&TaskRef, &Container)| container.exit.is_none();
        self.containers.iter().filter(live).map(|(task, _)| task)
    }

    pub(crate) fn runs(&self, task: &TaskRef) -> bool {
        self.containers.get(task).is_some_and(|it| it.exit.is_none())
    }

    /// Whether the running agent process was told that the task runs, and not that it ended.
    pub(crate) fn is_live(&self, task: &TaskRef) -> bool {
        self.live.contains_key(task)
    }

    pub(crate) const fn is_healthy(&self) -> bool {
        !self.hangs && !self.is_away
    }

    /// A new agent process knows nothing of what the one before was told.
    pub(crate) fn forget_process(&mut self) {
        self.live.clear();
        self.lanes.clear();
    }

    /// The shell's filter in front of the core: every run ends once.
    pub(crate) fn admits(&mut self, input: &Input) -> bool {
        match input {
            Input::Task(task, TaskInput::Started { .. } | TaskInput::Recovered(Recovery::Running { .. })) => {
                self.begin(task);
                true
            }
            Input::Task(task, TaskInput::Recovered(Recovery::Exited(_) | Recovery::Gone)) => {
                self.live.remove(task);
                true
            }
            Input::Task(task, TaskInput::Exited(_)) => self.live.remove(task).is_some(),
            _ => true,
        }
    }

    fn begin(&mut self, task: &TaskRef) -> u64 {
        self.lives += 1;
        self.live.insert(task.clone(), self.lives);
        self.lives
    }

    /// The box lost power: nothing runs any more.
    pub(crate) fn power_cut(&mut self, vanish: bool) {
        if vanish {
            self.containers.clear();
        }
        for container in self.containers.values_mut() {
            container.exit.get_or_insert(137);
        }
    }
}

/// When the lane of a task is free for something that takes this long.
fn lane(
    lanes: &mut BTreeMap<TaskRef, Timestamp>,
    now: Timestamp,
    task: &TaskRef,
    takes: Duration,
) -> Duration {
    let free = lanes.entry(task.clone()).or_default();
    *free = (*free).max(now) + takes;
    free.since(now)
}

impl World {
    /// The agent's shell asks the driver for something.
    pub(crate) fn order(&mut self, number: usize, order: Order) {
        let now = self.now;
        let device = &mut self.devices[number];
        let takes = match (&order, &mut device.podman.slow_pull) {
            (Order::Start(_), Some(weather)) => weather.random.millis(1_000, weather.size * 1_000),
            _ => device.random.millis(5, 500),
        };
        let delay = match &order {
            Order::Start(task) | Order::Recover(task) | Order::Stop(task, _) | Order::Remove(task, _) => {
                lane(&mut device.podman.lanes, now, task, takes)
            }
            Order::Destroy(_) => takes,
        };
        let process = device.process();
        self.at(delay, Event::Podman(number, process, Box::new(order)));
    }

    /// The driver gets to it.
    pub(crate) fn podman_acts(&mut self, number: usize, order: Order) {
        let podman = &mut self.devices[number].podman;
        let fails = match &mut podman.errors {
            Some(weather) => weather.random.chance(weather.size),
            None => false,
        };
        let works = podman.is_healthy() && !fails;
        match order {
            Order::Start(task) => self.start_container(number, &task, works),
            Order::Recover(task) => self.recover_container(number, task, works),
            Order::Stop(task, timeout) if works && !(podman.zombies && podman.runs(&task)) => {
                self.stop_container(number, task, timeout);
            }
            Order::Remove(task, run) if works => self.remove_container(number, &task, run),
            Order::Destroy(alloc) if works => self.destroy_containers(number, alloc),
            again => {
                let process = self.devices[number].process();
                self.at(RETRY, Event::Podman(number, process, Box::new(again)));
            }
        }
    }

    /// An answer about a task, behind everything else that is under way for it.
    fn answer_task(&mut self, number: usize, task: &TaskRef, takes: Duration, input: TaskInput) {
        let now = self.now;
        let delay = lane(&mut self.devices[number].podman.lanes, now, task, takes);
        self.answer(number, delay, Input::Task(task.clone(), input));
    }

    fn start_container(&mut self, number: usize, task: &TaskRef, works: bool) {
        let device = &mut self.devices[number];
        // A podman that hangs may do it all the same, when nobody waits for it any more.
        let happens = works || (device.podman.hangs && device.random.chance(30));
        let run = happens.then(|| self.create_container(number, task));
        let random = &mut self.devices[number].random;
        let (takes, input) = match run.filter(|_| works) {
            Some(run) => (
                random.millis(20, 1_500),
                TaskInput::Started {
                    handle: run.to_be_bytes().to_vec(),
                    address: String::new(),
                },
            ),
            None => (
                random.millis(100, 30_000),
                TaskInput::StartFailed {
                    message: "podman does not start it".into(),
                    recoverable: true,
                },
            ),
        };
        self.answer_task(number, task, takes, input);
    }

    /// The container of a task: the one that runs, if there is one.
    fn create_container(&mut self, number: usize, task: &TaskRef) -> u64 {
        let device = &mut self.devices[number];
        let told = |variable| device.is_told(task, variable);
        let (fails, ends, is_brief) = (told(jobs::BAD), told(jobs::ENDS), told(jobs::BRIEF));
        let podman = &mut device.podman;
        if let Some(container) = podman.containers.get(task).filter(|it| it.exit.is_none()) {
            return container.run;
        }
        podman.runs += 1;
        let run = podman.runs;
        let container = Container {
            run,
            exit: None,
            is_reported: false,
        };
        podman.containers.insert(task.clone(), container);
        let life = match &mut podman.short_lives {
            _ if fails => Some((device.random.millis(500, 4_000), 1)),
            Some(weather) => Some((
                weather.random.millis(1_000, weather.size * 1_000),
                weather.random.below(2) as i32,
            )),
            None if is_brief => Some((device.random.millis(200, 3_000), 0)),
            None if ends => Some((device.random.millis(1_000, 600_000), 0)),
            None => None,
        };
        if let Some((life, code)) = life {
            self.at(life, Event::TaskEnds(number, task.clone(), run, code));
        }
        run
    }

    fn recover_container(&mut self, number: usize, task: TaskRef, works: bool) {
        let device = &self.devices[number];
        let exited = |code: i32| {
            Recovery::Exited(Exit {
                code,
                ..Exit::default()
            })
        };
        let recovery = match device.podman.containers.get(&task) {
            _ if !works => Recovery::Unclear("podman does not answer".into()),
            None => Recovery::Gone,
            // What the end of a boot did to a task is no end of its own.
            Some(Container { exit: Some(137), .. }) if device.was_rebooted() => Recovery::Gone,
            Some(Container { exit: Some(code), .. }) => exited(*code),
            Some(_) => Recovery::Running {
                address: String::new(),
            },
        };
        let takes = self.devices[number]
            .random
            .millis(5, if works { 100 } else { 10_000 });
        self.answer_task(number, &task, takes, TaskInput::Recovered(recovery));
    }

    /// The driver stops a container; the shell waits for its end, and at last takes it for granted.
    fn stop_container(&mut self, number: usize, task: TaskRef, timeout: Duration) {
        let device = &mut self.devices[number];
        let most = (timeout.0 / 1_000_000).max(10) as u64;
        let takes = device.random.millis(5, most);
        let life = match device.podman.live.get(&task) {
            Some(life) => *life,
            None => device.podman.begin(&task),
        };
        if let Some(container) = device.podman.containers.get(&task).filter(|it| it.exit.is_none()) {
            let run = container.run;
            self.at(takes, Event::TaskEnds(number, task.clone(), run, 0));
        }
        let process = self.devices[number].process();
        self.at(takes + EXIT_GRACE, Event::Unseen(number, process, task, life));
    }

    /// A task was stopped a while ago; if its run has not ended by now, nobody saw it end.
    pub(crate) fn unseen(&mut self, number: usize, task: TaskRef, life: u64) {
        if self.devices[number].podman.live.get(&task) == Some(&life) {
            self.agent_input(
                number,
                Input::Task(task, TaskInput::Exited(Exit::default())),
                None,
            );
        }
    }

    fn remove_container(&mut self, number: usize, task: &TaskRef, run: u64) {
        let podman = &mut self.devices[number].podman;
        if podman.containers.get(task).is_some_and(|it| it.run == run) {
            if podman.runs(task) {
                self.check_end(number, task.alloc, "removed");
            }
            self.devices[number].podman.containers.remove(task);
        }
    }

    fn destroy_containers(&mut self, number: usize, alloc: AllocId) {
        if self.devices[number]
            .podman
            .running()
            .any(|task| task.alloc == alloc)
        {
            self.check_end(number, alloc, "destroyed");
        }
        let containers = &mut self.devices[number].podman.containers;
        containers.retain(|task, _| task.alloc != alloc);
    }

    /// A container ends: it stays until it is removed, and the running agent is told if podman can.
    pub(crate) fn task_ends(&mut self, number: usize, task: &TaskRef, run: u64, code: i32) {
        let podman = &mut self.devices[number].podman;
        let tells = podman.is_healthy();
        let Some(container) = podman
            .containers
            .get_mut(task)
            .filter(|it| it.run == run && it.exit.is_none())
        else {
            return;
        };
        container.exit = Some(code);
        container.is_reported = tells;
        self.tell(number, || format!("{task} ends with {code}"));
        if tells {
            self.tell_exit(number, task, code);
        }
    }

    fn tell_exit(&mut self, number: usize, task: &TaskRef, code: i32) {
        let exit = Exit {
            code,
            ..Exit::default()
        };
        let takes = self.devices[number].random.millis(1, 50);
        self.answer_task(number, task, takes, TaskInput::Exited(exit));
    }

    /// Podman's service answers again: what ended meanwhile is seen.
    pub(crate) fn podman_is_back(&mut self, number: usize) {
        if !self.devices[number].podman.is_healthy() {
            return;
        }
        let unseen: Vec<(TaskRef, i32)> = self.devices[number]
            .podman
            .containers
            .iter_mut()
            .filter_map(|(task, it)| {
                let code = it.exit?;
                let known = std::mem::replace(&mut it.is_reported, true);
                (!known).then(|| (task.clone(), code))
            })
            .collect();
        for (task, code) in unseen {
            self.tell_exit(number, &task, code);
        }
        self.look_around(number);
    }

    /// Somebody removes every container.
    pub(crate) fn remove_everything(&mut self, number: usize) {
        let running: Vec<(TaskRef, u64)> = self.devices[number]
            .podman
            .containers
            .iter()
            .filter(|(_, it)| it.exit.is_none())
            .map(|(task, it)| (task.clone(), it.run))
            .collect();
        for (task, run) in running {
            self.task_ends(number, &task, run, 137);
        }
        self.devices[number].podman.containers.clear();
    }

    /// One container, chosen by `dice`, ends by itself.
    pub(crate) fn crash_task(&mut self, number: usize, dice: u64, code: i32) {
        let running: Vec<TaskRef> = self.devices[number].podman.running().cloned().collect();
        if let Some(task) = running.get(dice as usize % running.len().max(1)) {
            let run = self.devices[number].podman.containers[task].run;
            self.task_ends(number, task, run, code);
        }
    }

    /// The shell renders the templates of a task.
    pub(crate) fn render(&mut self, number: usize, task: TaskRef) {
        let wants = self.devices[number].wants_service(&task);
        let mut rendered = Rendered::default();
        if wants {
            rendered.services.insert(("default".into(), jobs::SERVICE.into()));
        }
        let takes = self.devices[number].random.millis(1, 20);
        self.answer(number, takes, Input::Rendered(task, Ok(rendered)));
    }
}
