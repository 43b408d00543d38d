//! Filling in defaults: what Nomad's API calls canonicalisation. Policies flow from job to group to task.

use serde_json::{Value, json};

use super::group::{EphemeralDisk, TaskGroup};
use super::job::{Job, JobType};
use super::policy::{Disconnect, Migrate, Reschedule, Restart, Update};
use super::service::{Check, CheckRestart, Service};
use super::task::{LogConfig, Resources, Task, Template};
use crate::time::Duration;

impl Job {
    /// Fills in every default that the original's API fills in. Doing it twice changes nothing more.
    pub fn canonicalize(&mut self) {
        let id = self.id.clone().or_else(|| self.name.clone()).unwrap_or_default();
        self.id.get_or_insert_with(|| id.clone());
        self.name.get_or_insert_with(|| id.clone());
        self.parent_id.get_or_insert_default();
        self.namespace.get_or_insert_with(|| "default".into());
        self.priority.get_or_insert(50);
        self.stop.get_or_insert(false);
        self.region.get_or_insert_with(|| "global".into());
        self.node_pool.get_or_insert_default();
        self.kind.get_or_insert_with(|| "service".into());
        self.all_at_once.get_or_insert(false);
        self.consul_namespace.get_or_insert_default();
        self.vault_namespace.get_or_insert_default();
        self.nomad_token_id.get_or_insert_default();
        self.status.get_or_insert_default();
        self.status_description.get_or_insert_default();
        self.stable.get_or_insert(false);
        self.version.get_or_insert(0);
        self.create_index.get_or_insert(0);
        self.modify_index.get_or_insert(0);
        self.job_modify_index.get_or_insert(0);
        let kind = self.job_type();
        if let Some(periodic) = &mut self.periodic {
            periodic.enabled.get_or_insert(true);
            periodic.spec.get_or_insert_default();
            periodic.specs.get_or_insert_default();
            periodic.spec_type.get_or_insert_with(|| "cron".into());
            periodic.prohibit_overlap.get_or_insert(false);
            periodic.time_zone.get_or_insert_with(|| "UTC".into());
        }
        if let Some(update) = &mut self.update {
            fill_update(update, &Update::defaults());
        } else if !kind.is_batch() {
            self.update = Some(Update::defaults());
        }
        for spread in self.spreads.iter_mut().flatten() {
            spread.weight.get_or_insert(50);
        }
        for affinity in self.affinities.iter_mut().flatten() {
            affinity.weight.get_or_insert(50);
        }
        let defaults = JobDefaults {
            id,
            kind,
            update: self.update.clone(),
            reschedule: self.reschedule.clone(),
            migrate: self.migrate.clone(),
        };
        for group in self.task_groups.iter_mut().flatten() {
            group.canonicalize(&defaults);
        }
    }
}

/// What groups inherit from their job.
struct JobDefaults {
    id: String,
    kind: JobType,
    update: Option<Update>,
    reschedule: Option<Reschedule>,
    migrate: Option<Migrate>,
}

impl TaskGroup {
    fn canonicalize(&mut self, job: &JobDefaults) {
        self.name.get_or_insert_default();
        if let Some(scaling) = &mut self.scaling {
            scaling.enabled.get_or_insert(true);
        }
        let least = self.scaling.as_ref().and_then(|scaling| scaling.min);
        self.count = self.count.or(least).or(Some(1));
        fill_consul(&mut self.consul);
        let disk = self.ephemeral_disk.get_or_insert_with(EphemeralDisk::default);
        disk.sticky.get_or_insert(false);
        disk.migrate.get_or_insert(false);
        disk.size_mb.get_or_insert(300);
        if let Some(update) = &mut self.update {
            fill_update(update, &job.update.clone().unwrap_or_else(Update::defaults));
        } else if !job.kind.is_batch() {
            self.update = job.update.clone();
        }
        if let Some(defaults) = Reschedule::defaults(job.kind) {
            let from_job = job.reschedule.clone().unwrap_or_default();
            let block = self.reschedule_policy.get_or_insert_default();
            fill_reschedule(block, &from_job);
            fill_reschedule(block, &defaults);
        }
        if job.kind == JobType::Service {
            let from_job = job.migrate.clone().unwrap_or_default();
            let block = self.migrate.get_or_insert_default();
            fill_migrate(block, &from_job);
            fill_migrate(block, &Migrate::defaults());
        }
        let restart = self
            .restart_policy
            .clone()
            .unwrap_or_default()
            .merged_over(&Restart::defaults(job.kind));
        self.restart_policy = Some(restart.clone());
        if let Some(block) = &mut self.disconnect {
            fill_disconnect(block);
        }
        for spread in self.spreads.iter_mut().flatten() {
            spread.weight.get_or_insert(50);
        }
        for affinity in self.affinities.iter_mut().flatten() {
            affinity.weight.get_or_insert(50);
        }
        let group = self.name().to_owned();
        for service in self.services.iter_mut().flatten() {
            service.canonicalize(&format!("{}-{group}", job.id));
        }
        for task in self.tasks.iter_mut().flatten() {
            task.canonicalize(&format!("{}-{group}", job.id), &restart);
        }
    }
}

impl Task {
    fn canonicalize(&mut self, base: &str, restart: &Restart) {
        self.kill_timeout.get_or_insert(Duration::from_secs(5));
        fill_consul(&mut self.consul);
        fill_vault(&mut self.vault);
        fill_csi_plugin(&mut self.csi_plugin_config);
        let resources = self.resources.get_or_insert_with(Resources::default);
        resources.cores.get_or_insert(0);
        let cpu = if resources.cores == Some(0) { 100 } else { 0 };
        resources.cpu.get_or_insert(cpu);
        resources.memory_mb.get_or_insert(300);
        for device in resources.devices.iter_mut().flatten() {
            device.count.get_or_insert(1);
            for affinity in device.affinities.iter_mut().flatten() {
                affinity.weight.get_or_insert(50);
            }
        }
        let logs = self.log_config.get_or_insert_with(LogConfig::default);
        logs.max_files.get_or_insert(10);
        logs.max_file_size_mb.get_or_insert(10);
        logs.disabled.get_or_insert(false);
        self.restart_policy = Some(
            self.restart_policy
                .clone()
                .unwrap_or_default()
                .merged_over(restart),
        );
        let base = format!("{base}-{}", self.name);
        for service in self.services.iter_mut().flatten() {
            service.canonicalize(&base);
        }
        for template in self.templates.iter_mut().flatten() {
            template.canonicalize();
        }
        for mount in self.volume_mounts.iter_mut().flatten() {
            mount.propagation_mode.get_or_insert_with(|| "private".into());
            mount.read_only.get_or_insert(false);
            mount.selinux_label.get_or_insert_default();
        }
        for artifact in self.artifacts.iter_mut().flatten() {
            artifact.getter_mode.get_or_insert_with(|| "any".into());
            artifact.getter_insecure.get_or_insert(false);
            artifact.relative_dest.get_or_insert_with(|| "local/".into());
        }
        for affinity in self.affinities.iter_mut().flatten() {
            affinity.weight.get_or_insert(50);
        }
    }
}

impl Service {
    fn canonicalize(&mut self, base: &str) {
        let default = |field: &mut String, value: &str| {
            if field.is_empty() {
                value.clone_into(field);
            }
        };
        default(&mut self.name, base);
        default(&mut self.address_mode, "auto");
        default(&mut self.on_update, "require_healthy");
        default(&mut self.provider, "consul");
        default(&mut self.cluster, "default");
        let (on_update, inherited) = (self.on_update.clone(), self.check_restart.clone());
        for check in self.checks.iter_mut().flatten() {
            check.canonicalize(&on_update, inherited.as_ref());
        }
        if let Some(connect) = &mut self.connect {
            fill_connect(connect);
        }
    }
}

impl Check {
    fn canonicalize(&mut self, on_update: &str, inherited: Option<&CheckRestart>) {
        if self.on_update.is_empty() {
            on_update.clone_into(&mut self.on_update);
        }
        if self.check_restart.is_none() {
            self.check_restart = inherited.cloned();
        }
        if let Some(block) = &mut self.check_restart {
            block.grace.get_or_insert(Duration::from_secs(1));
        }
    }
}

impl Template {
    fn canonicalize(&mut self) {
        self.source_path.get_or_insert_default();
        self.dest_path.get_or_insert_default();
        self.embedded_tmpl.get_or_insert_default();
        let mode = self.change_mode.get_or_insert_with(|| "restart".into());
        let signal = if mode == "signal" { "SIGHUP" } else { "" };
        let signal = self.change_signal.get_or_insert_with(|| signal.into());
        *signal = signal.to_uppercase();
        if let Some(script) = &mut self.change_script {
            script.command.get_or_insert_default();
            script.args.get_or_insert_default();
            script.timeout.get_or_insert(Duration::from_secs(5));
            script.fail_on_error.get_or_insert(false);
        }
        self.once.get_or_insert(false);
        self.splay.get_or_insert(Duration::from_secs(5));
        self.perms.get_or_insert_with(|| "0644".into());
        self.left_delim.get_or_insert_with(|| "{{".into());
        self.right_delim.get_or_insert_with(|| "}}".into());
        self.envvars.get_or_insert(false);
        self.err_missing_key.get_or_insert(false);
        self.vault_grace.get_or_insert(Duration::ZERO);
    }
}

fn fill_update(update: &mut Update, from: &Update) {
    update.stagger = update.stagger.or(from.stagger);
    update.max_parallel = update.max_parallel.or(from.max_parallel);
    update.health_check = update.health_check.take().or_else(|| from.health_check.clone());
    update.min_healthy_time = update.min_healthy_time.or(from.min_healthy_time);
    update.healthy_deadline = update.healthy_deadline.or(from.healthy_deadline);
    update.progress_deadline = update.progress_deadline.or(from.progress_deadline);
    update.canary = update.canary.or(from.canary);
    update.auto_revert = update.auto_revert.or(from.auto_revert);
    update.auto_promote = update.auto_promote.or(from.auto_promote);
}

fn fill_reschedule(block: &mut Reschedule, from: &Reschedule) {
    block.attempts = block.attempts.or(from.attempts);
    block.interval = block.interval.or(from.interval);
    block.delay = block.delay.or(from.delay);
    block.delay_function = block
        .delay_function
        .take()
        .or_else(|| from.delay_function.clone());
    block.max_delay = block.max_delay.or(from.max_delay);
    block.unlimited = block.unlimited.or(from.unlimited);
}

fn fill_migrate(block: &mut Migrate, from: &Migrate) {
    block.max_parallel = block.max_parallel.or(from.max_parallel);
    block.health_check = block.health_check.take().or_else(|| from.health_check.clone());
    block.min_healthy_time = block.min_healthy_time.or(from.min_healthy_time);
    block.healthy_deadline = block.healthy_deadline.or(from.healthy_deadline);
}

fn fill_disconnect(block: &mut Disconnect) {
    block.replace.get_or_insert(true);
    block.reconcile.get_or_insert_with(|| "best_score".into());
}

/// Sets fields of an object that are missing, null, empty or zero.
fn fill_fields(object: &mut Value, defaults: Value) {
    let (Value::Object(fields), Value::Object(defaults)) = (object, defaults) else {
        return;
    };
    for (name, default) in defaults {
        let field = fields.entry(name).or_insert(Value::Null);
        if field.is_null() || *field == json!("") || *field == json!(0) {
            *field = default;
        }
    }
}

fn fill_consul(consul: &mut Option<Value>) {
    if let Some(block) = consul {
        fill_fields(block, json!({ "Cluster": "default" }));
    }
}

fn fill_vault(vault: &mut Option<Value>) {
    if let Some(block) = vault {
        let defaults = json!({
            "AllowTokenExpiration": false, "ChangeMode": "restart", "ChangeSignal": "SIGHUP", "Cluster": "default",
            "DisableFile": false, "Env": true, "Namespace": "",
        });
        fill_fields(block, defaults);
    }
}

fn fill_csi_plugin(plugin: &mut Option<Value>) {
    if let Some(block) = plugin {
        let defaults = json!({
            "HealthTimeout": Duration::from_secs(30), "MountDir": "/csi", "StagePublishBaseDir": "/local/csi",
        });
        fill_fields(block, defaults);
    }
}

/// The service mesh is only carried along; these are the defaults that are shown.
fn fill_connect(connect: &mut Value) {
    if let Some(task) = connect.get_mut("SidecarTask").filter(|task| task.is_object()) {
        fill_fields(
            task,
            json!({ "KillTimeout": Duration::from_secs(5), "ShutdownDelay": 0, "LogConfig": {}, "Resources": {} }),
        );
        let logs = json!({ "Disabled": false, "Enabled": null, "MaxFileSizeMB": 10, "MaxFiles": 10 });
        fill_fields(&mut task["LogConfig"], logs);
        let cpu = if task["Resources"]["Cores"].as_i64().unwrap_or(0) > 0 {
            0
        } else {
            100
        };
        fill_fields(
            &mut task["Resources"],
            json!({ "CPU": cpu, "Cores": 0, "MemoryMB": 300 }),
        );
    }
    if let Some(proxy) = connect.pointer_mut("/Gateway/Proxy") {
        fill_fields(proxy, json!({ "ConnectTimeout": Duration::from_secs(5) }));
    }
    let listeners = connect
        .pointer_mut("/Gateway/Ingress/Listeners")
        .and_then(Value::as_array_mut);
    for listener in listeners.into_iter().flatten() {
        fill_fields(listener, json!({ "Protocol": "tcp" }));
    }
}
