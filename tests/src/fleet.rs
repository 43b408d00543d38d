//! A fleet: one switch in a network of its own, the machines plugged into it, and one folder for all of them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::{env, fs, process, thread};

use anyhow::{Context as _, ensure};

use crate::image::pack_root;
use crate::init::Init;
use crate::machine::Machine;

/// Lines shown of each log when a test fails.
const LOG_TAIL: usize = 60;

/// Name of a fleet: unique on this computer while the fleet lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetName(String);

impl FleetName {
    fn next() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self(format!(
            "holdfast-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ))
    }
}

impl std::fmt::Display for FleetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A running fleet. Dropping it ends and removes everything in it.
#[derive(Debug)]
pub struct Fleet {
    name: FleetName,
    dir: PathBuf,
    init: Init,
    last_address: AtomicU8,
    image_root: Mutex<Option<PathBuf>>,
}

impl Fleet {
    /// Starts an empty fleet.
    ///
    /// # Errors
    /// When the user may not make namespaces (it takes root), or the kernel has none.
    pub fn start() -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "network namespaces need root: run `cargo xtask test`, which asks sudo for it"
        );
        let name = FleetName::next();
        let dir = env::temp_dir().join(name.to_string());
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut janitor = Command::new("sh");
        janitor.args([
            "-c",
            include_str!("scripts/fleet.sh"),
            "janitor",
            &name.to_string(),
        ]);
        janitor.arg(&dir).arg(include_str!("scripts/fleet_init.sh"));
        // A process group of its own: Ctrl-C ends the test but lets the janitor do its work.
        janitor.process_group(0);
        let init = Init::start(&mut janitor)?;
        // The first machine gets the address that ends in 10.
        Ok(Self {
            name,
            dir,
            init,
            last_address: AtomicU8::new(9),
            image_root: Mutex::new(None),
        })
    }

    /// Runs `scenario` on a new fleet and panics with the logs of every process when it fails.
    ///
    /// # Panics
    /// When the scenario or the clean-up fails.
    pub fn scenario(scenario: impl FnOnce(&Self) -> anyhow::Result<()>) {
        let fleet = Self::start().expect("a fleet can be started");
        if let Err(error) = scenario(&fleet) {
            // Dropping the fleet prints the logs.
            panic!("{error:#}");
        }
        fleet.stop().expect("the fleet is removed");
    }

    /// Name of the fleet.
    pub fn name(&self) -> &FleetName {
        &self.name
    }

    /// Folder of the fleet, with one folder for each machine; removed with the fleet.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds a machine with an address on the switch, and powers it on.
    ///
    /// # Errors
    /// When the name is taken or the machine does not come up.
    pub fn machine(&self, name: &str) -> anyhow::Result<Machine> {
        let last = self.last_address.fetch_add(1, Ordering::Relaxed) + 1;
        Machine::boot(self, name, Some(Ipv4Addr::new(10, 66, 0, last)))
    }

    /// Adds a machine that has nothing but its loopback, and powers it on.
    ///
    /// # Errors
    /// When the name is taken or the machine does not come up.
    pub fn lonely_machine(&self, name: &str) -> anyhow::Result<Machine> {
        Machine::boot(self, name, None)
    }

    /// Ends and removes everything, and says when that did not work.
    ///
    /// # Errors
    /// When the janitor failed.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let status = self.init.kill()?;
        ensure!(
            status.success(),
            "the clean-up of {} ended with {status}",
            self.name
        );
        Ok(())
    }

    /// Lets the fleet live for as long as somebody holds the returned pipe.
    ///
    /// # Errors
    /// When it was handed over before.
    pub fn hand_over(mut self) -> anyhow::Result<OwnedFd> {
        let pipe = self
            .init
            .hand_over()
            .context("the fleet was handed over before")?;
        // Its destructor would wait for the janitor, which now belongs to the holder of the pipe.
        std::mem::forget(self);
        Ok(pipe)
    }

    /// The last lines that every process of the fleet has logged.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for log in self.log_files() {
            let content = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = content.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            let shown = log.strip_prefix(&self.dir).unwrap_or(&log);
            writeln!(text, "--- {}\n{}", shown.display(), tail.join("\n"))
                .expect("a string takes everything");
        }
        text
    }

    pub(crate) fn init(&self) -> &Init {
        &self.init
    }

    /// Archive of the root file system that all stand-in images share; made when it is first needed.
    pub(crate) fn image_root(&self) -> anyhow::Result<PathBuf> {
        let mut made = self.image_root.lock().expect("nobody panics while packing");
        if let Some(archive) = &*made {
            return Ok(archive.clone());
        }
        let archive = pack_root(&self.dir)?;
        Ok(made.insert(archive).clone())
    }

    fn log_files(&self) -> Vec<PathBuf> {
        let subdirs = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut logs: Vec<PathBuf> = subdirs
            .flat_map(|machine| fs::read_dir(machine.path()).into_iter().flatten().flatten())
            .map(|file| file.path())
            .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        logs
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
