//! Finding a task's image on the node, and pulling it when it is not there.

use std::sync::{Arc, PoisonError, Weak};

use futures_util::StreamExt;
use podman_api::opts::{PullOpts, PullPolicy};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Podman;
use super::config::ImageConfig;
use crate::error::{DriverError, StartError};
use crate::task::TaskId;

/// The names under which an image may be on the node, most specific first.
///
/// Short names mean docker.io to the people who write jobs, and `localhost/` to podman when the image was built or
/// loaded here.
fn candidates(name: &str) -> Vec<String> {
    let name = with_tag(name);
    if has_registry(&name) {
        return vec![name];
    }
    vec![format!("localhost/{name}"), full_name(&name), name]
}

/// The name with docker's default registry and namespace written out.
fn full_name(name: &str) -> String {
    let name = with_tag(name);
    match (has_registry(&name), name.contains('/')) {
        (true, _) => name,
        (false, true) => format!("docker.io/{name}"),
        (false, false) => format!("docker.io/library/{name}"),
    }
}

fn has_registry(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

impl Podman {
    /// The name under which podman has the image, after pulling it if need be.
    pub(super) async fn image(&self, task: &TaskId, image: &ImageConfig) -> Result<String, StartError> {
        let local = self.local_image(&image.name).await?;
        match local {
            Some(name) if !image.force_pull => Ok(name),
            None if full_name(&image.name).starts_with("localhost/") => {
                Err(StartError::recoverable(format!(
                    "image {} is not on this node, and localhost/ images cannot be pulled; load it with `podman load`",
                    image.name
                )))
            }
            local => {
                let name = full_name(&image.name);
                // Two tasks that need the same image wait for one download.
                let download = self.download(&name);
                let _turn = download.lock().await;
                if !image.force_pull
                    && let Some(name) = self.local_image(&image.name).await?
                {
                    return Ok(name);
                }
                self.progress(task, "Downloading image");
                match (self.pull(&name, image).await, local) {
                    (Ok(()), _) => Ok(name),
                    (Err(cause), Some(local)) => {
                        // The job still runs without an uplink: an older image is better than none.
                        self.progress(
                            task,
                            &format!("Could not refresh image, using the one on this node: {cause}"),
                        );
                        Ok(local)
                    }
                    (Err(cause), None) => Err(StartError::recoverable(format!(
                        "image {} is not on this node and could not be pulled: {cause}; connect the node to the registry \
                         or load the image with `podman load`",
                        image.name
                    ))),
                }
            }
        }
    }

    /// What tasks that want the same image take turns with.
    fn download(&self, name: &str) -> Arc<Mutex<()>> {
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.retain(|_, download| download.strong_count() > 0);
        let download = pulls.get(name).and_then(Weak::upgrade).unwrap_or_default();
        pulls.insert(name.to_owned(), Arc::downgrade(&download));
        download
    }

    async fn local_image(&self, name: &str) -> Result<Option<String>, DriverError> {
        for candidate in candidates(name) {
            let image = self.api().images().get(candidate.as_str());
            if self.call("look for an image", image.exists()).await? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    async fn pull(&self, name: &str, image: &ImageConfig) -> Result<(), String> {
        let mut opts = PullOpts::builder()
            .reference(name)
            .policy(PullPolicy::Always)
            .quiet(true);
        if let Some((username, password)) = &image.auth {
            opts = opts.credentials(format!("{username}:{password}"));
        }
        if let Some(verify) = image.tls_verify {
            opts = opts.tls_verify(verify);
        }
        if let Some(arch) = &image.arch {
            opts = opts.arch(arch);
        }
        if let Some(os) = &image.os {
            opts = opts.os(os);
        }
        if let Some(variant) = &image.variant {
            opts = opts.variant(variant);
        }
        let (opts, images) = (opts.build(), self.api().images());
        let download = async {
            let mut reports = images.pull(&opts);
            let mut pulled = false;
            while let Some(report) = reports.next().await {
                let report = report.map_err(|error| error.to_string())?;
                if let Some(error) = report.error {
                    return Err(error.trim().to_owned());
                }
                pulled |= report.images.is_some() || report.id.is_some();
            }
            if pulled {
                Ok(())
            } else {
                Err("podman ended the download without a result".to_owned())
            }
        };
        let limit = image.timeout;
        let late = || {
            Err(format!(
                "not finished within {} s (config.image_pull_timeout)",
                limit.as_secs()
            ))
        };
        timeout(limit, download).await.unwrap_or_else(|_| late())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_looked_for_where_docker_users_expect_them() {
        let expected = [
            (
                "redis:7",
                vec!["localhost/redis:7", "docker.io/library/redis:7", "redis:7"],
            ),
            (
                "redis",
                vec![
                    "localhost/redis:latest",
                    "docker.io/library/redis:latest",
                    "redis:latest",
                ],
            ),
            (
                "org/app:v1",
                vec!["localhost/org/app:v1", "docker.io/org/app:v1", "org/app:v1"],
            ),
            ("quay.io/org/app:v1", vec!["quay.io/org/app:v1"]),
            ("localhost:5000/app", vec!["localhost:5000/app:latest"]),
            ("localhost/app", vec!["localhost/app:latest"]),
            (
                "app@sha256:abc",
                vec![
                    "localhost/app@sha256:abc",
                    "docker.io/library/app@sha256:abc",
                    "app@sha256:abc",
                ],
            ),
        ];
        for (name, names) in expected {
            assert_eq!(candidates(name), names, "{name}");
        }
    }
}
