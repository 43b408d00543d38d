//! `cargo xtask setup`: installs, from the distribution, what the tests and the demo start.

use std::process::{Command, ExitCode};

use anyhow::ensure;

use crate::repository::{as_root, has_program, run};

/// A program that has to be there, and the Debian or Ubuntu package it comes in.
struct Needed {
    /// Any one of these will do.
    programs: &'static [&'static str],
    package: &'static str,
}

const fn needed(programs: &'static [&'static str], package: &'static str) -> Needed {
    Needed { programs, package }
}

const NEEDED: [Needed; 16] = [
    // Containers.
    needed(&["podman"], "podman"),
    needed(&["runc", "crun"], "runc"),
    needed(&["netavark", "cnitool"], "netavark"),
    needed(&["conmon"], "conmon"),
    // The first process of pods, and of containers with `init`.
    needed(&["catatonit"], "catatonit"),
    // Machines out of namespaces, and the cables between them.
    needed(&["unshare", "nsenter"], "util-linux"),
    needed(&["ip"], "iproute2"),
    needed(&["iptables"], "iptables"),
    needed(&["ps"], "procps"),
    // The stand-in images.
    needed(&["busybox"], "busybox-static"),
    needed(&["tar"], "tar"),
    // The external broker.
    needed(&["mosquitto"], "mosquitto"),
    // Clocks that are wrong, disks that are small, and certificates.
    needed(&["faketime"], "faketime"),
    needed(&["mkfs.ext4"], "e2fsprogs"),
    needed(&["openssl"], "openssl"),
    // ring is compiled with a C compiler.
    needed(&["cc"], "gcc"),
];

/// Installs what is missing, and says so; silent when nothing is.
pub(crate) fn run_quietly() -> anyhow::Result<()> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|one| is_missing(one))
        .map(|one| one.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        has_program("apt-get"),
        "missing: {}; this is not Debian or Ubuntu, so please install them by hand",
        missing.join(" ")
    );
    println!("installing {} (as root)", missing.join(" "));
    run(apt_get().arg("update"))?;
    run(apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing))
}

/// The subcommand.
pub(crate) fn run_task() -> anyhow::Result<ExitCode> {
    run_quietly()?;
    Ok(ExitCode::SUCCESS)
}

/// Installs `package` when no program is called `program`: for tools that only one task needs.
pub(crate) fn provide(program: &str, package: &str) -> anyhow::Result<()> {
    if has_program(program) {
        return Ok(());
    }
    println!("installing {package} (as root)");
    run(apt_get().args(["install", "--yes", "--no-install-recommends", package]))
}

fn is_missing(needed: &Needed) -> bool {
    !needed.programs.iter().any(|program| has_program(program))
}

fn apt_get() -> Command {
    let mut command = as_root("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    command
}
