//! When templates are rendered, and what a changed one does. What they contain is the shell's business.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::AllocId;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Catalog, FromAgent, Interest};

use crate::agent::Agent;
use crate::effect::Effect;
use crate::input::{Rendered, TaskRef};
use crate::record::{LocalDelta, TaskPhase};

/// What the templates of each task asked for, and changes that wait for their splay.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    wants: BTreeMap<TaskRef, Wants>,
    actions: BTreeMap<TaskRef, (Timestamp, Action)>,
    published: Option<Interest>,
}

/// Services by namespace and name, and namespaces of which all services are wanted.
type Wants = (BTreeSet<(String, String)>, BTreeSet<String>);

/// What a changed template does to its task; a restart outweighs signals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Signal(String),
    Restart,
}

impl Templates {
    pub(crate) fn forget(&mut self, id: AllocId) {
        self.wants.retain(|task, _| task.alloc != id);
        self.actions.retain(|task, _| task.alloc != id);
    }

    pub(crate) fn timeout(&self) -> Option<Timestamp> {
        self.actions.values().map(|(at, _)| *at).min()
    }
}

impl Agent {
    /// The services that templates want to know have changed. The last known ones stay when nothing comes.
    pub(crate) fn on_catalog(&mut self, catalog: Catalog) {
        if catalog == self.catalog {
            return;
        }
        self.persist(LocalDelta::Catalog(catalog.clone()));
        self.catalog = catalog;
        let waiting = |agent: &Self, task: &TaskRef| {
            let record = agent.allocs.get(&task.alloc).filter(|record| !record.stopping);
            record
                .and_then(|record| record.tasks.get(&task.task))
                .is_some_and(|task| matches!(task.phase, TaskPhase::Rendering | TaskPhase::Running))
        };
        let tasks: Vec<TaskRef> = self
            .templates
            .wants
            .iter()
            .filter(|(task, (services, namespaces))| {
                !(services.is_empty() && namespaces.is_empty()) && waiting(self, task)
            })
            .map(|(task, _)| task.clone())
            .collect();
        for task in tasks {
            self.effect(Effect::Render(task));
        }
    }

    pub(crate) fn on_rendered(&mut self, reference: &TaskRef, result: Result<Rendered, String>) {
        let Some(phase) = self.task_mut(reference).map(|task| task.phase) else {
            return;
        };
        match result {
            Err(message) => self.on_render_failed(reference, phase, &message),
            Ok(rendered) => {
                let wants = (rendered.services.clone(), rendered.namespaces.clone());
                self.templates.wants.insert(reference.clone(), wants);
                self.publish_interest(false);
                match phase {
                    TaskPhase::Rendering => self.on_first_render(reference, &rendered),
                    TaskPhase::Running => self.on_rerender(reference, &rendered),
                    _ => {}
                }
            }
        }
    }

    /// A template that cannot be rendered keeps a task from starting. One that ran before goes on with the last content: the
    /// disk may be full.
    fn on_render_failed(&mut self, reference: &TaskRef, phase: TaskPhase, message: &str) {
        let now = self.now;
        let Some(task) = self.task_mut(reference) else {
            return;
        };
        task.event(now, "Template", message);
        let ran_before = task.state.started_at.is_set();
        if phase == TaskPhase::Rendering && !ran_before {
            task.event(now, "Not Restarting", "Error was unrecoverable");
            task.fail(now);
        }
        self.report(reference.alloc);
        if phase == TaskPhase::Rendering && ran_before {
            self.start_task(reference);
        }
    }

    fn on_first_render(&mut self, reference: &TaskRef, rendered: &Rendered) {
        let now = self.now;
        let Some(task) = self.task_mut(reference) else {
            return;
        };
        // A task that ran before has the last content on disk, and starts with it: contact may be gone.
        if rendered.missing.is_empty() || task.state.started_at.is_set() {
            self.start_task(reference);
            return;
        }
        let text = format!("Missing: {}", rendered.missing.join(", "));
        if task
            .state
            .events
            .open()
            .last()
            .is_none_or(|event| event.message != text)
        {
            task.event(now, "Template", &text);
            self.report(reference.alloc);
        }
    }

    fn on_rerender(&mut self, reference: &TaskRef, rendered: &Rendered) {
        let Some((_, spec)) = self.spec(reference) else {
            return;
        };
        let changed: Vec<_> = rendered
            .changed
            .iter()
            .filter_map(|file| spec.templates().get(file.template))
            .collect();
        let action = changed
            .iter()
            .filter_map(|template| match template.change_mode.as_deref() {
                Some("noop") => None,
                Some("signal") => Some(Action::Signal(template.change_signal.clone().unwrap_or_default())),
                Some("script") => None,
                _ => Some(Action::Restart),
            });
        let Some(action) = action.max() else {
            return;
        };
        let splay = changed
            .iter()
            .filter_map(|template| template.splay)
            .max()
            .unwrap_or(Duration::from_secs(5));
        let at = self.now.mono + self.jitter(splay);
        let pending = self
            .templates
            .actions
            .entry(reference.clone())
            .or_insert_with(|| (at, action.clone()));
        pending.1 = action.max(pending.1.clone());
    }

    pub(crate) fn on_template_time(&mut self) {
        let now = self.now;
        let due: Vec<TaskRef> = self
            .templates
            .actions
            .iter()
            .filter(|(_, (at, _))| now.mono >= *at)
            .map(|(task, _)| task.clone())
            .collect();
        for reference in due {
            match self.templates.actions.remove(&reference) {
                Some((_, Action::Restart)) => {
                    self.restart_task(
                        &reference,
                        "Restart Signaled",
                        "Template with change_mode restart re-rendered",
                    );
                }
                Some((_, Action::Signal(signal))) => self.signal_task(&reference, signal),
                None => {}
            }
        }
    }

    fn signal_task(&mut self, reference: &TaskRef, signal: String) {
        let now = self.now;
        let Some(task) = self
            .task_mut(reference)
            .filter(|task| task.phase == TaskPhase::Running)
        else {
            return;
        };
        task.event(now, "Signaling", "Template re-rendered");
        let handle = task.handle.clone();
        self.report(reference.alloc);
        self.effect(Effect::Signal {
            task: reference.clone(),
            handle,
            signal,
        });
    }

    /// Tells the coordinator which services are wanted, when that changed or when it has to be told anew.
    pub(crate) fn publish_interest(&mut self, anew: bool) {
        let Some(session) = self.connection.session() else {
            return;
        };
        let mut services = BTreeSet::new();
        let mut namespaces = BTreeSet::new();
        for (wanted, spaces) in self.templates.wants.values() {
            services.extend(wanted.iter().cloned());
            namespaces.extend(spaces.iter().cloned());
        }
        let interest = Interest {
            session,
            services: services.into_iter().collect(),
            namespaces: namespaces.into_iter().collect(),
        };
        if anew || self.templates.published.as_ref() != Some(&interest) {
            self.templates.published = Some(interest.clone());
            self.effect(Effect::Publish(FromAgent::Interest(interest)));
        }
    }
}
