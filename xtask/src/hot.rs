//! `cargo xtask hot`: watches an agent at work, and writes down which functions it needed: `cross/lean.ld`, by which it is
//! linked so that they lie side by side.
//!
//! To be run when the agent has grown and `cargo xtask measure --only pss` says so.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::Fleet;
use rustix::process::Signal;

use crate::cross::{lean, lean_script};
use crate::measure::build::{BINARIES, TRIPLE};
use crate::measure::jobs::{PATIENCE, containers, idle, purge, running, site, submit, until};
use crate::repository::{cargo, is_root, run, target_dir};
use crate::setup;

/// What stands before the list.
const HEAD: &str = "\
/* How an agent is linked for a box. Made by `cargo xtask hot`: it costs memory, never correctness, when this file and the
   program drift apart.

   An agent aborts when it panics: nobody reads the tables for unwinding, which are a tenth of the binary. */
SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) } } INSERT AFTER .text;

/* The functions that an agent needed to start, connect, run containers, idle and end lie side by side. The kernel maps a
   program in pieces of 64 KB around what is touched: scattered over the whole of it, these would bring nearly all of it
   into memory. What changes from build to build in their names is left open. */
SECTIONS { .text.hot : {
";

/// What stands behind it.
const TAIL: &str = "} } INSERT BEFORE .text;\n";

/// How long nothing happens: longer than the pauses between two of anything that an idle agent does.
const IDLE: Duration = Duration::from_secs(150);

/// What runs the agent and tells which of its code that takes. No debugger: the agent is to be killed and waited for as ever.
const WATCHER: &str = "qemu-x86_64";

/// Fewer functions than any agent needs: the watcher saw nothing.
const LEAST: usize = 500;

/// Runs the subcommand.
pub(crate) fn run_task() -> anyhow::Result<ExitCode> {
    ensure!(is_root(), "network namespaces need root: run it through sudo");
    if std::env::var_os(BINARIES).is_some() {
        work()?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything is built: this program may be among it.
    let own = std::env::current_exe().context("this program has a path")?;
    setup::run_quietly()?;
    setup::provide(WATCHER, "qemu-user")?;
    let dir = target_dir().join("hot");
    let (watched, calls) = (dir.join("watched"), dir.join("calls"));
    for fresh in [&watched, &calls] {
        // What was there is of an earlier run.
        let _ = fs::remove_dir_all(fresh);
        fs::create_dir_all(fresh)?;
    }
    prepare(&watched, &calls)?;
    println!("watching an agent at work: some minutes");
    run(Command::new(own).arg("hot").env(BINARIES, &watched))?;

    let mut sections = BTreeSet::new();
    for entry in fs::read_dir(&calls)? {
        let text = fs::read(entry?.path())?;
        sections.extend(entered(&String::from_utf8_lossy(&text)).map(section));
    }
    let count = sections.len();
    ensure!(count > LEAST, "only {count} functions were seen");
    let list: String = sections.iter().map(|it| format!("*({it})\n")).collect();
    fs::write(lean_script(), format!("{HEAD}{list}{TAIL}"))?;
    println!("{count} functions stand in {}", lean_script().display());
    Ok(ExitCode::SUCCESS)
}

/// Builds what takes part, and fills the folder that the harness takes it from: the agent starts under a watcher, which
/// writes what was called to `calls`.
fn prepare(watched: &Path, calls: &Path) -> anyhow::Result<()> {
    let builds = target_dir();
    run(cargo().args(["build", "--quiet", "--locked", "--workspace", "--bins"]))?;
    for entry in fs::read_dir(builds.join("debug"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != "holdfast-agent" {
            symlink(entry.path(), watched.join(entry.file_name()))?;
        }
    }
    let mut command = cargo();
    command.args([
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "edge",
        "--package",
        "holdfast-agent",
    ]);
    // With names; all else as it is flashed. Not by the profile, which goes into the hashes in names: by these the compiler
    // decides which one of functions that are alike stands for all.
    let names = format!("target.{TRIPLE}.rustflags=[\"-Cstrip=none\"]");
    command.args(["--bins", "--target", TRIPLE, "--config", &names]);
    command
        .args(lean(TRIPLE)?)
        .arg("--target-dir")
        .arg(builds.join("hot"));
    run(&mut command)?;
    let agent = builds
        .join("hot")
        .join(TRIPLE)
        .join("edge")
        .join("holdfast-agent");
    let script = watched.join("holdfast-agent");
    let (agent, calls) = (agent.display(), calls.display());
    let watch = format!("{WATCHER} -cpu max -d in_asm -D $(mktemp -p {calls}) {agent}");
    fs::write(&script, format!("#!/bin/sh\nexec {watch} \"$@\"\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// What an agent does in its life.
fn work() -> anyhow::Result<()> {
    let fleet = Fleet::start()?;
    let (coordinator, mut agent) = site(&fleet)?;
    idle(IDLE);
    submit(&coordinator, &containers("ten", 10))?;
    until(
        "ten containers to run",
        || Ok(running(&coordinator, "ten")? == 10),
    )?;
    idle(IDLE);
    agent.kill(Signal::TERM)?;
    agent.restart()?;
    agent.await_status(&coordinator, "ready", PATIENCE)?;
    purge(&coordinator, &agent, "ten")?;
    agent.kill(Signal::TERM)
}

/// The functions in what qemu says of the code that it translated: `IN: name` before the instructions of each block.
fn entered(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("IN: "))
        .filter(|name| !name.is_empty())
}

/// The section that the compiler puts a function into, `.text.NAME` or `.text.unlikely.NAME`, as a pattern: the hash of a crate, references back into the name
/// (their numbers depend on the hashes' lengths) and the number of a function without a name of its own are left open.
fn section(function: &str) -> String {
    let name = match function.rsplit_once('.') {
        Some((name, number)) if number.bytes().all(|it| it.is_ascii_digit()) => format!("{name}.*"),
        _ => function.to_owned(),
    };
    if !name.starts_with("_R") {
        return format!(".text*.{name}");
    }
    let mut pattern = String::from(".text*.");
    let mut rest = name.as_str();
    while let Some(first) = rest.chars().next() {
        let mark = ["Cs", "B"].into_iter().find(|mark| rest.starts_with(mark));
        let number = mark.and_then(|mark| {
            let tail = &rest[mark.len()..];
            let end = tail.find(|it: char| !it.is_ascii_alphanumeric())?;
            (tail[end..].starts_with('_') && end <= 13).then_some((mark, &tail[end..]))
        });
        if let Some((mark, tail)) = number {
            pattern.push_str(mark);
            pattern.push('*');
            rest = tail;
        } else {
            pattern.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_leaves_open_what_changes_from_build_to_build() {
        let cases = [
            ("main", ".text*.main"),
            ("ring_core_0_17_14__x25519", ".text*.ring_core_0_17_14__x25519"),
            (
                "_RNvNtNtCsdeXkLZg1Pva_3std3sys4args",
                ".text*._RNvNtNtCs*_3std3sys4args",
            ),
            (
                "_RNvMs3_NtCs8d5_5allocNtB5_6Global18alloc_impl.2342",
                ".text*._RNvMs3_NtCs*_5allocNtB*_6Global18alloc_impl.*",
            ),
        ];
        for (function, pattern) in cases {
            assert_eq!(section(function), pattern, "{function}");
        }
    }

    #[test]
    fn every_function_that_was_entered_is_listed() {
        let text = "IN: main\n0x40: 48 89 e7  movq %rsp, %rdi\n\nIN: \n0x50: c3  retq\n\nIN: _RNv4loop\n";
        assert_eq!(entered(text).collect::<Vec<_>>(), ["main", "_RNv4loop"]);
    }
}
