//! The driver's one standing task: connects to podman, listens to its events, and notices when it comes and goes.
//!
//! Events say that a container died; the container's own state is then read, so an event that is lost, late or seen twice
//! does no harm: everything is compared with a full list after every connect and now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use podman_api::opts::EventsOpts;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};

use super::client::ContainerState;
use super::{Podman, label};
use crate::cgroup::Cgroup;
use crate::driver::{DriverEvent, DriverInfo, Exit, wall_clock_ms};
use crate::error::DriverError;
use crate::process::ProcessId;
use crate::task::TaskId;

/// How often podman is asked whether it is still there, and the containers are compared.
const CHECK: Duration = Duration::from_secs(30);
/// Shortest pause between attempts to reach podman; it doubles.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between attempts to reach podman.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// An exit that podman does not report by itself is looked up after this long.
const EVENT_GRACE: Duration = Duration::from_secs(2);
/// Podman records an exit a moment after it tells of it.
const STATE_TRIES: u32 = 20;

/// A container whose exit somebody waits for.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) task: TaskId,
    /// The exit once it is known. Whoever puts it in also reports it, so it is reported once.
    pub(super) exit: Arc<watch::Sender<Option<Exit>>>,
    oom: Arc<watch::Sender<bool>>,
}

/// Podman's version when it answers, else why it does not; nothing before it was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Health(Option<Result<Option<String>, String>>);

impl Tracked {
    pub(super) fn new(task: TaskId) -> Self {
        Self {
            task,
            exit: Arc::new(watch::Sender::new(None)),
            oom: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Podman {
    /// Runs for as long as the driver lives.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut pause = MIN_PAUSE;
        loop {
            match self.fetch_version().await {
                Ok(version) => {
                    self.set_health(Ok(version));
                    let begun = Instant::now();
                    let cause = self.listen().await;
                    tracing::debug!(cause, "podman's event stream ended");
                    // A stream that ends at once, again and again, must not keep the agent busy.
                    sleep(pause).await;
                    if begun.elapsed() > CHECK {
                        pause = MIN_PAUSE;
                    }
                }
                Err(error) => {
                    self.set_health(Err(error.to_string()));
                    sleep(pause).await;
                }
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Listens until the stream ends or podman stops answering; says why.
    async fn listen(self: &Arc<Self>) -> String {
        let filter = ("label".to_owned(), vec![format!("{}={}", label::NODE, self.node)]);
        // A second before now covers what happens while the stream is being opened.
        let since = wall_clock_ms() / 1000;
        let opts = EventsOpts::builder()
            .stream(true)
            .since(since.saturating_sub(1).to_string())
            .filters([filter])
            .build();
        let api = self.api();
        let mut events = api.events(&opts);
        let mut check = interval_at(Instant::now() + Duration::from_millis(500), CHECK);
        if let Err(error) = self.compare().await {
            return error.to_string();
        }
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) if matches!(event.action.as_str(), "died" | "remove") => {
                        self.clone().look(event.actor.id);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return error.to_string(),
                    None => return "closed by podman".to_owned(),
                },
                () = async { tokio::select! { _ = check.tick() => (), () = self.doubt.notified() => () } } => {
                    if let Err(error) = self.compare().await {
                        return error.to_string();
                    }
                }
            }
        }
    }

    /// Holds every tracked container against podman's list.
    async fn compare(self: &Arc<Self>) -> Result<(), DriverError> {
        let awaited = |tracked: &Tracked| tracked.exit.borrow().is_none();
        let tracked: Vec<String> = self
            .tracked()
            .iter()
            .filter(|(_, tracked)| awaited(tracked))
            .map(|(id, _)| id.clone())
            .collect();
        let running: BTreeMap<String, bool> = self
            .containers()
            .await?
            .into_iter()
            .filter_map(|container| Some((container.id?, container.state.as_deref() == Some("running"))))
            .collect();
        for id in tracked.into_iter().filter(|id| running.get(id) != Some(&true)) {
            self.clone().look(id);
        }
        Ok(())
    }

    /// Looks up a container that may have exited, beside everything else.
    fn look(self: Arc<Self>, id: String) {
        let Some(tracked) = self.tracked().get(&id).cloned() else {
            return;
        };
        tokio::spawn(async move {
            for _ in 0..STATE_TRIES {
                match self.exit_of(&id, &tracked).await {
                    Ok(Some(exit)) => return self.report(&id, &tracked, exit).await,
                    Ok(None) => sleep(Duration::from_millis(100)).await,
                    // Podman went away meanwhile: it is looked up again after the next connect.
                    Err(error) => return tracing::debug!(%error, "cannot read a container's state"),
                }
            }
        });
    }

    /// The container's exit; `None` while it runs.
    pub(super) async fn exit_of(&self, id: &str, tracked: &Tracked) -> Result<Option<Exit>, DriverError> {
        let Some(state) = self.inspect(id).await? else {
            // Removed behind our back: that it ended is certain, how is not.
            let (task, time_ms) = (tracked.task.clone(), wall_clock_ms());
            return Ok(Some(Exit {
                task,
                exit_code: None,
                signal: 0,
                oom_killed: false,
                time_ms,
            }));
        };
        let oom_killed = *tracked.oom.borrow();
        Ok(state.is_over().then(|| state.exit(&tracked.task, oom_killed)))
    }

    async fn report(&self, id: &str, tracked: &Tracked, exit: Exit) {
        self.logs.drain(&tracked.task).await;
        let first = tracked.exit.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| exit.clone());
            first
        });
        if first && self.tracked().contains_key(id) {
            self.send(DriverEvent::Exited(exit));
        }
    }

    /// Watches the container's main process as well: it tells of the end even while podman is down, and it is
    /// the last moment at which the kernel says whether memory was the reason.
    pub(super) fn watch_process(self: &Arc<Self>, state: &ContainerState) {
        let Some(tracked) = self.tracked().get(&state.id).cloned() else {
            return;
        };
        let Some((pid, process)) = state.pid.and_then(|pid| Some((pid, ProcessId::of(pid)?))) else {
            return self.clone().look(state.id.clone());
        };
        let (cgroup, driver, id) = (Cgroup::of(pid), Arc::downgrade(self), state.id.clone());
        tokio::spawn(async move {
            process.exited().await;
            if let Some(kills) = cgroup.and_then(|cgroup| cgroup.oom_kills()) {
                tracked.oom.send_replace(kills > 0);
            }
            let told = timeout(EVENT_GRACE, tracked.exit.subscribe().wait_for(Option::is_some))
                .await
                .is_ok();
            if let Some(driver) = driver.upgrade()
                && !told
            {
                driver.look(id);
            }
        });
    }

    /// Notes the driver's state and tells the agent when it changed.
    fn set_health(&self, verdict: Result<Option<String>, String>) {
        let verdict = Health(Some(verdict));
        let changed = self.health.send_if_modified(|health| {
            let changed = *health != verdict;
            *health = verdict;
            changed
        });
        if changed {
            self.send(DriverEvent::Health(self.info()));
        }
    }

    /// The driver's state. Only the very first answer has to wait for podman's.
    pub(super) async fn fingerprint(&self) -> DriverInfo {
        let mut health = self.health.subscribe();
        let _ = timeout(self.call_timeout, health.wait_for(|health| health.0.is_some())).await;
        self.info()
    }

    fn info(&self) -> DriverInfo {
        let mut info = DriverInfo {
            driver: super::NAME,
            detected: self.socket.exists(),
            ..DriverInfo::default()
        };
        match self.health.borrow().0.clone() {
            None => info.description = "podman has not answered yet".to_owned(),
            Some(Err(cause)) => info.description = cause,
            Some(Ok(version)) => {
                info.healthy = true;
                info.description = "Healthy".to_owned();
                for name in ["podman", "docker"] {
                    info.attributes.insert(format!("driver.{name}"), "1".to_owned());
                    if let Some(version) = &version {
                        info.attributes
                            .insert(format!("driver.{name}.version"), version.clone());
                    }
                }
            }
        }
        info
    }
}
