//! The group block.

use serde_json::{Map, Value as Json, json};

use super::job::{MIGRATE, RESCHEDULE, SPREAD, UPDATE};
use super::network::NETWORK;
use super::schema::{
    Absent, Schema, Shape, child, fixed, flag, optional_duration, optional_flag, optional_integer,
    optional_text, text, texts,
};
use super::service::SERVICE;
use super::task::{CONSUL, TASK, VAULT};

pub(super) const RESTART: Schema = Schema::new(
    &[
        optional_duration("interval", "Interval"),
        optional_integer("attempts", "Attempts"),
        optional_duration("delay", "Delay"),
        optional_duration("max_delay", "MaxDelay").or(Absent::Left),
        optional_text("mode", "Mode"),
        optional_flag("render_templates", "RenderTemplates"),
    ],
    &[],
);

const DISCONNECT: Schema = Schema::new(
    &[
        optional_duration("lost_after", "LostAfter"),
        optional_duration("stop_on_client_after", "StopOnClientAfter"),
        optional_flag("replace", "Replace"),
        optional_duration("replace_after", "ReplaceAfter").or(Absent::Left),
        optional_text("reconcile", "Reconcile"),
    ],
    &[],
);

const DISK: Schema = Schema::new(
    &[
        optional_flag("sticky", "Sticky"),
        optional_flag("migrate", "Migrate"),
        optional_integer("size", "SizeMB"),
    ],
    &[],
);

const MOUNT_OPTIONS: Schema = Schema::new(
    &[text("fs_type", "FSType"), texts("mount_flags", "MountFlags")],
    &[],
);

const VOLUME: Schema = Schema::new(
    &[
        text("type", "Type"),
        text("source", "Source"),
        flag("read_only", "ReadOnly"),
        flag("sticky", "Sticky"),
        text("access_mode", "AccessMode"),
        text("attachment_mode", "AttachmentMode"),
        flag("per_alloc", "PerAlloc"),
    ],
    &[child("mount_options", "MountOptions", Shape::One(&MOUNT_OPTIONS))],
);

pub(super) const SCALING: Schema = Schema::new(
    &[
        fixed("ID", Absent::Text("")),
        fixed("Namespace", Absent::Text("")),
        text("type", "Type"),
        fixed("Target", Absent::Null),
        optional_integer("min", "Min"),
        optional_integer("max", "Max"),
        optional_flag("enabled", "Enabled"),
        fixed("CreateIndex", Absent::Number(0)),
        fixed("ModifyIndex", Absent::Number(0)),
    ],
    &[child("policy", "Policy", Shape::Free)],
);

const VAULT_FOR_ALL: &str = "#vault";

pub(super) const GROUP: Schema = Schema::new(
    &[
        optional_integer("count", "Count"),
        optional_duration("shutdown_delay", "ShutdownDelay"),
        optional_duration("stop_after_client_disconnect", "StopAfterClientDisconnect"),
        optional_duration("max_client_disconnect", "MaxClientDisconnect"),
        optional_duration("max_run_duration", "MaxRunDuration"),
        optional_flag("prevent_reschedule_on_lost", "PreventRescheduleOnLost"),
    ],
    &[
        child("constraint", "Constraints", Shape::Constraints),
        child("affinity", "Affinities", Shape::Affinities),
        child("task", "Tasks", Shape::Labelled(&TASK, "Name")),
        child("vault", VAULT_FOR_ALL, Shape::One(&VAULT)),
        child("spread", "Spreads", Shape::Many(&SPREAD)),
        child("volume", "Volumes", Shape::ByLabel(&VOLUME, "Name")),
        child("restart", "RestartPolicy", Shape::One(&RESTART)),
        child("disconnect", "Disconnect", Shape::One(&DISCONNECT)),
        child("reschedule", "ReschedulePolicy", Shape::One(&RESCHEDULE)),
        child("ephemeral_disk", "EphemeralDisk", Shape::One(&DISK)),
        child("update", "Update", Shape::One(&UPDATE)),
        child("migrate", "Migrate", Shape::One(&MIGRATE)),
        child("network", "Networks", Shape::Many(&NETWORK)),
        child("meta", "Meta", Shape::Texts),
        child("service", "Services", Shape::Many(&SERVICE)),
        child("scaling", "Scaling", Shape::One(&SCALING)),
        child("consul", "Consul", Shape::One(&CONSUL)),
    ],
)
.finish(finish);

/// Vault settings of the group reach every task; a group scales horizontally.
fn finish(group: &mut Map<String, Json>) {
    let vault = group.remove(VAULT_FOR_ALL).unwrap_or_default();
    for task in group["Tasks"].as_array_mut().into_iter().flatten() {
        if task["Vault"].is_null() {
            task["Vault"] = vault.clone();
        }
    }
    let scaling = &mut group["Scaling"];
    if scaling.is_object() && scaling["Type"] == json!("") {
        scaling["Type"] = json!("horizontal");
    }
}

/// A group without anything, for a task that stands in the job itself.
pub(super) fn empty() -> Map<String, Json> {
    let attributes = GROUP
        .attributes
        .iter()
        .filter_map(|row| Some((row.field.to_owned(), row.absent.to_json()?)));
    let blocks = GROUP
        .blocks
        .iter()
        .map(|child| (child.field.to_owned(), Json::Null));
    let mut group: Map<String, Json> = attributes.chain(blocks).collect();
    group.remove(VAULT_FOR_ALL);
    group
}
