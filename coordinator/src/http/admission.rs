//! What becomes of a submitted job before the core sees it: defaults, what only servers fill in, and validation.
//!
//! The result is the same for the same submission, whoever sends it and how often: two equal ones are one version.

use std::sync::{Arc, LazyLock};

use holdfast_api::JobValidateResponse;
use holdfast_coordinator_core::{State as Snapshot, multiregion};
use holdfast_jobspec::{Surroundings, Validation};
use holdfast_shared::model::{Constraint, Job, Network, Service, Task, TaskGroup};
use serde_json::{Value, json};

use super::problem::Problem;

/// The provider that every service ends up with.
const PROVIDER: &str = "nomad";

/// Agents that run the built-in catalog say so by this attribute.
const HAS_CATALOG: (&str, &str, &str) = ("${attr.nomad.service_discovery}", "=", "true");
/// Nomad's agents know the catalog since this version; ours name a version that satisfies it.
const KNOWS_CATALOG: (&str, &str, &str) = ("${attr.nomad.version}", "semver", ">= 1.4.0");

/// A job that is ready for the core, and what there is to say about it.
#[derive(Debug)]
pub(super) struct Admission {
    /// The job with everything filled in.
    pub(super) job: Job,
    /// What is wrong with it, and what is worth a look.
    pub(super) validation: Validation,
}

impl Admission {
    /// Looks at a job as it was submitted to `region` in this state.
    pub(super) fn of(job: Job, state: &Snapshot, region: &str) -> Self {
        let (pool, is_known) = (job.node_pool().to_owned(), state.has_pool(job.node_pool()));
        let surroundings = Surroundings {
            memory_oversubscription: state.scheduling_of(&pool).memory_oversubscription,
            // No other pool matters, and to list all of them is work.
            node_pools: Some(is_known.then_some(pool).into_iter().collect()),
            namespaces: None,
            region: Some(region.to_owned()),
        };
        let mut admission = Self::within(job, &surroundings);
        multiregion::localize(&mut admission.job, region);
        admission
    }

    fn within(mut job: Job, surroundings: &Surroundings) -> Self {
        job.canonicalize();
        // As answered by us before: not what somebody wrote, and not worth a note.
        for group in job
            .task_groups
            .iter_mut()
            .flatten()
            .filter(|it| it.prevent_reschedule_on_lost == Some(false))
        {
            group.prevent_reschedule_on_lost = None;
        }
        let validation = holdfast_jobspec::validate(&job, surroundings);
        fill_job(&mut job);
        for group in job.task_groups.iter_mut().flatten() {
            fill_group(group);
        }
        Self { job, validation }
    }

    /// The job, unless something is wrong with it; and the advice as one text.
    pub(super) fn accepted(self) -> Result<(Job, String), Problem> {
        if self.validation.errors.is_empty() {
            return Ok((self.job, self.validation.advice_text()));
        }
        Err(Problem::bad_request(self.validation.error_text()))
    }

    /// What a validation answers.
    pub(super) fn verdict(self) -> JobValidateResponse {
        JobValidateResponse {
            driver_config_validated: true,
            error: self.validation.error_text(),
            warnings: self.validation.advice_text(),
            validation_errors: self.validation.errors,
        }
    }
}

fn fill_job(job: &mut Job) {
    if job.node_pool.as_deref().is_none_or(str::is_empty) {
        job.node_pool = Some("default".into());
    }
    if job.datacenters.as_deref().is_none_or(<[_]>::is_empty) {
        job.datacenters = Some(vec!["*".into()]);
    }
    job.dispatch_idempotency_token.get_or_insert_default();
    // What a client says about the past does not count.
    (job.status, job.stable, job.version) = (Some(String::new()), Some(false), Some(0));
    job.version_tag = None;
}

fn fill_group(group: &mut TaskGroup) {
    group.prevent_reschedule_on_lost.get_or_insert(false);
    fill_networks(group.networks.iter_mut().flatten());
    use_catalog(group.services.iter_mut().flatten());
    for task in group.tasks.iter_mut().flatten() {
        use_catalog(task.services.iter_mut().flatten());
        fill_task(task);
    }
    if !group.services().is_empty() || group.tasks().iter().any(|task| !task.services().is_empty()) {
        require(group, HAS_CATALOG);
        require(group, KNOWS_CATALOG);
    }
}

/// Moves services to the built-in catalog; the validation's notes say so.
fn use_catalog<'a>(services: impl Iterator<Item = &'a mut Service>) {
    services.for_each(|service| service.provider = PROVIDER.into());
}

fn require(group: &mut TaskGroup, (left, operand, right): (&str, &str, &str)) {
    let constraint = Constraint {
        left: left.into(),
        right: right.into(),
        operand: operand.into(),
    };
    let constraints = group.constraints.get_or_insert_default();
    if !constraints.contains(&constraint) {
        constraints.push(constraint);
    }
}

fn fill_networks<'a>(networks: impl Iterator<Item = &'a mut Network>) {
    for network in networks {
        let ports = network
            .dynamic_ports
            .iter_mut()
            .chain(network.reserved_ports.iter_mut())
            .flatten();
        for port in ports.filter(|port| port.host_network.is_empty()) {
            port.host_network = "default".into();
        }
    }
}

fn fill_task(task: &mut Task) {
    if let Some(resources) = &mut task.resources {
        resources.disk_mb.get_or_insert(0);
        resources.iops.get_or_insert(0);
        resources.memory_max_mb.get_or_insert(0);
        resources.secrets_mb.get_or_insert(0);
        fill_networks(resources.networks.iter_mut().flatten());
    }
    // Also where a client sends back what it was answered: one value for all tasks.
    if task.identity.as_ref().is_none_or(|it| *it == *DEFAULT_IDENTITY) {
        task.identity = Some(Arc::clone(&DEFAULT_IDENTITY));
    }
}

/// The identity that every task has in Nomad's API. Nothing is signed with it here.
static DEFAULT_IDENTITY: LazyLock<Arc<Value>> = LazyLock::new(|| {
    Arc::new(json!({
        "Name": "default", "Audience": ["nomadproject.io"], "ChangeMode": "", "ChangeSignal": "", "Env": false,
        "File": false, "Filepath": "", "ServiceName": "", "TTL": 0, "ExtraClaims": null,
    }))
});

#[cfg(test)]
mod tests {
    use holdfast_shared::model::SchedulerConfiguration;

    use super::*;

    fn submitted() -> Job {
        serde_json::from_value(json!({
            "ID": "web",
            "TaskGroups": [{
                "Name": "app",
                "Networks": [{"DynamicPorts": [{"Label": "http"}]}],
                "Services": [{"Name": "web", "PortLabel": "http"}],
                "Tasks": [{"Name": "server", "Driver": "raw_exec"}],
            }],
        }))
        .unwrap()
    }

    #[test]
    fn a_consul_service_becomes_a_built_in_one_with_a_warning() {
        let admission = Admission::of(submitted(), &Snapshot::default(), "global");
        let group = &admission.job.groups()[0];
        assert_eq!(group.services()[0].provider, "nomad");
        assert!(
            admission.validation.advice_text().contains("consul"),
            "{:?}",
            admission.validation
        );
        let constraints = group.constraints.as_deref().unwrap();
        assert_eq!(constraints.len(), 2);
        assert_eq!(group.networks()[0].dynamic_ports()[0].host_network, "default");
    }

    #[test]
    fn a_job_names_a_node_pool_that_is_there() {
        let state = Snapshot::default();
        for (pool, error) in [
            ("", ""),
            ("default", ""),
            ("all", ""),
            (
                "ships",
                "1 error occurred:\n\t* job \"web\" is in nonexistent node pool \"ships\"\n\n",
            ),
        ] {
            let mut job = submitted();
            job.node_pool = Some(pool.to_owned());
            assert_eq!(
                Admission::of(job, &state, "global").verdict().error,
                error,
                "{pool:?}"
            );
        }
    }

    #[test]
    fn memory_beyond_what_is_reserved_is_warned_of_unless_it_is_allowed() {
        let mut state = Snapshot::default();
        let warnings = |state: &Snapshot| {
            let mut job = submitted();
            let task = &mut job.task_groups.as_mut().unwrap()[0].tasks.as_mut().unwrap()[0];
            task.resources.get_or_insert_default().memory_max_mb = Some(512);
            let mut warnings = Admission::of(job, state, "global").validation.warnings;
            warnings
                .retain(|it| it.starts_with("Memory oversubscription is not enabled; Task \"app.server\""));
            warnings
        };
        assert_eq!(warnings(&state).len(), 1);
        state.scheduling = Arc::new(SchedulerConfiguration {
            memory_oversubscription: true,
            ..SchedulerConfiguration::default()
        });
        assert_eq!(warnings(&state), Vec::<String>::new());
    }

    #[test]
    fn what_was_admitted_once_is_admitted_as_the_same() {
        let state = Snapshot::default();
        let once = Admission::of(submitted(), &state, "global").job;
        let twice = Admission::of(once.clone(), &state, "global").job;
        assert_eq!(once.specification(), twice.specification());
    }
}
