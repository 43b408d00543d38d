//! The one loop that owns the core: gathers what happens, hands it in, and has the effects executed.

use std::sync::Arc;
use std::time::Duration;

use holdfast_agent_core::{Agent, Effect, Exit, Input, Link, LocalDelta, Recovery, TaskInput, TaskRef};
use holdfast_drivers::{DriverEvent, DriverInfo, Drivers, Found, TaskId};
use holdfast_shared::wire::{FromAgent, Held};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use crate::checks::Checks;
use crate::clock;
use crate::config::Config;
use crate::execute::exit_of;
use crate::fingerprint::Observer;
use crate::lanes::Lanes;
use crate::local;
use crate::mqtt::{Mqtt, MqttEvent};
use crate::runs::{Run, Runs};
use crate::store::Writer;
use crate::taskdir::{AllocDirs, TaskDir};
use crate::taskenv::{NodeView, Subject};

/// How many inputs share one commit at most.
const BATCH: usize = 256;

/// How often networks and drivers are looked at.
const REFRESH: Duration = Duration::from_secs(5);

/// The longest sleep: a box that was suspended notices what is due no later than this.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// The shortest: however wrong a due time is, the box stays usable.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// What work beside the loop has to say.
#[derive(Debug)]
pub enum News {
    /// Something for the core.
    Input(Input),
    /// The task was stopped a while ago; if its run has not ended by now, nobody saw it end.
    Unseen(TaskRef, Run),
    /// What the drivers say of themselves.
    Drivers(Vec<DriverInfo>),
    /// What a driver runs, as it came up.
    Found(Vec<Found>),
}

/// Everything that flows into the loop.
pub struct Streams {
    /// From the coordinator's side.
    pub mqtt: Receiver<MqttEvent>,
    /// From the drivers.
    pub drivers: UnboundedReceiver<DriverEvent>,
    /// From work beside the loop.
    pub news: UnboundedReceiver<News>,
    /// From people on the box.
    pub local: Receiver<local::Request>,
}

/// What the agent is made of.
pub struct Runtime {
    pub(crate) agent: Agent,
    pub(crate) config: Arc<Config>,
    pub(crate) node: NodeView,
    pub(crate) store: Writer,
    pub(crate) mqtt: Mqtt,
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) dirs: AllocDirs,
    pub(crate) lanes: Lanes,
    pub(crate) checks: Checks,
    pub(crate) runs: Runs,
    /// What removes the traces of tasks that ended: done once it is on the disk that they did.
    pub(crate) held_back: Vec<Effect>,
    pub(crate) news: UnboundedSender<News>,
    pub(crate) observer: Observer,
    /// Whether the box was rebooted since the store was last written.
    pub(crate) rebooted: bool,
    /// Whom the current or last contact led to.
    pub(crate) coordinator: String,
}

impl Runtime {
    /// Runs until `stop` resolves. Tasks keep running; the coordinator is told.
    pub async fn run(mut self, mut streams: Streams, stop: impl Future<Output = ()>) {
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            let due = self.due();
            let mut batch = Vec::new();
            tokio::select! {
                () = &mut stop => break,
                Some(event) = streams.mqtt.recv() => self.on_mqtt(event, &mut batch),
                Some(event) = streams.drivers.recv() => self.on_driver(event, &mut batch),
                Some(news) = streams.news.recv() => self.on_news(news, &mut batch),
                Some(request) = streams.local.recv() => self.on_local(request),
                () = tokio::time::sleep_until(due) => batch.push(Input::Timeout),
                _ = refresh.tick() => self.on_refresh(),
            }
            // Whatever else is there already shares the commit.
            while batch.len() < BATCH && self.gather(&mut streams, &mut batch) {}
            self.step(batch).await;
        }
        tracing::info!("the agent ends; its tasks keep running");
        self.mqtt.close().await;
        self.store.close();
    }

    /// Hands inputs to the core, makes the changes of all of them durable at once, then executes the rest in order.
    async fn step(&mut self, batch: Vec<Input>) {
        let mut effects = Vec::new();
        for input in batch {
            if !self.runs.admit(&input) {
                continue;
            }
            tracing::debug!(?input, "input");
            let found = found_again(&input);
            effects.extend(self.agent.handle(clock::now(), input));
            found.into_iter().for_each(|task| self.survey(task));
        }
        self.perform(effects).await;
    }

    /// Executes effects. What must be durable goes first, in one commit: that is earlier than asked, never later.
    pub(crate) async fn perform(&mut self, effects: Vec<Effect>) {
        let mut deltas = Vec::new();
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(more) => deltas.extend(more),
                other => rest.push(other),
            }
        }
        if !deltas.is_empty() {
            deltas.iter().for_each(log_delta);
            // Tasks that start from now on see the node as it is now.
            if deltas.iter().any(|delta| matches!(delta, LocalDelta::Meta(_))) {
                Arc::make_mut(&mut self.node.fingerprint).change_meta(self.agent.meta());
            }
            self.store.commit(deltas).await;
        }
        let behind = self.store.is_behind();
        if !behind {
            rest.splice(..0, self.held_back.drain(..));
        }
        for effect in rest {
            match effect {
                // Should the agent be killed now, the driver still knows how the task ended, and no operator relies on what
                // is forgotten then.
                Effect::Remove(..) | Effect::Publish(FromAgent::Answer(_)) if behind => {
                    self.held_back.push(effect);
                }
                effect => self.execute(effect),
            }
        }
    }

    /// Hands an input in with the next batch.
    pub(crate) fn tell(&self, input: Input) {
        // The other end is in this loop; it only goes when everything goes.
        let _ = self.news.send(News::Input(input));
    }

    /// Does something with a task and everything its environment is made of; `None` when its specification is missing.
    pub(crate) fn with_subject<T>(
        &self,
        task: &TaskRef,
        act: impl FnOnce(Subject<'_>, &TaskDir) -> T,
    ) -> Option<T> {
        let record = self.agent.alloc(task.alloc)?;
        let job = self.agent.job(record)?;
        let group = job.group(&record.assigned.group)?;
        let subject = Subject {
            record,
            job,
            group,
            task: group.task(&task.task)?,
            node: &self.node,
        };
        Some(act(subject, &self.dirs.of(task.alloc).task(&task.task)))
    }

    fn due(&self) -> Instant {
        let pause = self
            .agent
            .poll_timeout()
            .map(|at| at.since(clock::now().mono).to_std());
        Instant::now() + pause.unwrap_or(SLEEP_MAX).clamp(SLEEP_MIN, SLEEP_MAX)
    }

    /// Takes one more thing that is there already; answers whether there was one.
    fn gather(&mut self, streams: &mut Streams, batch: &mut Vec<Input>) -> bool {
        if let Ok(event) = streams.mqtt.try_recv() {
            self.on_mqtt(event, batch);
        } else if let Ok(event) = streams.drivers.try_recv() {
            self.on_driver(event, batch);
        } else if let Ok(news) = streams.news.try_recv() {
            self.on_news(news, batch);
        } else {
            return false;
        }
        true
    }

    fn on_mqtt(&mut self, event: MqttEvent, batch: &mut Vec<Input>) {
        batch.push(match event {
            MqttEvent::Up { session, coordinator } => {
                self.coordinator = coordinator;
                Input::Link(Link::Up { session })
            }
            MqttEvent::Down => Input::Link(Link::Down),
            MqttEvent::Message(message) => Input::Message(*message),
        });
    }

    fn on_driver(&mut self, event: DriverEvent, batch: &mut Vec<Input>) {
        match event {
            DriverEvent::Exited(exit) => {
                let Some(task) = task_ref(&exit.task) else { return };
                // Behind whatever is under way for the task: nobody ends before the core knows that it has begun.
                let input = Input::Task(task.clone(), TaskInput::Exited(exit_of(&exit)));
                let news = self.news.clone();
                self.lanes
                    .submit(task, async move { drop(news.send(News::Input(input))) });
            }
            DriverEvent::Progress { task, kind, message } => {
                let progress = TaskInput::Progress {
                    kind: kind.to_owned(),
                    message,
                };
                batch.extend(task_ref(&task).map(|task| Input::Task(task, progress)));
            }
            DriverEvent::Health(info) => self.on_infos(vec![info], batch),
        }
    }

    fn on_news(&mut self, news: News, batch: &mut Vec<Input>) {
        match news {
            News::Input(input) => batch.push(input),
            News::Unseen(task, run) if self.runs.is_live(&task, run) => {
                let message = "it was stopped, and nobody saw its exit code".to_owned();
                batch.push(Input::Task(
                    task,
                    TaskInput::Exited(Exit {
                        message,
                        ..Exit::default()
                    }),
                ));
            }
            News::Unseen(..) => {}
            News::Drivers(infos) => {
                self.observer.complete();
                self.on_infos(infos, batch);
            }
            News::Found(found) => self.on_found(&found, batch),
        }
    }

    /// Drivers came or went, or the networks may have changed.
    fn on_infos(&mut self, infos: Vec<DriverInfo>, batch: &mut Vec<Input>) {
        for info in infos {
            let (name, healthy) = (info.driver, info.healthy);
            tracing::debug!(driver = name, healthy, description = info.description, "driver");
            if self.observer.note(info) {
                self.list(name);
            }
        }
        if let Some(mut fingerprint) = self.observer.announce() {
            fingerprint.change_meta(self.agent.meta());
            self.node.fingerprint = Arc::new(fingerprint.clone());
            batch.push(Input::Fingerprint(Box::new(fingerprint)));
        }
    }

    /// Asks a driver that has come up what it runs.
    fn list(&self, name: &'static str) {
        let Some(driver) = self.drivers.find(name).cloned() else {
            return;
        };
        let news = self.news.clone();
        tokio::spawn(async move {
            if let Ok(found) = driver.list().await {
                let _ = news.send(News::Found(found));
            }
        });
    }

    /// Tasks that the store does not know are left alone until the coordinator says what is to become of them.
    fn on_found(&self, found: &[Found], batch: &mut Vec<Input>) {
        for task in found.iter().filter(|task| task.running) {
            let known = task_ref(&task.handle.task);
            let is_over = |it: &TaskRef| {
                self.agent
                    .alloc(it.alloc)
                    .is_none_or(|it| it.client.is_terminal())
            };
            if let Some(it) = known.filter(is_over) {
                tracing::warn!(task = %task.handle.task, job = task.job, "a task runs that is unknown or over");
                batch.push(Input::Orphan(it.alloc));
            }
        }
    }

    fn on_local(&self, request: local::Request) {
        let answer = local::answer(&request.text, self);
        // Whoever asked may have gone.
        let _ = request.reply.send(answer);
    }

    fn on_refresh(&self) {
        let (drivers, news) = (Arc::clone(&self.drivers), self.news.clone());
        tokio::spawn(async move {
            let mut infos = Vec::new();
            for (_, driver) in drivers.iter() {
                infos.push(driver.fingerprint().await);
            }
            let _ = news.send(News::Drivers(infos));
        });
    }
}

/// The task that a driver has found running.
fn found_again(input: &Input) -> Option<TaskRef> {
    match input {
        Input::Task(task, TaskInput::Recovered(Recovery::Running { .. })) => Some(task.clone()),
        _ => None,
    }
}

/// Every change of what the agent keeps, in one place.
fn log_delta(delta: &LocalDelta) {
    match delta {
        LocalDelta::Held(Held { epoch, generation }) => tracing::info!(epoch, generation, "assignment set"),
        LocalDelta::Alloc(record) => tracing::info!(
            alloc = %record.assigned.id.short(),
            name = record.assigned.name,
            version = record.assigned.job_version,
            status = %record.client,
            stopping = record.stopping,
            "allocation"
        ),
        LocalDelta::RemoveAlloc(alloc) => tracing::info!(alloc = %alloc.short(), "allocation forgotten"),
        LocalDelta::Spec(spec) => tracing::info!(job = spec.job, version = spec.version, "job version"),
        LocalDelta::RemoveSpec(key) => {
            tracing::info!(job = %key.job.id, version = key.version, "job version forgotten")
        }
        LocalDelta::Catalog(catalog) => tracing::info!(revision = catalog.revision, "catalog"),
        LocalDelta::Meta(meta) => tracing::info!(keys = meta.len(), "meta changed by an operator"),
        LocalDelta::BeginningAnew(allocs) => tracing::info!(allocs = allocs.len(), "allocations begin anew"),
    }
}

fn task_ref(id: &TaskId) -> Option<TaskRef> {
    Some(TaskRef {
        alloc: id.alloc.parse().ok()?,
        task: id.task.clone(),
    })
}
