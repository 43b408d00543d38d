//! The network that the tasks of a group in bridge mode share: a podman pod with nothing in it but its pause container.
//!
//! It is made before the first container of an allocation and removed after the last.

use serde_json::Value;

use super::Podman;
use super::client::start_error;
use super::config::PodmanConfig;
use super::container;
use crate::error::{DriverError, StartError};
use crate::task::TaskSpec;

impl Podman {
    /// Creates a task's container, and its group's network before it when need be.
    pub(super) async fn create_in_group(
        &self,
        spec: &TaskSpec,
        config: &PodmanConfig,
        body: &Value,
    ) -> Result<String, StartError> {
        if !container::shares_network(spec, config) {
            return self.create(body).await;
        }
        // Until the container is in it, a pod looks unused.
        let _turn = self.pods.lock().await;
        let name = container::pod_name(&spec.id.alloc);
        if !self
            .call("look for a pod", self.api().pods().get(name.as_str()).exists())
            .await?
        {
            let pod = container::pod(spec, &self.node);
            let (status, answer) = self.post("create a pod", "pods/create", &pod).await?;
            if status != 201 {
                let message = answer["message"].as_str().unwrap_or_default();
                return Err(start_error("create the group's network", message));
            }
        }
        self.create(body).await
    }

    /// Removes the allocation's pod once no task's container is in it.
    pub(super) async fn remove_unused_pod(&self, alloc: &str) -> Result<(), DriverError> {
        let _turn = self.pods.lock().await;
        let pod = self.api().pods().get(container::pod_name(alloc));
        let found = match self.call("inspect a pod", pod.inspect()).await {
            Err(error) if error.is_gone() => return Ok(()),
            found => found?,
        };
        let infra = found.infra_container_id;
        let members = found.containers.unwrap_or_default();
        if members.iter().any(|member| member.id != infra) {
            return Ok(());
        }
        match self.call("remove a pod", pod.remove()).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }
}
