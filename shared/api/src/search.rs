//! Search by prefix: how every short id becomes a whole one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::null_is_default;

/// What kinds of things a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Allocations, by id.
    Allocs,
    /// Deployments, by id.
    Deployment,
    /// Evaluations, by id.
    Evals,
    /// Jobs, by id.
    Jobs,
    /// Namespaces, by name.
    Namespaces,
    /// Node pools, by name.
    NodePools,
    /// Nodes, by id.
    Nodes,
    /// Services, by name.
    Services,
    /// CSI plugins; there are none.
    Plugins,
    /// Scaling policies; there are none.
    ScalingPolicy,
    /// Variables; there are none.
    Vars,
    /// CSI volumes; there are none.
    Volumes,
    /// Dynamic host volumes; there are none.
    HostVolumes,
}

impl Context {
    /// What a search in all contexts answers, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::Allocs,
        Self::Deployment,
        Self::Evals,
        Self::HostVolumes,
        Self::Jobs,
        Self::Namespaces,
        Self::NodePools,
        Self::Nodes,
        Self::Plugins,
        Self::ScalingPolicy,
        Self::Vars,
        Self::Volumes,
    ];

    /// The context called `text`; `None` when there is none.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(text.into()).ok()
    }

    /// Its name in requests and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allocs => "allocs",
            Self::Deployment => "deployment",
            Self::Evals => "evals",
            Self::Jobs => "jobs",
            Self::Namespaces => "namespaces",
            Self::NodePools => "node_pools",
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Plugins => "plugins",
            Self::ScalingPolicy => "scaling_policy",
            Self::Vars => "vars",
            Self::Volumes => "volumes",
            Self::HostVolumes => "host_volumes",
        }
    }
}

/// What to look for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchRequest {
    /// What the id or name begins with.
    pub prefix: String,
    /// A [`Context`] by name; `all` or empty is every one.
    pub context: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchResponse {
    /// Ids or names by context; `null` where nothing was found.
    #[serde(deserialize_with = "null_is_default")]
    pub matches: BTreeMap<String, Option<Vec<String>>>,
    /// Whether there are more than those, by context.
    #[serde(deserialize_with = "null_is_default")]
    pub truncations: BTreeMap<String, bool>,
    /// Index of the state that this is.
    pub index: u64,
    /// Always 0: there is one coordinator.
    pub last_contact: u64,
    /// Whether there is a leader.
    pub known_leader: bool,
    /// Always empty.
    pub next_token: String,
}

impl SearchResponse {
    /// What was found in `context`.
    pub fn of(&self, context: Context) -> &[String] {
        self.matches
            .get(context.as_str())
            .and_then(Option::as_deref)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_by_the_name_it_is_written_with() {
        for context in Context::ALL.into_iter().chain([Context::Services]) {
            assert_eq!(Context::parse(context.as_str()), Some(context));
        }
        assert_eq!(Context::parse("everything"), None);
    }
}
