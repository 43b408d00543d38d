//! Every change that coordinator state can undergo: keyed, idempotent upserts and removals.

use std::sync::Arc;

use holdfast_shared::id::{AllocId, DeploymentId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, Deployment, Evaluation, Job, JobHistory, Node, NodePool, Registration,
    SchedulerConfiguration, Submission,
};
use serde::{Deserialize, Serialize};

/// One change. Applying it twice changes nothing more; applying the deltas of a store in any order of keys gives the
/// same state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Delta {
    /// The index of the newest change, and the coordinator's epoch.
    Meta {
        /// Counts up with every change.
        index: u64,
        /// Grows with every start, and when an operator declares the state to be the truth: see [`Lineage`](super::Lineage).
        epoch: u64,
    },
    /// The current version of a job.
    Job(Arc<Job>),
    /// A job is forgotten, with all its versions.
    RemoveJob(JobKey),
    /// A kept version of a job, the current one included.
    JobVersion(Arc<Job>),
    /// A version is no longer kept.
    RemoveJobVersion(JobKey, u64),
    /// A node.
    Node(Arc<Node>),
    /// A node is forgotten.
    RemoveNode(NodeId),
    /// SHA-256 of a node's secret.
    Credential(NodeId, [u8; 32]),
    /// A node's credential is revoked.
    RemoveCredential(NodeId),
    /// An allocation.
    Allocation(Arc<Allocation>),
    /// An allocation is forgotten.
    RemoveAllocation(AllocId),
    /// An evaluation.
    Evaluation(Arc<Evaluation>),
    /// An evaluation is forgotten.
    RemoveEvaluation(EvalId),
    /// A deployment.
    Deployment(Arc<Deployment>),
    /// A deployment is forgotten.
    RemoveDeployment(DeploymentId),
    /// A service is offered.
    Service(Arc<Registration>),
    /// A service is no longer offered.
    RemoveService(String),
    /// What a kept version of a job was made from.
    Submission(Arc<Submission>),
    /// What a version was made from is forgotten.
    RemoveSubmission(JobKey, u64),
    /// What is remembered of a job whatever its version.
    JobHistory(Arc<JobHistory>),
    /// A job's history is forgotten.
    RemoveJobHistory(JobKey),
    /// The region's scheduler settings.
    SchedulerConfiguration(Arc<SchedulerConfiguration>),
    /// A node pool.
    NodePool(Arc<NodePool>),
    /// A node pool is forgotten.
    RemoveNodePool(String),
    /// A node was forgotten, after it was sent assignments up to this generation: should it come back, it goes on there.
    ForgottenNode(NodeId, u64),
    /// An epoch in which this state decides, or has decided since it was last declared the truth.
    Epoch(u64),
    /// An epoch that was overruled by an adoption, or is forgotten because so many followed.
    RemoveEpoch(u64),
}

/// The tables of coordinator state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Index and epoch.
    Meta,
    /// Current versions of jobs.
    Jobs,
    /// All kept versions of jobs.
    JobVersions,
    /// Nodes.
    Nodes,
    /// Hashes of node secrets.
    Credentials,
    /// Allocations.
    Allocations,
    /// Evaluations.
    Evaluations,
    /// Deployments.
    Deployments,
    /// The service catalog.
    Services,
    /// What kept versions of jobs were made from.
    Submissions,
    /// What is remembered of jobs whatever their version.
    JobHistories,
    /// The region's scheduler settings.
    SchedulerConfiguration,
    /// Node pools.
    NodePools,
    /// The last generations of nodes that were forgotten.
    ForgottenNodes,
    /// The epochs of this state's own history.
    Epochs,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 15] = [
        Self::Meta,
        Self::Jobs,
        Self::JobVersions,
        Self::Nodes,
        Self::Credentials,
        Self::Allocations,
        Self::Evaluations,
        Self::Deployments,
        Self::Services,
        Self::Submissions,
        Self::JobHistories,
        Self::SchedulerConfiguration,
        Self::NodePools,
        Self::ForgottenNodes,
        Self::Epochs,
    ];

    /// Its name in stores and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Jobs => "jobs",
            Self::JobVersions => "job_versions",
            Self::Nodes => "nodes",
            Self::Credentials => "credentials",
            Self::Allocations => "allocations",
            Self::Evaluations => "evaluations",
            Self::Deployments => "deployments",
            Self::Services => "services",
            Self::Submissions => "submissions",
            Self::JobHistories => "job_histories",
            Self::SchedulerConfiguration => "scheduler_configuration",
            Self::NodePools => "node_pools",
            Self::ForgottenNodes => "forgotten_nodes",
            Self::Epochs => "epochs",
        }
    }
}

impl Delta {
    /// The table it belongs to.
    pub const fn table(&self) -> Table {
        match self {
            Self::Meta { .. } => Table::Meta,
            Self::Job(_) | Self::RemoveJob(_) => Table::Jobs,
            Self::JobVersion(_) | Self::RemoveJobVersion(..) => Table::JobVersions,
            Self::Node(_) | Self::RemoveNode(_) => Table::Nodes,
            Self::Credential(..) | Self::RemoveCredential(_) => Table::Credentials,
            Self::Allocation(_) | Self::RemoveAllocation(_) => Table::Allocations,
            Self::Evaluation(_) | Self::RemoveEvaluation(_) => Table::Evaluations,
            Self::Deployment(_) | Self::RemoveDeployment(_) => Table::Deployments,
            Self::Service(_) | Self::RemoveService(_) => Table::Services,
            Self::Submission(_) | Self::RemoveSubmission(..) => Table::Submissions,
            Self::JobHistory(_) | Self::RemoveJobHistory(_) => Table::JobHistories,
            Self::SchedulerConfiguration(_) => Table::SchedulerConfiguration,
            Self::NodePool(_) | Self::RemoveNodePool(_) => Table::NodePools,
            Self::ForgottenNode(..) => Table::ForgottenNodes,
            Self::Epoch(_) | Self::RemoveEpoch(_) => Table::Epochs,
        }
    }

    /// Its key within the table, unique and printable.
    pub fn key(&self) -> String {
        let job_key = |key: &JobKey| format!("{}\u{0}{}", key.namespace, key.id);
        let version_key = |key: &JobKey, version: u64| format!("{}\u{0}{version:020}", job_key(key));
        match self {
            Self::Meta { .. } => "meta".into(),
            Self::Job(job) => job_key(&job.key()),
            Self::RemoveJob(key) => job_key(key),
            Self::JobVersion(job) => version_key(&job.key(), job.version()),
            Self::RemoveJobVersion(key, version) => version_key(key, *version),
            Self::Node(node) => node.id.to_string(),
            Self::RemoveNode(id)
            | Self::Credential(id, _)
            | Self::RemoveCredential(id)
            | Self::ForgottenNode(id, _) => id.to_string(),
            Self::Allocation(alloc) => alloc.id.to_string(),
            Self::RemoveAllocation(id) => id.to_string(),
            Self::Evaluation(eval) => eval.id.to_string(),
            Self::RemoveEvaluation(id) => id.to_string(),
            Self::Deployment(deployment) => deployment.id.to_string(),
            Self::RemoveDeployment(id) => id.to_string(),
            Self::Service(service) => service.id.clone(),
            Self::RemoveService(id) => id.clone(),
            Self::Submission(it) => version_key(&it.job, it.version),
            Self::RemoveSubmission(key, version) => version_key(key, *version),
            Self::JobHistory(it) => job_key(&it.job),
            Self::RemoveJobHistory(key) => job_key(key),
            Self::SchedulerConfiguration(_) => "scheduler".into(),
            Self::NodePool(pool) => pool.name.clone(),
            Self::RemoveNodePool(name) => name.clone(),
            Self::Epoch(epoch) | Self::RemoveEpoch(epoch) => format!("{epoch:020}"),
        }
    }

    /// Whether it takes its key out of the table. (`RemoveJob` also takes out the job's versions; the core emits a
    /// `RemoveJobVersion` for each of them as well, so that stores need not know.)
    pub const fn is_removal(&self) -> bool {
        matches!(
            self,
            Self::RemoveJob(_)
                | Self::RemoveJobVersion(..)
                | Self::RemoveNode(_)
                | Self::RemoveCredential(_)
                | Self::RemoveAllocation(_)
                | Self::RemoveEvaluation(_)
                | Self::RemoveDeployment(_)
                | Self::RemoveService(_)
                | Self::RemoveSubmission(..)
                | Self::RemoveJobHistory(_)
                | Self::RemoveNodePool(_)
                | Self::RemoveEpoch(_)
        )
    }
}
