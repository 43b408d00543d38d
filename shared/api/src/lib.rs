//! The HTTP surface as data: what `/v1` answers and accepts, in Nomad's shapes and names.
//!
//! Both ends use it: the coordinator makes these views from its records, `edgectl` reads them. A job needs no view: it
//! is [`holdfast_shared::model::Job`] itself. What Nomad writes as `null`, `[]`, `""` or leaves out is written the same
//! way here (recorded bodies are the reference; a test compares), and every view reads what it may get, nulls included.
//!
//! This crate knows records and shapes; it does not know HTTP, state, or who is asking.

pub mod agent;
pub mod allocation;
pub mod client;
pub mod deployment;
pub mod evaluation;
pub mod explain;
mod format;
pub mod job;
pub mod job_action;
pub mod node;
pub mod operator;
pub mod routes;
pub mod search;
pub mod service;
pub mod task;

pub use agent::{AgentHealth, AgentMember, AgentMembers, AgentSelf, Health};
pub use allocation::{
    AllocDeploymentStatus, AllocState, AllocatedCpu, AllocatedMemory, AllocatedPort, AllocatedResources,
    AllocatedShared, AllocatedTask, Allocation, AllocationListStub, AllocationMetric, DesiredTransition,
    NetworkStatus, NodeScoreMeta, RescheduleEvent, RescheduleTracker,
};
pub use client::{AllocRestartRequest, AllocRestartResponse, AllocStopResponse, NodeMeta, NodeMetaRequest};
pub use deployment::{
    AllocHealthRequest, Deployment, DeploymentPauseRequest, DeploymentPromoteRequest, DeploymentState,
    DeploymentUpdateResponse,
};
pub use evaluation::{DesiredUpdates, Evaluation, EvaluationStub, PlanAnnotations};
pub use explain::{GroupExplanation, NodeExplanation};
pub use format::GoTime;
pub use job::{
    ChildrenSummary, EvalOptions, GroupSummary, JobDeregisterResponse, JobEvaluateRequest, JobListStub,
    JobRegisterRequest, JobRegisterResponse, JobSubmission, JobSummary, JobValidateRequest,
    JobValidateResponse, JobVersionsResponse, JobsParseRequest, job_value,
};
pub use job_action::{
    GroupScaleStatus, JobDispatchRequest, JobDispatchResponse, JobPlanRequest, JobPlanResponse,
    JobRevertRequest, JobScaleStatus, JobStabilityRequest, JobStabilityResponse, JobSubmissionView,
    JobTagRequest, JobTagResponse, PeriodicForceResponse, ScalingEvent, ScalingRequest,
};
pub use node::{
    DrainMetadata, DrainRequest, DrainSpec, DrainStrategy, DriverInfo, EligibilityRequest, Node, NodeEvent,
    NodeListStub, NodeResources, NodeUpdateResponse, ReservedResources,
};
pub use operator::{
    AdoptStateResponse, Namespace, NodePool, PoolSchedulerConfiguration, PreemptionConfig,
    SchedulerConfiguration, SchedulerConfigurationResponse, SchedulerConfigurationSetResponse,
};
pub use routes::{ROUTES, Route};
pub use search::{Context, SearchRequest, SearchResponse};
pub use service::{ServiceListStub, ServiceRegistration, ServiceStub};
pub use task::{TaskEvent, TaskState};

/// The first namespace; every job is in it unless it names another.
pub const DEFAULT_NAMESPACE: &str = "default";
