//! Coordinator state: a fold over [`Delta`]s. Tables share structure, so that a clone is a snapshot and costs nothing.

mod delta;
mod lineage;

pub use delta::{Delta, Table};
pub use lineage::Lineage;

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{AllocId, DeploymentId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, Deployment, Evaluation, Job, JobHistory, Node, NodePool, Registration,
    SchedulerConfiguration, Submission,
};
use imbl::{OrdMap, OrdSet};

/// Everything the coordinator knows. Read freely; change only by [`State::apply`].
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The index of the newest change.
    pub index: u64,
    /// The coordinator's epoch: 0 in a state that was never saved.
    pub epoch: u64,
    /// The epochs of this state's own history.
    pub lineage: Lineage,
    /// Current versions of jobs.
    pub jobs: OrdMap<JobKey, Arc<Job>>,
    /// Kept versions of jobs, the current ones included.
    pub versions: OrdMap<(JobKey, u64), Arc<Job>>,
    /// Nodes.
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// SHA-256 of node secrets.
    pub credentials: OrdMap<NodeId, [u8; 32]>,
    /// Allocations.
    pub allocs: OrdMap<AllocId, Arc<Allocation>>,
    /// Evaluations.
    pub evals: OrdMap<EvalId, Arc<Evaluation>>,
    /// Deployments.
    pub deployments: OrdMap<DeploymentId, Arc<Deployment>>,
    /// The service catalog, by registration id.
    pub services: OrdMap<String, Arc<Registration>>,
    /// What kept versions of jobs were made from.
    pub submissions: OrdMap<(JobKey, u64), Arc<Submission>>,
    /// What is remembered of jobs whatever their version.
    pub histories: OrdMap<JobKey, Arc<JobHistory>>,
    /// The region's scheduler settings; what holds for a job is in [`State::scheduling_of`].
    pub scheduling: Arc<SchedulerConfiguration>,
    /// Node pools that somebody made; [`State::pool`] also knows the others.
    pub pools: OrdMap<String, Arc<NodePool>>,
    /// The newest generation that nodes were sent before they were forgotten.
    pub forgotten: OrdMap<NodeId, u64>,
    allocs_by_job: OrdSet<(JobKey, AllocId)>,
    allocs_by_node: OrdSet<(NodeId, AllocId)>,
    evals_by_job: OrdSet<(JobKey, EvalId)>,
    deployments_by_job: OrdSet<(JobKey, DeploymentId)>,
    services_by_name: OrdSet<(String, String, String)>,
    services_by_alloc: OrdSet<(AllocId, String)>,
    changed_at: OrdMap<Table, u64>,
}

impl State {
    /// Applies one change.
    pub fn apply(&mut self, delta: &Delta) {
        match delta {
            Delta::Meta { index, epoch } => {
                self.index = *index;
                self.epoch = *epoch;
            }
            Delta::Job(job) => {
                self.jobs.insert(job.key(), Arc::clone(job));
            }
            Delta::RemoveJob(key) => {
                self.jobs.remove(key);
            }
            Delta::JobVersion(job) => {
                self.versions.insert((job.key(), job.version()), Arc::clone(job));
            }
            Delta::RemoveJobVersion(key, version) => {
                self.versions.remove(&(key.clone(), *version));
            }
            Delta::Node(node) => {
                self.nodes.insert(node.id, Arc::clone(node));
            }
            Delta::RemoveNode(id) => {
                self.nodes.remove(id);
            }
            Delta::Credential(id, hash) => {
                self.credentials.insert(*id, *hash);
            }
            Delta::RemoveCredential(id) => {
                self.credentials.remove(id);
            }
            Delta::SchedulerConfiguration(settings) => self.scheduling = Arc::clone(settings),
            Delta::NodePool(pool) => {
                self.pools.insert(pool.name.clone(), Arc::clone(pool));
            }
            Delta::RemoveNodePool(name) => {
                self.pools.remove(name);
            }
            Delta::ForgottenNode(id, generation) => {
                self.forgotten.insert(*id, *generation);
            }
            Delta::Epoch(epoch) => self.lineage.insert(*epoch),
            Delta::RemoveEpoch(epoch) => self.lineage.remove(*epoch),
            Delta::Allocation(_)
            | Delta::RemoveAllocation(_)
            | Delta::Evaluation(_)
            | Delta::RemoveEvaluation(_)
            | Delta::Deployment(_)
            | Delta::RemoveDeployment(_)
            | Delta::Service(_)
            | Delta::RemoveService(_) => self.apply_indexed(delta),
            Delta::Submission(_)
            | Delta::RemoveSubmission(..)
            | Delta::JobHistory(_)
            | Delta::RemoveJobHistory(_) => self.apply_history(delta),
        }
        self.changed_at.insert(delta.table(), self.index);
    }

    /// Changes that make this state from nothing.
    pub fn deltas(&self) -> Vec<Delta> {
        // Whoever adds a table is made to think of it here.
        let Self {
            index,
            epoch,
            lineage,
            jobs,
            versions,
            nodes,
            credentials,
            allocs,
            evals,
            deployments,
            services,
            submissions,
            histories,
            scheduling,
            pools,
            forgotten,
            allocs_by_job: _,
            allocs_by_node: _,
            evals_by_job: _,
            deployments_by_job: _,
            services_by_name: _,
            services_by_alloc: _,
            changed_at: _,
        } = self;
        let (index, epoch) = (*index, *epoch);
        // Index 0: nobody has set anything.
        let settings = Some(scheduling).filter(|it| it.modify_index > 0);
        let mut deltas = vec![Delta::Meta { index, epoch }];
        deltas.extend(lineage.epochs().map(Delta::Epoch));
        deltas.extend(jobs.values().cloned().map(Delta::Job));
        deltas.extend(versions.values().cloned().map(Delta::JobVersion));
        deltas.extend(nodes.values().cloned().map(Delta::Node));
        deltas.extend(credentials.iter().map(|(id, hash)| Delta::Credential(*id, *hash)));
        deltas.extend(allocs.values().cloned().map(Delta::Allocation));
        deltas.extend(evals.values().cloned().map(Delta::Evaluation));
        deltas.extend(deployments.values().cloned().map(Delta::Deployment));
        deltas.extend(services.values().cloned().map(Delta::Service));
        deltas.extend(submissions.values().cloned().map(Delta::Submission));
        deltas.extend(histories.values().cloned().map(Delta::JobHistory));
        deltas.extend(settings.cloned().map(Delta::SchedulerConfiguration));
        deltas.extend(pools.values().cloned().map(Delta::NodePool));
        deltas.extend(forgotten.iter().map(|(id, it)| Delta::ForgottenNode(*id, *it)));
        deltas
    }

    fn apply_indexed(&mut self, delta: &Delta) {
        match delta {
            Delta::Allocation(alloc) => {
                let old = self.allocs.insert(alloc.id, Arc::clone(alloc));
                // It stays with its job and on its node.
                if old.is_none() {
                    self.allocs_by_job.insert((alloc.job.clone(), alloc.id));
                    self.allocs_by_node.insert((alloc.node, alloc.id));
                }
            }
            Delta::RemoveAllocation(id) => {
                if let Some(alloc) = self.allocs.remove(id) {
                    self.allocs_by_job.remove(&(alloc.job.clone(), *id));
                    self.allocs_by_node.remove(&(alloc.node, *id));
                }
            }
            Delta::Evaluation(eval) => {
                self.evals_by_job.insert((eval.job.clone(), eval.id));
                self.evals.insert(eval.id, Arc::clone(eval));
            }
            Delta::RemoveEvaluation(id) => {
                if let Some(eval) = self.evals.remove(id) {
                    self.evals_by_job.remove(&(eval.job.clone(), *id));
                }
            }
            Delta::Deployment(deployment) => {
                self.deployments_by_job
                    .insert((deployment.job.clone(), deployment.id));
                self.deployments.insert(deployment.id, Arc::clone(deployment));
            }
            Delta::RemoveDeployment(id) => {
                if let Some(deployment) = self.deployments.remove(id) {
                    self.deployments_by_job.remove(&(deployment.job.clone(), *id));
                }
            }
            Delta::Service(service) => {
                self.unindex_service(&service.id);
                let namespace = service.job.namespace.to_string();
                self.services_by_name
                    .insert((namespace, service.service_name.clone(), service.id.clone()));
                self.services_by_alloc.insert((service.alloc, service.id.clone()));
                self.services.insert(service.id.clone(), Arc::clone(service));
            }
            Delta::RemoveService(id) => self.unindex_service(id),
            _ => {}
        }
    }

    fn apply_history(&mut self, delta: &Delta) {
        match delta {
            Delta::Submission(it) => {
                self.submissions
                    .insert((it.job.clone(), it.version), Arc::clone(it));
            }
            Delta::RemoveSubmission(key, version) => {
                self.submissions.remove(&(key.clone(), *version));
            }
            Delta::JobHistory(it) => {
                self.histories.insert(it.job.clone(), Arc::clone(it));
            }
            Delta::RemoveJobHistory(key) => {
                self.histories.remove(key);
            }
            _ => {}
        }
    }

    fn unindex_service(&mut self, id: &str) {
        if let Some(old) = self.services.remove(id) {
            let namespace = old.job.namespace.to_string();
            self.services_by_name
                .remove(&(namespace, old.service_name.clone(), old.id.clone()));
            self.services_by_alloc.remove(&(old.alloc, old.id.clone()));
        }
    }

    /// The index of the newest change of `table`; at least 1, as clients expect.
    pub fn table_index(&self, table: Table) -> u64 {
        self.changed_at.get(&table).copied().unwrap_or(0).max(1)
    }

    /// The version of a job that an allocation runs.
    pub fn job_of(&self, alloc: &Allocation) -> Option<&Arc<Job>> {
        self.versions.get(&(alloc.job.clone(), alloc.job_version))
    }

    /// The allocations of a job, ordered by id.
    pub fn allocs_of_job<'a>(&'a self, key: &JobKey) -> impl Iterator<Item = &'a Arc<Allocation>> + use<'a> {
        self.alloc_ids_of_job(key).filter_map(|id| self.allocs.get(id))
    }

    /// How many allocations a job has.
    pub fn alloc_count_of_job(&self, key: &JobKey) -> usize {
        self.alloc_ids_of_job(key).count()
    }

    fn alloc_ids_of_job<'a>(&'a self, key: &JobKey) -> impl Iterator<Item = &'a AllocId> + use<'a> {
        let key = key.clone();
        self.allocs_by_job
            .range((key.clone(), AllocId(0))..)
            .take_while(move |(job, _)| *job == key)
            .map(|(_, id)| id)
    }

    /// The allocations of a node, ordered by id.
    pub fn allocs_of_node(&self, node: NodeId) -> impl Iterator<Item = &Arc<Allocation>> {
        self.allocs_by_node
            .range((node, AllocId(0))..)
            .take_while(move |(of, _)| *of == node)
            .filter_map(|(_, id)| self.allocs.get(id))
    }

    /// The evaluations of a job, ordered by id.
    pub fn evals_of_job<'a>(&'a self, key: &'a JobKey) -> impl Iterator<Item = &'a Arc<Evaluation>> {
        self.evals_by_job
            .range((key.clone(), EvalId(0))..)
            .take_while(move |(job, _)| job == key)
            .filter_map(|(_, id)| self.evals.get(id))
    }

    /// The deployments of a job, ordered by id.
    pub fn deployments_of_job<'a>(&'a self, key: &'a JobKey) -> impl Iterator<Item = &'a Arc<Deployment>> {
        self.deployments_by_job
            .range((key.clone(), DeploymentId(0))..)
            .take_while(move |(job, _)| job == key)
            .filter_map(|(_, id)| self.deployments.get(id))
    }

    /// The newest deployment of a job.
    pub fn latest_deployment<'a>(&'a self, key: &'a JobKey) -> Option<&'a Arc<Deployment>> {
        self.deployments_of_job(key)
            .max_by_key(|deployment| deployment.create_index)
    }

    /// The registrations of a service, ordered by id.
    pub fn service<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Registration>> {
        self.services_by_name
            .range((namespace.to_owned(), name.to_owned(), String::new())..)
            .take_while(move |(space, service, _)| space == namespace && service == name)
            .filter_map(|(_, _, id)| self.services.get(id))
    }

    /// The registrations of an allocation, ordered by id.
    pub fn services_of_alloc(&self, alloc: AllocId) -> impl Iterator<Item = &Arc<Registration>> {
        self.services_by_alloc
            .range((alloc, String::new())..)
            .take_while(move |(of, _)| *of == alloc)
            .filter_map(|(_, id)| self.services.get(id))
    }

    /// The scheduler settings that hold for jobs in this node pool.
    pub fn scheduling_of(&self, pool: &str) -> SchedulerConfiguration {
        self.scheduling.within(self.pools.get(pool).map(|pool| &**pool))
    }

    /// The names of all node pools: those that are always there, those that somebody made, and those that nodes name.
    pub fn pool_names(&self) -> BTreeSet<&str> {
        let of_nodes = self
            .nodes
            .values()
            .map(|node| node.fingerprint.node_pool.as_str());
        of_nodes
            .filter(|name| !name.is_empty())
            .chain([NodePool::ALL, NodePool::DEFAULT])
            .chain(self.pools.keys().map(String::as_str))
            .collect()
    }

    /// Whether there is a node pool with this name.
    pub fn has_pool(&self, name: &str) -> bool {
        let names_it = |node: &Arc<Node>| node.fingerprint.node_pool == name;
        NodePool::is_built_in(name) || self.pools.contains_key(name) || self.nodes.values().any(names_it)
    }

    /// The node pool with this name.
    pub fn pool(&self, name: &str) -> Option<Arc<NodePool>> {
        let known = self.pools.get(name).cloned();
        known.or_else(|| self.has_pool(name).then(|| Arc::new(NodePool::implied(name))))
    }

    /// The kept versions of a job, oldest first.
    pub fn versions_of_job<'a>(&'a self, key: &'a JobKey) -> impl Iterator<Item = &'a Arc<Job>> {
        self.versions
            .range((key.clone(), 0)..)
            .take_while(move |((job, _), _)| job == key)
            .map(|(_, job)| job)
    }

    /// The jobs that were launched from a periodic or parameterized one, ordered by id. Their ids begin with its id.
    pub fn children_of<'a>(&'a self, parent: &'a JobKey) -> impl Iterator<Item = &'a Arc<Job>> {
        let prefix = format!("{}/", parent.id);
        self.jobs
            .range(JobKey::new(parent.namespace.clone(), prefix.clone())..)
            .take_while(move |(key, _)| key.namespace == parent.namespace && key.id.starts_with(&prefix))
            .map(|(_, job)| job)
            .filter(|job| job.parent_id.as_deref() == Some(&*parent.id))
    }
}
