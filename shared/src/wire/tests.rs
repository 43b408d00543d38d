use super::*;
use crate::id::{AllocId, NodeId};
use crate::model::{AssignedDevice, ClientStatus, Job, TaskGroup, TaskRunState};
use crate::time::{Duration, Timestamp};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn every_message_to_an_agent() -> Vec<ToAgent> {
    let assigned = Assigned {
        id: AllocId(1),
        name: "web.app[0]".into(),
        namespace: "default".into(),
        job: "web".into(),
        job_version: 3,
        job_create_index: 11,
        group: "app".into(),
        run: true,
        no_shutdown_delay: false,
        unknown: true,
        watch_health: WatchHealth::Deployment,
        canary: false,
        previous: Some(AllocId(2)),
        ports: vec![Port {
            label: "http".into(),
            value: 23054,
            to: 80,
            host_ip: "192.0.2.1".into(),
        }],
        devices: vec![AssignedDevice {
            task: "main".into(),
            name: "acme/gpu/x".into(),
            ids: vec!["0".into()],
        }],
        alloc_modify_index: 17,
    };
    let spec = JobSpec {
        namespace: "default".into(),
        job: "web".into(),
        version: 3,
        create_index: 11,
        compressed: false,
        bytes: b"{}".to_vec(),
    };
    let instance = ServiceInstance {
        id: "_nomad-task-x".into(),
        node: NodeId(5),
        datacenter: "dc1".into(),
        job: "web".into(),
        alloc: AllocId(1),
        tags: vec!["edge".into()],
        address: "192.0.2.1".into(),
        port: 23054,
    };
    let service = CatalogService {
        namespace: "default".into(),
        name: "web".into(),
        instances: vec![instance],
    };
    vec![
        ToAgent::Assignments(Assignments {
            epoch: 1,
            generation: 300,
            base: Some(299),
            allocs: vec![assigned],
            stop: vec![AllocId(9)],
            jobs: vec![spec],
        }),
        ToAgent::Ack { session: 4, seq: 2 },
        ToAgent::Catalog(Catalog {
            revision: 7,
            services: vec![service],
        }),
        ToAgent::ReportAll,
    ]
}

fn every_order() -> Vec<ToAgent> {
    let restart = Deed::Restart {
        alloc: AllocId(1),
        tasks: RestartTasks::One("server".into()),
    };
    let meta = Deed::ApplyMeta(vec![("rack".into(), Some("r2".into())), ("color".into(), None)]);
    let order = |deed| {
        ToAgent::Order(Order {
            session: 4,
            number: 8,
            deed,
        })
    };
    [restart, meta].map(order).into()
}

fn every_message_from_an_agent() -> Vec<FromAgent> {
    let held = Held {
        epoch: 1,
        generation: 300,
    };
    let event = v1::TaskEvent {
        kind: "Terminated".into(),
        time: Timestamp(12),
        message: "Exit Code: 1".into(),
        exit_code: 1,
        signal: 0,
        fails_task: false,
        details: vec![("oom_killed".into(), "false".into())],
    };
    let task = TaskReport {
        name: "server".into(),
        state: TaskRunState::Running,
        failed: false,
        restarts: 1,
        last_restart: Timestamp(10),
        started_at: Timestamp(5),
        finished_at: Timestamp::ZERO,
        running_for: Duration::from_secs(3),
        events: vec![event],
    };
    let alloc = AllocReport {
        id: AllocId(1),
        client: ClientStatus::Running,
        description: "Tasks are running".into(),
        healthy: Some(true),
        address: String::new(),
        tasks: vec![task],
    };
    vec![
        FromAgent::Register(Register {
            session: 4,
            held,
            fingerprint: b"{}".to_vec(),
        }),
        FromAgent::Report(Report {
            session: 4,
            seq: 2,
            full: true,
            held,
            allocs: vec![alloc],
        }),
        FromAgent::Heartbeat { session: 4, held },
        FromAgent::Interest(Interest {
            session: 4,
            services: vec![("default".into(), "db".into())],
            namespaces: vec!["default".into()],
        }),
        FromAgent::Answer(Answer {
            session: 4,
            number: 8,
            refusal: Some("Task not running".into()),
        }),
    ]
}

/// The bytes of version 1. They must never change: agents in the field write and read them.
#[test]
fn version_1_has_the_bytes_it_always_had() {
    let mut golden = String::new();
    for message in every_message_to_an_agent().into_iter().chain(every_order()) {
        let bytes = encode(&message);
        assert_eq!(decode::<ToAgent>(&bytes).unwrap(), message);
        golden += &format!("{}\n", hex(&bytes));
    }
    for message in every_message_from_an_agent() {
        let bytes = encode(&message);
        assert_eq!(decode::<FromAgent>(&bytes).unwrap(), message);
        golden += &format!("{}\n", hex(&bytes));
    }
    golden += &format!(
        "{}\n",
        hex(&encode(&Presence {
            session: 4,
            online: false
        }))
    );
    expect_test::expect_file!["golden-v1.hex"].assert_eq(&golden);
}

#[test]
fn a_payload_that_is_cut_lengthened_or_foreign_is_refused() {
    let whole = encode(&every_message_to_an_agent()[0]);
    for cut in 0..whole.len() {
        assert!(decode::<ToAgent>(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(decode::<ToAgent>(&longer), Err(WireError::Trailing(1))));
    assert!(matches!(
        decode::<ToAgent>(&[9, 1, 2]),
        Err(WireError::Version(9))
    ));
    assert!(matches!(
        decode::<ToAgent>(b"\x01{\"json\":1}"),
        Err(WireError::Postcard(_))
    ));
    assert!(matches!(
        decode::<ToAgent>(&vec![1; PAYLOAD_BYTES_MAX + 1]),
        Err(WireError::TooLong(_))
    ));
}

#[test]
fn a_job_travels_with_the_wanted_groups_only_and_comes_out_as_it_went_in() {
    let group = |name: &str| TaskGroup {
        name: Some(name.into()),
        count: Some(3),
        ..TaskGroup::default()
    };
    let job = Job {
        id: Some("web".into()),
        task_groups: Some(vec![group("a"), group("b")].into()),
        version: Some(4),
        ..Job::default()
    };
    let spec = JobSpec::of(&job, |name| name == "b");
    let back = spec.job().unwrap();
    assert_eq!(back.groups(), &[group("b")]);
    assert_eq!((back.key(), back.version()), (spec.key(), 4));
    assert!(spec.bytes.len() < 200, "{} bytes", spec.bytes.len());
}
