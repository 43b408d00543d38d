//! Jobs and groups.

use super::service::SERVICE;
use crate::shape::Judged::ByFields;
use crate::shape::Kind::{Entries, Flag, Joined, Map, Nullable, Number, Text, WhenEdited};
use crate::shape::Pairing::{Equal, Fields};
use crate::shape::Part::{Block, ChangedSettings, ChangedWords, List, Words};
use crate::shape::{BLOCK, Shape};

pub(crate) static JOB: Shape = Shape {
    name: "Job",
    fields: &[
        ("AllAtOnce", Flag),
        ("ConsulNamespace", Text),
        ("DispatchIdempotencyToken", Text),
        ("Dispatched", Flag),
        ("Meta", Map),
        ("Name", Text),
        ("Namespace", Text),
        ("NodePool", Text),
        ("ParentID", Text),
        ("Priority", Number),
        ("Region", Text),
        ("Stop", Flag),
        ("Type", Text),
        ("VaultNamespace", Text),
    ],
    hidden: &[
        "CreateIndex",
        "ID",
        "JobModifyIndex",
        "ModifyIndex",
        "NomadTokenID",
        "Payload",
        "Stable",
        "Status",
        "StatusDescription",
        "SubmitTime",
        "Version",
    ],
    parts: &[
        ChangedWords("Datacenters"),
        List("Constraints", &CONSTRAINT, Equal),
        List("Affinities", &AFFINITY, Equal),
        Block("Periodic", &PERIODIC),
        Block("ParameterizedJob", &PARAMETERIZED),
        Block("Multiregion", &MULTIREGION),
        Block("UI", &UI),
    ],
    in_context: false,
    ..BLOCK
};

pub(crate) static GROUP: Shape = Shape {
    name: "Task Group",
    fields: &[
        ("Count", Number),
        ("MaxClientDisconnect", WhenEdited),
        ("MaxRunDuration", WhenEdited),
        ("Meta", Map),
        ("PreventRescheduleOnLost", Flag),
        ("ShutdownDelay", WhenEdited),
        ("StopAfterClientDisconnect", WhenEdited),
    ],
    hidden: &["Name"],
    parts: &[
        List("Constraints", &CONSTRAINT, Equal),
        List("Affinities", &AFFINITY, Equal),
        Block("RestartPolicy", &RESTART),
        Block("Migrate", &MIGRATE),
        Block("ReschedulePolicy", &RESCHEDULE),
        Block("EphemeralDisk", &DISK),
        Block("Consul", &CONSUL),
        Block("Update", &UPDATE),
        Block("Disconnect", &DISCONNECT),
        List("Networks", &NETWORK, Equal),
        Block("Scaling", &SCALING),
        List("Services", &SERVICE, crate::shape::Pairing::Likeness),
        List("Volumes", &VOLUME, Fields(&["Name"])),
    ],
    in_context: false,
    ..BLOCK
};

pub(crate) static CONSTRAINT: Shape = Shape {
    name: "Constraint",
    fields: &[("LTarget", Text), ("Operand", Text), ("RTarget", Text)],
    judged: ByFields,
    ..BLOCK
};

pub(crate) static AFFINITY: Shape = Shape {
    name: "Affinity",
    fields: &[
        ("LTarget", Text),
        ("Operand", Text),
        ("RTarget", Text),
        ("Weight", Number),
    ],
    judged: ByFields,
    ..BLOCK
};

static PERIODIC: Shape = Shape {
    name: "Periodic",
    fields: &[
        ("Enabled", Flag),
        ("ProhibitOverlap", Flag),
        ("Spec", Text),
        ("SpecType", Text),
        ("TimeZone", Text),
    ],
    judged: ByFields,
    ..BLOCK
};

static PARAMETERIZED: Shape = Shape {
    name: "ParameterizedJob",
    fields: &[("Payload", Text)],
    parts: &[Words("MetaOptional"), Words("MetaRequired")],
    ..BLOCK
};

static MULTIREGION: Shape = Shape {
    name: "Multiregion",
    parts: &[
        List("Regions", &REGION, Fields(&["Name"])),
        Block("Strategy", &STRATEGY),
    ],
    ..BLOCK
};

static STRATEGY: Shape = Shape {
    name: "Strategy",
    fields: &[("MaxParallel", Number), ("OnFailure", Text)],
    judged: ByFields,
    ..BLOCK
};

static REGION: Shape = Shape {
    name: "Region",
    fields: &[
        ("Count", Number),
        ("Meta", Map),
        ("Name", Text),
        ("NodePool", Text),
    ],
    parts: &[ChangedWords("Datacenters")],
    judged: ByFields,
    ..BLOCK
};

static UI: Shape = Shape {
    name: "UI",
    fields: &[("Description", Text)],
    parts: &[List("Links", &LINK, Fields(&["Label"]))],
    ..BLOCK
};

static LINK: Shape = Shape {
    name: "Link",
    fields: &[("Label", Text), ("URL", Text)],
    ..BLOCK
};

static RESTART: Shape = Shape {
    name: "RestartPolicy",
    fields: &[
        ("Attempts", Number),
        ("Delay", Number),
        ("Interval", Number),
        ("Mode", Text),
        ("RenderTemplates", Flag),
    ],
    judged: ByFields,
    ..BLOCK
};

static MIGRATE: Shape = Shape {
    name: "Migrate",
    fields: &[
        ("HealthCheck", Text),
        ("HealthyDeadline", Number),
        ("MaxParallel", Number),
        ("MinHealthyTime", Number),
    ],
    judged: ByFields,
    ..BLOCK
};

static RESCHEDULE: Shape = Shape {
    name: "ReschedulePolicy",
    fields: &[
        ("Attempts", Number),
        ("Delay", Number),
        ("DelayFunction", Text),
        ("Interval", Number),
        ("MaxDelay", Number),
        ("Unlimited", Flag),
    ],
    judged: ByFields,
    ..BLOCK
};

static DISK: Shape = Shape {
    name: "EphemeralDisk",
    fields: &[("Migrate", Flag), ("SizeMB", Number), ("Sticky", Flag)],
    judged: ByFields,
    ..BLOCK
};

pub(crate) static CONSUL: Shape = Shape {
    name: "Consul",
    fields: &[("Cluster", Text), ("Namespace", Text), ("Partition", Text)],
    judged: ByFields,
    ..BLOCK
};

/// Without the legacy `stagger`.
static UPDATE: Shape = Shape {
    name: "Update",
    fields: &[
        ("AutoPromote", Flag),
        ("AutoRevert", Flag),
        ("Canary", Number),
        ("HealthCheck", Text),
        ("HealthyDeadline", Number),
        ("MaxParallel", Number),
        ("MinHealthyTime", Number),
        ("ProgressDeadline", Number),
    ],
    hidden: &["Stagger"],
    judged: ByFields,
    ..BLOCK
};

static DISCONNECT: Shape = Shape {
    name: "Disconnect",
    fields: &[
        ("LostAfter", Number),
        ("Reconcile", Text),
        ("Replace", Nullable),
        // Our own extension.
        ("ReplaceAfter", crate::shape::Kind::Optional),
        ("StopOnClientAfter", Nullable),
    ],
    ..BLOCK
};

/// Without the legacy device, address and bandwidth, which nevertheless make two networks differ.
pub(crate) static NETWORK: Shape = Shape {
    name: "Network",
    fields: &[("Hostname", Text), ("Mode", Text)],
    hidden: &["CIDR", "Device", "IP", "MBits"],
    parts: &[
        List("ReservedPorts", &STATIC_PORT, Fields(&["Label"])),
        List("DynamicPorts", &DYNAMIC_PORT, Fields(&["Label"])),
        Block("DNS", &DNS),
        Block("CNI", &CNI),
    ],
    ..BLOCK
};

static STATIC_PORT: Shape = Shape {
    name: "Static Port",
    fields: &[
        ("HostNetwork", Text),
        ("IgnoreCollision", Flag),
        ("Label", Text),
        ("To", Number),
        ("Value", Number),
    ],
    judged: ByFields,
    ..BLOCK
};

static DYNAMIC_PORT: Shape = Shape {
    name: "Dynamic Port",
    fields: &[("HostNetwork", Text), ("Label", Text), ("To", Number)],
    hidden: &["IgnoreCollision", "Value"],
    judged: ByFields,
    ..BLOCK
};

static DNS: Shape = Shape {
    name: "DNS",
    fields: &[("Options", Joined), ("Searches", Joined), ("Servers", Joined)],
    ..BLOCK
};

static CNI: Shape = Shape {
    name: "CNIConfig",
    fields: &[("Args", Entries)],
    judged: ByFields,
    ..BLOCK
};

/// The coordinator sets id, type, target and indexes; the target's other keys are the job's.
static SCALING: Shape = Shape {
    name: "Scaling",
    fields: &[
        ("Enabled", Flag),
        ("Max", Number),
        ("Min", Number),
        ("Target", Map),
    ],
    hidden: &["CreateIndex", "ID", "ModifyIndex", "Namespace", "Type"],
    parts: &[ChangedSettings("Policy")],
    in_context: false,
    ..BLOCK
};

static VOLUME: Shape = Shape {
    name: "Volume",
    fields: &[
        ("AccessMode", Text),
        ("AttachmentMode", Text),
        ("Name", Text),
        ("PerAlloc", Flag),
        ("ReadOnly", Flag),
        ("Source", Text),
        ("Sticky", Flag),
        ("Type", Text),
    ],
    parts: &[Block("MountOptions", &MOUNT_OPTIONS)],
    ..BLOCK
};

static MOUNT_OPTIONS: Shape = Shape {
    name: "MountOptions",
    fields: &[("FSType", Text)],
    parts: &[Words("MountFlags")],
    ..BLOCK
};
