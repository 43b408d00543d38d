//! `reschedule.json`: when failed allocations are placed anew, and tasks started again.

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{JobType, Reschedule, RescheduleEvent, Restart, RestartDecision, RestartWindow};
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::{Value, json};

use super::build;
use super::check::Check;
use crate::reconciler::reschedule::{is_eligible, next_delay, problems};

pub(super) fn run(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let mut check = Check::default();
    match kind {
        "next" => next(input, expect, &mut check),
        "sequence" => sequence(input, expect, &mut check),
        "default_reschedule" => {
            let policy = Reschedule::defaults(job_type(input)).map(|block| {
                let policy = block.policy();
                json!({ "attempts": policy.attempts, "interval_s": policy.interval.as_secs(),
                    "delay_s": policy.delay.as_secs(), "delay_function": block.delay_function,
                    "max_delay_s": policy.max_delay.as_secs(), "unlimited": policy.unlimited })
            });
            check.value(expect, "policy", &policy.unwrap_or(Value::Null));
        }
        "default_restart" => {
            let policy = Restart::defaults(job_type(input)).policy(job_type(input));
            let mode = if policy.fails { "fail" } else { "delay" };
            let actual = json!({ "attempts": policy.attempts, "interval_s": policy.interval.as_secs(),
                "delay_s": policy.delay.as_secs(), "mode": mode });
            check.value(expect, "policy", &actual);
        }
        "validate" => {
            let found = problems(&build::reschedule_block(&input["policy"]).unwrap_or_default());
            check.value(expect, "valid", &json!(found.is_empty()));
        }
        "restart" => restart(input, expect, &mut check),
        "restart_delay" => {
            let policy = Restart {
                delay: build::span(&input["delay_s"]),
                ..Restart::default()
            };
            let policy = policy.policy(JobType::Service);
            let seconds = |it: Duration| it.0 as f64 / 1e9;
            check.number(expect, "min_s", Some(seconds(policy.delay)));
            check.number(expect, "max_s", Some(seconds(policy.delay + policy.jitter_max())));
        }
        _ => return None,
    }
    Some(check.verdict())
}

fn job_type(input: &Value) -> JobType {
    input["job_type"]
        .as_str()
        .and_then(JobType::parse)
        .unwrap_or(JobType::Service)
}

fn next(input: &Value, expect: &Value, check: &mut Check) {
    let policy = build::reschedule_block(&input["policy"])
        .unwrap_or_default()
        .policy();
    let failed_at = build::time(&input["failed_at_s"]);
    let history = build::events(&input["history"]);
    let delay = next_delay(&policy, &history, failed_at);
    check.value(expect, "delay_s", &json!(delay.as_secs()));
    check.value(expect, "at_s", &json!((failed_at + delay).as_secs()));
    check.value(
        expect,
        "eligible",
        &json!(is_eligible(&policy, &history, failed_at)),
    );
}

fn sequence(input: &Value, expect: &Value, check: &mut Check) {
    let policy = build::reschedule_block(&input["policy"])
        .unwrap_or_default()
        .policy();
    let lasts = build::span(&input["fails_s_after_start"]).unwrap_or_default();
    let mut now = Timestamp::from_secs(1_000_000);
    let mut events: Vec<RescheduleEvent> = Vec::new();
    for _ in 0..input["count"].as_u64().unwrap_or(0) {
        let failed_at = now + lasts;
        let delay = next_delay(&policy, &events, failed_at);
        now = failed_at + delay;
        events.push(RescheduleEvent {
            time: now,
            previous_alloc: AllocId(0),
            previous_node: NodeId(0),
            delay,
        });
    }
    let delays: Vec<i64> = events.iter().map(|event| event.delay.as_secs()).collect();
    check.value(expect, "delays_s", &json!(delays));
}

fn restart(input: &Value, expect: &Value, check: &mut Check) {
    let kind = job_type(input);
    let policy = build::restart_block(&input["policy"]).policy(kind);
    let mut window = RestartWindow::default();
    let exits = input["exits"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut decisions = Vec::new();
    for exit in exits {
        if exit["code"] == 0 && kind.is_batch() {
            decisions.push("complete");
            continue;
        }
        decisions.push(match policy.decide(&mut window, build::time(&exit["at_s"])) {
            RestartDecision::Restart(_) => "restart",
            RestartDecision::Wait(_) => "delay",
            RestartDecision::Fail => "fail_alloc",
        });
    }
    check.value(expect, "decisions", &json!(decisions));
}
