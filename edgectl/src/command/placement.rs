//! What the scheduler reports of a placement: why nodes were none, in words, and how the best ones scored.

use std::collections::BTreeMap;

use holdfast_api::AllocationMetric;

use crate::output::{Table, plural, size};

/// One line for each reason, behind `indent`.
pub fn reasons(metric: &AllocationMetric, indent: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if metric.nodes_evaluated == 0 {
        reasons.push("No nodes were eligible for evaluation".to_owned());
    }
    let unavailable = metric.nodes_available.iter().filter(|(_, count)| **count == 0);
    reasons.extend(
        unavailable.map(|(datacenter, _)| format!("No nodes are available in datacenter {datacenter:?}")),
    );
    let filtered = |kind: &str, counts: &BTreeMap<String, u64>| -> Vec<String> {
        let line =
            |(name, count): (&String, &u64)| format!("{kind} {name:?}: {count} nodes excluded by filter");
        counts.iter().map(line).collect()
    };
    reasons.extend(filtered("Class", &metric.class_filtered));
    reasons.extend(filtered("Constraint", &metric.constraint_filtered));
    if metric.nodes_exhausted > 0 {
        reasons.push(format!("Resources exhausted on {} nodes", metric.nodes_exhausted));
    }
    let exhausted = |kind: &str, counts: &BTreeMap<String, u64>| -> Vec<String> {
        counts
            .iter()
            .map(|(name, count)| format!("{kind} {name:?} exhausted on {count} nodes"))
            .collect()
    };
    reasons.extend(exhausted("Class", &metric.class_exhausted));
    reasons.extend(exhausted("Dimension", &metric.dimension_exhausted));
    reasons.extend(
        metric
            .quota_exhausted
            .iter()
            .map(|quota| format!("Quota limit hit {quota:?}")),
    );
    reasons
        .into_iter()
        .map(|reason| format!("{indent}* {reason}"))
        .collect()
}

/// `failed to place 2 allocations`.
pub fn failure_count(metric: &AllocationMetric) -> String {
    let count = i64::try_from(metric.coalesced_failures)
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    format!("failed to place {}", plural(count, "allocation"))
}

/// How the best nodes scored.
pub fn scores(metric: &AllocationMetric) -> Table {
    let mut names: Vec<&String> = metric
        .score_meta_data
        .iter()
        .flat_map(|node| node.scores.keys())
        .collect();
    names.sort();
    names.dedup();
    let heading = ["Node"]
        .into_iter()
        .chain(names.iter().map(|name| name.as_str()))
        .chain(["final score"]);
    Table::new(heading).rows(metric.score_meta_data.iter().map(|node| {
        let cells = names
            .iter()
            .map(|name| size::three_digits(node.scores.get(*name).copied().unwrap_or(0.0)));
        [node.node_id.clone()]
            .into_iter()
            .chain(cells)
            .chain([size::three_digits(node.norm_score)])
    }))
}
