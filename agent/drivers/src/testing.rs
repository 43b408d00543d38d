//! For tests: a private podman service, and images made on the spot.
//!
//! Nothing touches the machine's own podman: storage, run directory, network configuration and socket live in one temporary
//! directory that is taken down when the service is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

const BUSYBOX: &str = "/bin/busybox";

/// A podman service of its own.
#[derive(Debug)]
pub struct PodmanService {
    dir: TempDir,
    /// The network namespace it runs in, by path.
    netns: Option<PathBuf>,
    child: Option<Child>,
}

impl PodmanService {
    /// Starts a service in the test's own network namespace.
    ///
    /// # Errors
    /// podman is not installed, or does not open its socket.
    pub fn start() -> io::Result<Self> {
        Self::start_in(None)
    }

    /// Starts a service inside the network namespace at `netns` (`/run/netns/NAME`).
    ///
    /// # Errors
    /// podman is not installed, or does not open its socket.
    pub fn start_in(netns: Option<&Path>) -> io::Result<Self> {
        let mut service = Self {
            dir: TempDir::new()?,
            netns: netns.map(Path::to_owned),
            child: None,
        };
        // Without journald, and without the right to raise limits, podman's defaults do not work in a test box.
        let conf = "[containers]\n\
                    default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
                    [engine]\n\
                    runtime = \"runc\"\n\
                    cgroup_manager = \"cgroupfs\"\n\
                    events_logger = \"file\"\n";
        fs::write(service.conf(), conf)?;
        service.restart()?;
        Ok(service)
    }

    /// The libpod socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn conf(&self) -> PathBuf {
        self.dir.path().join("containers.conf")
    }

    /// A podman command on this service's storage.
    pub fn command(&self) -> Command {
        let mut command = match &self.netns {
            Some(path) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", path.display())).arg("podman");
                command
            }
            None => Command::new("podman"),
        };
        let dir = |name: &str| self.dir.path().join(name);
        command
            .env("CONTAINERS_CONF", self.conf())
            .env("TMPDIR", self.dir.path())
            .args([
                "--root".into(),
                dir("root"),
                "--runroot".into(),
                dir("run"),
                "--tmpdir".into(),
                dir("tmp"),
                "--network-config-dir".into(),
                dir("net"),
            ])
            .stdin(Stdio::null());
        command
    }

    /// Runs podman with these arguments to its end.
    ///
    /// # Errors
    /// It cannot be run, or it fails; its own message is in the error.
    pub fn podman(&self, args: &[&str]) -> io::Result<String> {
        run(self.command().args(args))
    }

    /// Kills the service as a crash would; containers live on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both only fail when it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(self.socket());
    }

    /// Stops or continues the service's process: a stopped one accepts connections and never answers.
    pub fn freeze(&self, frozen: bool) {
        let Some(child) = &self.child else { return };
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        let _ = rustix::process::kill_process(Pid::from_child(child), signal);
        // A thread that is in the kernel stops a moment later.
        let deadline = Instant::now() + Duration::from_secs(5);
        while frozen && !all_threads_stopped(child.id()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Starts the service anew.
    ///
    /// # Errors
    /// podman is not installed, or does not open its socket within ten seconds.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let log = fs::File::create(self.dir.path().join("service.log"))?;
        let address = format!("unix://{}", self.socket().display());
        let mut command = self.command();
        command.args(["system", "service", "--time=0", &address]);
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn()?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.path().join("service.log"))?;
                return Err(io::Error::other(format!("podman opens no socket: {log}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Makes an image.
    ///
    /// # Errors
    /// busybox or tar is missing, or podman refuses.
    pub fn import(&self, image: &Image) -> io::Result<()> {
        let archive = self.dir.path().join("image.tar");
        image.archive(&archive)?;
        let mut args = vec!["import".to_owned()];
        for change in &image.changes {
            args.extend(["--change".to_owned(), change.clone()]);
        }
        args.extend([archive.display().to_string(), image.name.clone()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.podman(&args)?;
        fs::remove_file(archive)
    }
}

impl Drop for PodmanService {
    fn drop(&mut self) {
        self.freeze(false);
        // Best effort: a failed test must still show its own failure.
        let _ = self.podman(&["pod", "rm", "--all", "--force", "--time", "0"]);
        let _ = self.podman(&["rm", "--all", "--force", "--time", "0"]);
        self.kill();
        let storage = self.dir.path().join("root/overlay");
        let _ = Command::new("umount")
            .arg(&storage)
            .stderr(Stdio::null())
            .status();
    }
}

fn all_threads_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let stopped = |stat: String| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'));
    threads
        .map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default())
        .all(stopped)
}

/// A network namespace of its own, with loopback up and nothing else.
#[derive(Debug)]
pub struct NetworkNamespace(String);

impl NetworkNamespace {
    /// Makes one with a name that nobody else uses.
    ///
    /// # Errors
    /// `ip` is missing, or this is not root.
    pub fn new() -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("hfd-{}-{number}", std::process::id()));
        run(Command::new("ip").args(["netns", "add", &namespace.0]))?;
        run(namespace.command("ip").args(["link", "set", "lo", "up"]))?;
        Ok(namespace)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.0)
    }

    /// A command that runs inside. (`ip netns exec` would remount control groups and break podman.)
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg(program);
        command
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        // Best effort, as with the service.
        let _ = run(Command::new("ip").args(["netns", "delete", &self.0]));
    }
}

fn run(command: &mut Command) -> io::Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output()?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).trim().to_owned());
    }
    Err(io::Error::other(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&stderr).trim()
    )))
}

/// An image to make: a root file system of busybox and a few files.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    files: Vec<(String, Vec<u8>, bool)>,
    changes: Vec<String>,
}

impl Image {
    /// A root file system with busybox and all its applets.
    pub fn busybox(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files
            .push((path.to_owned(), content.as_ref().to_owned(), false));
        self
    }

    /// Adds an executable shell script.
    #[must_use]
    pub fn script(mut self, path: &str, body: &str) -> Self {
        self.files
            .push((path.to_owned(), format!("#!/bin/sh\n{body}\n").into_bytes(), true));
        self
    }

    /// The image's command.
    #[must_use]
    pub fn command(self, command: &[&str]) -> Self {
        self.change("CMD", command)
    }

    /// The image's entrypoint.
    #[must_use]
    pub fn entrypoint(self, entrypoint: &[&str]) -> Self {
        self.change("ENTRYPOINT", entrypoint)
    }

    fn change(mut self, instruction: &str, words: &[&str]) -> Self {
        let words = serde_json::to_string(words).expect("strings always serialise");
        self.changes.push(format!("{instruction} {words}"));
        self
    }

    /// Writes the root file system as a tar archive.
    fn archive(&self, archive: &Path) -> io::Result<()> {
        let staging = TempDir::new()?;
        let root = staging.path();
        for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "var"] {
            fs::create_dir(root.join(dir))?;
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        )?;
        fs::write(root.join("etc/group"), "root:x:0:\nnobody:x:65534:\n")?;
        fs::copy(BUSYBOX, root.join("bin/busybox"))
            .map_err(|error| io::Error::other(format!("{BUSYBOX}: {error}; install busybox-static")))?;
        let applets = Command::new(BUSYBOX).arg("--list").output()?.stdout;
        for applet in String::from_utf8_lossy(&applets)
            .lines()
            .filter(|applet| *applet != "busybox")
        {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
        }
        for (path, content, executable) in &self.files {
            let path = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(&path, content)?;
            if *executable {
                fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            }
        }
        run(Command::new("tar")
            .arg("-C")
            .arg(root)
            .arg("-cf")
            .arg(archive)
            .arg("."))
        .map(drop)
    }
}
