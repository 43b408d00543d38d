//! The requests that the driver makes of podman, each within its time-out and with its errors in our words.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;

use podman_api::models::ListContainer;
use podman_api::opts::{ContainerDeleteOpts, ContainerListFilter, ContainerListOpts};
use serde_json::Value;
use tokio::time::timeout;

use super::container::label;
use super::{NAME, Podman, http};
use crate::driver::{Exit, Running, wall_clock_ms};
use crate::error::{DriverError, StartError};
use crate::signal::Signal;
use crate::task::TaskId;

/// The libpod API that our own requests are made against, the one of podman-api: podman 4.3 (Debian 12) and later.
const API: &str = "/v4.3.1/libpod";

/// What the driver reads from a container's inspection.
pub(super) struct ContainerState {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) pid: Option<i32>,
    exit_code: Option<i32>,
    oom_killed: bool,
    pub(super) address: Option<IpAddr>,
    pub(super) stop_signal: Option<Signal>,
    pub(super) labels: HashMap<String, String>,
    finished_ms: Option<u64>,
}

impl ContainerState {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "running" | "paused" | "stopping")
    }

    /// It ran and does no more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "exited" | "stopped" | "dead" | "removing")
    }

    /// How it ended.
    pub(super) fn exit(&self, task: &TaskId, oom_killed: bool) -> Exit {
        Exit {
            task: task.clone(),
            exit_code: self.exit_code,
            // Podman tells a kill by its exit code alone.
            signal: 0,
            oom_killed: self.exit_code == Some(137) && (oom_killed || self.oom_killed),
            time_ms: self.finished_ms.unwrap_or_else(wall_clock_ms),
        }
    }

    pub(super) fn running(&self) -> Running {
        Running {
            pid: self.pid,
            address: self.address,
        }
    }
}

impl Podman {
    pub(super) fn api(&self) -> podman_api::Podman {
        podman_api::Podman::unix(&self.socket)
    }

    /// Makes a request within the call time-out.
    pub(super) async fn call<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = podman_api::Result<T>>,
    ) -> Result<T, DriverError> {
        match timeout(self.call_timeout, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(refused(operation, error)),
            Err(_) => Err(self.timed_out(operation)),
        }
    }

    pub(super) async fn fetch_version(&self) -> Result<Option<String>, DriverError> {
        let answer = self.call("tell its version", self.api().version()).await?;
        Ok(answer.version)
    }

    /// The node's containers, running or not.
    pub(super) async fn containers(&self) -> Result<Vec<ListContainer>, DriverError> {
        let filter = ContainerListFilter::LabelKeyVal(label::NODE.to_owned(), self.node.clone());
        let opts = ContainerListOpts::builder().all(true).filter([filter]).build();
        self.call("list containers", self.api().containers().list(&opts))
            .await
    }

    /// A container by id or name; `None` when there is none.
    pub(super) async fn inspect(&self, id: &str) -> Result<Option<ContainerState>, DriverError> {
        let container = self.api().containers().get(id);
        let found = match self.call("inspect a container", container.inspect()).await {
            Err(error) if error.is_gone() => return Ok(None),
            found => found?,
        };
        let state = found.state;
        let config = found.config;
        let networks = found
            .network_settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default();
        let address = networks
            .into_values()
            .find_map(|network| network.ip_address?.parse().ok());
        Ok(Some(ContainerState {
            id: found.id.unwrap_or_else(|| id.to_owned()),
            pid: state
                .as_ref()
                .and_then(|state| i32::try_from(state.pid?).ok())
                .filter(|pid| *pid > 0),
            exit_code: state.as_ref().and_then(|state| state.exit_code),
            oom_killed: state.as_ref().and_then(|state| state.oom_killed).unwrap_or(false),
            finished_ms: state
                .as_ref()
                .and_then(|state| u64::try_from(state.finished_at?.timestamp_millis()).ok()),
            status: state
                .and_then(|state| state.status)
                .unwrap_or_default()
                .to_ascii_lowercase(),
            address,
            stop_signal: config
                .as_ref()
                .and_then(|config| Signal::from_number(i32::try_from(config.stop_signal?).ok()?)),
            labels: config.and_then(|config| config.labels).unwrap_or_default(),
        }))
    }

    /// Creates what podman-api cannot express: status code and answer.
    pub(super) async fn post(
        &self,
        operation: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Value), DriverError> {
        let path = format!("{API}/{path}");
        match timeout(self.call_timeout, http::post_json(&self.socket, &path, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(DriverError::Unavailable {
                runtime: NAME,
                cause: error.to_string(),
            }),
            Err(_) => Err(self.timed_out(operation)),
        }
    }

    fn timed_out(&self, operation: &'static str) -> DriverError {
        self.doubt.notify_one();
        DriverError::TimedOut {
            runtime: NAME,
            operation,
            after: self.call_timeout,
        }
    }

    pub(super) async fn create(&self, body: &Value) -> Result<String, StartError> {
        match self.post("create a container", "containers/create", body).await? {
            (201, answer) => Ok(answer["Id"].as_str().unwrap_or_default().to_owned()),
            (_, answer) => Err(start_error(
                "create the container",
                answer["message"].as_str().unwrap_or_default(),
            )),
        }
    }

    pub(super) async fn runs(&self, id: &str) -> Result<bool, DriverError> {
        Ok(self.inspect(id).await?.is_some_and(|state| state.is_running()))
    }

    pub(super) async fn kill(&self, id: &str, signal: Signal) -> Result<(), DriverError> {
        self.call(
            "send a signal",
            self.api().containers().get(id).send_signal(signal.name()),
        )
        .await
    }

    /// Removes a container with its anonymous volumes, killing it first if need be.
    pub(super) async fn delete(&self, id: &str) -> Result<(), DriverError> {
        let opts = ContainerDeleteOpts::builder()
            .force(true)
            .volumes(true)
            .timeout(0)
            .build();
        match self
            .call(
                "remove a container",
                self.api().containers().get(id).delete(&opts),
            )
            .await
        {
            Err(error) if error.is_gone() => Ok(()),
            removed => removed,
        }
    }
}

/// Podman's refusal, or its silence, in our words.
fn refused(operation: &'static str, error: podman_api::Error) -> DriverError {
    match error {
        podman_api::Error::Fault { code, message } if code.as_u16() == 404 => DriverError::Gone(message),
        podman_api::Error::Fault { message, .. } => DriverError::Refused {
            runtime: NAME,
            operation,
            message,
        },
        other => DriverError::Unavailable {
            runtime: NAME,
            cause: chain(&other),
        },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let mut texts: Vec<String> = causes.collect();
    texts.dedup();
    texts.join(": ")
}

/// Podman's refusal to start a container: a program that is not in the image stays missing, other things may pass.
pub(super) fn start_error(operation: &str, message: &str) -> StartError {
    let permanent = [
        "executable file not found",
        "no such file or directory",
        "OCI permission denied",
    ];
    let recoverable = !permanent.iter().any(|text| message.contains(text));
    StartError {
        recoverable,
        message: format!("podman could not {operation}: {message}"),
    }
}
