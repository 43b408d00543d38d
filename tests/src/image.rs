//! Stand-ins for real container images: they answer HTTP with their environment, on the port the real one uses.
//!
//! All are one busybox root file system, made on this computer without asking a registry; they differ in where they
//! learn their port from, which is exactly what the job files must get across (environment, templates, mounts).

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context as _;

use crate::init::run;

/// A stand-in image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Full name with tag, under which the image is stored.
    pub name: &'static str,
    /// Shell expression, evaluated inside of the container, that prints the port to listen on.
    pub port: &'static str,
}

/// The images of the edge-services document, and one that listens where its environment variable `PORT` says.
pub const STAND_IN_IMAGES: [Image; 7] = [
    Image {
        name: "docker.io/hashicorpdemoapp/product-api-db:v0.0.20",
        port: "echo 5432",
    },
    Image {
        name: "docker.io/hashicorpdemoapp/product-api:v0.0.21",
        port: "echo ${BIND_ADDRESS##*:}",
    },
    Image {
        name: "docker.io/hashicorpdemoapp/payments:v0.0.12",
        port: "sed -n s/^server.port=//p /application.properties",
    },
    Image {
        name: "docker.io/hashicorpdemoapp/public-api:v0.0.6",
        port: "echo ${BIND_ADDRESS##*:}",
    },
    Image {
        name: "docker.io/hashicorpdemoapp/frontend:v1.0.3",
        port: "echo $PORT",
    },
    Image {
        name: "docker.io/library/nginx:alpine",
        port: "sed -n 's/^ *listen \\([0-9]*\\);/\\1/p' /etc/nginx/conf.d/default.conf",
    },
    Image {
        name: "docker.io/holdfast/hello:1",
        port: "echo $PORT",
    },
];

/// What busybox is called inside of the image.
const APPLETS: [&str; 9] = [
    "sh", "httpd", "env", "sort", "sed", "sleep", "cat", "kill", "echo",
];

/// Packs the root file system that all stand-in images share, and returns the archive.
///
/// # Errors
/// When busybox is not installed, or the folder cannot be written.
pub(crate) fn pack_root(dir: &Path) -> anyhow::Result<PathBuf> {
    let root = dir.join("image");
    let bin = root.join("bin");
    let cgi = root.join("www/cgi-bin");
    for dir in [&bin, &cgi, &root.join("etc"), &root.join("tmp")] {
        fs::create_dir_all(dir)?;
    }
    fs::copy(busybox()?, bin.join("busybox"))?;
    for applet in APPLETS {
        symlink("busybox", bin.join(applet))?;
    }
    write_script(&bin.join("serve"), include_str!("scripts/serve.sh"))?;
    write_script(&cgi.join("index.cgi"), include_str!("scripts/index.cgi"))?;
    let archive = dir.join("image.tar");
    run(Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(&root)
        .arg("."))?;
    Ok(archive)
}

fn busybox() -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/bin".into(), "/usr/bin".into()])
        .map(|dir| dir.join("busybox"))
        .find(|file| file.exists())
        .context("busybox is not installed: run `cargo xtask setup`")
}

fn write_script(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
