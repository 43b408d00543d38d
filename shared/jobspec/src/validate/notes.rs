//! What Holdfast does differently with a job than Nomad does.

use holdfast_shared::model::{Job, TaskGroup};

pub(super) fn of(job: &Job) -> Vec<String> {
    let mut notes = Vec::new();
    for group in job.groups() {
        let name = group.name();
        for (old, new) in old_fields(group) {
            notes.push(format!("group {name:?} uses {old}, which is mapped onto {new}"));
        }
        let services = group
            .services()
            .iter()
            .chain(group.tasks().iter().flat_map(|task| task.services()));
        if services.clone().any(|service| service.provider == "consul") {
            notes.push(format!(
                "group {name:?} has services of provider \"consul\", which are registered in the built-in catalogue"
            ));
        }
        if services.clone().any(|service| service.connect.is_some()) {
            notes.push(format!(
                "group {name:?} uses the service mesh, which is not supported: connect is ignored"
            ));
        }
        for task in group.tasks().iter().filter(|task| task.driver == "docker") {
            notes.push(format!(
                "task {:?} in group {name:?} uses the driver \"docker\", which runs on podman",
                task.name
            ));
        }
    }
    notes
}

fn old_fields(group: &TaskGroup) -> impl Iterator<Item = (&'static str, &'static str)> {
    let fields = [
        (
            group.max_client_disconnect.is_some(),
            "max_client_disconnect",
            "disconnect { lost_after }",
        ),
        (
            group.stop_after_client_disconnect.is_some(),
            "stop_after_client_disconnect",
            "disconnect { stop_on_client_after }",
        ),
        (
            group.prevent_reschedule_on_lost.is_some(),
            "prevent_reschedule_on_lost",
            "disconnect { replace }",
        ),
    ];
    fields
        .into_iter()
        .filter(|(is_used, ..)| *is_used)
        .map(|(_, old, new)| (old, new))
}
