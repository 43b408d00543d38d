//! Which services the templates of which nodes want to know, and telling them when those change.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::NodeId;
use holdfast_shared::wire::{Catalog, CatalogService, Interest, ToAgent};

use crate::state::State;

/// A service by namespace and name.
type ServiceKey = (String, String);

/// Services, and namespaces, that one node may ask for: nobody's templates name more, and a node that does not mean
/// well must not fill the memory.
const INTEREST_MAX: usize = 1024;

/// What every node wants to know. Only in memory: agents say it anew with every session.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    by_node: BTreeMap<NodeId, Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    services: BTreeSet<ServiceKey>,
    namespaces: BTreeSet<String>,
    revision: u64,
}

impl Interests {
    /// A node says what it wants to know; it is told at once.
    pub(crate) fn on_interest(
        &mut self,
        state: &State,
        node: NodeId,
        interest: Interest,
    ) -> Option<(NodeId, ToAgent)> {
        let wanted = self.by_node.entry(node).or_default();
        wanted.services = interest.services.into_iter().take(INTEREST_MAX).collect();
        wanted.namespaces = interest.namespaces.into_iter().take(INTEREST_MAX).collect();
        if wanted.services.is_empty() && wanted.namespaces.is_empty() {
            self.by_node.remove(&node);
            return None;
        }
        Some((node, ToAgent::Catalog(wanted.catalog(state))))
    }

    /// What nodes are to be told after these services changed.
    pub(crate) fn publish(
        &mut self,
        state: &State,
        touched: &BTreeSet<ServiceKey>,
    ) -> Vec<(NodeId, ToAgent)> {
        if touched.is_empty() {
            return Vec::new();
        }
        let concerned = self.by_node.iter_mut().filter(|(_, wanted)| {
            touched
                .iter()
                .any(|key| wanted.services.contains(key) || wanted.namespaces.contains(&key.0))
        });
        concerned
            .map(|(node, wanted)| (*node, ToAgent::Catalog(wanted.catalog(state))))
            .collect()
    }

    /// A node is forgotten.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }
}

impl Wanted {
    fn catalog(&mut self, state: &State) -> Catalog {
        // Never goes back, not even over a restart: the state's index does not.
        self.revision = (self.revision + 1).max(state.index << 16);
        let mut keys = self.services.clone();
        let in_namespaces = state
            .services
            .values()
            .filter(|it| self.namespaces.contains(&*it.job.namespace));
        keys.extend(in_namespaces.map(|it| (it.job.namespace.to_string(), it.service_name.clone())));
        let services = keys
            .into_iter()
            .map(|(namespace, name)| CatalogService {
                instances: state
                    .service(&namespace, &name)
                    .map(|it| it.as_ref().into())
                    .collect(),
                namespace,
                name,
            })
            .collect();
        Catalog {
            revision: self.revision,
            services,
        }
    }
}
