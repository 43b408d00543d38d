//! The disk that the agent's directory lies on.

use std::fs;
use std::path::Path;

use super::Findings;

/// Free space is measured once: a number that changes all the time would be news all the time.
pub(super) fn probe(found: &mut Findings, dir: &Path) {
    if let Ok(disk) = rustix::fs::statvfs(dir) {
        let total = disk.f_blocks * disk.f_frsize;
        found.set("unique.storage.bytestotal", total.to_string());
        found.set(
            "unique.storage.bytesfree",
            (disk.f_bavail * disk.f_frsize).to_string(),
        );
        found.resources.disk_mb = total / (1024 * 1024);
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.set("unique.storage.volume", volume(&mounts, dir).unwrap_or_default());
}

/// The device of the innermost mount that `dir` lies in.
fn volume<'m>(mounts: &'m str, dir: &Path) -> Option<&'m str> {
    let mount = |line: &'m str| {
        let (place, rest) = line.split_once(" - ")?;
        Some((Path::new(place.split(' ').nth(4)?), rest.split(' ').nth(1)?))
    };
    let around = mounts
        .lines()
        .filter_map(mount)
        .filter(|(at, _)| dir.starts_with(at));
    around
        .max_by_key(|(at, _)| at.components().count())
        .map(|(_, device)| device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts =
            "27 1 254:0 / / rw - ext4 /dev/vda rw\n30 27 254:1 / /var/lib rw shared:1 - xfs /dev/vdb rw\n";
        for (dir, device) in [
            ("/var/lib/holdfast", "/dev/vdb"),
            ("/var/library", "/dev/vda"),
            ("/", "/dev/vda"),
        ] {
            assert_eq!(volume(mounts, Path::new(dir)), Some(device), "{dir}");
        }
    }
}
