//! What a node has to have: room, which a more important job may take; a device; a volume.

use std::fs;

use anyhow::{Context as _, ensure};
use holdfast_tests::edgectl::field;
use holdfast_tests::site::{HELLO, PATIENCE, Site};
use holdfast_tests::{Agent, AgentPlan, CoordinatorPlan, Fleet, wait_for};

/// A service of one plain process with this priority, which takes so many megabytes.
fn process(id: &str, priority: u32, memory: u64) -> String {
    format!(
        r#"
job "{id}" {{
  priority = {priority}
  group "app" {{
    update {{
      min_healthy_time = "0s"
    }}
    task "sleep" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["86400"]
      }}
      kill_timeout = "1s"
      resources {{
        cpu    = 20
        memory = {memory}
      }}
    }}
  }}
}}
"#
    )
}

/// A service of one container that runs `script`; `group` and `task` say what else it needs.
fn container(id: &str, group: &str, task: &str, resources: &str, script: &str) -> String {
    format!(
        r#"
job "{id}" {{
  group "app" {{
    {group}
    update {{
      min_healthy_time = "0s"
    }}
    task "main" {{
      driver = "docker"
      config {{
        image   = "holdfast/hello:1"
        command = "sh"
        args    = ["-c", {script:?}]
      }}
      {task}
      kill_timeout = "1s"
      resources {{
        cpu    = 20
        memory = 16
        {resources}
      }}
    }}
  }}
}}
"#
    )
}

#[test]
fn a_more_important_job_takes_the_place_of_a_lesser_one_where_operators_allow_that() {
    Fleet::scenario(|fleet| {
        let site = Site::start(fleet, vec![AgentPlan::new("edge-1")])?;
        let node = site.agents[0].node(&site.coordinator)?;
        let id = node["ID"].as_str().context("a node has an id")?;
        let node = site.coordinator.read(&format!("/v1/node/{id}"))?;
        let all = node.pointer("/NodeResources/Memory/MemoryMB");
        let most = all.and_then(|it| it.as_u64()).context("it has memory")? * 2 / 3;
        site.run_job(&process("lesser", 20, most))?;
        let lesser = site.await_only_running("lesser")?;

        // Not allowed, and so it waits.
        site.submit_job(&process("greater", 90, most))?;
        let waits = site.edgectl(&["job", "status", "greater"])?;
        ensure!(
            waits.contains("Dimension \"memory\" exhausted on 1 nodes"),
            "{waits}"
        );
        site.edgectl(&["job", "stop", "-purge", "greater"])?;

        site.edgectl(&[
            "operator",
            "scheduler",
            "set-config",
            "-preempt-service-scheduler=true",
        ])?;
        let file = site.write_job(&process("greater", 90, most))?;
        let plan = site.try_edgectl(&["job", "plan", &file.to_string_lossy()])?;
        ensure!(plan.stdout.contains("Preemptions:"), "{plan:?}");
        site.run_job(&process("greater", 90, most))?;
        let greater = site.await_only_running("greater")?;
        let evicted = site.await_status("lesser", &lesser["ID"], "complete")?;
        ensure!(evicted["Desired"] == "evict", "{evicted:?}");
        let status = site.alloc_status(&lesser["ID"])?;
        let why = field(&status, "Desired Description")?;
        ensure!(
            why.starts_with(&format!("Preempted by alloc ID {}", greater["ID"])),
            "{status}"
        );
        // What gave way waits for room, and comes back when there is some.
        site.edgectl(&["job", "stop", "greater"])?;
        site.await_allocations("lesser", "the lesser job to run again", |rows| {
            rows.iter().any(|row| row["Status"] == "running")
        })?;
        Ok(())
    });
}

/// Makes a machine look as if a serial adapter were plugged in: as `/sys` tells of it, with a node in a `/dev` of its own.
const PLUG_IN: &str = r#"
set -e
mkdir -p /run/sys/ttyUSB0/device /run/dev
mount --bind /run/sys /sys/class/tty
mount -t tmpfs dev /run/dev
for node in null zero full random urandom tty fuse; do
  [ ! -e /dev/$node ] || cp -a /dev/$node /run/dev/
done
mknod /run/dev/ttyUSB0 c 1 3
ln -s /proc/self/fd /run/dev/fd
ln -s pts/ptmx /run/dev/ptmx
mkdir /run/dev/pts /run/dev/shm /run/dev/mqueue
mount --bind /dev/pts /run/dev/pts
mount -t tmpfs shm /run/dev/shm
mount --rbind /run/dev /dev
"#;

#[test]
fn a_device_that_an_agent_finds_is_given_to_one_task_and_no_other() {
    Fleet::scenario(|fleet| {
        let plan = |name: &str| AgentPlan::new(name).images(HELLO);
        let mut site = Site::start(fleet, vec![plan("edge-1")])?;
        let machine = fleet.machine("edge-2")?;
        machine.run("sh", &["-c", PLUG_IN])?;
        let agent = Agent::on(fleet, machine, site.coordinator.broker(), plan("edge-2"))?;
        agent.await_status(&site.coordinator, "ready", PATIENCE)?;
        site.agents.push(agent);

        let asks = r#"device "tty/serial/ttyUSB" {}"#;
        let script = "test -c /dev/ttyUSB0 && exec sleep 86400";
        site.run_job(&container("modem", "", "", asks, script))?;
        let first = site.await_only_running("modem")?;
        ensure!(site.index_of(&first)? == 1, "{first:?}");

        site.submit_job(&container("other", "", "", asks, script))?;
        let waits = site.edgectl(&["job", "status", "other"])?;
        ensure!(waits.contains("exhausted on 1 nodes"), "{waits}");
        site.edgectl(&["job", "stop", "modem"])?;
        let second = site.await_only_running("other")?;
        ensure!(site.index_of(&second)? == 1, "{second:?}");
        Ok(())
    });
}

/// Where the volumes of these tests lie on their machines.
const VOLUME: &str = "/run/volume";

#[test]
fn a_host_volume_is_found_by_its_name_mounted_and_protected() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![AgentPlan::new("edge-1").images(HELLO)])?;
        let machine = fleet.machine("edge-2")?;
        fs::create_dir(machine.host_path(VOLUME))?;
        fs::write(machine.host_path(&format!("{VOLUME}/given")), "here\n")?;
        let plan = AgentPlan::new("edge-2")
            .images(HELLO)
            .flag(format!("--host-volume=data={VOLUME}"))
            .flag(format!("--host-volume=facts={VOLUME}:ro"));
        let agent = Agent::on(fleet, machine, site.coordinator.broker(), plan)?;
        agent.await_status(&site.coordinator, "ready", PATIENCE)?;
        site.agents.push(agent);

        let group = |source: &str, read_only: bool| {
            format!("volume \"v\" {{\n type = \"host\"\n source = {source:?}\n read_only = {read_only}\n }}")
        };
        let mount = "volume_mount {\n volume = \"v\"\n destination = \"/srv\"\n }";
        // Each file tells whether its job could write.
        let script = |name: &str| {
            format!("cat /srv/given && (echo written > /srv/{name} || true) && exec sleep 86400")
        };
        for (name, source, read_only, writes) in [
            ("open", "data", false, true),
            ("careful", "data", true, false),
            ("guarded", "facts", true, false),
        ] {
            site.run_job(&container(
                name,
                &group(source, read_only),
                mount,
                "",
                &script(name),
            ))?;
            let placed = site.await_only_running(name)?;
            ensure!(site.index_of(&placed)? == 1, "{placed:?}");
            let file = site.agents[1].machine.host_path(&format!("{VOLUME}/{name}"));
            wait_for("the volume to tell who may write", PATIENCE, || {
                let is_there = fs::read_to_string(&file).is_ok_and(|text| text == "written\n");
                ensure!(is_there == writes, "{name}: {is_there}");
                Ok(())
            })?;
        }
        // Nothing may be written to what a node offers for reading only, nor is there any other volume.
        for (name, source) in [("greedy", "facts"), ("lost", "nowhere")] {
            site.submit_job(&container(name, &group(source, false), mount, "", &script(name)))?;
            let waits = site.edgectl(&["job", "status", name])?;
            ensure!(
                waits.contains("Constraint \"missing compatible host volumes\": 2 nodes excluded by filter"),
                "{waits}"
            );
        }
        Ok(())
    });
}

#[test]
fn memory_beyond_what_is_reserved_is_there_where_operators_allow_it() {
    Fleet::scenario(|fleet| {
        let site = Site::start_with(
            fleet,
            CoordinatorPlan::default(),
            vec![AgentPlan::new("edge-1").images(HELLO)],
        )?;
        let job = |id: &str| container(id, "", "", "memory_max = 64", "exec sleep 86400");
        let limits = |id: &str| -> anyhow::Result<String> {
            let container =
                site.agents[0]
                    .machine
                    .podman(&["ps", "--quiet", "--filter", &format!("name={id}")])?;
            let format = "--format={{.HostConfig.Memory}} {{.HostConfig.MemoryReservation}}";
            let text = site.agents[0]
                .machine
                .podman(&["inspect", format, container.trim()])?;
            Ok(text.trim().to_owned())
        };
        let warned = site.run_job(&job("tight"))?;
        ensure!(
            warned.contains(
                "Memory oversubscription is not enabled; Task \"app.main\" memory_max value will be ignored."
            ),
            "{warned}"
        );
        let tight = site.await_only_running("tight")?;
        ensure!(limits(&tight["ID"])? == "16777216 0", "{}", limits(&tight["ID"])?);
        ensure!(!site.alloc_status(&tight["ID"])?.contains("(max 64 MiB)"));

        site.edgectl(&[
            "operator",
            "scheduler",
            "set-config",
            "-memory-oversubscription=true",
        ])?;
        let quiet = site.run_job(&job("loose"))?;
        ensure!(!quiet.contains("oversubscription"), "{quiet}");
        let loose = site.await_only_running("loose")?;
        ensure!(
            limits(&loose["ID"])? == "67108864 16777216",
            "{}",
            limits(&loose["ID"])?
        );
        let status = site.alloc_status(&loose["ID"])?;
        ensure!(status.contains("(max 64 MiB)"), "{status}");
        Ok(())
    });
}

#[test]
fn a_job_for_a_node_pool_that_is_not_there_is_refused() {
    Fleet::scenario(|fleet| {
        let site = Site::start(fleet, vec![AgentPlan::new("edge-1")])?;
        let text = process("web", 50, 16).replace("priority = 50", "node_pool = \"ships\"");
        let file = site.write_job(&text)?;
        let file = file.to_string_lossy();
        for verb in ["run", "plan"] {
            let refused = site.try_edgectl(&["job", verb, &file])?;
            ensure!(
                refused.code != Some(0)
                    && refused
                        .stderr
                        .contains("job \"web\" is in nonexistent node pool \"ships\""),
                "{refused:?}"
            );
        }
        let pool = site.coordinator.machine.dir().join("pool.hcl");
        fs::write(&pool, "node_pool \"ships\" {}\n")?;
        site.edgectl(&["node", "pool", "apply", &pool.to_string_lossy()])?;
        site.submit_job(&text)?;
        let waits = site.edgectl(&["job", "status", "web"])?;
        ensure!(field(&waits, "Node Pool")? == "ships", "{waits}");
        Ok(())
    });
}
