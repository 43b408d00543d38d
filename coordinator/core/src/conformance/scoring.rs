//! `scoring.json`: every component of a score, and which nodes are looked at.

use std::collections::BTreeMap;

use holdfast_shared::model::{Spread, SpreadTarget};
use serde_json::{Value, json};

use super::check::Check;
use crate::scheduler::rank::{self, Usage};
use crate::scheduler::spread::{self, Spreading};

pub(super) fn run(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let mut check = Check::default();
    let number = |key: &str| input[key].as_u64().unwrap_or(0);
    match kind {
        "fit" => fit(input, expect, &mut check),
        "job_anti_affinity" => {
            let colliding = number("existing_same_job_and_group_on_node") + number("planned_placements");
            component(
                rank::anti_affinity(colliding as usize, number("desired_count") as usize),
                expect,
                &mut check,
            );
        }
        "reschedule_penalty" => {
            component(
                (input["node_is_penalized"] == true).then_some(-1.0),
                expect,
                &mut check,
            );
        }
        "node_affinity" => {
            let matched = input["matched_indexes"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let weights = input["weights"].as_array().into_iter().flatten().enumerate();
            let weights =
                weights.map(|(at, weight)| (weight.as_i64().unwrap_or(0), matched.contains(&json!(at))));
            component(rank::affinity(weights), expect, &mut check);
        }
        "spread_targets" => component(
            Some(targets(input)).filter(|it| *it != 0.0),
            &nonzero(expect),
            &mut check,
        ),
        "spread_even" => {
            let used = counts(&input["used"], &input["planned_placements"]);
            let here = input["node_value"]
                .as_str()
                .map(|value| used.get(value).copied().unwrap_or(0));
            let score = spread::even(here, spread::extremes(used.values().copied()));
            component(Some(score).filter(|it| *it != 0.0), &nonzero(expect), &mut check);
        }
        "preemption" => {
            let list = input["preempted_priorities"].as_array().into_iter().flatten();
            let net = rank::net_priority(&list.filter_map(Value::as_i64).collect::<Vec<_>>());
            check.number(expect, "net_priority", Some(net));
            check.number(expect, "score", Some(rank::preemption(net)));
        }
        "normalize" => {
            let scores = input["component_scores"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_f64);
            check.number(expect, "final", Some(rank::mean(scores)));
        }
        "rank" => order(input, expect, &mut check),
        "visit_limit" => visit_limit(input, expect, &mut check),
        "limit_skip" => skip(input, expect, &mut check),
        _ => return None,
    }
    Some(check.verdict())
}

fn visit_limit(input: &Value, expect: &Value, check: &mut Check) {
    let number = |key: &str, default: u64| input[key].as_u64().unwrap_or(default) as usize;
    let weighs = ["has_affinity_or_spread", "earlier_group_had_affinity_or_spread"];
    let weighs = weighs.iter().any(|key| input[*key] == true);
    let (nodes, batch) = (number("ready_nodes", 0), input["batch"] == true);
    let limit = rank::visit_limit(
        nodes,
        batch,
        weighs,
        number("count", 0),
        number("node_limit", 100),
    );
    check.value(expect, "limit", &json!(limit));
}

fn component(score: Option<f64>, expect: &Value, check: &mut Check) {
    check.number(expect, "score", score);
    check.value(expect, "counted_in_average", &json!(score.is_some()));
}

/// A spread of 0 does not count, which is as good as none.
fn nonzero(expect: &Value) -> Value {
    let mut expect = expect.clone();
    if expect["score"] == json!(0.0) {
        expect["score"] = Value::Null;
    }
    expect
}

fn fit(input: &Value, expect: &Value, check: &mut Check) {
    let of = |key: &str| input[key].as_u64().unwrap_or(0);
    let capacity = Usage {
        cpu_mhz: of("node_cpu_mhz") - of("reserved_cpu_mhz"),
        memory_mb: of("node_memory_mb") - of("reserved_memory_mb"),
        disk_mb: 0,
    };
    let used = Usage {
        cpu_mhz: of("used_cpu_mhz_after_placement"),
        memory_mb: of("used_memory_mb_after_placement"),
        disk_mb: 0,
    };
    let (binpack, spread) = (rank::binpack(&used, &capacity), rank::spread(&used, &capacity));
    check.number(expect, "binpack_raw", Some(binpack));
    check.number(expect, "spread_raw", Some(spread));
    check.number(expect, "binpack_norm", Some(binpack / 18.0));
    check.number(expect, "spread_norm", Some(spread / 18.0));
}

fn counts(used: &Value, planned: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (value, number) in used
        .as_object()
        .into_iter()
        .flatten()
        .chain(planned.as_object().into_iter().flatten())
    {
        *counts.entry(value.clone()).or_default() += number.as_u64().unwrap_or(0) as usize;
    }
    counts
}

fn targets(input: &Value) -> f64 {
    let list = input["spreads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let block = |value: &Value| {
        let shares = value["targets"].as_object().into_iter().flatten();
        let targets = shares.map(|(value, percent)| SpreadTarget {
            value: value.clone(),
            percent: percent.as_i64().unwrap_or(0),
        });
        Spread {
            attribute: value["attribute"].as_str().unwrap_or_default().to_owned(),
            weight: value["weight"].as_i64(),
            targets: Some(targets.collect()),
        }
    };
    let (of_job, of_group): (Vec<&Value>, Vec<&Value>) = list.iter().partition(|it| it["level"] == "job");
    let job: Vec<Spread> = of_job.iter().map(|it| block(it)).collect();
    let group: Vec<Spread> = of_group.iter().map(|it| block(it)).collect();
    let spreads = spread::spreads_of(&job, &group);
    let used: Vec<BTreeMap<String, usize>> = of_group
        .iter()
        .chain(&of_job)
        .map(|value| counts(&value["used"], &value["planned_placements"]))
        .collect();
    let weights = spreads.iter().map(|it| it.weight).sum::<i64>()
        + input["other_group_weights_seen_before"].as_i64().unwrap_or(0);
    let count = input["count"].as_u64().unwrap_or(0) as usize;
    let mut lowest = -1.0;
    let mut score = |node: &dyn Fn(&str) -> Option<String>| -> f64 {
        let contribution = |(spread, used): (&Spreading<'_>, &BTreeMap<String, usize>)| {
            let goal = node(spread.attribute).and_then(|value| goal(spread, count, used, &value));
            spread::toward(goal, spread.weight as f64 / weights as f64, &mut lowest)
        };
        spreads.iter().zip(&used).map(contribution).sum()
    };
    for visited in input["visited_before"].as_array().into_iter().flatten() {
        score(&|attribute| {
            let value = visited
                .get(attribute)
                .or_else(|| visited.get("node_value"))
                .unwrap_or(visited);
            value.as_str().map(str::to_owned)
        });
    }
    score(&|attribute| {
        let spread = list.iter().find(|it| it["attribute"] == attribute)?;
        spread["node_value"].as_str().map(str::to_owned)
    })
}

/// How many allocations a value should get, and how many it has. Values that no target names share what is left.
fn goal(
    spread: &Spreading<'_>,
    count: usize,
    used: &BTreeMap<String, usize>,
    value: &str,
) -> Option<(f64, usize)> {
    if let Some(desired) = spread.desired(count, value) {
        return Some((desired, used.get(value).copied().unwrap_or(0)));
    }
    let others = used
        .iter()
        .filter(|(value, _)| spread.desired(count, value).is_none());
    Some((spread.remainder(count)?, others.map(|(_, number)| number).sum()))
}

fn order(input: &Value, expect: &Value, check: &mut Check) {
    let listed = input["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let score = |node: &Value| {
        let of = |key: &str| node[key].as_u64().unwrap_or(0);
        let ask = |key: &str| node["ask"][key].as_u64().unwrap_or(0);
        let capacity = Usage {
            cpu_mhz: of("cpu"),
            memory_mb: of("mem"),
            disk_mb: 0,
        };
        let used = Usage {
            cpu_mhz: of("used_cpu") + ask("cpu"),
            memory_mb: of("used_mem") + ask("mem"),
            disk_mb: 0,
        };
        let packed = rank::binpack(&used, &capacity) / 18.0;
        let collisions = rank::anti_affinity(of("collisions") as usize, of("desired_count") as usize);
        rank::mean([Some(packed), collisions].into_iter().flatten())
    };
    let visited: Vec<(String, f64)> = input["visit_order"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|id| listed.iter().find(|node| node["id"] == *id))
        .map(|node| (node["id"].as_str().unwrap_or_default().to_owned(), score(node)))
        .collect();
    for (id, score) in &visited {
        check.number(&expect["final"], id, Some(*score));
    }
    let winner = rank::best(&visited, |(_, score)| *score).map(|(id, _)| id);
    check.value(expect, "winner", &json!(winner));
}

fn skip(input: &Value, expect: &Value, check: &mut Check) {
    let stream = input["stream"].as_array().map(Vec::as_slice).unwrap_or_default();
    let limits = |key: &str| input[key].as_u64().unwrap_or(0) as usize;
    let score = |option: &&Value| option["score"].as_f64().unwrap_or(0.0);
    let mut taken = Vec::new();
    let limits = (limits("limit"), limits("max_skip"));
    rank::visit(stream.iter(), limits, score, &mut taken);
    check.set(
        expect,
        "considered",
        taken.iter().map(|it| it["node"].clone()).collect(),
    );
    let winner = rank::best(&taken, score).map(|it| &it["node"]);
    check.value(expect, "winner", &json!(winner));
}
