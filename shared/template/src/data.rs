//! What templates ask for, and who answers.

use std::collections::BTreeMap;
use std::fmt;

/// One answer of [`Data`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Nobody knows yet: the template waits.
    NotYet,
    /// Known not to exist.
    Absent,
    /// Known.
    Known(T),
}

/// Services and variables, as far as this node knows them.
pub trait Data {
    /// Every service of the namespace; `None` while the catalogue has not arrived.
    fn services(&self) -> Option<Vec<ServiceSummary>>;

    /// The registrations of one service. `None` makes the template wait: answer it while nothing is known of
    /// the service. `Some` of nothing means that it is known to have no registration; the template then
    /// renders without one.
    fn service(&self, name: &str) -> Option<Vec<ServiceInstance>>;

    /// The variable at a path. A template that reads an absent one waits.
    fn variable(&self, path: &str) -> Lookup<Variable>;

    /// The variables whose path starts with a prefix, without their items; `None` while not known.
    fn variables(&self, prefix: &str) -> Option<Vec<Variable>>;
}

/// One registration of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceInstance {
    /// Registration id.
    pub id: String,
    /// Service name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Node it runs on.
    pub node_id: String,
    /// That node's datacenter.
    pub datacenter: String,
    /// Job that registered it.
    pub job_id: String,
    /// Allocation that registered it.
    pub alloc_id: String,
    /// Tags, as registered.
    pub tags: Vec<String>,
    /// Host name or IP address.
    pub address: String,
    /// TCP or UDP port.
    pub port: u16,
}

/// One line of the list of services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceSummary {
    /// Service name.
    pub name: String,
    /// Tags of all its registrations.
    pub tags: Vec<String>,
}

/// One variable. In lists without its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// Namespace.
    pub namespace: String,
    /// Path.
    pub path: String,
    /// Index at which it was created.
    pub create_index: u64,
    /// Index at which it was last changed.
    pub modify_index: u64,
    /// What it holds.
    pub items: BTreeMap<String, String>,
}

/// Something that a template asked [`Data`] for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The list of services.
    Services,
    /// One service's registrations.
    Service(String),
    /// One variable.
    Variable(String),
    /// The variables under a prefix.
    Variables(String),
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Services => f.write_str("the list of services"),
            Self::Service(name) => write!(f, "service {name:?}"),
            Self::Variable(path) => write!(f, "variable {path:?}"),
            Self::Variables(prefix) => write!(f, "the variables under {prefix:?}"),
        }
    }
}
