//! The podman service of one machine: storage of its own, reached over its usual socket path.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, ensure};

use crate::image::Image;
use crate::wait::wait_for;

/// Where podman listens on every machine, as on a real one.
pub(crate) const SOCKET: &str = "/run/podman/podman.sock";

/// How long the service may take to answer for the first time.
const START: Duration = Duration::from_secs(20);

/// Magic number of an overlay file system (`statfs(2)`).
const OVERLAYFS: u64 = 0x794c_7630;

/// Where one machine's podman keeps what it stores.
#[derive(Debug)]
pub(crate) struct Storage {
    dir: PathBuf,
    driver: &'static str,
}

impl Storage {
    /// Makes the folder and podman's configuration in it.
    pub(crate) fn create(dir: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(dir.join("networks"))?;
        // Overlay on overlay is refused by the kernel: there the slow but simple driver has to do.
        let on_overlay = u64::try_from(rustix::fs::statfs(&dir)?.f_type).is_ok_and(|kind| kind == OVERLAYFS);
        let driver = if on_overlay { "vfs" } else { "overlay" };
        let runtime = if Path::new("/usr/sbin/runc").exists() {
            "runc"
        } else {
            "crun"
        };
        fs::write(
            dir.join("containers.conf"),
            format!(
                "[engine]\nruntime = \"{runtime}\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                 [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n"
            ),
        )?;
        fs::write(
            dir.join("registries.conf"),
            "unqualified-search-registries = [\"docker.io\"]\n",
        )?;
        Ok(Self { dir, driver })
    }

    /// Adds the options and environment with which every podman command of this machine runs.
    pub(crate) fn configure(&self, command: &mut Command) {
        command
            .env("CONTAINERS_CONF", self.dir.join("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.dir.join("registries.conf"))
            .arg("--root")
            .arg(self.dir.join("root"))
            .args(["--runroot", "/run/containers/storage", "--tmpdir", "/run/libpod"])
            .arg("--network-config-dir")
            .arg(self.dir.join("networks"))
            .args(["--storage-driver", self.driver]);
    }
}

/// Waits until the service behind `socket` answers.
pub(crate) fn await_service(socket: &Path) -> anyhow::Result<()> {
    wait_for("the podman service", START, || {
        request(socket, "GET", "/_ping", &[]).map(drop)
    })
}

/// Stores `image`, made of the root file system in `archive`, through the API behind `socket`.
pub(crate) fn import(socket: &Path, archive: &Path, image: Image) -> anyhow::Result<()> {
    let mut root = Vec::new();
    File::open(archive)?.read_to_end(&mut root)?;
    let command = serde_json::json!(["/bin/serve", image.port]);
    let path = format!(
        "/v4.0.0/libpod/images/import?reference={}&changes={}",
        escape(image.name),
        escape(&format!("CMD {command}"))
    );
    request(socket, "POST", &path, &root).with_context(|| format!("cannot store image {}", image.name))?;
    Ok(())
}

/// One HTTP exchange over a unix socket; returns the body.
pub(crate) fn request(socket: &Path, method: &str, path: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: podman\r\nConnection: close\r\n\
         Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or("?");
    ensure!(
        status.starts_with('2'),
        "{method} {path}: status {status}: {}",
        body.trim()
    );
    Ok(body.to_owned())
}

/// Percent-encodes everything that is not plainly allowed in a query.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The podman command, wherever it is installed.
///
/// # Errors
/// When it is not installed.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/bin".into()])
        .map(|dir| dir.join("podman"))
        .find(|file| file.exists())
        .context("podman is not installed: run `cargo xtask setup`")
}
