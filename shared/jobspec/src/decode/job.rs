//! The job block.

use serde_json::{Map, Value as Json, json};

use super::group::GROUP;
use super::network;
use super::schema::{
    Absent, Schema, Shape, child, fixed, integer, optional_duration, optional_flag, optional_integer,
    optional_text, text, texts,
};
use super::task::{TASK, VAULT};

pub(super) const UPDATE: Schema = Schema::new(
    &[
        optional_duration("stagger", "Stagger"),
        optional_integer("max_parallel", "MaxParallel"),
        optional_text("health_check", "HealthCheck"),
        optional_duration("min_healthy_time", "MinHealthyTime"),
        optional_duration("healthy_deadline", "HealthyDeadline"),
        optional_duration("progress_deadline", "ProgressDeadline"),
        optional_integer("canary", "Canary"),
        optional_flag("auto_revert", "AutoRevert"),
        optional_flag("auto_promote", "AutoPromote"),
    ],
    &[],
);

pub(super) const MIGRATE: Schema = Schema::new(
    &[
        optional_integer("max_parallel", "MaxParallel"),
        optional_text("health_check", "HealthCheck"),
        optional_duration("min_healthy_time", "MinHealthyTime"),
        optional_duration("healthy_deadline", "HealthyDeadline"),
    ],
    &[],
);

pub(super) const RESCHEDULE: Schema = Schema::new(
    &[
        optional_integer("attempts", "Attempts"),
        optional_duration("interval", "Interval"),
        optional_duration("delay", "Delay"),
        optional_text("delay_function", "DelayFunction"),
        optional_duration("max_delay", "MaxDelay"),
        optional_flag("unlimited", "Unlimited"),
    ],
    &[],
);

const SPREAD_TARGET: Schema = Schema::new(&[integer("percent", "Percent")], &[]);

pub(super) const SPREAD: Schema = Schema::new(
    &[
        text("attribute", "Attribute"),
        optional_integer("weight", "Weight"),
    ],
    &[child(
        "target",
        "SpreadTarget",
        Shape::Labelled(&SPREAD_TARGET, "Value"),
    )],
);

const PERIODIC: Schema = Schema::new(
    &[
        optional_flag("enabled", "Enabled"),
        optional_text("cron", "Spec"),
        texts("crons", "Specs"),
        fixed("SpecType", Absent::Null),
        optional_flag("prohibit_overlap", "ProhibitOverlap"),
        optional_text("time_zone", "TimeZone"),
    ],
    &[],
)
.finish(|periodic| {
    if !(periodic["Spec"].is_null() && periodic["Specs"].is_null()) {
        periodic.insert("SpecType".to_owned(), json!("cron"));
    }
});

const PARAMETERIZED: Schema = Schema::new(
    &[
        text("payload", "Payload"),
        texts("meta_required", "MetaRequired"),
        texts("meta_optional", "MetaOptional"),
    ],
    &[],
);

const STRATEGY: Schema = Schema::new(
    &[
        optional_integer("max_parallel", "MaxParallel"),
        optional_text("on_failure", "OnFailure"),
    ],
    &[],
);

const REGION: Schema = Schema::new(
    &[
        optional_integer("count", "Count"),
        texts("datacenters", "Datacenters"),
        optional_text("node_pool", "NodePool"),
    ],
    &[child("meta", "Meta", Shape::Texts)],
);

const MULTIREGION: Schema = Schema::new(
    &[],
    &[
        child("strategy", "Strategy", Shape::One(&STRATEGY)),
        child("region", "Regions", Shape::Labelled(&REGION, "Name")),
    ],
);

const LINK: Schema = Schema::new(&[text("label", "Label"), text("url", "URL")], &[]);
const UI: Schema = Schema::new(
    &[text("description", "Description")],
    &[child("link", "Links", Shape::Many(&LINK))],
);

/// Fields whose name starts so are not part of the job; finishing takes them out.
const TASKS: &str = "#tasks";
const VAULT_FOR_ALL: &str = "#vault";

pub(super) const JOB: Schema = Schema::new(
    &[
        optional_text("region", "Region"),
        optional_text("namespace", "Namespace"),
        optional_text("id", "ID"),
        optional_text("name", "Name"),
        optional_text("type", "Type"),
        optional_integer("priority", "Priority"),
        optional_flag("all_at_once", "AllAtOnce"),
        texts("datacenters", "Datacenters"),
        optional_text("node_pool", "NodePool"),
        optional_text("consul_namespace", "ConsulNamespace"),
        optional_text("vault_namespace", "VaultNamespace"),
        fixed("Dispatched", Absent::Flag(false)),
        fixed("DispatchIdempotencyToken", Absent::Null),
        fixed("Payload", Absent::Null),
        fixed("NomadTokenID", Absent::Null),
        fixed("ParentID", Absent::Null),
        fixed("Stop", Absent::Null),
        fixed("Status", Absent::Null),
        fixed("StatusDescription", Absent::Null),
        fixed("Stable", Absent::Null),
        fixed("Version", Absent::Null),
        fixed("SubmitTime", Absent::Null),
        fixed("CreateIndex", Absent::Null),
        fixed("ModifyIndex", Absent::Null),
        fixed("JobModifyIndex", Absent::Null),
        fixed("VersionTag", Absent::Null),
    ],
    &[
        child("constraint", "Constraints", Shape::Constraints),
        child("affinity", "Affinities", Shape::Affinities),
        child("group", "TaskGroups", Shape::Labelled(&GROUP, "Name")),
        child("task", TASKS, Shape::Labelled(&TASK, "Name")),
        child("vault", VAULT_FOR_ALL, Shape::One(&VAULT)),
        child("update", "Update", Shape::One(&UPDATE)),
        child("spread", "Spreads", Shape::Many(&SPREAD)),
        child("periodic", "Periodic", Shape::One(&PERIODIC)),
        child("parameterized", "ParameterizedJob", Shape::One(&PARAMETERIZED)),
        child("reschedule", "Reschedule", Shape::One(&RESCHEDULE)),
        child("migrate", "Migrate", Shape::One(&MIGRATE)),
        child("meta", "Meta", Shape::Texts),
        child("ui", "UI", Shape::One(&UI)),
        child("multiregion", "Multiregion", Shape::One(&MULTIREGION)),
    ],
)
.finish(finish);

/// The job's label is its id and name unless it sets them.
pub(super) fn name(job: &mut Map<String, Json>, label: &str) {
    for field in ["ID", "Name"] {
        if job.get(field).is_none_or(Json::is_null) {
            job.insert(field.to_owned(), json!(label));
        }
    }
}

/// Tasks of the job itself become groups of one; vault settings of the job reach every task.
fn finish(job: &mut Map<String, Json>) {
    let tasks = job.remove(TASKS).unwrap_or_default();
    let vault = job.remove(VAULT_FOR_ALL).unwrap_or_default();
    if let Json::Array(tasks) = tasks {
        let alone = tasks.into_iter().map(|task| {
            let mut group = super::group::empty();
            group.insert("Name".to_owned(), task["Name"].clone());
            group.insert("Tasks".to_owned(), Json::Array(vec![task]));
            Json::Object(group)
        });
        let mut groups: Vec<Json> = alone.collect();
        if let Some(Json::Array(written)) = job.remove("TaskGroups") {
            groups.extend(written);
        }
        job.insert("TaskGroups".to_owned(), Json::Array(groups));
    }
    for group in job["TaskGroups"].as_array_mut().into_iter().flatten() {
        network::sort_ports(&mut group["Networks"]);
        for task in group["Tasks"].as_array_mut().into_iter().flatten() {
            if task["Vault"].is_null() {
                task["Vault"] = vault.clone();
            }
        }
    }
}
