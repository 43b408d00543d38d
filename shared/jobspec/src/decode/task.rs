//! The task block.

use serde_json::{Map, Value as Json, json};

use super::group::{RESTART, SCALING};
use super::network::{self, NETWORK};
use super::schema::{
    Absent, Schema, Shape, child, duration, fixed, flag, optional_duration, optional_flag, optional_integer,
    optional_text, text, text_map, texts,
};
use super::service::SERVICE;

pub(super) const VAULT: Schema = Schema::new(
    &[
        texts("policies", "Policies"),
        text("role", "Role"),
        optional_text("namespace", "Namespace"),
        text("cluster", "Cluster"),
        optional_flag("env", "Env").or(Absent::Flag(true)),
        optional_flag("disable_file", "DisableFile").or(Absent::Flag(false)),
        optional_text("change_mode", "ChangeMode").or(Absent::Text("restart")),
        optional_text("change_signal", "ChangeSignal"),
        optional_flag("allow_token_expiration", "AllowTokenExpiration"),
    ],
    &[],
);

pub(super) const CONSUL: Schema = Schema::new(
    &[
        text("namespace", "Namespace"),
        text("cluster", "Cluster"),
        text("partition", "Partition"),
    ],
    &[],
);

pub(super) const IDENTITY: Schema = Schema::new(
    &[
        text("name", "Name"),
        texts("aud", "Audience"),
        text("change_mode", "ChangeMode"),
        text("change_signal", "ChangeSignal"),
        flag("env", "Env"),
        flag("file", "File"),
        text("filepath", "Filepath"),
        text("service_name", "ServiceName"),
        duration("ttl", "TTL"),
        text_map("extra_claims", "ExtraClaims"),
    ],
    &[],
);

const DEVICE: Schema = Schema::new(
    &[optional_integer("count", "Count")],
    &[
        child("constraint", "Constraints", Shape::Constraints),
        child("affinity", "Affinities", Shape::Affinities),
    ],
);

const NUMA: Schema = Schema::new(&[text("affinity", "Affinity"), texts("devices", "Devices")], &[]);

pub(super) const RESOURCES: Schema = Schema::new(
    &[
        optional_integer("cpu", "CPU"),
        optional_integer("cores", "Cores"),
        optional_integer("memory", "MemoryMB"),
        optional_integer("memory_max", "MemoryMaxMB"),
        optional_integer("disk", "DiskMB"),
        optional_integer("secrets", "SecretsMB"),
        optional_integer("iops", "IOPS"),
    ],
    &[
        child("network", "Networks", Shape::Many(&NETWORK)),
        child("device", "Devices", Shape::Labelled(&DEVICE, "Name")),
        child("numa", "NUMA", Shape::One(&NUMA)),
    ],
)
.finish(|resources| network::sort_ports(&mut resources["Networks"]));

pub(super) const LOGS: Schema = Schema::new(
    &[
        optional_integer("max_files", "MaxFiles"),
        optional_integer("max_file_size", "MaxFileSizeMB"),
        optional_flag("enabled", "Enabled"),
        optional_flag("disabled", "Disabled"),
    ],
    &[],
);

const ARTIFACT: Schema = Schema::new(
    &[
        optional_text("source", "GetterSource"),
        optional_text("mode", "GetterMode"),
        optional_flag("insecure", "GetterInsecure"),
        optional_text("destination", "RelativeDest"),
        flag("chown", "Chown"),
    ],
    &[
        child("options", "GetterOptions", Shape::Texts),
        child("headers", "GetterHeaders", Shape::Texts),
    ],
);

const CHANGE_SCRIPT: Schema = Schema::new(
    &[
        optional_text("command", "Command"),
        texts("args", "Args").or(Absent::Empty),
        optional_duration("timeout", "Timeout").or(Absent::Number(5_000_000_000)),
        optional_flag("fail_on_error", "FailOnError").or(Absent::Flag(false)),
    ],
    &[],
);

const WAIT: Schema = Schema::new(
    &[optional_duration("min", "Min"), optional_duration("max", "Max")],
    &[],
);

const TEMPLATE: Schema = Schema::new(
    &[
        optional_text("source", "SourcePath"),
        optional_text("destination", "DestPath"),
        optional_text("data", "EmbeddedTmpl"),
        optional_text("change_mode", "ChangeMode").or(Absent::Text("restart")),
        optional_text("change_signal", "ChangeSignal"),
        optional_flag("once", "Once"),
        optional_duration("splay", "Splay").or(Absent::Number(5_000_000_000)),
        optional_text("perms", "Perms").or(Absent::Text("0644")),
        optional_integer("uid", "Uid"),
        optional_integer("gid", "Gid"),
        optional_text("left_delimiter", "LeftDelim"),
        optional_text("right_delimiter", "RightDelim"),
        optional_flag("env", "Envvars"),
        optional_duration("vault_grace", "VaultGrace"),
        flag("error_on_missing_key", "ErrMissingKey"),
    ],
    &[
        child("change_script", "ChangeScript", Shape::One(&CHANGE_SCRIPT)),
        child("wait", "Wait", Shape::One(&WAIT)),
    ],
);

pub(super) const VOLUME_MOUNT: Schema = Schema::new(
    &[
        optional_text("volume", "Volume"),
        optional_text("destination", "Destination"),
        optional_flag("read_only", "ReadOnly"),
        optional_text("propagation_mode", "PropagationMode"),
        optional_text("selinux_label", "SELinuxLabel"),
    ],
    &[],
);

const LIFECYCLE: Schema = Schema::new(&[text("hook", "Hook"), flag("sidecar", "Sidecar")], &[]);
const DISPATCH_PAYLOAD: Schema = Schema::new(&[text("file", "File")], &[]);
const ACTION: Schema = Schema::new(&[text("command", "Command"), texts("args", "Args")], &[]);

const CSI_PLUGIN: Schema = Schema::new(
    &[
        text("id", "ID"),
        text("type", "Type"),
        text("mount_dir", "MountDir"),
        text("stage_publish_base_dir", "StagePublishBaseDir"),
        duration("health_timeout", "HealthTimeout"),
    ],
    &[],
);

const CRON: Schema = Schema::new(
    &[
        text("start", "Start"),
        text("end", "End"),
        text("timezone", "Timezone"),
    ],
    &[],
);
const SCHEDULE: Schema = Schema::new(&[], &[child("cron", "Cron", Shape::One(&CRON))]);

const SECRET: Schema = Schema::new(
    &[text("provider", "Provider"), text("path", "Path")],
    &[
        child("config", "Config", Shape::Free),
        child("env", "Env", Shape::Texts),
    ],
);

pub(super) const TASK: Schema = Schema::new(
    &[
        text("driver", "Driver"),
        text("user", "User"),
        optional_duration("kill_timeout", "KillTimeout"),
        flag("leader", "Leader"),
        duration("shutdown_delay", "ShutdownDelay"),
        text("kill_signal", "KillSignal"),
        text("kind", "Kind"),
        fixed("Identities", Absent::Null),
    ],
    &[
        child("lifecycle", "Lifecycle", Shape::One(&LIFECYCLE)),
        child("config", "Config", Shape::Free),
        child("constraint", "Constraints", Shape::Constraints),
        child("affinity", "Affinities", Shape::Affinities),
        child("env", "Env", Shape::Texts),
        child("service", "Services", Shape::Many(&SERVICE)),
        child("resources", "Resources", Shape::One(&RESOURCES)),
        child("restart", "RestartPolicy", Shape::One(&RESTART)),
        child("meta", "Meta", Shape::Texts),
        child("logs", "LogConfig", Shape::One(&LOGS)),
        child("artifact", "Artifacts", Shape::Many(&ARTIFACT)),
        child("vault", "Vault", Shape::One(&VAULT)),
        child("consul", "Consul", Shape::One(&CONSUL)),
        child("template", "Templates", Shape::Many(&TEMPLATE)),
        child(
            "dispatch_payload",
            "DispatchPayload",
            Shape::One(&DISPATCH_PAYLOAD),
        ),
        child("volume_mount", "VolumeMounts", Shape::Many(&VOLUME_MOUNT)),
        child("csi_plugin", "CSIPluginConfig", Shape::One(&CSI_PLUGIN)),
        child("scaling", "ScalingPolicies", Shape::Labelled(&SCALING, "#label")),
        child("identity", "Identity", Shape::Many(&IDENTITY)),
        child("action", "Actions", Shape::Labelled(&ACTION, "Name")),
        child("schedule", "Schedule", Shape::One(&SCHEDULE)),
        child("secret", "Secrets", Shape::Labelled(&SECRET, "Name")),
    ],
)
.finish(finish);

fn finish(task: &mut Map<String, Json>) {
    if task["CSIPluginConfig"].is_null() {
        task.remove("CSIPluginConfig");
    }
    split_identities(task);
    for policy in task["ScalingPolicies"].as_array_mut().into_iter().flatten() {
        let label = policy
            .as_object_mut()
            .and_then(|policy| policy.remove("#label"))
            .unwrap_or_default();
        if policy["Type"] == json!("") {
            policy["Type"] = json!(format!(
                "vertical_{}",
                label.as_str().unwrap_or_default().to_lowercase()
            ));
        }
    }
}

/// The identity without a name is the default one; the named ones are further ones.
fn split_identities(task: &mut Map<String, Json>) {
    let Json::Array(written) = task["Identity"].take() else {
        return;
    };
    let is_default = |identity: &Json| matches!(identity["Name"].as_str(), Some("" | "default"));
    let (mut default, named): (Vec<Json>, Vec<Json>) = written.into_iter().partition(is_default);
    task.insert("Identity".to_owned(), default.pop().unwrap_or_default());
    task.insert("Identities".to_owned(), Json::Array(named));
}
