//! The whole agent: it runs what it is told, keeps it running whatever happens, and ends it when it is told so.

use holdfast_drivers::testing::{Image, NetworkNamespace, PodmanService};
use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{ClientStatus, Fingerprint, Job};
use holdfast_shared::wire::{
    Assigned, Assignments, Catalog, CatalogService, FromAgent, Interest, JobSpec, Port, Presence, Register,
    Report, ServiceInstance, ToAgent, WatchHealth,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::coordinator::{Broker, Coordinator, Heard};

const ALLOC: AllocId = AllocId(0x6a5a_c2ba_8ebb_68e1_2cd5_9b9e_3c01_721c);

fn job(tasks: Value) -> Job {
    let mut job: Job =
        serde_json::from_value(json!({"ID": "j", "TaskGroups": [{"Name": "g", "Tasks": tasks}]})).unwrap();
    job.canonicalize();
    job
}

fn assigned(run: bool, index: u64) -> Assigned {
    Assigned {
        id: ALLOC,
        name: "j.g[0]".into(),
        namespace: "default".into(),
        job: "j".into(),
        job_version: 0,
        job_create_index: 0,
        group: "g".into(),
        run,
        no_shutdown_delay: false,
        unknown: false,
        watch_health: WatchHealth::Nobody,
        canary: false,
        previous: None,
        ports: vec![Port {
            label: "product-api".into(),
            value: 29_090,
            to: 0,
            host_ip: "127.0.0.1".into(),
        }],
        devices: Vec::new(),
        alloc_modify_index: index,
    }
}

fn assignments(generation: u64, job: &Job, run: bool) -> ToAgent {
    ToAgent::Assignments(Assignments {
        epoch: 1,
        generation,
        base: None,
        allocs: vec![assigned(run, generation)],
        stop: Vec::new(),
        jobs: vec![JobSpec::of(job, |_| true)],
    })
}

/// Acknowledges every report until one shows the allocation in `status`.
async fn reported(coordinator: &mut Coordinator, status: ClientStatus) -> Report {
    loop {
        let (node, report) = coordinator
            .hear("a report", |node, heard| match heard {
                Heard::Message(FromAgent::Report(report)) => Some((node, report.clone())),
                _ => None,
            })
            .await;
        coordinator
            .say(
                node,
                &ToAgent::Ack {
                    session: report.session,
                    seq: report.seq,
                },
            )
            .await;
        if report.allocs.iter().any(|alloc| alloc.client == status) {
            return report;
        }
    }
}

async fn registered(coordinator: &mut Coordinator) -> (NodeId, Register) {
    let pick = |node, heard: &Heard| match heard {
        Heard::Message(FromAgent::Register(register)) => Some((node, register.clone())),
        _ => None,
    };
    coordinator.hear("a registration", pick).await
}

fn first_task(status: &Value) -> &Value {
    &status["allocations"][0]["tasks"][0]
}

fn log_of(agent: &Agent, task: &str) -> String {
    let path = agent
        .path("data/alloc")
        .join(ALLOC.to_string())
        .join(format!("alloc/logs/{task}.stdout.0"));
    std::fs::read_to_string(path).unwrap_or_default()
}

fn pid_of(agent: &Agent) -> i64 {
    let dir = std::fs::read_dir(agent.path("data/drivers/raw_exec")).unwrap();
    let path = dir
        .flatten()
        .map(|it| it.path())
        .find(|it| it.extension() == Some("json".as_ref()))
        .unwrap();
    let record: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    record["main"]["pid"].as_i64().unwrap()
}

const PROCESS: &str = "env; echo dir=$0; exec sleep 1000";

fn process() -> Value {
    json!([{
        "Name": "t", "Driver": "raw_exec",
        "Config": {"command": "/bin/sh", "args": ["-c", PROCESS, "${NOMAD_TASK_DIR}"]},
        "Env": {"BIND": ":${NOMAD_PORT_product-api}"},
        "Templates": [{
            "EmbeddedTmpl": "{{ range nomadService \"db\" }}DB=\"{{ .Address }}:{{ .Port }}\"\n{{ end }}",
            "DestPath": "local/env.txt", "Envvars": true, "ChangeMode": "noop"
        }]
    }])
}

fn sleeper() -> Value {
    json!([{"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sleep", "args": ["1000"]}}])
}

/// Waits until a node wants to know where `db` is.
async fn interested(coordinator: &mut Coordinator) {
    let wanted = ("default".to_owned(), "db".to_owned());
    let pick = |_, heard: &Heard| match heard {
        Heard::Message(FromAgent::Interest(Interest { services, .. })) => {
            services.contains(&wanted).then_some(())
        }
        _ => None,
    };
    coordinator.hear("interest in db", pick).await;
}

fn catalog(revision: u64, address: &str) -> ToAgent {
    let instance = ServiceInstance {
        id: "_1".into(),
        node: NodeId(1),
        datacenter: "dc1".into(),
        job: "db".into(),
        alloc: AllocId(1),
        tags: Vec::new(),
        address: address.into(),
        port: 5432,
    };
    let service = CatalogService {
        namespace: "default".into(),
        name: "db".into(),
        instances: vec![instance],
    };
    ToAgent::Catalog(Catalog {
        revision,
        services: vec![service],
    })
}

#[tokio::test]
async fn a_process_starts_outlives_the_agent_and_ends_when_it_is_told() {
    let broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let mut agent = Agent::start(&[
        format!("--coordinator={}", broker.url()),
        "--drivers=raw_exec".into(),
    ]);
    let (node, register) = registered(&mut coordinator).await;
    let print: Fingerprint = serde_json::from_slice(&register.fingerprint).unwrap();
    assert!(print.drivers["raw_exec"].healthy && !print.drivers.contains_key("podman"));

    // Its template waits for a service that the coordinator is asked for.
    let job = job(process());
    coordinator.say(node, &assignments(1, &job, true)).await;
    interested(&mut coordinator).await;
    coordinator.say(node, &catalog(1, "10.0.0.9")).await;
    reported(&mut coordinator, ClientStatus::Running).await;
    agent
        .wait_for("the output", |_| log_of(&agent, "t").contains("dir="))
        .await;
    let output = log_of(&agent, "t");
    for line in [
        "BIND=:29090",
        "DB=10.0.0.9:5432",
        "NOMAD_ADDR_product_api=127.0.0.1:29090",
        "NOMAD_GROUP_NAME=g",
    ] {
        assert!(
            output.lines().any(|it| it == line),
            "{line} is missing in {output}"
        );
    }
    assert!(output.contains(&format!("dir={}", agent.path("data/alloc").display())));

    // Killed: the broker reads the will, the process lives on, and the next agent finds it without any coordinator.
    let pid = pid_of(&agent);
    agent.end(Signal::KILL);
    let will = |_, heard: &Heard| match heard {
        Heard::Presence(Presence {
            online: false,
            session,
        }) => Some(*session),
        _ => None,
    };
    assert_eq!(coordinator.hear("the last will", will).await, register.session);
    drop(broker);
    agent.restart();
    let status = agent
        .wait_for("the process", |status| first_task(status)["phase"] == "running")
        .await;
    assert_eq!(
        (
            status["link"]["connected"].as_bool(),
            status["generation"].as_u64()
        ),
        (Some(false), Some(1))
    );
    assert_eq!(pid_of(&agent), pid);
    assert!(
        agent
            .path("data/alloc")
            .join(ALLOC.to_string())
            .join("t/local/env.txt")
            .exists()
    );
}

#[tokio::test]
async fn a_process_ends_by_order_and_its_end_is_reported() {
    let broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let mut agent = Agent::start(&[
        format!("--coordinator={}", broker.url()),
        "--drivers=raw_exec".into(),
    ]);
    let (node, _) = registered(&mut coordinator).await;
    let job = job(sleeper());
    coordinator.say(node, &assignments(1, &job, true)).await;
    reported(&mut coordinator, ClientStatus::Running).await;

    // Asked to end, the agent leaves its tasks alone and says good-bye.
    agent.end(Signal::TERM);
    let farewell =
        |_, heard: &Heard| matches!(heard, Heard::Presence(Presence { online: false, .. })).then_some(());
    coordinator.hear("a farewell", farewell).await;
    assert!(std::path::Path::new(&format!("/proc/{}", pid_of(&agent))).exists());
    agent.restart();
    let (_, register) = registered(&mut coordinator).await;
    assert_eq!((register.held.epoch, register.held.generation), (1, 1));

    // An older generation has no say; a newer one has.
    coordinator.say(node, &assignments(1, &job, false)).await;
    reported(&mut coordinator, ClientStatus::Running).await;
    coordinator.say(node, &assignments(2, &job, false)).await;
    let report = reported(&mut coordinator, ClientStatus::Complete).await;
    let kinds: Vec<&str> = report.allocs[0].tasks[0]
        .events
        .iter()
        .map(|event| event.kind.as_str())
        .collect();
    assert!(kinds.ends_with(&["Killing", "Terminated", "Killed"]), "{kinds:?}");
}

#[tokio::test]
async fn a_container_starts_is_adopted_and_comes_back_after_it_was_removed() {
    let podman = PodmanService::start().unwrap();
    podman
        .import(&Image::busybox("example/app:v1").command(&["sh", "-c", "env; exec sleep 1000"]))
        .unwrap();
    let broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let socket = format!("--podman-socket={}", podman.socket().display());
    let mut agent = Agent::start(&[format!("--coordinator={}", broker.url()), socket]);
    let mut node = None;
    while node.is_none() {
        let (id, register) = registered(&mut coordinator).await;
        let print: Fingerprint = serde_json::from_slice(&register.fingerprint).unwrap();
        node = print
            .drivers
            .get("docker")
            .filter(|driver| driver.healthy)
            .map(|_| id);
    }
    let job = job(json!([{
        "Name": "c", "Driver": "docker", "KillTimeout": 1_000_000_000,
        "Config": {"image": "example/app:v1", "volumes": ["local/x:/x"]},
        "Templates": [{"EmbeddedTmpl": "{{ env \"NOMAD_PORT_product_api\" }}", "DestPath": "local/x"}]
    }]));
    coordinator.say(node.unwrap(), &assignments(1, &job, true)).await;
    reported(&mut coordinator, ClientStatus::Running).await;
    agent
        .wait_for("the container's output", |_| {
            log_of(&agent, "c").contains("NOMAD_TASK_DIR=/local")
        })
        .await;
    let container = podman.podman(&["ps", "-q", "--no-trunc"]).unwrap();

    agent.end(Signal::KILL);
    agent.restart();
    agent
        .wait_for("the container", |status| first_task(status)["phase"] == "running")
        .await;
    assert_eq!(podman.podman(&["ps", "-q", "--no-trunc"]).unwrap(), container);

    // A reboot without a coordinator: nothing is left of the container but the agent's store.
    agent.end(Signal::KILL);
    drop(broker);
    podman
        .podman(&["rm", "--force", "--time", "0", &container])
        .unwrap();
    agent.restart();
    agent
        .wait_for("another container", |status| {
            first_task(status)["phase"] == "running"
        })
        .await;
    let another = podman.podman(&["ps", "-q", "--no-trunc"]).unwrap();
    assert!(!another.is_empty() && another != container);
}

#[tokio::test]
async fn a_lost_store_costs_no_task_and_what_is_assigned_again_is_adopted() {
    let broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let mut agent = Agent::start(&[
        format!("--coordinator={}", broker.url()),
        "--drivers=raw_exec".into(),
    ]);
    let (node, _) = registered(&mut coordinator).await;
    let job = job(sleeper());
    coordinator.say(node, &assignments(1, &job, true)).await;
    reported(&mut coordinator, ClientStatus::Running).await;
    let pid = pid_of(&agent);
    agent.end(Signal::KILL);
    std::fs::remove_dir_all(agent.path("data/state")).unwrap();
    agent.restart();
    let (again, register) = registered(&mut coordinator).await;
    assert_eq!((again, register.held.generation), (node, 0));
    agent
        .wait_for("a word about the unknown task", |_| {
            agent.log().contains("a task runs that is unknown or over")
        })
        .await;
    coordinator.say(node, &assignments(1, &job, true)).await;
    reported(&mut coordinator, ClientStatus::Running).await;
    assert_eq!(pid_of(&agent), pid);

    // Lost once more; this time the coordinator wants it to end.
    agent.end(Signal::KILL);
    std::fs::remove_dir_all(agent.path("data/state")).unwrap();
    agent.restart();
    registered(&mut coordinator).await;
    coordinator.say(node, &assignments(2, &job, false)).await;
    let process = format!("/proc/{pid}");
    agent
        .wait_for("the end of the process", |_| {
            !std::path::Path::new(&process).exists()
        })
        .await;
}

#[tokio::test]
async fn an_agent_starts_with_nothing_but_loopback() {
    let network = NetworkNamespace::new().unwrap();
    let unreachable = "--coordinator=mqtt://192.0.2.77".to_owned();
    let nowhere = "--podman-socket=/nowhere/podman.sock".to_owned();
    let mut agent = Agent::start_in(Some(network.path()), &[unreachable, nowhere]);
    let status = agent
        .wait_for("an answer", |status| status["node"]["name"] != "")
        .await;
    assert_eq!(
        (
            status["link"]["connected"].as_bool(),
            status["store_behind"].as_bool()
        ),
        (Some(false), Some(false))
    );
    agent.end(Signal::TERM);
    agent.restart();
    agent
        .wait_for("the same node", |again| {
            again["node"]["id"] == status["node"]["id"]
        })
        .await;
}

#[tokio::test]
async fn refused_credentials_are_named_and_harm_no_task() {
    let open = Broker::start();
    let mut coordinator = Coordinator::connect(open.port).await;
    let strict = Broker::configured(|_| "allow_anonymous false\n".to_owned());
    let both = format!("--coordinator={}", open.url());
    let strict_url = format!("--coordinator={}", strict.url());
    let mut agent = Agent::start(&[both, strict_url, "--drivers=raw_exec".into()]);
    let (node, _) = registered(&mut coordinator).await;
    coordinator
        .say(node, &assignments(1, &job(sleeper()), true))
        .await;
    reported(&mut coordinator, ClientStatus::Running).await;
    drop(open);
    let word = "the coordinator refuses this node's credentials: enrol it";
    agent
        .wait_for("a word about the refusal", |_| agent.log().contains(word))
        .await;
    let status = agent.status().unwrap();
    assert_eq!(first_task(&status)["phase"], "running");
    agent.end(Signal::KILL);
}

#[tokio::test]
async fn templates_of_a_task_that_was_found_again_follow_their_service() {
    let broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let mut agent = Agent::start(&[
        format!("--coordinator={}", broker.url()),
        "--drivers=raw_exec".into(),
    ]);
    let (node, _) = registered(&mut coordinator).await;
    coordinator
        .say(node, &assignments(1, &job(process()), true))
        .await;
    interested(&mut coordinator).await;
    coordinator.say(node, &catalog(1, "10.0.0.9")).await;
    reported(&mut coordinator, ClientStatus::Running).await;
    agent.end(Signal::KILL);
    agent.restart();
    // It asks for its service again, although the template was rendered before.
    interested(&mut coordinator).await;
    coordinator.say(node, &catalog(2, "10.0.0.10")).await;
    let file = agent
        .path("data/alloc")
        .join(ALLOC.to_string())
        .join("t/local/env.txt");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    agent
        .wait_for("the new address", |_| text().contains("10.0.0.10:5432"))
        .await;
}
