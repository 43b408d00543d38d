//! Kernel, distribution, host name, signals.

use std::fs;
use std::path::Path;

use super::Findings;

/// Signals that tasks may be sent.
const SIGNALS: &str = "SIGABRT,SIGALRM,SIGBUS,SIGCHLD,SIGCONT,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGIO,SIGKILL,SIGPIPE,SIGPROF,\
                       SIGPWR,SIGQUIT,SIGSEGV,SIGSTOP,SIGSYS,SIGTERM,SIGTRAP,SIGTSTP,SIGTTIN,SIGTTOU,SIGURG,SIGUSR1,\
                       SIGUSR2,SIGVTALRM,SIGWINCH,SIGXCPU,SIGXFSZ";

pub(super) fn probe(found: &mut Findings) {
    let names = rustix::system::uname();
    let machine = names.machine().to_string_lossy();
    found.set("kernel.name", names.sysname().to_string_lossy().to_lowercase());
    found.set("kernel.version", names.release().to_string_lossy());
    found.set("kernel.arch", machine.clone());
    found.set("cpu.arch", architecture(&machine));
    found.set("unique.hostname", names.nodename().to_string_lossy());
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = fs::read_to_string("/etc/debian_version").unwrap_or_default();
    let (name, version) = distribution(&release, &debian);
    found.set("os.name", name);
    found.set("os.version", version);
    found.set("os.signals", SIGNALS);
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    found.set("os.cgroups.version", if unified { "2" } else { "1" });
}

/// Go's name of an architecture, which job files use.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        arm if arm.starts_with("arm") => "arm",
        other => other,
    }
}

/// Name and version of the distribution; Debian keeps its minor version elsewhere.
fn distribution(release: &str, debian: &str) -> (String, String) {
    let value = |name: &str| {
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let (name, version) = (value("ID"), value("VERSION_ID"));
    let minor = debian.trim();
    if name == "debian" && minor.starts_with(&version) {
        (name, minor.to_owned())
    } else {
        (name, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_have_the_names_of_job_files() {
        for (machine, name) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("armv7l", "arm"),
            ("armv6l", "arm"),
            ("riscv64", "riscv64"),
        ] {
            assert_eq!(architecture(machine), name);
        }
    }

    #[test]
    fn distributions_tell_name_and_version() {
        let debian = "PRETTY_NAME=\"x\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(distribution(debian, "12.11\n"), ("debian".into(), "12.11".into()));
        assert_eq!(
            distribution("ID=alpine\nVERSION_ID=3.20.1\n", ""),
            ("alpine".into(), "3.20.1".into())
        );
        assert_eq!(distribution("", ""), (String::new(), String::new()));
    }
}
