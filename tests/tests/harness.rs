//! The harness itself: machines are apart from each other, and nothing of a fleet is left when it is gone.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use holdfast_tests::{Fleet, Machine, STAND_IN_IMAGES, wait_for};

const PATIENCE: Duration = Duration::from_secs(10);

/// Every mount, control group, folder and process on this computer that mentions `name`.
fn traces_of(name: &str) -> Vec<String> {
    let mut traces: Vec<String> = fs::read_to_string("/proc/self/mounts")
        .unwrap()
        .lines()
        .filter(|line| line.contains(name))
        .map(|line| format!("mount {line}"))
        .collect();
    for dir in [Path::new("/sys/fs/cgroup"), &std::env::temp_dir()] {
        let found = Command::new("find")
            .arg(dir)
            .args(["-maxdepth", "3", "-name", &format!("{name}*")])
            .output();
        traces.extend(
            String::from_utf8_lossy(&found.unwrap().stdout)
                .lines()
                .map(str::to_owned),
        );
    }
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if command.contains(name) {
            traces.push(format!("process {}", command.replace('\0', " ")));
        }
    }
    traces
}

/// A container on the stand-in image, as an agent would start it.
fn serve(machine: &Machine, port: &str) -> anyhow::Result<()> {
    machine.podman(&[
        "run",
        "--detach",
        "--name=hello",
        &format!("--env=PORT={port}"),
        &format!("--publish={port}:{port}"),
        "--memory=64m",
        "holdfast/hello:1",
    ])?;
    Ok(())
}

fn await_answer(from: &Machine, address: SocketAddr) -> anyhow::Result<String> {
    wait_for("the container to answer", PATIENCE, || {
        Ok(from.http_get(address, "/")?.body)
    })
}

#[test]
fn a_cut_cable_silences_a_machine_but_not_the_ports_of_its_containers() {
    Fleet::scenario(|fleet| {
        let (mut near, far) = (fleet.machine("near")?, fleet.machine("far")?);
        near.start_podman(fleet, &STAND_IN_IMAGES[6..])?;
        serve(&near, "8080")?;
        let mut own = near.command("busybox");
        own.args(["httpd", "-f", "-p", "8081", "-h", "/"]);
        let _own = near.spawn("own", own)?;
        let port = |port: u16| SocketAddr::from((near.address().unwrap(), port));
        ensure!(await_answer(&far, port(8080))?.contains("PORT=8080\n"));
        await_answer(&far, port(8081))?;

        near.cut(&far)?;
        ensure!(
            far.http_get(port(8081), "/").is_err(),
            "packets came through a cut cable"
        );
        // As in the edge-services document: published ports are forwarded, not taken in, so users reach them still.
        ensure!(await_answer(&far, port(8080))?.contains("PORT=8080\n"));
        near.heal(&far)?;
        await_answer(&far, port(8081))?;
        Ok(())
    });
}

#[test]
fn a_power_cycle_ends_everything_and_keeps_the_disk() {
    Fleet::scenario(|fleet| {
        let mut machine = fleet.machine("edge")?;
        machine.start_podman(fleet, &STAND_IN_IMAGES[6..])?;
        serve(&machine, "8080")?;
        fs::write(machine.dir().join("kept"), "")?;
        let mut orphan = machine.command("sleep");
        orphan.arg("1000");
        let mut orphan = machine.spawn("orphan", orphan)?;

        machine.power_cycle(fleet)?;
        ensure!(!orphan.is_running(), "a process survived a power cut");
        ensure!(machine.containers()?.is_empty());
        ensure!(machine.dir().join("kept").exists());
        serve(&machine, "8080")?;
        await_answer(&machine, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))?;
        Ok(())
    });
}

#[test]
fn a_killed_podman_service_leaves_its_containers_running() {
    Fleet::scenario(|fleet| {
        let mut machine = fleet.machine("edge")?;
        machine.start_podman(fleet, &STAND_IN_IMAGES[6..])?;
        serve(&machine, "8080")?;
        machine.kill_podman()?;
        await_answer(&machine, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))?;
        machine.restart_podman()?;
        ensure!(machine.containers()? == ["hello"]);
        Ok(())
    });
}

#[test]
fn a_lonely_machine_has_nothing_but_its_loopback() {
    Fleet::scenario(|fleet| {
        let machine = fleet.lonely_machine("hermit")?;
        let links = machine.run("ip", &["-brief", "link"])?;
        ensure!(links.lines().count() == 1 && links.starts_with("lo "), "{links}");
        ensure!(machine.run("ip", &["route"])?.is_empty());
        Ok(())
    });
}

#[test]
fn orphans_are_reaped_as_on_a_real_machine() {
    Fleet::scenario(|fleet| {
        let machine = fleet.machine("edge")?;
        machine.run("sh", &["-c", "sh -c 'exit 0' & (sleep 0.05 &)"])?;
        wait_for("the orphans to be reaped", PATIENCE, || {
            let processes = machine.run("ps", &["-e", "-o", "args="])?;
            ensure!(
                !processes.contains("defunct") && !processes.contains("sleep 0.05"),
                "{processes}"
            );
            Ok(())
        })
    });
}

#[test]
fn nothing_is_left_of_a_fleet_whose_test_panicked() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let fleet = Fleet::start().unwrap();
        let mut machine = fleet.machine("edge").unwrap();
        machine.start_podman(&fleet, &STAND_IN_IMAGES[6..]).unwrap();
        serve(&machine, "8080").unwrap();
        sender.send(fleet.name().to_string()).unwrap();
        panic!("on purpose: the logs above belong to a test that checks the clean-up");
    });
    let name = receiver.recv().unwrap();
    assert!(panicked.join().is_err());
    assert_eq!(traces_of(&name), Vec::<String>::new());
}

#[test]
fn nothing_is_left_of_a_fleet_whose_holder_was_killed() {
    let fleet = Fleet::start().unwrap();
    let mut machine = fleet.machine("edge").unwrap();
    machine.start_podman(&fleet, &STAND_IN_IMAGES[6..]).unwrap();
    serve(&machine, "8080").unwrap();
    let name = fleet.name().to_string();
    // As when the process ends without running a single destructor: the kernel closes the pipe.
    std::mem::forget(machine);
    drop(fleet.hand_over().unwrap());
    wait_for("the janitor", PATIENCE, || {
        let traces = traces_of(&name);
        ensure!(traces.is_empty(), "{traces:?}");
        Ok(())
    })
    .unwrap();
}
