//! A fleet that stays up after the demo, and its end.
//!
//! A fleet lives for as long as somebody holds its pipe: here that is a sleeping process, whose id is written down.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::wait_for;
use rustix::process::{Pid, Signal, kill_process};

use super::story::Story;
use crate::repository::root;

/// Notes about the kept fleet: the keeper's process id, then the fleet's folder.
fn notes() -> PathBuf {
    root().join(".xtask/demo")
}

/// Hands the fleet of a finished story over to a process that outlives this one.
pub(crate) fn keep(story: Story) -> anyhow::Result<()> {
    let kept = story.keep()?;
    let mut sleeper = Command::new("sleep");
    sleeper.arg("infinity").stdin(Stdio::null()).stderr(Stdio::null());
    // Nothing is ever written: the fleet lives while the pipe is open.
    sleeper.stdout(Stdio::from(kept.pipe)).process_group(0);
    let keeper = sleeper.spawn().context("cannot start the keeper of the fleet")?;
    fs::create_dir_all(root().join(".xtask"))?;
    fs::write(notes(), format!("{}\n{}\n", keeper.id(), kept.dir.display()))?;

    let shell = kept.dir.join("on");
    fs::write(&shell, &kept.shell)?;
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755))?;
    let on = shell.display();
    println!("\nThe fleet stays up. Reach it with (as root):");
    println!("  {on} coordinator edgectl job status hello");
    println!("  {on} edge-1 edgectl local status");
    println!(
        "  {on} edge-1 iptables -I INPUT -s {} -j DROP     # cut it off; -D heals it",
        kept.coordinator
    );
    println!(
        "  curl in it: {on} coordinator curl http://{}:4646/v1/nodes",
        kept.coordinator
    );
    println!("  logs: {}/*/*.log", kept.dir.display());
    println!("End it with: cargo xtask demo --stop");
    Ok(())
}

/// Ends the kept fleet.
pub(crate) fn stop() -> anyhow::Result<()> {
    let text = fs::read_to_string(notes()).context("no fleet was kept by `cargo xtask demo --keep`")?;
    let mut lines = text.lines();
    let keeper = lines
        .next()
        .and_then(|line| line.parse().ok())
        .and_then(Pid::from_raw);
    let keeper = keeper.with_context(|| format!("{} is damaged", notes().display()))?;
    let dir = PathBuf::from(lines.next().unwrap_or_default());
    fs::remove_file(notes())?;
    if !dir.exists() {
        println!("the fleet had ended already");
        return Ok(());
    }
    kill_process(keeper, Signal::KILL).context("cannot end the keeper of the fleet (are you root?)")?;
    wait_for("the fleet to be removed", Duration::from_secs(20), || {
        ensure!(!dir.exists(), "{} is still there", dir.display());
        Ok(())
    })?;
    println!("the fleet is gone");
    Ok(())
}
