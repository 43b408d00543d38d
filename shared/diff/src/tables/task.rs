//! Tasks.

use super::job::{AFFINITY, CONSTRAINT, CONSUL, NETWORK};
use super::service::SERVICE;
use crate::shape::Judged::ByFields;
use crate::shape::Kind::{Flag, Map, Nullable, Number, Optional, Text};
use crate::shape::Pairing::{Equal, Fields, Likeness, OnlyOrField, Position};
use crate::shape::Part::{Block, List, Settings, Words};
use crate::shape::{BLOCK, Shape};

/// Restart policy, lifecycle, CSI plugin and secrets make two tasks differ without being shown.
pub(crate) static TASK: Shape = Shape {
    name: "Task",
    fields: &[
        ("Driver", Text),
        ("Env", Map),
        ("KillSignal", Text),
        ("KillTimeout", Number),
        ("Kind", Text),
        ("Leader", Flag),
        ("Meta", Map),
        ("ShutdownDelay", Number),
        ("User", Text),
    ],
    hidden: &["Name"],
    parts: &[
        List("Constraints", &CONSTRAINT, Equal),
        List("Affinities", &AFFINITY, Equal),
        Settings("Config"),
        Block("Resources", &RESOURCES),
        Block("LogConfig", &LOGS),
        Block("DispatchPayload", &DISPATCH_PAYLOAD),
        List("Artifacts", &ARTIFACT, Equal),
        List("Services", &SERVICE, Likeness),
        Block("Vault", &VAULT),
        Block("Consul", &CONSUL),
        List("Templates", &TEMPLATE, OnlyOrField("DestPath")),
        Block("Identity", &IDENTITY),
        List("Identities", &IDENTITY, Fields(&["Name"])),
        List("Actions", &ACTION, Position),
        List("VolumeMounts", &VOLUME_MOUNT, Position),
        Block("Schedule", &SCHEDULE),
    ],
    in_context: false,
    ..BLOCK
};

pub(crate) static RESOURCES: Shape = Shape {
    name: "Resources",
    fields: &[
        ("CPU", Number),
        ("Cores", Number),
        ("DiskMB", Number),
        ("IOPS", Number),
        ("MemoryMB", Number),
        ("MemoryMaxMB", Number),
        ("SecretsMB", Number),
    ],
    parts: &[
        List("Networks", &NETWORK, Equal),
        List("Devices", &DEVICE, Fields(&["Name"])),
        Block("NUMA", &NUMA),
    ],
    ..BLOCK
};

static DEVICE: Shape = Shape {
    name: "Device",
    fields: &[("Count", Number), ("Name", Text)],
    ..BLOCK
};

static NUMA: Shape = Shape {
    name: "NUMA",
    fields: &[("Affinity", Text)],
    ..BLOCK
};

pub(crate) static LOGS: Shape = Shape {
    name: "LogConfig",
    fields: &[
        ("Disabled", Flag),
        ("MaxFileSizeMB", Number),
        ("MaxFiles", Number),
    ],
    judged: ByFields,
    ..BLOCK
};

static DISPATCH_PAYLOAD: Shape = Shape {
    name: "DispatchPayload",
    fields: &[("File", Text)],
    judged: ByFields,
    ..BLOCK
};

static ARTIFACT: Shape = Shape {
    name: "Artifact",
    fields: &[
        ("Chown", Flag),
        ("GetterHeaders", Map),
        ("GetterInsecure", Flag),
        ("GetterMode", Text),
        ("GetterOptions", Map),
        ("GetterSource", Text),
        ("RelativeDest", Text),
    ],
    judged: ByFields,
    ..BLOCK
};

static VAULT: Shape = Shape {
    name: "Vault",
    fields: &[
        ("AllowTokenExpiration", Flag),
        ("ChangeMode", Text),
        ("ChangeSignal", Text),
        ("Cluster", Text),
        ("DisableFile", Flag),
        ("Env", Flag),
        ("Namespace", Text),
        ("Role", Text),
    ],
    parts: &[Words("Policies")],
    ..BLOCK
};

static TEMPLATE: Shape = Shape {
    name: "Template",
    fields: &[
        ("ChangeMode", Text),
        ("ChangeSignal", Text),
        ("DestPath", Text),
        ("EmbeddedTmpl", Text),
        ("Envvars", Flag),
        ("ErrMissingKey", Flag),
        ("Gid", Optional),
        ("LeftDelim", Text),
        ("Once", Flag),
        ("Perms", Text),
        ("RightDelim", Text),
        ("SourcePath", Text),
        ("Splay", Number),
        ("Uid", Optional),
        ("VaultGrace", Number),
    ],
    parts: &[Block("Wait", &WAIT), Block("ChangeScript", &CHANGE_SCRIPT)],
    ..BLOCK
};

/// The original gives this block the name of the one around it.
static WAIT: Shape = Shape {
    name: "Template",
    fields: &[("Max", Nullable), ("Min", Nullable)],
    ..BLOCK
};

static CHANGE_SCRIPT: Shape = Shape {
    name: "ChangeScript",
    fields: &[("Command", Text), ("FailOnError", Flag), ("Timeout", Number)],
    parts: &[Words("Args")],
    ..BLOCK
};

pub(crate) static IDENTITY: Shape = Shape {
    name: "Identity",
    fields: &[
        ("ChangeMode", Text),
        ("ChangeSignal", Text),
        ("Env", Flag),
        ("ExtraClaims", Map),
        ("File", Flag),
        ("Filepath", Text),
        ("Name", Text),
        ("ServiceName", Text),
        ("TTL", Number),
    ],
    parts: &[Words("Audience")],
    ..BLOCK
};

static ACTION: Shape = Shape {
    name: "Action",
    fields: &[("Command", Text), ("Name", Text)],
    parts: &[Words("Args")],
    ..BLOCK
};

static VOLUME_MOUNT: Shape = Shape {
    name: "VolumeMount",
    fields: &[
        ("Destination", Text),
        ("PropagationMode", Text),
        ("ReadOnly", Flag),
        ("SELinuxLabel", Text),
        ("Volume", Text),
    ],
    ..BLOCK
};

static SCHEDULE: Shape = Shape {
    name: "Schedule",
    fields: &[("End", Text), ("Start", Text), ("Timezone", Text)],
    judged: ByFields,
    ..BLOCK
};
