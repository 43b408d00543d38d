//! The processor: cores, and megahertz over all of them.

use std::fs;

use super::{Findings, field};

/// What is assumed of a core that does not tell.
const MHZ_DEFAULT: u64 = 1000;

pub(super) fn probe(found: &mut Findings) {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cores();
    let mhz = frequency(&info);
    let total = mhz * u64::from(cores);
    found.resources.cores = cores;
    found.resources.cpu_mhz = total;
    found.set("cpu.numcores", cores.to_string());
    found.set("cpu.reservablecores", cores.to_string());
    found.set("cpu.frequency", mhz.to_string());
    found.set("cpu.totalcompute", total.to_string());
    found.set(
        "cpu.modelname",
        field(&info, "model name")
            .or_else(|| field(&info, "Model"))
            .unwrap_or_default(),
    );
}

fn cores() -> u32 {
    let online = fs::read_to_string("/sys/devices/system/cpu/online")
        .ok()
        .and_then(|text| count(text.trim()));
    // The kernel's list counts cores that the agent itself may not be bound to; tasks may use them.
    online.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |count| count.get() as u32))
}

/// How many numbers a list like `0-3,6` names.
fn count(list: &str) -> Option<u32> {
    let range = |part: &str| -> Option<u32> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    list.split(',').map(range).sum()
}

/// Megahertz of one core: what it is rated at, what it reaches, what it runs at, in this order of preference.
fn frequency(info: &str) -> u64 {
    let scaling = ["base_frequency", "cpuinfo_max_freq"].iter().find_map(|name| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cpufreq/{name}")).ok()?;
        text.trim().parse::<u64>().ok().map(|kilohertz| kilohertz / 1000)
    });
    let current = || {
        field(info, "cpu MHz")
            .and_then(|text| text.parse::<f64>().ok())
            .map(|mhz| mhz as u64)
    };
    scaling
        .or_else(current)
        .filter(|mhz| *mhz > 0)
        .unwrap_or(MHZ_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_counted() {
        for (list, number) in [
            ("0-3", Some(4)),
            ("0", Some(1)),
            ("0-1,4,6-7", Some(5)),
            ("", None),
            ("3-1", None),
        ] {
            assert_eq!(count(list), number, "{list}");
        }
    }

    #[test]
    fn a_processor_that_tells_its_clock_is_believed() {
        // On a box with frequency scaling the kernel's answer comes first; both are positive.
        assert!(frequency("cpu MHz\t\t: 2700.000\n") > 0);
        assert!(frequency("") > 0);
    }
}
