//! The memory.

use std::fs;

use super::{Findings, field};

pub(super) fn probe(found: &mut Findings) {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = field(&info, "MemTotal").and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok());
    if let Some(kilobytes) = total {
        found.set("memory.totalbytes", (kilobytes * 1024).to_string());
        found.resources.memory_mb = kilobytes / 1024;
    }
}
