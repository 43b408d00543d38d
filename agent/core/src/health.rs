//! From running tasks and passing checks to the health that deployments and migrations wait for.

use std::collections::BTreeMap;

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{HealthPolicy, LifecycleHook, Service, TaskGroup};
use holdfast_shared::time::Timestamp;
use holdfast_shared::wire::WatchHealth;

use crate::agent::{Agent, group_of};
use crate::effect::Effect;
use crate::input::{CheckRef, TaskRef};
use crate::record::{AllocRecord, TaskPhase};

/// What is known of checks, and whose health is being waited for. None of it is stored: it is found out again.
#[derive(Debug, Default)]
pub(crate) struct Health {
    watches: BTreeMap<AllocId, Watch>,
    checks: BTreeMap<CheckRef, CheckState>,
}

#[derive(Debug, Clone, Copy)]
struct Watch {
    deadline: Timestamp,
    /// Since when everything is well; zero while it is not.
    well_since: Timestamp,
    /// When it will have been well for long enough.
    healthy_at: Timestamp,
}

#[derive(Debug, Clone, Copy, Default)]
struct CheckState {
    passing: bool,
    failures: i64,
    since: Timestamp,
}

impl Health {
    pub(crate) fn forget(&mut self, id: AllocId) {
        self.watches.remove(&id);
    }

    pub(crate) fn timeout(&self) -> Option<Timestamp> {
        let due = |watch: &Watch| {
            if watch.well_since.is_set() {
                watch.deadline.min(watch.healthy_at)
            } else {
                watch.deadline
            }
        };
        self.watches.values().map(due).min()
    }
}

/// Whether somebody waits for the health of an allocation.
fn is_watched(record: &AllocRecord) -> bool {
    record.assigned.watch_health != WatchHealth::Nobody
}

impl Agent {
    /// Begins to wait for the health of an allocation, when somebody waits for it.
    pub(crate) fn watch_health(&mut self, id: AllocId) {
        let Some(record) = self.allocs.get(&id) else {
            return;
        };
        let wanted = is_watched(record) && record.healthy.is_none() && !record.stopping;
        if !wanted || self.health.watches.contains_key(&id) {
            return;
        }
        if let Some(policy) = self.health_policy(id).filter(|policy| policy.check != "manual") {
            let deadline = self.now.mono + policy.healthy_deadline;
            let watch = Watch {
                deadline,
                well_since: Timestamp::ZERO,
                healthy_at: deadline,
            };
            self.health.watches.insert(id, watch);
        }
    }

    /// The coordinator waits for the health of an allocation that was there before: for a new verdict when it was updated
    /// in place, and otherwise for the one that it does not know, or that is not made yet.
    pub(crate) fn decide_health_again(&mut self, id: AllocId, updated: bool) {
        if let Some(record) = self.allocs.get_mut(&id)
            && is_watched(record)
            && record.healthy.is_some()
        {
            if updated {
                record.healthy = None;
                self.touch(id);
            } else {
                self.report(id);
            }
        }
        if updated {
            self.health.watches.remove(&id);
        }
        self.watch_health(id);
    }

    fn health_policy(&self, id: AllocId) -> Option<HealthPolicy> {
        let (record, group) = self.record_and_group(id)?;
        Some(match record.assigned.watch_health {
            WatchHealth::Migration => group.migrate.clone().unwrap_or_default().policy().health,
            WatchHealth::Nobody | WatchHealth::Deployment => {
                group.update.clone().unwrap_or_default().policy().health()
            }
        })
    }

    pub(crate) fn on_health_time(&mut self) {
        for id in self.health.watches.keys().copied().collect::<Vec<_>>() {
            self.judge(id);
        }
    }

    fn judge(&mut self, id: AllocId) {
        let Some(policy) = self.health_policy(id) else {
            return;
        };
        let needs_checks = policy.check == "checks";
        let well = self.tasks_are_well(id) && (!needs_checks || self.checks_are_well(id));
        let restarted_at = self.latest_start(id);
        let now = self.now.mono;
        let Some(watch) = self.health.watches.get_mut(&id) else {
            return;
        };
        if !well {
            watch.well_since = Timestamp::ZERO;
        } else if !watch.well_since.is_set() || restarted_at > watch.well_since {
            watch.well_since = now;
            watch.healthy_at = now + policy.min_healthy_time;
        }
        if well && now >= watch.healthy_at {
            self.declare_health(id, true, "");
        } else if now >= watch.deadline {
            let text = format!(
                "Task not running for min_healthy_time of {} by deadline",
                policy.min_healthy_time
            );
            self.declare_health(id, false, &text);
        }
    }

    /// Decides the health of an allocation, once. People see why it is unhealthy.
    pub(crate) fn declare_health(&mut self, id: AllocId, healthy: bool, why_not: &str) {
        let now = self.now;
        let undecided = |record: &&mut AllocRecord| is_watched(record) && record.healthy.is_none();
        if let Some(record) = self.allocs.get_mut(&id).filter(undecided) {
            record.healthy = Some(healthy);
            if !healthy {
                for task in record.tasks.values_mut() {
                    task.event(now, "Alloc Unhealthy", why_not);
                }
            }
            self.report(id);
        }
        self.health.forget(id);
    }

    fn tasks_are_well(&self, id: AllocId) -> bool {
        let Some((record, group)) = self.record_and_group(id) else {
            return false;
        };
        group.tasks().iter().all(|task| {
            let state = record.tasks.get(&task.name);
            let phase = state.map_or(TaskPhase::Dead, |it| it.phase);
            let ended_well = phase == TaskPhase::Dead && state.is_some_and(|it| !it.state.failed);
            match task.hook() {
                LifecycleHook::Poststop => true,
                LifecycleHook::Prestart | LifecycleHook::Poststart if !task.is_sidecar() => ended_well,
                _ => phase == TaskPhase::Running,
            }
        })
    }

    fn latest_start(&self, id: AllocId) -> Timestamp {
        let tasks = self.allocs.get(&id).map(|record| record.tasks.values());
        tasks
            .into_iter()
            .flatten()
            .map(|task| task.running_since)
            .max()
            .unwrap_or(Timestamp::ZERO)
    }

    fn checks_are_well(&self, id: AllocId) -> bool {
        self.checks_of(id).into_iter().all(|(check, counts)| {
            !counts || self.health.checks.get(&check).is_some_and(|state| state.passing)
        })
    }

    fn record_and_group(&self, id: AllocId) -> Option<(&AllocRecord, &TaskGroup)> {
        let record = self.allocs.get(&id)?;
        Some((record, group_of(self.job(record)?, record)?))
    }

    /// The checks of an allocation, and whether each counts for its health.
    fn checks_of(&self, id: AllocId) -> Vec<(CheckRef, bool)> {
        let Some((_, group)) = self.record_and_group(id) else {
            return Vec::new();
        };
        let of = |task: &str, services: &[Service]| {
            let mut found = Vec::new();
            for (service, it) in services.iter().enumerate() {
                for (check, spec) in it.checks().iter().enumerate() {
                    if matches!(spec.kind.as_str(), "http" | "tcp") {
                        let reference = CheckRef {
                            alloc: id,
                            task: task.into(),
                            service,
                            check,
                        };
                        found.push((reference, spec.on_update != "ignore"));
                    }
                }
            }
            found
        };
        let tasks = group
            .tasks()
            .iter()
            .flat_map(|task| of(&task.name, task.services()));
        of("", group.services()).into_iter().chain(tasks).collect()
    }

    /// Makes the shell run the checks of an allocation whose tasks run.
    pub(crate) fn watch_checks(&mut self, id: AllocId) {
        for (check, _) in self.checks_of(id) {
            if !self.health.checks.contains_key(&check) && self.check_may_run(&check) {
                self.health.checks.insert(
                    check.clone(),
                    CheckState {
                        since: self.now.mono,
                        ..CheckState::default()
                    },
                );
                self.effect(Effect::Watch(check));
            }
        }
    }

    fn check_may_run(&self, check: &CheckRef) -> bool {
        let record = self.allocs.get(&check.alloc).filter(|record| !record.stopping);
        record.is_some_and(|record| {
            check.task.is_empty()
                || record
                    .tasks
                    .get(&check.task)
                    .is_some_and(|task| task.phase == TaskPhase::Running)
        })
    }

    pub(crate) fn on_check(&mut self, check: CheckRef, passing: bool) {
        if !self.check_may_run(&check) {
            self.health.checks.remove(&check);
            self.effect(Effect::Unwatch(check));
            return;
        }
        let Some(state) = self.health.checks.get_mut(&check) else {
            return;
        };
        state.passing = passing;
        state.failures = if passing { 0 } else { state.failures + 1 };
        let (failures, since) = (state.failures, state.since);
        if !passing {
            self.restart_after_failures(&check, failures, since);
        }
    }

    /// `check_restart`: so many failures in a row, after the grace, restart the task.
    fn restart_after_failures(&mut self, check: &CheckRef, failures: i64, since: Timestamp) {
        let Some((_, group)) = self.record_and_group(check.alloc) else {
            return;
        };
        let services = group
            .task(&check.task)
            .map_or_else(|| group.services(), |task| task.services());
        let Some(spec) = services
            .get(check.service)
            .and_then(|service| service.checks().get(check.check))
        else {
            return;
        };
        let Some(block) = spec.check_restart.as_ref().filter(|block| block.limit > 0) else {
            return;
        };
        let grace = block
            .grace
            .unwrap_or(holdfast_shared::time::Duration::from_secs(1));
        let task = if check.task.is_empty() {
            spec.task_name.clone()
        } else {
            check.task.clone()
        };
        let reason = format!("check \"{}\" unhealthy", spec.name);
        if failures < block.limit || self.now.mono < since + grace || task.is_empty() {
            return;
        }
        if let Some(state) = self.health.checks.get_mut(check) {
            *state = CheckState {
                since: self.now.mono,
                ..CheckState::default()
            };
        }
        self.restart_task(
            &TaskRef {
                alloc: check.alloc,
                task,
            },
            "Restart Signaled",
            &reason,
        );
    }
}
