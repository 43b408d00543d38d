//! Versions of jobs: planned, returned to, scaled, forgotten with what they were made from.

use std::collections::BTreeMap;

use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Job, PlanCounts, Submission, VersionTag};
use holdfast_shared::time::Duration;
use serde_json::{Value, json};

use super::fleet::{Fleet, job};
use crate::dry_run::DryRun;
use crate::{Command, JobAction, Refusal, Response, Scale};

fn key() -> JobKey {
    JobKey::new("default", "web")
}

fn version(number: u64, count: u64, update: &Value) -> Job {
    job(
        json!({ "ID": "web", "Type": "service", "TaskGroups": [{ "Name": "app", "Count": count, "Update": update,
        "Scaling": { "Min": 1, "Max": 4, "Type": "horizontal" }, "Tasks": [
        { "Name": "main", "Driver": "docker", "Env": { "VERSION": number.to_string() } }
    ] }] }),
    )
}

fn rolling() -> Value {
    json!({ "MaxParallel": 1 })
}

fn submission(source: &str) -> Box<Submission> {
    Box::new(Submission {
        job: key(),
        version: 0,
        job_modify_index: 0,
        source: source.to_owned(),
        format: "hcl2".to_owned(),
        variable_flags: BTreeMap::from([("image".to_owned(), "a:1".to_owned())]),
        variables: String::new(),
    })
}

fn submit(fleet: &mut Fleet, job: &Job, source: &str) {
    let command = Command::RegisterJob {
        job: Box::new(job.clone()),
        check_index: None,
        preserve_counts: false,
        eval_priority: None,
        submission: Some(submission(source)),
    };
    fleet.command(command).unwrap();
    fleet.advance(Duration::from_secs(3));
}

fn act(fleet: &mut Fleet, action: JobAction) -> Result<Response, Refusal> {
    let done = fleet.command(Command::Job(key(), action));
    fleet.advance(Duration::from_secs(3));
    done
}

fn plan(fleet: &Fleet, job: &Job) -> DryRun {
    DryRun::of(fleet.core.state(), &fleet.options, fleet.now, job).unwrap()
}

#[test]
fn a_plan_tells_what_would_happen_and_changes_nothing() {
    let mut fleet = Fleet::new(3);
    let counts = |run: &DryRun| run.groups["app"];
    let first = plan(&fleet, &version(0, 3, &rolling()));
    assert_eq!(first.current, None);
    assert_eq!(
        counts(&first),
        PlanCounts {
            place: 3,
            ..PlanCounts::default()
        }
    );
    assert!(fleet.core.state().jobs.is_empty());
    fleet.run(&version(0, 3, &rolling()));
    let before = format!("{:?}", fleet.core.state());
    let canary = json!({ "MaxParallel": 1, "Canary": 1 });
    for (job, expected) in [
        (
            version(1, 3, &rolling()),
            PlanCounts {
                destructive: 1,
                ignore: 2,
                ..PlanCounts::default()
            },
        ),
        (
            version(1, 3, &canary),
            PlanCounts {
                canary: 1,
                ignore: 3,
                ..PlanCounts::default()
            },
        ),
        (
            version(0, 1, &rolling()),
            PlanCounts {
                stop: 2,
                in_place: 1,
                ..PlanCounts::default()
            },
        ),
        (
            version(0, 3, &rolling()),
            PlanCounts {
                ignore: 3,
                ..PlanCounts::default()
            },
        ),
    ] {
        let run = plan(&fleet, &job);
        assert_eq!(counts(&run), expected);
        assert!(run.failed.is_empty() && run.current.is_some());
    }
    assert_eq!(before, format!("{:?}", fleet.core.state()));
}

#[test]
fn a_plan_says_why_something_would_find_no_place() {
    let fleet = Fleet::new(2);
    let mut large = version(0, 3, &rolling());
    large.task_groups.as_mut().unwrap()[0].tasks.as_mut().unwrap()[0].resources =
        serde_json::from_value(json!({ "CPU": 500_000, "MemoryMB": 16 })).unwrap();
    let run = plan(&fleet, &large);
    let report = &run.failed["app"];
    assert_eq!((report.nodes_exhausted, report.coalesced_failures), (2, 2));
    let other = Job {
        kind: Some("batch".to_owned()),
        ..version(0, 3, &rolling())
    };
    let mut fleet = fleet;
    fleet.run(&version(0, 3, &rolling()));
    let refusal = DryRun::of(fleet.core.state(), &fleet.options, fleet.now, &other).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "cannot update job from type \"service\" to \"batch\""
    );
}

#[test]
fn a_revert_registers_an_earlier_version_anew_with_what_it_was_made_from() {
    let mut fleet = Fleet::new(3);
    submit(&mut fleet, &version(0, 3, &rolling()), "zero");
    submit(&mut fleet, &version(1, 3, &rolling()), "one");
    fleet.advance(Duration::from_secs(5));
    let revert = |version, enforce_prior| JobAction::Revert {
        version,
        enforce_prior,
    };
    for (action, text) in [
        (revert(1, None), "can't revert to current version"),
        (
            revert(7, None),
            "job \"web\" in namespace \"default\" at version 7 not found",
        ),
        (
            revert(0, Some(3)),
            "Current job has version 1; enforcing version 3",
        ),
    ] {
        assert_eq!(act(&mut fleet, action).unwrap_err().to_string(), text);
    }
    act(&mut fleet, revert(0, Some(1))).unwrap();
    fleet.advance(Duration::from_secs(5));
    let state = fleet.core.state();
    let current = &state.jobs[&key()];
    assert_eq!(current.version(), 2);
    let zero = &state.versions[&(key(), 0)];
    assert_eq!(current.specification(), zero.specification());
    assert_eq!(state.submissions[&(key(), 2)].source, "zero");
    assert_eq!(state.submissions[&(key(), 1)].source, "one");
    let running = fleet.allocs("web");
    assert_eq!(
        running.iter().filter(|it| it.ends_with("run/running v2")).count(),
        3,
        "{running:?}"
    );
}

#[test]
fn versions_are_forgotten_with_what_they_were_made_from() {
    let mut fleet = Fleet::new(3);
    for number in 0..9 {
        submit(
            &mut fleet,
            &version(number, 1, &rolling()),
            &format!("source {number}"),
        );
    }
    let state = fleet.core.state();
    let versions: Vec<u64> = state.versions_of_job(&key()).map(|job| job.version()).collect();
    let sources: Vec<u64> = state.submissions.keys().map(|(_, version)| *version).collect();
    assert_eq!(versions, sources);
    assert_eq!(versions.len(), fleet.options.job_versions_kept);
    fleet
        .command(Command::DeregisterJob {
            key: key(),
            purge: true,
            no_shutdown_delay: false,
        })
        .unwrap();
    let state = fleet.core.state();
    assert!(state.versions.is_empty() && state.submissions.is_empty() && state.jobs.is_empty());
}

#[test]
fn the_newest_version_is_never_forgotten_however_many_older_ones_run() {
    let mut fleet = Fleet::new(3);
    fleet.options.job_versions_kept = 1;
    fleet.restart(fleet.core.state().clone());
    for number in 0..3 {
        submit(&mut fleet, &version(number, 1, &rolling()), "x");
        let (state, key) = (fleet.core.state(), key());
        let newest = state.versions_of_job(&key).last().map(|job| job.version());
        assert_eq!(newest, Some(state.jobs[&key].version()));
    }
}

#[test]
fn a_version_can_be_declared_stable_and_unstable() {
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, 1, &rolling()));
    fleet.run(&version(1, 1, &rolling()));
    fleet.advance(Duration::from_secs(5));
    let stable = |fleet: &Fleet| -> Vec<bool> {
        let key = key();
        let versions = fleet.core.state().versions_of_job(&key);
        versions.map(|job| job.stable == Some(true)).collect()
    };
    assert_eq!(stable(&fleet), [true, true]);
    for version in [0, 1] {
        act(
            &mut fleet,
            JobAction::SetStable {
                version,
                stable: false,
            },
        )
        .unwrap();
    }
    assert_eq!(stable(&fleet), [false, false]);
    assert_eq!(fleet.core.state().jobs[&key()].stable, Some(false));
}

#[test]
fn scaling_keeps_to_the_bounds_and_is_remembered() {
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, 3, &rolling()));
    fleet.advance(Duration::from_secs(3));
    let scale = |count: Option<i64>| Scale {
        group: "app".to_owned(),
        count,
        message: "because".to_owned(),
        ..Scale::default()
    };
    for (wish, text) in [
        (
            scale(Some(0)),
            "group count was less than scaling policy minimum: 0 < 1",
        ),
        (
            scale(Some(5)),
            "group count was greater than scaling policy maximum: 5 > 4",
        ),
        (
            Scale {
                group: "db".to_owned(),
                ..scale(Some(2))
            },
            "task group \"db\" specified for scaling does not exist in job",
        ),
        (
            Scale {
                check_index: Some(1),
                ..scale(Some(2))
            },
            "Enforcing job modify index 1: job exists with conflicting job modify index: 2",
        ),
    ] {
        let refusal = act(&mut fleet, JobAction::Scale(wish)).unwrap_err().to_string();
        let is_same = refusal == text
            || text.starts_with("Enforcing") && refusal.starts_with("Enforcing job modify index 1");
        assert!(is_same, "{refusal}");
    }
    act(&mut fleet, JobAction::Scale(scale(Some(2)))).unwrap();
    assert_eq!(fleet.core.state().jobs[&key()].groups()[0].count(), 2);
    let running = fleet.allocs("web");
    assert_eq!(
        running.iter().filter(|it| it.contains("run/running")).count(),
        2,
        "{running:?}"
    );
    act(&mut fleet, JobAction::Scale(scale(None))).unwrap();
    let events = &fleet.core.state().histories[&key()].scaling["app"];
    let told: Vec<(Option<i64>, i64)> = events.iter().map(|it| (it.count, it.previous_count)).collect();
    assert_eq!(told, [(None, 2), (Some(2), 3)]);
    assert!(events[1].eval.is_some() && events[1].create_index > 0);
}

#[test]
fn nothing_is_scaled_while_a_deployment_is_under_way() {
    let mut fleet = Fleet::new(3);
    let canary = json!({ "MaxParallel": 1, "Canary": 1 });
    fleet.run(&version(0, 2, &canary));
    fleet.run(&version(1, 2, &canary));
    let wish = Scale {
        group: "app".to_owned(),
        count: Some(3),
        ..Scale::default()
    };
    let refusal = act(&mut fleet, JobAction::Scale(wish)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "job scaling blocked due to active deployment"
    );
}

fn tag(fleet: &mut Fleet, version: u64, name: &str) -> Result<Response, Refusal> {
    let tag = VersionTag {
        name: name.to_owned(),
        description: "known to work".to_owned(),
        tagged_time: 0,
    };
    act(fleet, JobAction::Tag { version, tag })
}

/// The kept versions of the job with their tags.
fn tags(fleet: &Fleet) -> Vec<(u64, String)> {
    let key = key();
    let versions = fleet.core.state().versions_of_job(&key);
    let name = |job: &Job| {
        job.version_tag
            .as_ref()
            .map_or_else(String::new, |tag| tag.name.clone())
    };
    versions.map(|job| (job.version(), name(job))).collect()
}

#[test]
fn a_tagged_version_is_kept_and_its_tag_stays_with_it() {
    let mut fleet = Fleet::new(1);
    fleet.run(&version(0, 1, &rolling()));
    tag(&mut fleet, 0, "golden").unwrap();
    for number in 1..12 {
        fleet.run(&version(number, 1, &rolling()));
        fleet.advance(Duration::from_secs(3));
    }
    let kept = tags(&fleet);
    assert_eq!((kept.len(), &kept[0]), (7, &(0, "golden".to_owned())), "{kept:?}");
    let known = &fleet.core.state().versions[&(key(), 0)];
    let given = known.version_tag.as_ref().unwrap();
    assert_eq!(given.description, "known to work");
    assert!(given.tagged_time > 0);

    let revert = JobAction::Revert {
        version: 0,
        enforce_prior: None,
    };
    act(&mut fleet, revert).unwrap();
    let newest = tags(&fleet).pop().unwrap();
    assert_eq!(newest, (12, String::new()), "the tag did not come along");
    act(&mut fleet, JobAction::Untag("golden".into())).unwrap();
    fleet.run(&version(13, 1, &rolling()));
    assert_eq!(
        tags(&fleet)[0].0,
        8,
        "without its tag it is forgotten like any other"
    );
}

#[test]
fn a_tag_is_of_one_version_and_stopping_does_not_copy_it() {
    let mut fleet = Fleet::new(1);
    fleet.run(&version(0, 1, &rolling()));
    fleet.run(&version(1, 1, &rolling()));
    tag(&mut fleet, 1, "golden").unwrap();
    tag(&mut fleet, 1, "golden").unwrap();
    for (outcome, text) in [
        (
            tag(&mut fleet, 0, "golden"),
            "tag \"golden\" already exists on a different version of job \"web\"",
        ),
        (tag(&mut fleet, 0, ""), "tag name required"),
        (
            tag(&mut fleet, 9, "other"),
            "job \"web\" in namespace \"default\" at version 9 not found",
        ),
        (
            act(&mut fleet, JobAction::Untag("other".into())),
            "tag \"other\" on job \"web\" not found",
        ),
    ] {
        assert_eq!(outcome.unwrap_err().to_string(), text);
    }
    let stop = Command::DeregisterJob {
        key: key(),
        purge: false,
        no_shutdown_delay: false,
    };
    fleet.command(stop).unwrap();
    let expected = [(0, ""), (1, "golden"), (2, "")].map(|(version, tag)| (version, tag.to_owned()));
    assert_eq!(tags(&fleet), expected);
}

#[test]
fn a_job_that_is_stopped_is_still_known_by_its_source() {
    let mut fleet = Fleet::new(1);
    submit(&mut fleet, &version(0, 1, &rolling()), "job \"web\" {}");
    let stop = Command::DeregisterJob {
        key: key(),
        purge: false,
        no_shutdown_delay: false,
    };
    fleet.command(stop).unwrap();
    let source = &fleet.core.state().submissions[&(key(), 1)];
    assert_eq!((source.source.as_str(), source.version), ("job \"web\" {}", 1));
}
