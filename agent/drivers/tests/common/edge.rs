//! A node with a podman service of its own.

use holdfast_drivers::TaskSpec;
use holdfast_drivers::testing::{Image, NetworkNamespace, PodmanService};
use serde_json::{Value, json};

use super::{Agent, Node, log};

/// A node with a podman of its own and one image, named as the edge-services document names it.
pub(crate) struct Edge {
    // Taken down in this order.
    pub(crate) service: PodmanService,
    pub(crate) net: NetworkNamespace,
    pub(crate) node: Node,
}

/// The image every test has.
pub(crate) const IMAGE: &str = "hashicorpdemoapp/payments:v0.0.12";

impl Edge {
    pub(crate) fn new() -> Self {
        let net = NetworkNamespace::new().unwrap();
        let service = PodmanService::start_in(Some(&net.path())).unwrap();
        let image = Image::busybox(IMAGE)
            .file("/www/index.html", "payments\n")
            .script("/bin/serve", "exec httpd -f -p 8080 -h /www")
            .command(&["sh", "-c", "echo default; sleep 1000"]);
        service.import(&image).unwrap();
        let options = json!({"socket": service.socket(), "call_timeout": 5});
        Self {
            node: Node::new("podman", options),
            service,
            net,
        }
    }

    pub(crate) fn sh(&self, task: &str, script: &str) -> TaskSpec {
        self.spec(task, json!({"command": "sh", "args": ["-c", script]}))
    }

    pub(crate) fn spec(&self, task: &str, mut config: Value) -> TaskSpec {
        config
            .as_object_mut()
            .unwrap()
            .entry("image")
            .or_insert_with(|| IMAGE.into());
        let mut spec = self.node.spec(task, config);
        std::fs::create_dir_all(spec.alloc_dir.join("data")).unwrap();
        spec.driver = "docker".into();
        spec
    }

    /// Runs a task to its end and gives its output.
    pub(crate) async fn output(&self, agent: &mut Agent, spec: &TaskSpec) -> String {
        let (handle, _) = agent.driver.start(spec).await.unwrap();
        let exit = agent.exit().await;
        agent.driver.remove(&handle).await.unwrap();
        assert_eq!(
            exit.exit_code,
            Some(0),
            "{}{}",
            log(spec, "stdout"),
            log(spec, "stderr")
        );
        log(spec, "stdout")
    }
}
