//! What a job is, and the records that are made of it.
//!
//! The job tree ([`job`], [`group`], [`task`], [`service`], [`network`], [`policy`], [`constraint`]) is Nomad's API
//! form; the records ([`node`], [`allocation`], [`evaluation`], [`deployment`]) are our own, compact, and become
//! Nomad's shapes only at the HTTP surface (crate `holdfast-api`).

pub mod allocation;
pub mod by_name;
mod canonical;
pub mod constraint;
pub mod deployment;
pub mod evaluation;
pub mod group;
pub mod history;
pub mod job;
pub mod network;
pub mod node;
mod packed;
mod phrase;
pub mod placement;
pub mod policy;
mod rare;
pub mod restart;
pub mod scheduling;
mod seldom;
pub mod service;
pub mod shared;
pub mod task;

pub use allocation::{
    AllocHealth, AllocNetwork, Allocation, AssignedDevice, AssignedPort, ClientStatus, DesiredStatus,
    DesiredTransition, RescheduleEvent, TaskEvent, TaskResources, TaskRunState, TaskState,
};
pub use by_name::{ByName, Tally};
pub use constraint::{Affinity, Constraint, PATTERN_BYTES_MAX, Spread, SpreadTarget};
pub use deployment::{Deployment, DeploymentGroup, DeploymentStatus};
pub use evaluation::{EvalStatus, Evaluation, PlanCounts, Trigger};
pub use group::{EphemeralDisk, Scaling, TaskGroup, Volume};
pub use history::{JobHistory, ScalingEvent, Submission};
pub use job::{
    Job, JobType, JobUi, JobUiLink, Multiregion, MultiregionRegion, MultiregionStrategy, Parameterized,
    Periodic, VersionTag,
};
pub use network::{Cni, Dns, Network, Port};
pub use node::{
    ChangedMeta, DeviceInstance, DrainStatus, DrainStrategy, DriverState, Drivers, Eligibility, Fingerprint,
    HostNetwork, HostVolume, LastDrain, MetaChanges, Node, NodeDevice, NodeEvent, NodeResources, NodeStatus,
};
pub use packed::Packed;
pub use phrase::Phrase;
pub use placement::{Component, NodeScore, PlacementReport, Scores};
pub use policy::{
    DelayFunction, Disconnect, DisconnectPolicy, HealthPolicy, Migrate, MigratePolicy, ReconcileStrategy,
    Reschedule, ReschedulePolicy, Restart, RestartPolicy, Update, UpdatePolicy,
};
pub use rare::Rare;
pub use restart::{RestartDecision, RestartWindow};
pub use scheduling::{NodePool, PoolScheduling, Preemption, SchedulerAlgorithm, SchedulerConfiguration};
pub use seldom::Seldom;
pub use service::{Check, CheckRestart, Registration, Service};
pub use shared::Shared;
pub use task::{
    Action, Artifact, ChangeScript, DispatchPayload, Lifecycle, LifecycleHook, LogConfig, RequestedDevice,
    Resources, Task, Template, TemplateWait, VolumeMount,
};
