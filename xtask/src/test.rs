//! `cargo xtask test`: sets up, builds and runs every test.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::repository::{cargo, is_root, run};
use crate::setup;

/// What is passed on.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Arguments for `cargo test`, such as the name of a test
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the subcommand.
pub(crate) fn run_tests(options: &Options) -> anyhow::Result<ExitCode> {
    setup::run_quietly()?;
    // The end-to-end tests start the binaries; `--all-targets` gives them the same features as the tests have, so
    // that nothing is compiled twice.
    run(cargo().args(["build", "--workspace", "--all-targets"]))?;
    // One run tells everything that is broken, not the first of it.
    let mut tests = cargo();
    tests
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(&options.arguments);
    if !is_root() {
        // Namespaces and containers need root; compiling does not.
        let runner = format!("CARGO_TARGET_{}_RUNNER", host()?.to_uppercase().replace('-', "_"));
        tests.env(runner, "sudo --preserve-env");
    }
    run(&mut tests)?;
    Ok(ExitCode::SUCCESS)
}

/// The triple that cargo builds for when nobody says otherwise.
fn host() -> anyhow::Result<String> {
    let output = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}
