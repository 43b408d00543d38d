//! `cargo xtask demo`: a coordinator and three nodes on this computer, a node that goes away and comes back, and a
//! power cut that nobody outside is told about.
//!
//! Owns the story and its checks. The fleet itself is the one of the end-to-end tests.

mod keep;
mod story;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::repository::{as_root, cargo, is_root, run};
use crate::setup;
use story::Story;

/// How it is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave the fleet up for playing, and print how to reach it
    #[arg(long)]
    keep: bool,
    /// End a fleet that was kept
    #[arg(long, conflicts_with = "keep")]
    stop: bool,
}

/// Runs the subcommand.
pub(crate) fn run_demo(options: &Options) -> anyhow::Result<ExitCode> {
    if options.stop {
        keep::stop()?;
        return Ok(ExitCode::SUCCESS);
    }
    if !is_root() && std::env::var_os("HOLDFAST_DEMO_AS_ROOT").is_none() {
        return as_root_again(options);
    }
    if is_root() && std::env::var_os("HOLDFAST_DEMO_AS_ROOT").is_none() {
        prepare()?;
    }
    let mut story = Story::begin()?;
    let told = story.tell();
    if let Err(error) = told {
        eprintln!("{}", story.logs());
        return Err(error.context("the demo failed; the logs of every process are above"));
    }
    story.summarise();
    if options.keep {
        keep::keep(story)?;
    } else {
        story.end()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs and builds what the story needs.
fn prepare() -> anyhow::Result<()> {
    setup::run_quietly()?;
    println!("building (the first time takes a few minutes)");
    run(cargo().args(["build", "--quiet", "--workspace", "--bins"]))
}

/// Namespaces need root: builds as the user, then starts this program once more through sudo.
fn as_root_again(options: &Options) -> anyhow::Result<ExitCode> {
    prepare()?;
    let own = std::env::current_exe().context("this program has a path")?;
    let mut command = as_root(&own.to_string_lossy());
    command.env("HOLDFAST_DEMO_AS_ROOT", "1").arg("demo");
    if options.keep {
        command.arg("--keep");
    }
    let status = command.status().context("cannot start sudo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
