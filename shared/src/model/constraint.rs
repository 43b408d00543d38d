//! Constraints, affinities and spreads, as job files write them.

use serde::{Deserialize, Serialize};

/// The most memory that the compiled pattern of a `regexp` may take, in bytes: whoever writes job files or filters decides
/// how long a pattern takes to compile, and every evaluation compiles it.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What a node must satisfy. Names are Nomad's: left target, operand, right target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Constraint {
    /// What is looked at, usually an interpolation like `${attr.kernel.name}`.
    #[serde(rename = "LTarget")]
    pub left: String,
    /// What it is compared with.
    #[serde(rename = "RTarget")]
    pub right: String,
    /// The operator; empty means `=`.
    #[serde(rename = "Operand")]
    pub operand: String,
}

/// What nodes should rather satisfy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Affinity {
    /// What is looked at.
    #[serde(rename = "LTarget")]
    pub left: String,
    /// What it is compared with.
    #[serde(rename = "RTarget")]
    pub right: String,
    /// The operator; empty means `=`.
    #[serde(rename = "Operand")]
    pub operand: String,
    /// -100 to 100, not 0; 50 unless given.
    #[serde(rename = "Weight")]
    pub weight: Option<i64>,
}

/// Over which property allocations are spread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Spread {
    /// The property, an interpolation.
    pub attribute: String,
    /// 1 to 100; 50 unless given.
    pub weight: Option<i64>,
    /// How many percent each value should get; evenly unless given.
    #[serde(rename = "SpreadTarget")]
    pub targets: Option<Vec<SpreadTarget>>,
}

/// The share of one value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SpreadTarget {
    /// The property's value.
    pub value: String,
    /// 0 to 100.
    pub percent: i64,
}
