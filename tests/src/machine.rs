//! One computer of a fleet: its network, processes, mounts, control groups, disk and power switch.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use anyhow::Context as _;
use rustix::process::Signal;

use crate::cgroup::Cgroups;
use crate::fleet::Fleet;
use crate::http::{HttpResponse, http_get};
use crate::image::Image;
use crate::init::{Init, run};
use crate::podman::{self, Storage};
use crate::program::Program;

/// A running machine. What is on its disk ([`Machine::dir`]) survives a power cycle, nothing else does.
#[derive(Debug)]
pub struct Machine {
    name: String,
    address: Option<Ipv4Addr>,
    dir: PathBuf,
    cable: Mutex<Cable>,
    cgroups: Cgroups,
    // Ended before the machine: a stopped program would hold up the end of everything around it.
    podman: Option<(Storage, Program)>,
    /// None only in the middle of a power cycle.
    init: Option<Init>,
}

/// What is wrong with a machine's cable; it stays so over a power cycle.
#[derive(Debug, Clone)]
struct Cable {
    plugged: bool,
    /// Peers whose packets do not come through.
    cut: BTreeSet<Ipv4Addr>,
}

impl Machine {
    /// Sets up and powers on a machine of `fleet`; without an address it has nothing but its loopback.
    pub(crate) fn boot(fleet: &Fleet, name: &str, address: Option<Ipv4Addr>) -> anyhow::Result<Self> {
        let dir = fleet.dir().join(name);
        fs::create_dir(&dir).with_context(|| format!("a machine called {name} exists already"))?;
        let mut machine = Self {
            name: name.to_owned(),
            address,
            dir,
            cable: Mutex::new(Cable {
                plugged: true,
                cut: BTreeSet::new(),
            }),
            cgroups: Cgroups::create(&format!("{}-{name}", fleet.name()))?,
            init: None,
            podman: None,
        };
        machine.power_on(fleet)?;
        Ok(machine)
    }

    /// Name of the machine, unique in its fleet.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the fleet's switch; none when it has only its loopback.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// Its disk: a folder that is removed with the fleet.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// File that stands for its network (`nsenter --net=FILE`).
    pub fn netns(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid()))
    }

    /// Process id, on the host, of the machine's first process.
    ///
    /// # Panics
    /// When an earlier power cycle failed half-way.
    pub fn pid(&self) -> u32 {
        self.init
            .as_ref()
            .expect("a machine is on except within power_cycle")
            .pid
    }

    /// `path` of the machine as the host can open it (its `/run` is its own).
    pub fn host_path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid()))
    }

    /// A command that runs on this machine, with a clean environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("scripts/join.sh"), "sh"])
            .args(self.cgroups.entrances());
        command.args(["--", "nsenter", "--target", &self.pid().to_string()]);
        command
            .args(["--pid", "--mount", "--net", "--cgroup", "--"])
            .arg(program);
        command.env_clear().env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// As [`Machine::command`], for one that is waited for: it is ended after two minutes, so that no test hangs.
    pub fn limited_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("timeout");
        command.args(["--kill-after=5", "120"]).arg(program);
        command
    }

    /// Runs a command on this machine that has to succeed; returns what it printed.
    ///
    /// # Errors
    /// With what it wrote to standard error.
    pub fn run(&self, program: impl AsRef<OsStr>, args: &[&str]) -> anyhow::Result<String> {
        run(self.limited_command(program).args(args))
    }

    /// Starts a command that keeps running; its output goes to the log `label` of this machine.
    ///
    /// # Errors
    /// When it cannot be started, or ends at once.
    pub fn spawn(&self, label: &str, mut command: Command) -> anyhow::Result<Program> {
        let log = self.dir.join(format!("{label}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Program::start(command, format!("{label} on {}", self.name), log)
    }

    /// Starts the podman service and stores `images` in it.
    ///
    /// # Errors
    /// When podman is not installed, or does not come up.
    pub fn start_podman(&mut self, fleet: &Fleet, images: &[Image]) -> anyhow::Result<()> {
        let storage = Storage::create(self.dir.join("podman"))?;
        let service = self.podman_service(&storage)?;
        let service_log = service.log().to_owned();
        self.podman = Some((storage, service));
        let archive = fleet.image_root()?;
        for image in images {
            podman::import(&self.podman_socket(), &archive, *image)?;
        }
        // Podman logs each import at length; what is of interest comes later.
        File::create(service_log)?;
        Ok(())
    }

    /// Ends the podman service with a signal, as if it had crashed; its containers go on.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_podman(&mut self) -> anyhow::Result<()> {
        let (_, service) = self
            .podman
            .as_mut()
            .context("this machine has no podman service")?;
        service.kill(Signal::KILL)
    }

    /// Sends the podman service a signal: [`Signal::STOP`] makes it hang, [`Signal::CONT`] lets it go on.
    ///
    /// # Errors
    /// When there is none.
    pub fn signal_podman(&mut self, signal: Signal) -> anyhow::Result<()> {
        let (_, service) = self
            .podman
            .as_mut()
            .context("this machine has no podman service")?;
        service.signal(signal)
    }

    /// Starts the podman service again after [`Machine::kill_podman`].
    ///
    /// # Errors
    /// When this machine never had one, or it does not come up.
    pub fn restart_podman(&mut self) -> anyhow::Result<()> {
        let (storage, _) = self
            .podman
            .take()
            .context("this machine never had a podman service")?;
        let service = self.podman_service(&storage)?;
        self.podman = Some((storage, service));
        Ok(())
    }

    /// Runs a podman command on this machine; returns what it printed.
    ///
    /// # Errors
    /// When this machine has no podman, or the command fails.
    pub fn podman(&self, args: &[&str]) -> anyhow::Result<String> {
        let (storage, _) = self
            .podman
            .as_ref()
            .context("this machine has no podman service")?;
        self.run_podman(storage, args)
    }

    /// Asks podman's service: `path` below its own API, and a body of JSON. Returns the body of the answer.
    ///
    /// # Errors
    /// When it cannot be asked, or refuses.
    pub fn libpod(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let path = format!("/v4.0.0/libpod{path}");
        podman::request(&self.podman_socket(), method, &path, body.as_bytes())
    }

    /// Process id of podman's service, on the host.
    pub fn podman_process_id(&self) -> Option<u32> {
        self.podman.as_ref().map(|(_, service)| service.pid())
    }

    /// Names of the running containers.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub fn containers(&self) -> anyhow::Result<Vec<String>> {
        let names = self.podman(&["ps", "--format", "{{.Names}}"])?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Cuts the power, removes every container from the disk as well, and powers the machine on again: only the disk
    /// and the network are as before. Whatever ran has to be started again by whoever called.
    ///
    /// # Errors
    /// When the machine does not come up again.
    pub fn power_cycle(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        self.init.take().context("the machine is off")?.kill()?;
        self.power_on(fleet)?;
        if let Some((storage, mut service)) = self.podman.take() {
            service.wait()?;
            self.run_podman(&storage, &["rm", "--all", "--force"])?;
            let service = self.podman_service(&storage)?;
            self.podman = Some((storage, service));
        }
        Ok(())
    }

    /// Drops every packet that comes in from `peer`, as the edge-services document does.
    ///
    /// # Errors
    /// When the peer has no address.
    pub fn cut(&self, peer: &Self) -> anyhow::Result<()> {
        let peer = peer
            .address
            .with_context(|| format!("{} has no address", peer.name))?;
        self.cable().cut.insert(peer);
        self.firewall("-I", peer)
    }

    /// Accepts packets from `peer` again.
    ///
    /// # Errors
    /// When they were not being dropped.
    pub fn heal(&self, peer: &Self) -> anyhow::Result<()> {
        let peer = peer
            .address
            .with_context(|| format!("{} has no address", peer.name))?;
        self.cable().cut.remove(&peer);
        self.firewall("-D", peer)
    }

    /// Pulls the network cable: nothing but loopback is left.
    ///
    /// # Errors
    /// When the machine has none.
    pub fn unplug(&self) -> anyhow::Result<()> {
        self.cable().plugged = false;
        self.run("ip", &["address", "flush", "dev", "eth0"])?;
        self.run("ip", &["link", "set", "eth0", "down"])?;
        Ok(())
    }

    /// Puts the cable back in.
    ///
    /// # Errors
    /// When the machine has none.
    pub fn plug(&self) -> anyhow::Result<()> {
        let address = self
            .address
            .with_context(|| format!("{} has no cable", self.name))?;
        self.cable().plugged = true;
        self.run("ip", &["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        self.run("ip", &["link", "set", "eth0", "up"])?;
        Ok(())
    }

    /// Asks `http://ADDRESS/PATH` from this machine.
    ///
    /// # Errors
    /// When the server cannot be reached or does not speak HTTP.
    pub fn http_get(&self, address: SocketAddr, path: &str) -> anyhow::Result<HttpResponse> {
        http_get(&self.netns(), address, path)
    }

    /// Everything but the disk is new: processes, mounts, `/run`, and the network with its firewall.
    fn power_on(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        let prefix = self
            .address
            .map(|address| format!("{address}/24"))
            .unwrap_or_default();
        run(&mut fleet
            .init()
            .shell(include_str!("scripts/plug.sh"), &[&self.name, &prefix]))?;
        let fleet = fleet.init().pid.to_string();
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("scripts/join.sh"), "sh"])
            .args(self.cgroups.entrances());
        command.args(["--", "nsenter", "--target", &fleet, "--pid", "--mount"]);
        command.arg(format!("--net=/proc/{fleet}/root/run/netns/{}", self.name));
        command.args([
            "--",
            "unshare",
            "--mount",
            "--pid",
            "--cgroup",
            "--fork",
            "--kill-child",
        ]);
        command.args(["sh", "-c", include_str!("scripts/machine_init.sh")]);
        let init = Init::start(&mut command).with_context(|| format!("cannot power on {}", self.name))?;
        self.init = Some(init);
        self.cgroups.settle()?;
        let cable = self.cable().clone();
        if !cable.plugged {
            self.unplug()?;
        }
        cable
            .cut
            .into_iter()
            .try_for_each(|peer| self.firewall("-I", peer))
    }

    fn firewall(&self, action: &str, peer: Ipv4Addr) -> anyhow::Result<()> {
        self.run(
            "iptables",
            &["-w", action, "INPUT", "-s", &peer.to_string(), "-j", "DROP"],
        )?;
        Ok(())
    }

    fn cable(&self) -> MutexGuard<'_, Cable> {
        self.cable.lock().expect("nobody panics while holding it")
    }

    fn podman_socket(&self) -> PathBuf {
        self.host_path(podman::SOCKET)
    }

    /// Runs podman itself, beside its service.
    fn run_podman(&self, storage: &Storage, args: &[&str]) -> anyhow::Result<String> {
        let mut command = self.limited_command(podman::program()?);
        storage.configure(&mut command);
        run(command.args(args))
    }

    fn podman_service(&self, storage: &Storage) -> anyhow::Result<Program> {
        let mut command = self.command(podman::program()?);
        storage.configure(&mut command);
        command.args([
            "system",
            "service",
            "--time=0",
            &format!("unix://{}", podman::SOCKET),
        ]);
        fs::create_dir_all(self.host_path("/run/podman"))?;
        let service = self.spawn("podman", command)?;
        podman::await_service(&self.podman_socket())?;
        Ok(service)
    }
}
