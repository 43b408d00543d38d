//! The service catalog.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::model::Registration;
use serde::{Deserialize, Serialize};

use crate::format::null_is_default;

/// The services of one namespace: an item of `/v1/services`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceListStub {
    /// The namespace.
    pub namespace: String,
    /// Its services, ordered by name.
    #[serde(deserialize_with = "null_is_default")]
    pub services: Vec<ServiceStub>,
}

/// One service with the tags of all its instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceStub {
    /// The service.
    pub service_name: String,
    /// Tags of all its instances, ordered, each once.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
}

impl ServiceListStub {
    /// The catalog, by namespace and name.
    pub fn of<'a>(registrations: impl IntoIterator<Item = &'a Registration>) -> Vec<Self> {
        let mut spaces: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        for it in registrations {
            let services = spaces.entry(&it.job.namespace).or_default();
            services
                .entry(&it.service_name)
                .or_default()
                .extend(it.tags.iter().map(String::as_str));
        }
        let stub = |(name, tags): (&str, BTreeSet<&str>)| ServiceStub {
            service_name: name.to_owned(),
            tags: tags.into_iter().map(str::to_owned).collect(),
        };
        let space = |(name, services): (&str, BTreeMap<&str, BTreeSet<&str>>)| Self {
            namespace: name.to_owned(),
            services: services.into_iter().map(stub).collect(),
        };
        spaces.into_iter().map(space).collect()
    }
}

/// One place where a service is offered: an item of `/v1/service/:name`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceRegistration {
    /// Id of the registration.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service.
    pub service_name: String,
    /// The job's namespace.
    pub namespace: String,
    /// The node.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// The node's datacenter.
    pub datacenter: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The allocation.
    #[serde(rename = "AllocID")]
    pub alloc_id: String,
    /// Its tags.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// Address for other nodes.
    pub address: String,
    /// Port for other nodes; 0 when the service has none.
    pub port: i64,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

impl From<&Registration> for ServiceRegistration {
    fn from(it: &Registration) -> Self {
        Self {
            id: it.id.clone(),
            service_name: it.service_name.clone(),
            namespace: it.job.namespace.to_string(),
            node_id: it.node.to_string(),
            datacenter: it.datacenter.clone(),
            job_id: it.job.id.to_string(),
            alloc_id: it.alloc.to_string(),
            tags: it.tags.clone(),
            address: it.address.clone(),
            port: it.port.into(),
            create_index: it.create_index,
            modify_index: it.modify_index,
        }
    }
}
