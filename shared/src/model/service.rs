//! Services and their checks, as job files write them, and the registrations that the catalog is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{AllocId, JobKey, NodeId};
use crate::time::Duration;

/// A service that a group or a task offers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    /// Its name; `<job>-<group>[-<task>]` unless given.
    pub name: String,
    /// Tags of its registrations.
    pub tags: Option<Vec<String>>,
    /// Tags instead of `tags` while the allocation is a canary.
    pub canary_tags: Option<Vec<String>>,
    /// Consul only, without effect.
    pub enable_tag_override: bool,
    /// The port's label, or a number.
    pub port_label: String,
    /// `auto`, `host`, `driver`, `alloc` or `alloc_ipv6`.
    pub address_mode: String,
    /// An address to advertise instead of the node's; may be an interpolation.
    pub address: String,
    /// Consul only, without effect.
    pub tagged_addresses: Option<BTreeMap<String, String>>,
    /// Health checks.
    pub checks: Option<Vec<Check>>,
    /// Legacy: inherited by the checks.
    pub check_restart: Option<CheckRestart>,
    /// Service mesh, refused by name.
    pub connect: Option<Value>,
    /// Free text.
    pub meta: Option<BTreeMap<String, String>>,
    /// Free text of canaries.
    pub canary_meta: Option<BTreeMap<String, String>>,
    /// The task whose network and scripts count.
    pub task_name: String,
    /// `require_healthy`, `ignore_warnings` or `ignore`.
    pub on_update: String,
    /// Workload identity.
    pub identity: Option<Value>,
    /// Consul only, without effect.
    pub weights: Option<Value>,
    /// `nomad`, the built-in catalog; `consul` is mapped to it.
    pub provider: String,
    /// Consul only, without effect.
    pub cluster: String,
    /// Consul only, without effect.
    pub kind: String,
}

impl Service {
    /// The checks.
    pub fn checks(&self) -> &[Check] {
        self.checks.as_deref().unwrap_or_default()
    }

    /// The tags.
    pub fn tags(&self) -> &[String] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// A health check of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Check {
    /// Its name; `service: "NAME" check` unless given.
    pub name: String,
    /// `http`, `tcp`, `script` or `grpc`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Script checks: the command.
    pub command: String,
    /// Script checks: its arguments.
    pub args: Option<Vec<String>>,
    /// HTTP checks: the path.
    pub path: String,
    /// `http` or `https`.
    pub protocol: String,
    /// The port's label; the service's unless given.
    pub port_label: String,
    /// Consul connect, without effect.
    pub expose: bool,
    /// As of the service.
    pub address_mode: String,
    /// Legacy.
    pub advertise: String,
    /// Pause between two checks.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Consul only, without effect.
    pub initial_status: String,
    /// Free text.
    pub notes: String,
    /// Do not verify the certificate.
    #[serde(rename = "TLSSkipVerify")]
    pub tls_skip_verify: bool,
    /// Expected server name.
    #[serde(rename = "TLSServerName")]
    pub tls_server_name: String,
    /// HTTP headers.
    pub header: Option<BTreeMap<String, Vec<String>>>,
    /// HTTP method; GET unless given.
    pub method: String,
    /// When failures restart the task.
    pub check_restart: Option<CheckRestart>,
    /// gRPC checks: the service.
    #[serde(rename = "GRPCService")]
    pub grpc_service: String,
    /// gRPC checks: whether TLS is used.
    #[serde(rename = "GRPCUseTLS")]
    pub grpc_use_tls: bool,
    /// Script checks: the task to run in.
    pub task_name: String,
    /// Successes in a row before the check passes.
    pub success_before_passing: i64,
    /// Failures in a row before the check is critical.
    pub failures_before_critical: i64,
    /// Failures in a row before the check warns.
    pub failures_before_warning: i64,
    /// HTTP body.
    pub body: String,
    /// `require_healthy`, `ignore_warnings` or `ignore`.
    pub on_update: String,
}

/// When failed checks restart a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckRestart {
    /// Failures in a row; 0 is never.
    pub limit: i64,
    /// How long after a start failures do not count; 1 s unless given.
    pub grace: Option<Duration>,
    /// Whether warnings do not count.
    pub ignore_warnings: bool,
}

/// One address of one service: a line of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// `_nomad-task-<alloc>-<task or group-GROUP>-<service>-<port label>`.
    pub id: String,
    /// The service.
    pub service_name: String,
    /// The job it belongs to, and so its namespace.
    pub job: JobKey,
    /// The node it runs on.
    pub node: NodeId,
    /// The node's datacenter.
    pub datacenter: String,
    /// The allocation that offers it.
    pub alloc: AllocId,
    /// Its tags.
    pub tags: Vec<String>,
    /// Address for other nodes.
    pub address: String,
    /// Port for other nodes; 0 when the service has none.
    pub port: u16,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}
