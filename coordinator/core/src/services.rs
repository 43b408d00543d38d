//! The catalog: which addresses offer which services. Registrations are derived from allocations, never asked for.
//!
//! A task's services are offered while the task runs, a group's while the allocation does, both also while it is
//! `unknown`; an allocation that should end offers nothing any more.

use std::borrow::Cow;

use holdfast_shared::id::AllocId;
use holdfast_shared::interpolate::{node_property, replace};
use holdfast_shared::model::{
    Allocation, ClientStatus, Job, Node, Registration, Service, Task, TaskGroup, TaskRunState,
};

use crate::ledger::Ledger;

/// Brings the registrations of an allocation in line with it.
pub(crate) fn derive(ledger: &mut Ledger, alloc: &Allocation) {
    let wanted = offered(ledger, alloc);
    let known: Vec<_> = ledger.state.services_of_alloc(alloc.id).cloned().collect();
    for old in &known {
        if !wanted.iter().any(|new| new.id == old.id) {
            ledger.remove_service(old);
        }
    }
    for new in wanted {
        let same = known.iter().any(|old| {
            let stamped = (old.create_index, old.modify_index);
            let new = Registration {
                create_index: stamped.0,
                modify_index: stamped.1,
                ..new.clone()
            };
            new == **old
        });
        if !same {
            ledger.put_service(new);
        }
    }
}

/// Takes every registration of a forgotten allocation out of the catalog.
pub(crate) fn withdraw(ledger: &mut Ledger, alloc: AllocId) {
    let known: Vec<_> = ledger.state.services_of_alloc(alloc).cloned().collect();
    for old in known {
        ledger.remove_service(&old);
    }
}

fn offered(ledger: &Ledger, alloc: &Allocation) -> Vec<Registration> {
    let alive = matches!(alloc.client, ClientStatus::Running | ClientStatus::Unknown);
    if alloc.is_server_terminal() || !alive {
        return Vec::new();
    }
    let state = &ledger.state;
    let (Some(job), Some(node)) = (state.job_of(alloc), state.nodes.get(&alloc.node)) else {
        return Vec::new();
    };
    let Some(group) = job.group(&alloc.group) else {
        return Vec::new();
    };
    let source = Source {
        alloc,
        job,
        group,
        node,
    };
    let runs = |task: &Task| {
        alloc
            .task_states
            .get(&task.name)
            .is_some_and(|it| it.state == TaskRunState::Running)
    };
    let of_group = group
        .services()
        .iter()
        .map(|service| source.registration(service, None));
    let of_tasks = group.tasks().iter().filter(|task| runs(task)).flat_map(|task| {
        task.services()
            .iter()
            .map(|service| source.registration(service, Some(task)))
    });
    of_group.chain(of_tasks).collect()
}

/// Where a registration's words come from.
struct Source<'a> {
    alloc: &'a Allocation,
    job: &'a Job,
    group: &'a TaskGroup,
    node: &'a Node,
}

impl Source<'_> {
    fn registration(&self, service: &Service, task: Option<&Task>) -> Registration {
        let alloc = self.alloc;
        let name = self.text(&service.name, task);
        let owner = task.map_or_else(|| format!("group-{}", alloc.group), |task| task.name.clone());
        let canary_tags = service
            .canary_tags
            .as_deref()
            .filter(|tags| alloc.canary && !tags.is_empty());
        let tags = canary_tags.unwrap_or_else(|| service.tags());
        let (address, port) = self.endpoint(service, task);
        Registration {
            id: format!("_nomad-task-{}-{owner}-{name}-{}", alloc.id, service.port_label),
            service_name: name.into_owned(),
            job: alloc.job.clone(),
            node: alloc.node,
            datacenter: self.node.fingerprint.datacenter.clone(),
            alloc: alloc.id,
            tags: tags.iter().map(|tag| self.text(tag, task).into_owned()).collect(),
            address,
            port,
            create_index: 0,
            modify_index: 0,
        }
    }

    /// Address and port that other nodes reach the service at.
    fn endpoint(&self, service: &Service, task: Option<&Task>) -> (String, u16) {
        let assigned = self
            .alloc
            .ports
            .iter()
            .find(|port| port.label == service.port_label);
        let literal = service.port_label.parse::<u16>().ok();
        let own = self
            .alloc
            .network
            .as_ref()
            .map(|it| it.address.as_str())
            .filter(|it| !it.is_empty());
        match service.address_mode.as_str() {
            "alloc" | "alloc_ipv6" | "driver" if own.is_some() => {
                let inner = assigned.map(|port| if port.to == 0 { port.value } else { port.to });
                (own.unwrap_or_default().to_owned(), inner.or(literal).unwrap_or(0))
            }
            _ => {
                let port = assigned.map(|port| port.value).or(literal).unwrap_or(0);
                let explicit = Some(self.text(&service.address, task))
                    .filter(|text| !text.is_empty() && !text.contains("${"))
                    .map(Cow::into_owned);
                let published = assigned
                    .map(|port| port.host_ip.as_str())
                    .filter(|ip| !matches!(*ip, "" | "0.0.0.0" | "::" | "127.0.0.1"));
                let host = published.unwrap_or_else(|| self.node.address());
                (explicit.unwrap_or_else(|| host.to_owned()), port)
            }
        }
    }

    /// `text` with every reference that the coordinator can resolve replaced.
    fn text<'t>(&self, text: &'t str, task: Option<&Task>) -> Cow<'t, str> {
        replace(text, |name| self.lookup(name, task))
    }

    fn lookup(&self, name: &str, task: Option<&Task>) -> Option<String> {
        let (job, group, alloc) = (self.job, self.group, self.alloc);
        let task_name = task.map(|task| task.name.clone());
        Some(match name {
            "JOB" | "NOMAD_JOB_NAME" => job.name().to_owned(),
            "NOMAD_JOB_ID" => job.id().to_owned(),
            "NOMAD_JOB_PARENT_ID" => job.parent_id.clone()?,
            "TASKGROUP" | "NOMAD_GROUP_NAME" => group.name().to_owned(),
            "TASK" | "NOMAD_TASK_NAME" => task_name?,
            "BASE" => format!(
                "{}-{}-{}",
                job.name(),
                group.name(),
                task_name.as_deref().unwrap_or("group")
            ),
            "NOMAD_ALLOC_ID" => alloc.id.to_string(),
            "NOMAD_SHORT_ALLOC_ID" => alloc.id.short(),
            "NOMAD_ALLOC_NAME" => alloc.name.to_string(),
            "NOMAD_ALLOC_INDEX" => alloc.index()?.to_string(),
            "NOMAD_NAMESPACE" => alloc.job.namespace.to_string(),
            "NOMAD_REGION" => job.region().to_owned(),
            "NOMAD_DC" => self.node.fingerprint.datacenter.clone(),
            "node.unique.id" => self.node.id.to_string(),
            _ => match name.strip_prefix("NOMAD_META_") {
                Some(key) => {
                    let of_task = task.and_then(|task| task.meta.as_ref());
                    let sources = [of_task, group.meta.as_ref(), job.meta.as_ref()];
                    sources
                        .into_iter()
                        .flatten()
                        .find_map(|meta| meta.get(key).cloned())?
                }
                None => node_property(name, self.node)?.to_owned(),
            },
        })
    }
}
