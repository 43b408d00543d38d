//! Differences of small jobs; the recorded cases are in `tests/conformance.rs`.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use holdfast_shared::model::{ByName, Job, PlanCounts};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The job of the recorded command lines 004 and 028, `changed` or not.
fn web(changed: bool) -> Value {
    let pick = |old: Value, new: Value| if changed { new } else { old };
    json!({
        "ID": "web", "Name": "web", "Type": "service", "Datacenters": ["dc*"], "Meta": { "owner": "ops" },
        "Update": {
            "MaxParallel": 1, "MinHealthyTime": 3_000_000_000_i64, "HealthyDeadline": 60_000_000_000_i64,
            "ProgressDeadline": 120_000_000_000_i64, "Canary": pick(json!(0), json!(1)), "AutoRevert": true,
        },
        "TaskGroups": [{
            "Name": "app", "Count": pick(json!(3), json!(4)),
            "Networks": [{ "DynamicPorts": [{ "Label": "http" }] }],
            "Services": [{
                "Name": "web", "PortLabel": "http", "Provider": "nomad",
                "Tags": ["edge", pick(json!("v1"), json!("v2"))],
                "Checks": [{ "Type": "http", "Path": "/", "Interval": 5_000_000_000_i64, "Timeout": 2_000_000_000 }],
            }],
            "Tasks": [{
                "Name": "server", "Driver": "raw_exec", "Config": { "command": "/bin/busybox" },
                "Env": { "VERSION": pick(json!("1"), json!("2")) },
                "Resources": { "CPU": 50, "MemoryMB": pick(json!(32), json!(48)) },
            }],
        }],
    })
}

fn job(value: Value) -> Job {
    serde_json::from_value(value).unwrap()
}

/// The job with something else at `path`.
fn with(mut value: Value, path: &str, new: Value) -> Job {
    *value.pointer_mut(path).unwrap() = new;
    job(value)
}

#[expect(clippy::needless_pass_by_value, reason = "expectations are written in place")]
fn shows(old: Option<&Job>, new: Option<&Job>, expected: Expect) {
    expected.assert_eq(&render(&diff(old, new, true), false));
}

fn planned(counts: PlanCounts) -> ByName<PlanCounts> {
    [("app", counts)].into_iter().collect()
}

#[test]
fn a_new_job_is_told_by_its_names() {
    let mut added = diff(None, Some(&job(web(false))), true);
    annotate(
        &mut added,
        &planned(PlanCounts {
            place: 3,
            ..PlanCounts::default()
        }),
    );
    expect![[r#"
        + Job: "web"
        + Task Group: "app" (3 create)
          + Task: "server" (forces create)

    "#]]
    .assert_eq(&render(&added, false));
    assert!(render(&added, true).contains("      + MemoryMB:    \"32\"\n"));
}

#[test]
fn a_change_of_a_job_is_shown_as_the_original_shows_it() {
    let updates = planned(PlanCounts {
        canary: 1,
        ignore: 3,
        ..PlanCounts::default()
    });
    let mut changed = diff(Some(&job(web(false))), Some(&job(web(true))), true);
    annotate(&mut changed, &updates);
    assert!(changes_allocations(&updates));
    expect![[r#"
        +/- Job: "web"
        +/- Task Group: "app" (1 canary, 3 ignore)
          +/- Count: "3" => "4" (forces create)
          +/- Update {
                AutoPromote:      "false"
                AutoRevert:       "true"
            +/- Canary:           "0" => "1"
                HealthCheck:      "checks"
                HealthyDeadline:  "60000000000"
                MaxParallel:      "1"
                MinHealthyTime:   "3000000000"
                ProgressDeadline: "120000000000"
              }
          +/- Service {
                Address:           ""
                AddressMode:       "auto"
                Cluster:           "default"
                EnableTagOverride: "false"
                Kind:              ""
                Name:              "web"
                Namespace:         "default"
                OnUpdate:          "require_healthy"
                PortLabel:         "http"
                Provider:          "nomad"
                TaskName:          ""
            +/- Tags {
              + Tags: "v2"
                Tags: "edge"
              - Tags: "v1"
                }
              }
          +/- Task: "server" (forces create/destroy update)
            +/- Env[VERSION]: "1" => "2"
            +/- Resources {
                  CPU:         "50"
                  Cores:       "0"
                  DiskMB:      "0"
                  IOPS:        "0"
              +/- MemoryMB:    "32" => "48"
                  MemoryMaxMB: "0"
                  SecretsMB:   "0"
                }

    "#]]
    .assert_eq(&render(&changed, false));
}

#[test]
fn equal_jobs_do_not_differ_however_they_are_written() {
    let short = job(web(false));
    let mut full = short.clone();
    full.canonicalize();
    let same = diff(Some(&short), Some(&full), true);
    assert_eq!(same.kind, DiffType::None);
    assert!(same.task_groups.iter().all(|group| group.kind == DiffType::None));
}

#[test]
fn a_job_that_ends_is_deleted_with_all_it_had() {
    let deleted = diff(Some(&job(web(false))), None, false);
    assert_eq!(
        (deleted.kind, deleted.task_groups[0].tasks[0].kind),
        (DiffType::Deleted, DiffType::Deleted)
    );
}

#[test]
fn settings_of_a_driver_are_compared_at_any_depth() {
    let config = |port: Value| json!({ "labels": [{ "a": null, "b": port }], "ratio": 0.5 });
    let task = "/TaskGroups/0/Tasks/0/Config";
    shows(
        Some(&with(web(false), task, config(json!(8080)))),
        Some(&with(web(false), task, config(json!(1_234_567)))),
        expect![[r#"
            +/- Job: "web"
            +/- Task Group: "app"
              +/- Task: "server"
                +/- Config {
                      labels[0][a]: "nil"
                  +/- labels[0][b]: "8080" => "1.234567e+06"
                      ratio:        "0.5"
                    }

        "#]],
    );
}

#[test]
fn services_find_each_other_by_name_first_and_by_port_and_place_together() {
    let service = |name: &str, port: &str| json!({ "Name": name, "PortLabel": port, "Provider": "nomad" });
    let list = "/TaskGroups/0/Services";
    let old = with(
        web(false),
        list,
        json!([service("a", "x"), service("b", "y"), service("c", "z")]),
    );
    let new = with(
        web(false),
        list,
        json!([service("b", "y"), service("n", "y"), service("c", "w")]),
    );
    let found = diff(Some(&old), Some(&new), false);
    let kinds: Vec<DiffType> = found.task_groups[0].objects.iter().map(|it| it.kind).collect();
    // `b` moved and is the same; `c` has another port; `a` is gone and `n` is new.
    assert_eq!(kinds, [DiffType::Edited, DiffType::Added, DiffType::Deleted]);
}

#[test]
fn what_a_change_makes_necessary_is_shown_with_it() {
    let task = "/TaskGroups/0/Tasks/0/KillSignal";
    let mut value = web(false);
    value["TaskGroups"][0]["Tasks"][0]["KillSignal"] = json!("");
    shows(
        Some(&job(value.clone())),
        Some(&with(value, task, json!("SIGINT"))),
        expect![[r#"
            +/- Job: "web"
            +/- Task Group: "app"
              +   Constraint {
                  + LTarget: "${attr.os.signals}"
                  + Operand: "set_contains"
                  + RTarget: "SIGINT"
                  }
              +/- Task: "server"
                + KillSignal: "SIGINT"

        "#]],
    );
}

#[test]
fn what_the_coordinator_adds_to_a_job_is_no_change() {
    let submitted = json!({ "Min": 1, "Max": 9, "Enabled": true });
    let mut kept = submitted.clone();
    kept["Target"] = json!({ "Job": "web", "Group": "app", "Namespace": "default" });
    (kept["ID"], kept["ModifyIndex"]) = (json!("an id"), json!(7));
    let mut value = web(false);
    value["TaskGroups"][0]["Scaling"] = Value::Null;
    (value["Status"], value["Version"]) = (json!("running"), json!(3));
    let old = with(value, "/TaskGroups/0/Scaling", kept);
    let mut value = web(false);
    value["TaskGroups"][0]["Scaling"] = submitted;
    assert_eq!(diff(Some(&old), Some(&job(value)), true).kind, DiffType::None);
}

#[test]
fn the_api_writes_null_for_what_is_empty() {
    let same = diff(Some(&job(web(false))), Some(&job(web(false))), true);
    let task =
        json!({ "Type": "None", "Name": "server", "Fields": null, "Objects": null, "Annotations": null });
    let group = json!({
        "Type": "None", "Name": "app", "Fields": null, "Objects": null, "Tasks": [task], "Updates": null,
    });
    let expected =
        json!({ "Type": "None", "ID": "web", "Fields": null, "Objects": null, "TaskGroups": [group] });
    assert_eq!(serde_json::to_value(&same).unwrap(), expected);
    assert_eq!(serde_json::from_value::<JobDiff>(expected).unwrap(), same);
}

#[test]
fn values_are_quoted_as_go_quotes_them() {
    let quoted = |text: &str| quote::quoted(text);
    assert_eq!(
        quoted("a\"b\\\n\t\u{1}é\u{a0}😀"),
        "\"a\\\"b\\\\\\n\\t\\x01é\\u00a0😀\""
    );
}

/// The same difference, looked at from the other side.
fn mirrored(kind: DiffType) -> DiffType {
    match kind {
        DiffType::Added => DiffType::Deleted,
        DiffType::Deleted => DiffType::Added,
        other => other,
    }
}

proptest! {
    #[test]
    fn the_way_back_is_the_mirror_of_the_way(env in any::<[Option<u8>; 4]>(), other in any::<[Option<u8>; 4]>()) {
        let with_env = |values: [Option<u8>; 4]| {
            let pairs = values.iter().enumerate().filter_map(|(key, it)| it.map(|it| (key.to_string(), it.to_string())));
            with(web(false), "/TaskGroups/0/Tasks/0/Env", json!(pairs.collect::<BTreeMap<_, _>>()))
        };
        let (old, new) = (with_env(env), with_env(other));
        let (there, back) = (diff(Some(&old), Some(&new), true), diff(Some(&new), Some(&old), true));
        prop_assert_eq!(there.kind == DiffType::None, env == other);
        let fields = |diff: &JobDiff| diff.task_groups[0].tasks[0].fields.clone();
        for (a, b) in fields(&there).iter().zip(&fields(&back)) {
            prop_assert_eq!((&a.name, mirrored(a.kind), &a.old, &a.new), (&b.name, b.kind, &b.new, &b.old));
        }
    }
}
