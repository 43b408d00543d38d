//! Every endpoint there is: what is served, what it answers, and the recorded body it is compared with.

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Methods, separated by blanks.
    pub methods: &'static str,
    /// The path; `{id}` and `{name}` stand for one segment.
    pub path: &'static str,
    /// What it answers or does.
    pub about: &'static str,
}

const fn route(methods: &'static str, path: &'static str, about: &'static str) -> Route {
    Route { methods, path, about }
}

/// Every endpoint, in the order of the reference.
pub const ROUTES: &[Route] = &[
    route("GET PUT POST", "/v1/jobs", "list of JobListStub; registers a job"),
    route("PUT POST", "/v1/jobs/parse", "job file to Job"),
    route("PUT POST", "/v1/validate/job", "JobValidateResponse"),
    route(
        "GET PUT POST DELETE",
        "/v1/job/{id}",
        "Job; registers or stops it",
    ),
    route("GET", "/v1/job/{id}/allocations", "list of AllocationListStub"),
    route("GET", "/v1/job/{id}/evaluations", "list of Evaluation"),
    route("GET", "/v1/job/{id}/summary", "JobSummary"),
    route("GET", "/v1/job/{id}/deployments", "list of Deployment"),
    route("GET", "/v1/job/{id}/deployment", "newest Deployment, or null"),
    route("GET", "/v1/job/{id}/versions", "JobVersionsResponse"),
    route("PUT POST", "/v1/job/{id}/evaluate", "JobRegisterResponse"),
    route("GET", "/v1/job/{id}/explain", "list of GroupExplanation"),
    route(
        "PUT POST",
        "/v1/job/{id}/plan",
        "JobPlanResponse; changes nothing",
    ),
    route("PUT POST", "/v1/job/{id}/revert", "JobRegisterResponse"),
    route("PUT POST", "/v1/job/{id}/stable", "JobStabilityResponse"),
    route(
        "GET PUT POST",
        "/v1/job/{id}/scale",
        "JobScaleStatus; JobRegisterResponse",
    ),
    route(
        "PUT POST DELETE",
        "/v1/job/{id}/versions/{name}/tag",
        "gives a version a name, or takes it away; JobTagResponse",
    ),
    route("GET", "/v1/job/{id}/submission", "JobSubmissionView"),
    route("PUT POST", "/v1/job/{id}/dispatch", "JobDispatchResponse"),
    route("PUT POST", "/v1/job/{id}/periodic/force", "PeriodicForceResponse"),
    route("GET", "/v1/nodes", "list of NodeListStub"),
    route("GET", "/v1/node/{id}", "Node"),
    route("GET", "/v1/node/{id}/allocations", "list of Allocation"),
    route(
        "PUT POST",
        "/v1/node/{id}/drain",
        "empties the node, or leaves off; NodeUpdateResponse",
    ),
    route("PUT POST", "/v1/node/{id}/eligibility", "NodeUpdateResponse"),
    route(
        "PUT POST",
        "/v1/node/{id}/evaluate",
        "evaluates its jobs; NodeUpdateResponse",
    ),
    route(
        "PUT POST",
        "/v1/node/{id}/purge",
        "forgets the node; NodeUpdateResponse",
    ),
    route("GET", "/v1/allocations", "list of AllocationListStub"),
    route("GET", "/v1/allocation/{id}", "Allocation"),
    route(
        "GET",
        "/v1/allocation/{id}/services",
        "list of ServiceRegistration",
    ),
    route(
        "PUT POST",
        "/v1/allocation/{id}/stop",
        "ends it, so that it is replaced; AllocStopResponse",
    ),
    route(
        "PUT POST",
        "/v1/client/allocation/{id}/restart",
        "restarts its tasks in place; AllocRestartResponse",
    ),
    route(
        "GET PUT POST",
        "/v1/client/metadata",
        "NodeMeta of the node that node_id names; changes it",
    ),
    route("GET", "/v1/evaluations", "list of Evaluation"),
    route("GET", "/v1/evaluation/{id}", "Evaluation"),
    route(
        "GET",
        "/v1/evaluation/{id}/allocations",
        "list of AllocationListStub",
    ),
    route("GET", "/v1/deployments", "list of Deployment"),
    route("GET", "/v1/deployment/{id}", "Deployment"),
    route(
        "GET",
        "/v1/deployment/allocations/{id}",
        "list of AllocationListStub",
    ),
    route(
        "PUT POST",
        "/v1/deployment/promote/{id}",
        "canaries become ordinary; DeploymentUpdateResponse",
    ),
    route(
        "PUT POST",
        "/v1/deployment/pause/{id}",
        "halts it, or lets it go on; DeploymentUpdateResponse",
    ),
    route(
        "PUT POST",
        "/v1/deployment/fail/{id}",
        "gives it up; DeploymentUpdateResponse",
    ),
    route(
        "PUT POST",
        "/v1/deployment/unblock/{id}",
        "waits for no other region; DeploymentUpdateResponse",
    ),
    route(
        "PUT POST",
        "/v1/deployment/allocation-health/{id}",
        "says how its allocations are; DeploymentUpdateResponse",
    ),
    route("GET", "/v1/services", "list of ServiceListStub"),
    route("GET", "/v1/service/{name}", "list of ServiceRegistration"),
    route("PUT POST", "/v1/search", "SearchResponse"),
    route("GET", "/v1/agent/self", "AgentSelf"),
    route("GET", "/v1/agent/members", "AgentMembers"),
    route("GET", "/v1/agent/health", "AgentHealth"),
    route("GET", "/v1/status/leader", "address of the leader"),
    route("GET", "/v1/status/peers", "addresses of all coordinators"),
    route("GET", "/v1/regions", "names of all regions"),
    route("GET", "/v1/namespaces", "list of Namespace"),
    route(
        "GET PUT POST",
        "/v1/node/pools",
        "list of NodePool; makes or changes one",
    ),
    route(
        "GET PUT POST DELETE",
        "/v1/node/pool/{name}",
        "NodePool; makes, changes or forgets it",
    ),
    route("GET", "/v1/node/pool/{name}/nodes", "list of NodeListStub"),
    route("GET", "/v1/node/pool/{name}/jobs", "list of JobListStub"),
    route(
        "GET PUT POST",
        "/v1/operator/scheduler/configuration",
        "SchedulerConfigurationResponse; changes it, SchedulerConfigurationSetResponse",
    ),
    route(
        "PUT POST",
        "/v1/operator/adopt-state",
        "AdoptStateResponse; makes the coordinator's state the truth although nodes hold something newer",
    ),
    route("PUT POST", "/v1/system/gc", "forgets what is over; null"),
    route(
        "PUT POST",
        "/v1/system/reconcile/summaries",
        "null: summaries are counted whenever they are asked for, and cannot be wrong",
    ),
    route(
        "GET",
        "/v1/metrics",
        "figures as JSON, or with format=prometheus as text",
    ),
];
