//! The task: one container or process.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constraint::{Affinity, Constraint};
use super::group::Scaling;
use super::network::Network;
use super::policy::Restart;
use super::service::Service;
use crate::time::Duration;

/// One container or process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// Its name, unique in its group.
    pub name: String,
    /// `docker`, `podman`, `raw_exec`, …
    pub driver: String,
    /// The user it runs as.
    pub user: String,
    /// Whether its end ends the group.
    pub lifecycle: Option<Lifecycle>,
    /// What the driver wants to know.
    pub config: Option<BTreeMap<String, Value>>,
    /// What every node must satisfy.
    pub constraints: Option<Vec<Constraint>>,
    /// What nodes should rather satisfy.
    pub affinities: Option<Vec<Affinity>>,
    /// Environment variables.
    pub env: Option<BTreeMap<String, String>>,
    /// Services that the task offers.
    pub services: Option<Vec<Service>>,
    /// What it needs.
    pub resources: Option<Resources>,
    /// What happens after its end; the group's policy fills gaps.
    pub restart_policy: Option<Restart>,
    /// Free text for people and templates.
    pub meta: Option<BTreeMap<String, String>>,
    /// Time between the kill signal and the kill.
    pub kill_timeout: Option<Duration>,
    /// Its log files.
    pub log_config: Option<LogConfig>,
    /// What to download before the start.
    pub artifacts: Option<Vec<Artifact>>,
    /// Vault access, refused by name where it is needed.
    pub vault: Option<Value>,
    /// Consul settings.
    pub consul: Option<Value>,
    /// Files rendered from data.
    pub templates: Option<Vec<Template>>,
    /// Where the payload of a dispatch goes.
    pub dispatch_payload: Option<DispatchPayload>,
    /// Which volumes are mounted where.
    pub volume_mounts: Option<Vec<VolumeMount>>,
    /// That the task is a CSI plugin, refused by name.
    #[serde(rename = "CSIPluginConfig", skip_serializing_if = "Option::is_none")]
    pub csi_plugin_config: Option<Value>,
    /// Whether its end ends the group.
    pub leader: bool,
    /// Pause between deregistration and stop.
    pub shutdown_delay: Duration,
    /// The signal that asks it to end; SIGINT or the image's unless given.
    pub kill_signal: String,
    /// Set for Consul proxies.
    pub kind: String,
    /// Bounds for an autoscaler.
    pub scaling_policies: Option<Vec<Scaling>>,
    /// The default workload identity; nearly all tasks share one.
    pub identity: Option<Arc<Value>>,
    /// More workload identities.
    pub identities: Option<Vec<Value>>,
    /// Commands that operators may run inside.
    pub actions: Option<Vec<Action>>,
    /// When the task may run.
    pub schedule: Option<Value>,
    /// Secrets from providers.
    pub secrets: Option<Value>,
}

/// When a task runs, relative to the others of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleHook {
    /// Before the main tasks.
    Prestart,
    /// The group's purpose.
    Main,
    /// Once the main tasks run.
    Poststart,
    /// After the main tasks.
    Poststop,
}

impl Task {
    /// Time between the kill signal and the kill; 5 s unless given.
    pub fn kill_timeout(&self) -> Duration {
        self.kill_timeout.unwrap_or(Duration::from_secs(5))
    }

    /// When it runs.
    pub fn hook(&self) -> LifecycleHook {
        match self.lifecycle.as_ref().map(|it| it.hook.as_str()) {
            Some("prestart") => LifecycleHook::Prestart,
            Some("poststart") => LifecycleHook::Poststart,
            Some("poststop") => LifecycleHook::Poststop,
            _ => LifecycleHook::Main,
        }
    }

    /// Whether it runs beside the main tasks for as long as they do.
    pub fn is_sidecar(&self) -> bool {
        self.lifecycle
            .as_ref()
            .is_some_and(|it| it.sidecar.unwrap_or(false))
    }

    /// What it needs; the defaults when the job says nothing.
    pub fn resources(&self) -> Resources {
        self.resources.clone().unwrap_or_default()
    }

    /// Its services.
    pub fn services(&self) -> &[Service] {
        self.services.as_deref().unwrap_or_default()
    }

    /// Its templates.
    pub fn templates(&self) -> &[Template] {
        self.templates.as_deref().unwrap_or_default()
    }
}

/// When a task runs, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Lifecycle {
    /// `prestart`, `poststart` or `poststop`.
    pub hook: String,
    /// Whether it stays beside the main tasks.
    pub sidecar: Option<bool>,
}

/// What a task needs, as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Megahertz; 100 unless given.
    #[serde(rename = "CPU")]
    pub cpu: Option<i64>,
    /// Whole cores of its own, instead of megahertz.
    pub cores: Option<i64>,
    /// Megabytes; 300 unless given.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: Option<i64>,
    /// Megabytes it may use while there are some to spare.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mb: Option<i64>,
    /// Legacy.
    #[serde(rename = "DiskMB")]
    pub disk_mb: Option<i64>,
    /// Legacy: a network of the task.
    pub networks: Option<Vec<Network>>,
    /// Devices.
    pub devices: Option<Vec<RequestedDevice>>,
    /// NUMA wishes, without effect.
    #[serde(rename = "NUMA")]
    pub numa: Option<Value>,
    /// Megabytes of the secrets directory.
    #[serde(rename = "SecretsMB")]
    pub secrets_mb: Option<i64>,
    /// Legacy.
    #[serde(rename = "IOPS")]
    pub iops: Option<i64>,
}

impl Resources {
    /// Megahertz; whole cores count by themselves.
    pub fn cpu_mhz(&self) -> u64 {
        let default = if self.cores.unwrap_or(0) > 0 { 0 } else { 100 };
        u64::try_from(self.cpu.unwrap_or(default)).unwrap_or(0)
    }

    /// Megabytes of memory that are reserved.
    pub fn memory_mb(&self) -> u64 {
        u64::try_from(self.memory_mb.unwrap_or(300)).unwrap_or(0)
    }

    /// Megabytes of memory at most; the reserved ones unless given.
    pub fn memory_max_mb(&self) -> u64 {
        u64::try_from(self.memory_max_mb.unwrap_or(0)).unwrap_or(0)
    }
}

/// A device that a task asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RequestedDevice {
    /// `type`, `vendor/type` or `vendor/type/model`.
    pub name: String,
    /// How many; 1 unless given.
    pub count: Option<u64>,
    /// What the device must satisfy.
    pub constraints: Option<Vec<Constraint>>,
    /// What it should rather satisfy.
    pub affinities: Option<Vec<Affinity>>,
}

/// The log files of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// How many files of each stream; 10 unless given.
    pub max_files: Option<i64>,
    /// Megabytes of one file; 10 unless given.
    #[serde(rename = "MaxFileSizeMB")]
    pub max_file_size_mb: Option<i64>,
    /// Legacy opposite of `disabled`.
    pub enabled: Option<bool>,
    /// Whether nothing is kept.
    pub disabled: Option<bool>,
}

/// What to download before the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Artifact {
    /// Where from.
    pub getter_source: Option<String>,
    /// Options like `checksum`.
    pub getter_options: Option<BTreeMap<String, String>>,
    /// HTTP headers.
    pub getter_headers: Option<BTreeMap<String, String>>,
    /// `any`, `file` or `dir`.
    pub getter_mode: Option<String>,
    /// Do not verify the certificate.
    pub getter_insecure: Option<bool>,
    /// Where to, inside the task directory.
    pub relative_dest: Option<String>,
    /// Whether it belongs to the task's user.
    pub chown: bool,
}

/// A file rendered from data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Template {
    /// A file with the template.
    pub source_path: Option<String>,
    /// Where the result goes, inside the task directory.
    pub dest_path: Option<String>,
    /// The template itself.
    pub embedded_tmpl: Option<String>,
    /// What a change does: `restart`, `noop`, `signal` or `script`.
    pub change_mode: Option<String>,
    /// The script of change mode `script`.
    pub change_script: Option<ChangeScript>,
    /// The signal of change mode `signal`.
    pub change_signal: Option<String>,
    /// Whether it is rendered once only.
    pub once: Option<bool>,
    /// Longest random pause before a change acts; 5 s unless given.
    pub splay: Option<Duration>,
    /// Mode of the file, octal; `0644` unless given.
    pub perms: Option<String>,
    /// Owner of the file.
    pub uid: Option<i64>,
    /// Group of the file.
    pub gid: Option<i64>,
    /// Opens an action; `{{` unless given.
    pub left_delim: Option<String>,
    /// Closes an action; `}}` unless given.
    pub right_delim: Option<String>,
    /// Whether the result is read as environment variables.
    pub envvars: Option<bool>,
    /// Legacy.
    pub vault_grace: Option<Duration>,
    /// How long changes are collected.
    pub wait: Option<TemplateWait>,
    /// Whether a missing key is an error.
    pub err_missing_key: Option<bool>,
}

/// The script that a template's change runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangeScript {
    /// The command.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// How long it may take; 5 s unless given.
    pub timeout: Option<Duration>,
    /// Whether its failure fails the task.
    pub fail_on_error: Option<bool>,
}

/// How long a template's changes are collected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TemplateWait {
    /// At least.
    pub min: Option<Duration>,
    /// At most.
    pub max: Option<Duration>,
}

/// Where the payload of a dispatch goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DispatchPayload {
    /// The file, inside `local/`.
    pub file: String,
}

/// Which volume is mounted where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeMount {
    /// The volume's name in the group.
    pub volume: Option<String>,
    /// Where it appears in the task.
    pub destination: Option<String>,
    /// Whether nothing may be written.
    pub read_only: Option<bool>,
    /// `private`, `host-to-task` or `bidirectional`.
    pub propagation_mode: Option<String>,
    /// SELinux label.
    #[serde(rename = "SELinuxLabel")]
    pub selinux_label: Option<String>,
}

/// A command that operators may run inside a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Action {
    /// What operators call it.
    pub name: String,
    /// The command.
    pub command: String,
    /// Its arguments.
    pub args: Option<Vec<String>>,
}
