//! What operators set about scheduling: the region's settings, and node pools with settings of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::job::JobType;

/// Which of the nodes that have room is the best one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerAlgorithm {
    /// The fullest.
    #[default]
    Binpack,
    /// The emptiest.
    Spread,
}

impl SchedulerAlgorithm {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binpack => "binpack",
            Self::Spread => "spread",
        }
    }

    /// The algorithm that people call `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Binpack, Self::Spread]
            .into_iter()
            .find(|it| it.as_str() == text)
    }
}

/// Which types of jobs may push out others of lower priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preemption {
    /// System jobs.
    pub system: bool,
    /// System batch jobs.
    pub sysbatch: bool,
    /// Batch jobs.
    pub batch: bool,
    /// Service jobs.
    pub service: bool,
}

impl Default for Preemption {
    fn default() -> Self {
        Self {
            system: true,
            sysbatch: false,
            batch: false,
            service: false,
        }
    }
}

impl Preemption {
    /// Whether jobs of this type may push out others.
    pub const fn is_allowed(&self, kind: JobType) -> bool {
        match kind {
            JobType::System => self.system,
            JobType::Sysbatch => self.sysbatch,
            JobType::Batch => self.batch,
            JobType::Service => self.service,
        }
    }
}

/// The region's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulerConfiguration {
    /// Which node is the best one.
    pub algorithm: SchedulerAlgorithm,
    /// Which types of jobs may push out others.
    pub preemption: Preemption,
    /// Whether tasks may use memory beyond what they reserve, up to their `memory_max`.
    pub memory_oversubscription: bool,
    /// Whether jobs are refused.
    pub reject_job_registration: bool,
    /// Whether evaluations wait until this is taken back.
    pub pause_eval_broker: bool,
    /// How many nodes are looked at for one placement; 0 leaves it to the scheduler.
    pub node_limit: u64,
    /// Index of the first change; 0 when nobody has set anything.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// A set of nodes that jobs name; nodes say themselves which one they are in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Free text.
    pub meta: BTreeMap<String, String>,
    /// What is set differently from the region, if anything.
    pub scheduling: Option<PoolScheduling>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// Where a pool's settings differ from the region's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolScheduling {
    /// Which node is the best one.
    pub algorithm: Option<SchedulerAlgorithm>,
    /// Whether tasks may use memory beyond what they reserve.
    pub memory_oversubscription: Option<bool>,
}

impl NodePool {
    /// The pool that every node is in.
    pub const ALL: &'static str = "all";
    /// The pool of nodes and jobs that name none.
    pub const DEFAULT: &'static str = "default";

    /// Whether it is there without anybody having made it, and cannot be changed.
    pub fn is_built_in(name: &str) -> bool {
        matches!(name, Self::ALL | Self::DEFAULT)
    }

    /// A pool that is there because it always is, or because a node names it.
    pub fn implied(name: &str) -> Self {
        let description = match name {
            Self::ALL => "Node pool with all nodes in the cluster.",
            Self::DEFAULT => "Default node pool.",
            _ => "",
        };
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            create_index: 1,
            modify_index: 1,
            ..Self::default()
        }
    }
}

impl SchedulerConfiguration {
    /// These settings as they hold in a pool.
    pub fn within(&self, pool: Option<&NodePool>) -> Self {
        let own = pool.and_then(|pool| pool.scheduling).unwrap_or_default();
        Self {
            algorithm: own.algorithm.unwrap_or(self.algorithm),
            memory_oversubscription: own
                .memory_oversubscription
                .unwrap_or(self.memory_oversubscription),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_overrides_only_what_it_sets() {
        let region = SchedulerConfiguration {
            memory_oversubscription: true,
            node_limit: 7,
            ..SchedulerConfiguration::default()
        };
        let mut pool = NodePool::implied("edge");
        assert_eq!(region.within(Some(&pool)), region);
        pool.scheduling = Some(PoolScheduling {
            algorithm: Some(SchedulerAlgorithm::Spread),
            memory_oversubscription: None,
        });
        let there = region.within(Some(&pool));
        assert_eq!(
            (there.algorithm, there.memory_oversubscription, there.node_limit),
            (SchedulerAlgorithm::Spread, true, 7)
        );
    }
}
