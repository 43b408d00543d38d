//! Services and checks.

use super::connect::CONNECT;
use super::schema::{Schema, Shape, child, duration, flag, integer, optional_duration, text, texts};
use super::task::IDENTITY;

const CHECK_RESTART: Schema = Schema::new(
    &[
        integer("limit", "Limit"),
        optional_duration("grace", "Grace"),
        flag("ignore_warnings", "IgnoreWarnings"),
    ],
    &[],
);

const CHECK: Schema = Schema::new(
    &[
        text("name", "Name"),
        text("type", "Type"),
        text("command", "Command"),
        texts("args", "Args"),
        text("path", "Path"),
        text("protocol", "Protocol"),
        text("port", "PortLabel"),
        flag("expose", "Expose"),
        text("address_mode", "AddressMode"),
        text("advertise", "Advertise"),
        duration("interval", "Interval"),
        duration("timeout", "Timeout"),
        text("initial_status", "InitialStatus"),
        text("notes", "Notes"),
        flag("tls_skip_verify", "TLSSkipVerify"),
        text("tls_server_name", "TLSServerName"),
        text("method", "Method"),
        text("grpc_service", "GRPCService"),
        flag("grpc_use_tls", "GRPCUseTLS"),
        text("task", "TaskName"),
        integer("success_before_passing", "SuccessBeforePassing"),
        integer("failures_before_critical", "FailuresBeforeCritical"),
        integer("failures_before_warning", "FailuresBeforeWarning"),
        text("body", "Body"),
        text("on_update", "OnUpdate"),
    ],
    &[
        child("header", "Header", Shape::TextLists),
        child("check_restart", "CheckRestart", Shape::One(&CHECK_RESTART)),
    ],
);

const WEIGHTS: Schema = Schema::new(
    &[integer("passing", "Passing"), integer("warning", "Warning")],
    &[],
);

pub(super) const SERVICE: Schema = Schema::new(
    &[
        text("name", "Name"),
        texts("tags", "Tags"),
        texts("canary_tags", "CanaryTags"),
        flag("enable_tag_override", "EnableTagOverride"),
        text("port", "PortLabel"),
        text("address_mode", "AddressMode"),
        text("address", "Address"),
        text("task", "TaskName"),
        text("on_update", "OnUpdate"),
        text("provider", "Provider"),
        text("cluster", "Cluster"),
        text("kind", "Kind"),
    ],
    &[
        child("tagged_addresses", "TaggedAddresses", Shape::TextsBlock),
        child("check", "Checks", Shape::Many(&CHECK)),
        child("check_restart", "CheckRestart", Shape::One(&CHECK_RESTART)),
        child("connect", "Connect", Shape::One(&CONNECT)),
        child("meta", "Meta", Shape::TextsBlock),
        child("canary_meta", "CanaryMeta", Shape::TextsBlock),
        child("identity", "Identity", Shape::One(&IDENTITY)),
        child("weights", "Weights", Shape::One(&WEIGHTS)),
    ],
);
