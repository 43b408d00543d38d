//! The report of a placement: why an allocation was placed where it is, or why it could not be placed.
//!
//! Every allocation keeps one, so that these are small, and what is the same in many of them is shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::by_name::Tally;
use crate::id::NodeId;

/// Why an allocation was placed where it is, or why it could not be placed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlacementReport {
    /// Nodes that were looked at.
    pub nodes_evaluated: u64,
    /// Nodes that did not qualify.
    pub nodes_filtered: u64,
    /// Nodes in the job's pool.
    pub nodes_in_pool: u64,
    /// The pool.
    pub node_pool: Arc<str>,
    /// Ready nodes by datacenter.
    pub nodes_available: Arc<Tally>,
    /// Nodes that did not qualify, by class.
    pub class_filtered: Tally,
    /// Nodes that did not qualify, by constraint.
    pub constraint_filtered: Tally,
    /// Nodes that qualified and had no room.
    pub nodes_exhausted: u64,
    /// Nodes that had no room, by class.
    pub class_exhausted: Tally,
    /// Nodes that had no room, by what was short (`memory`, `cpu`, `network: …`).
    pub dimension_exhausted: Tally,
    /// The best nodes, best first; at most five.
    pub scores: Vec<NodeScore>,
    /// Placements of the same group that failed for the same reason after this one.
    pub coalesced_failures: u64,
}

/// How a node scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeScore {
    /// The node.
    pub node: NodeId,
    /// What counted.
    pub scores: Scores,
}

impl NodeScore {
    /// The mean of what counted: the node's rank.
    pub fn norm_score(&self) -> f64 {
        self.scores.mean()
    }
}

/// A component of a node's score; in the order in which they are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// How tightly the node would be packed, or how loosely: as the scheduler's algorithm wants it.
    Binpack,
    /// How many of the wishes about devices it meets.
    Devices,
    /// That it has allocations of the same group.
    JobAntiAffinity,
    /// That the one before failed there.
    NodeReschedulePenalty,
    /// How many of the job's affinities it meets.
    NodeAffinity,
    /// How well allocations are spread with it.
    AllocationSpread,
    /// What has to make room for it.
    Preemption,
}

impl Component {
    /// Every component, in order.
    pub const ALL: [Self; 7] = [
        Self::Binpack,
        Self::Devices,
        Self::JobAntiAffinity,
        Self::NodeReschedulePenalty,
        Self::NodeAffinity,
        Self::AllocationSpread,
        Self::Preemption,
    ];

    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binpack => "binpack",
            Self::Devices => "devices",
            Self::JobAntiAffinity => "job-anti-affinity",
            Self::NodeReschedulePenalty => "node-reschedule-penalty",
            Self::NodeAffinity => "node-affinity",
            Self::AllocationSpread => "allocation-spread",
            Self::Preemption => "preemption",
        }
    }
}

/// The components of a score that count for it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scores {
    counted: u8,
    values: [f64; Component::ALL.len()],
}

impl Scores {
    /// Lets a component count.
    pub fn set(&mut self, component: Component, value: f64) {
        self.counted |= 1 << component as u8;
        self.values[component as usize] = value;
    }

    /// A component, if it counts.
    pub fn value(&self, component: Component) -> Option<f64> {
        (self.counted & (1 << component as u8) != 0).then(|| self.values[component as usize])
    }

    /// What counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Component, f64)> {
        Component::ALL
            .into_iter()
            .filter_map(|component| Some((component, self.value(component)?)))
    }

    /// The mean of what counts, 0 when nothing does.
    pub fn mean(&self) -> f64 {
        // What does not count is 0 and adds nothing.
        let sum: f64 = self.values.iter().sum();
        match self.counted.count_ones() {
            0 => 0.0,
            number => sum / f64::from(number),
        }
    }
}

// By name where people read it, by number where they do not.
impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_map(self.iter().map(|(component, value)| (component.as_str(), value)))
        } else {
            let mut counted = serializer.serialize_seq(Some(self.counted.count_ones() as usize))?;
            for (component, value) in self.iter() {
                counted.serialize_element(&(component as u8, value))?;
            }
            counted.end()
        }
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut scores = Self::default();
        if !deserializer.is_human_readable() {
            for (number, value) in Vec::<(u8, f64)>::deserialize(deserializer)? {
                let component = Component::ALL.get(usize::from(number));
                scores.set(
                    *component.ok_or_else(|| D::Error::custom("no such component"))?,
                    value,
                );
            }
            return Ok(scores);
        }
        let by_name = BTreeMap::<String, f64>::deserialize(deserializer)?;
        for component in Component::ALL {
            if let Some(value) = by_name.get(component.as_str()) {
                scores.set(component, *value);
            }
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Packed;

    #[test]
    fn a_report_is_stored_as_people_write_it() {
        let mut report = PlacementReport {
            node_pool: "edge".into(),
            ..PlacementReport::default()
        };
        for name in ["b", "a", "b"] {
            report.constraint_filtered.add(&name.into(), 1);
        }
        let mut scores = Scores::default();
        scores.set(Component::NodeAffinity, 0.0);
        scores.set(Component::Binpack, 0.5);
        report.scores.push(NodeScore {
            node: NodeId(1),
            scores,
        });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["constraint_filtered"], serde_json::json!({"a": 1, "b": 2}));
        assert_eq!(
            json["scores"][0]["scores"],
            serde_json::json!({"binpack": 0.5, "node-affinity": 0.0})
        );
        assert_eq!(report.scores[0].norm_score(), 0.25);
        assert_eq!(serde_json::from_value::<PlacementReport>(json).unwrap(), report);
        assert_eq!(Packed::of(&report).open(), report);
    }
}
