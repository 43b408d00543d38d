//! Services and their checks.

use super::connect::CONNECT;
use super::task::IDENTITY;
use crate::shape::Kind::{Flag, Map, Number, Text};
use crate::shape::Pairing::Fields;
use crate::shape::Part::{Block, List, Settings, Words};
use crate::shape::{BLOCK, Shape};

pub(crate) static SERVICE: Shape = Shape {
    name: "Service",
    fields: &[
        ("Address", Text),
        ("AddressMode", Text),
        ("CanaryMeta", Map),
        ("Cluster", Text),
        ("EnableTagOverride", Flag),
        ("Kind", Text),
        ("Meta", Map),
        ("Name", Text),
        ("Namespace", Text),
        ("OnUpdate", Text),
        ("PortLabel", Text),
        ("Provider", Text),
        ("TaggedAddresses", Map),
        ("TaskName", Text),
    ],
    parts: &[
        Words("CanaryTags"),
        Words("Tags"),
        List("Checks", &CHECK, Fields(&["Name"])),
        Block("Connect", &CONNECT),
        Block("Identity", &IDENTITY),
        Block("Weights", &WEIGHTS),
    ],
    ..BLOCK
};

static WEIGHTS: Shape = Shape {
    name: "Weights",
    fields: &[("Passing", Number), ("Warning", Number)],
    ..BLOCK
};

static CHECK: Shape = Shape {
    name: "Check",
    fields: &[
        ("AddressMode", Text),
        ("Body", Text),
        ("Command", Text),
        ("Expose", Flag),
        ("FailuresBeforeCritical", Number),
        ("FailuresBeforeWarning", Number),
        ("GRPCService", Text),
        ("GRPCUseTLS", Flag),
        ("InitialStatus", Text),
        ("Interval", Number),
        ("Method", Text),
        ("Name", Text),
        ("Notes", Text),
        ("OnUpdate", Text),
        ("Path", Text),
        ("PortLabel", Text),
        ("Protocol", Text),
        ("SuccessBeforePassing", Number),
        ("TLSServerName", Text),
        ("TLSSkipVerify", Flag),
        ("TaskName", Text),
        ("Timeout", Number),
        ("Type", Text),
    ],
    hidden: &["Advertise"],
    parts: &[Settings("Header"), Block("CheckRestart", &CHECK_RESTART)],
    ..BLOCK
};

static CHECK_RESTART: Shape = Shape {
    name: "CheckRestart",
    fields: &[("Grace", Number), ("IgnoreWarnings", Flag), ("Limit", Number)],
    ..BLOCK
};
