//! What a process costs, by the kernel's own account in `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Nanoseconds in a tick of `/proc/PID/stat`; `USER_HZ` is 100 on every Linux.
const TICK_NANOS: u64 = 10_000_000;

/// Proportional set size in bytes, from `smaps_rollup`: shared pages count by their share.
///
/// # Errors
/// When there is no such process.
pub fn pss_bytes(pid: u32) -> anyhow::Result<u64> {
    rollup(pid, "Pss:")
}

/// The part of [`pss_bytes`] that no file stands behind: it does not depend on how the program was built.
///
/// # Errors
/// When there is no such process.
pub fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    rollup(pid, "Pss_Anon:")
}

fn rollup(pid: u32, name: &str) -> anyhow::Result<u64> {
    let text = read(pid, "smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 = number(line.and_then(|rest| rest.split_whitespace().next()), name)?;
    Ok(kib * 1024)
}

/// Bytes that the process had the kernel write to a disk.
///
/// # Errors
/// When there is no such process.
pub fn written_bytes(pid: u32) -> anyhow::Result<u64> {
    let text = read(pid, "io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    number(line.map(str::trim), "write_bytes")
}

/// Bytes that a process has handed to the kernel in writes of any kind: to files, also of a file system in memory, and to
/// sockets. What a file system writes for itself, as for a new directory, is not in it.
///
/// # Errors
/// When there is no such process.
pub fn handed_bytes(pid: u32) -> anyhow::Result<u64> {
    let text = read(pid, "io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar:"));
    number(line.map(str::trim), "wchar")
}

/// Processor time of all threads of the process, by the scheduler's own account, and of its children that have ended.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += number::<u64>(text.split_whitespace().next(), "schedstat")?;
    }
    let stat = read(pid, "stat")?;
    // The name in parentheses may hold anything; fields 16 and 17 are the 14th and 15th behind it.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let children =
        number::<u64>(fields.get(13).copied(), "cutime")? + number::<u64>(fields.get(14).copied(), "cstime")?;
    Ok(Duration::from_nanos(nanos + children * TICK_NANOS))
}

/// Bytes that an interface has received and sent, headers of every layer included, in the network of `pid`.
///
/// # Errors
/// When there is no such process, or no such interface.
pub fn interface_bytes(pid: u32, interface: &str) -> anyhow::Result<u64> {
    let text = read(pid, "net/dev")?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    let fields: Vec<&str> = line
        .with_context(|| format!("no interface {interface}"))?
        .split_whitespace()
        .collect();
    Ok(number::<u64>(fields.first().copied(), "received")? + number::<u64>(fields.get(8).copied(), "sent")?)
}

/// How many files the process has open.
///
/// # Errors
/// When there is no such process.
pub fn open_files(pid: u32) -> anyhow::Result<usize> {
    let dir = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&dir)
        .with_context(|| format!("cannot read {dir}"))?
        .count())
}

/// Every process called `name` that descends from `ancestor`.
pub fn descendants(ancestor: u32, name: &str) -> Vec<u32> {
    let children =
        fs::read_to_string(format!("/proc/{ancestor}/task/{ancestor}/children")).unwrap_or_default();
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let comm = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        if comm.trim() == name {
            found.push(child);
        }
        found.extend(descendants(child, name));
    }
    found
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn number<T: std::str::FromStr>(text: Option<&str>, what: &str) -> anyhow::Result<T> {
    text.and_then(|text| text.parse().ok())
        .with_context(|| format!("no number for {what} in {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_has_all_of_it() {
        let pid = std::process::id();
        assert!(pss_bytes(pid).unwrap() > anonymous_bytes(pid).unwrap());
        assert!(open_files(pid).unwrap() >= 3);
        assert!(cpu_time(pid).unwrap() > Duration::ZERO);
        written_bytes(pid).unwrap();
        interface_bytes(pid, "lo").unwrap();
        assert!(interface_bytes(pid, "none").is_err());
    }
}
