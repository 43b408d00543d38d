//! The policies of groups, twice: as the API writes them, with gaps, and as they take effect, without.
//!
//! Defaults and meanings: `scheduling-semantics.md` sections 1.1, 3.4, 3.5 and 3.6.

use serde::{Deserialize, Serialize};

use super::job::{JobType, or_zero};
use crate::time::Duration;

/// How a change is rolled out, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Update {
    /// Legacy pause between batches.
    pub stagger: Option<Duration>,
    /// How many allocations at a time; 0 replaces all at once, without a deployment.
    pub max_parallel: Option<i64>,
    /// `checks`, `task_states` or `manual`.
    pub health_check: Option<String>,
    /// How long an allocation must be well before it counts.
    pub min_healthy_time: Option<Duration>,
    /// How long an allocation may take to become healthy.
    pub healthy_deadline: Option<Duration>,
    /// How long a deployment may go without progress.
    pub progress_deadline: Option<Duration>,
    /// How many allocations of the new version are tried first.
    pub canary: Option<i64>,
    /// Whether a failed deployment returns to the last stable version.
    pub auto_revert: Option<bool>,
    /// Whether healthy canaries are promoted without an operator.
    pub auto_promote: Option<bool>,
}

/// How a change is rolled out, in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// How many allocations at a time; 0 replaces all at once, without a deployment.
    pub max_parallel: i64,
    /// `checks`, `task_states` or `manual`.
    pub health_check: String,
    /// How long an allocation must be well before it counts.
    pub min_healthy_time: Duration,
    /// How long an allocation may take to become healthy.
    pub healthy_deadline: Duration,
    /// How long a deployment may go without progress; 0 fails at the first unhealthy allocation.
    pub progress_deadline: Duration,
    /// How many allocations of the new version are tried first.
    pub canary: i64,
    /// Whether a failed deployment returns to the last stable version.
    pub auto_revert: bool,
    /// Whether healthy canaries are promoted without an operator.
    pub auto_promote: bool,
}

impl UpdatePolicy {
    /// When an allocation counts as healthy.
    pub fn health(&self) -> HealthPolicy {
        HealthPolicy {
            check: self.health_check.clone(),
            min_healthy_time: self.min_healthy_time,
            healthy_deadline: self.healthy_deadline,
        }
    }
}

impl Update {
    /// The block with every default filled in.
    pub fn defaults() -> Self {
        Self {
            stagger: Some(Duration::from_secs(30)),
            max_parallel: Some(1),
            health_check: Some("checks".into()),
            min_healthy_time: Some(Duration::from_secs(10)),
            healthy_deadline: Some(Duration::from_secs(300)),
            progress_deadline: Some(Duration::from_secs(600)),
            canary: Some(0),
            auto_revert: Some(false),
            auto_promote: Some(false),
        }
    }

    /// The policy in effect.
    pub fn policy(&self) -> UpdatePolicy {
        UpdatePolicy {
            max_parallel: self.max_parallel.unwrap_or(1),
            health_check: self
                .health_check
                .clone()
                .filter(|it| !it.is_empty())
                .unwrap_or_else(|| "checks".into()),
            min_healthy_time: self.min_healthy_time.unwrap_or(Duration::from_secs(10)),
            healthy_deadline: self.healthy_deadline.unwrap_or(Duration::from_secs(300)),
            progress_deadline: self.progress_deadline.unwrap_or(Duration::from_secs(600)),
            canary: self.canary.unwrap_or(0),
            auto_revert: self.auto_revert.unwrap_or(false),
            auto_promote: self.auto_promote.unwrap_or(false),
        }
    }
}

/// How allocations move off a draining node, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Migrate {
    /// How many at a time; 1 unless given.
    pub max_parallel: Option<i64>,
    /// `checks` or `task_states`.
    pub health_check: Option<String>,
    /// How long a replacement must be well before it counts.
    pub min_healthy_time: Option<Duration>,
    /// How long a replacement may take to become healthy.
    pub healthy_deadline: Option<Duration>,
}

/// How allocations move off a draining node, in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigratePolicy {
    /// How many of a group may be missing at a time.
    pub max_parallel: i64,
    /// How the health of replacements is found out.
    pub health: HealthPolicy,
}

/// When an allocation counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPolicy {
    /// `checks`, `task_states` or `manual`.
    pub check: String,
    /// How long it must be well before it counts.
    pub min_healthy_time: Duration,
    /// How long it may take to become healthy.
    pub healthy_deadline: Duration,
}

impl Migrate {
    /// The block with every default filled in.
    pub fn defaults() -> Self {
        Self {
            max_parallel: Some(1),
            health_check: Some("checks".into()),
            min_healthy_time: Some(Duration::from_secs(10)),
            healthy_deadline: Some(Duration::from_secs(300)),
        }
    }

    /// The policy in effect.
    pub fn policy(&self) -> MigratePolicy {
        MigratePolicy {
            max_parallel: self.max_parallel.unwrap_or(1),
            health: HealthPolicy {
                check: self
                    .health_check
                    .clone()
                    .filter(|it| !it.is_empty())
                    .unwrap_or_else(|| "checks".into()),
                min_healthy_time: self.min_healthy_time.unwrap_or(Duration::from_secs(10)),
                healthy_deadline: self.healthy_deadline.unwrap_or(Duration::from_secs(300)),
            },
        }
    }
}

/// What happens after a task's end, on the same node, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Restart {
    /// The window in which attempts count.
    pub interval: Option<Duration>,
    /// How many restarts a window allows.
    pub attempts: Option<i64>,
    /// The pause before a restart.
    pub delay: Option<Duration>,
    /// Ours: the pause doubles with every restart of a window, up to this; unless given, it stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Duration>,
    /// What follows the last attempt: `fail` or `delay`.
    pub mode: Option<String>,
    /// Whether templates are rendered anew at each restart.
    pub render_templates: Option<bool>,
}

/// What happens after a task's end, in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// The window in which attempts count.
    pub interval: Duration,
    /// How many restarts a window allows.
    pub attempts: i64,
    /// The pause before a restart.
    pub delay: Duration,
    /// Up to what it doubles with every restart of a window.
    pub max_delay: Option<Duration>,
    /// Whether the task fails after the last attempt, instead of waiting for the next window.
    pub fails: bool,
    /// Whether templates are rendered anew at each restart.
    pub render_templates: bool,
}

impl Restart {
    /// The defaults of jobs of this type.
    pub fn defaults(kind: JobType) -> Self {
        let (attempts, hours) = if kind.is_batch() { (3, 48) } else { (2, 1) };
        Self {
            interval: Some(Duration::from_secs(hours * 1800)),
            attempts: Some(attempts),
            delay: Some(Duration::from_secs(15)),
            max_delay: None,
            mode: Some("fail".into()),
            render_templates: Some(false),
        }
    }

    /// This block with the gaps filled from `other`.
    pub fn merged_over(&self, other: &Self) -> Self {
        Self {
            interval: self.interval.or(other.interval),
            attempts: self.attempts.or(other.attempts),
            delay: self.delay.or(other.delay),
            max_delay: self.max_delay.or(other.max_delay),
            mode: self.mode.clone().or_else(|| other.mode.clone()),
            render_templates: self.render_templates.or(other.render_templates),
        }
    }

    /// The policy in effect for jobs of this type.
    pub fn policy(&self, kind: JobType) -> RestartPolicy {
        let full = self.merged_over(&Self::defaults(kind));
        RestartPolicy {
            interval: or_zero(full.interval),
            attempts: full.attempts.unwrap_or(0),
            delay: or_zero(full.delay),
            max_delay: full.max_delay,
            fails: full.mode.as_deref() != Some("delay"),
            render_templates: full.render_templates.unwrap_or(false),
        }
    }
}

/// When a failed allocation is placed anew, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Reschedule {
    /// How many placements the interval allows.
    pub attempts: Option<i64>,
    /// The window in which attempts count.
    pub interval: Option<Duration>,
    /// The first delay.
    pub delay: Option<Duration>,
    /// `constant`, `exponential` or `fibonacci`.
    pub delay_function: Option<String>,
    /// The longest delay.
    pub max_delay: Option<Duration>,
    /// Whether attempts and interval do not matter.
    pub unlimited: Option<bool>,
}

/// How the delay between reschedules grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DelayFunction {
    /// Always the same.
    Constant,
    /// Doubles each time.
    Exponential,
    /// The sum of the last two.
    Fibonacci,
}

/// When a failed allocation is placed anew, in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReschedulePolicy {
    /// How many placements the interval allows.
    pub attempts: i64,
    /// The window in which attempts count.
    pub interval: Duration,
    /// The first delay.
    pub delay: Duration,
    /// How the delay grows.
    pub delay_function: DelayFunction,
    /// The longest delay; zero is no limit.
    pub max_delay: Duration,
    /// Whether attempts and interval do not matter.
    pub unlimited: bool,
}

impl Reschedule {
    /// The defaults of jobs of this type; none for system and sysbatch jobs.
    pub fn defaults(kind: JobType) -> Option<Self> {
        let (attempts, interval, delay, function, max_delay, unlimited) = match kind {
            JobType::Service => (0, 0, 30, "exponential", 3600, true),
            JobType::Batch => (1, 86_400, 5, "constant", 0, false),
            JobType::System | JobType::Sysbatch => return None,
        };
        Some(Self {
            attempts: Some(attempts),
            interval: Some(Duration::from_secs(interval)),
            delay: Some(Duration::from_secs(delay)),
            delay_function: Some(function.into()),
            max_delay: Some(Duration::from_secs(max_delay)),
            unlimited: Some(unlimited),
        })
    }

    /// The policy in effect.
    pub fn policy(&self) -> ReschedulePolicy {
        ReschedulePolicy {
            attempts: self.attempts.unwrap_or(0),
            interval: or_zero(self.interval),
            delay: or_zero(self.delay),
            delay_function: match self.delay_function.as_deref() {
                Some("exponential") => DelayFunction::Exponential,
                Some("fibonacci") => DelayFunction::Fibonacci,
                _ => DelayFunction::Constant,
            },
            max_delay: or_zero(self.max_delay),
            unlimited: self.unlimited.unwrap_or(false),
        }
    }
}

/// What happens when a node is out of contact, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Disconnect {
    /// How long the node counts as disconnected instead of down.
    pub lost_after: Option<Duration>,
    /// After how long without contact the node stops the allocation by itself.
    pub stop_on_client_after: Option<Duration>,
    /// Whether a replacement is placed; true unless given.
    pub replace: Option<bool>,
    /// Ours: how long to wait before the replacement is placed; by default the reschedule policy decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_after: Option<Duration>,
    /// Which copy lives on: `best_score`, `keep_original`, `keep_replacement` or `longest_running`.
    pub reconcile: Option<String>,
}

/// Which copy of an allocation lives on when its node is back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconcileStrategy {
    /// The one on the node with the higher rank; the original when they are equal.
    #[default]
    BestScore,
    /// The original.
    KeepOriginal,
    /// The replacement.
    KeepReplacement,
    /// The one that runs for longer.
    LongestRunning,
}

/// What happens when a node is out of contact, in effect: the `disconnect` block, or the older fields mapped onto it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisconnectPolicy {
    /// How long the node counts as disconnected instead of down; zero is not at all.
    pub lost_after: Duration,
    /// After how long without contact the node stops the allocation by itself.
    pub stop_on_client_after: Option<Duration>,
    /// Whether a replacement is placed.
    pub replace: bool,
    /// When the replacement is placed: `Some(0)` is at once, `None` leaves it to the reschedule policy.
    pub replace_after: Option<Duration>,
    /// Which copy lives on.
    pub reconcile: ReconcileStrategy,
}

impl Default for DisconnectPolicy {
    fn default() -> Self {
        Self {
            lost_after: Duration::ZERO,
            stop_on_client_after: None,
            replace: true,
            replace_after: None,
            reconcile: ReconcileStrategy::BestScore,
        }
    }
}

impl Disconnect {
    /// The policy in effect.
    pub fn policy(&self) -> DisconnectPolicy {
        DisconnectPolicy {
            lost_after: or_zero(self.lost_after),
            stop_on_client_after: self.stop_on_client_after,
            replace: self.replace.unwrap_or(true),
            replace_after: self.replace_after,
            reconcile: match self.reconcile.as_deref() {
                Some("keep_original") => ReconcileStrategy::KeepOriginal,
                Some("keep_replacement") => ReconcileStrategy::KeepReplacement,
                Some("longest_running") => ReconcileStrategy::LongestRunning,
                _ => ReconcileStrategy::BestScore,
            },
        }
    }
}
