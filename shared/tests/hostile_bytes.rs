//! Bytes that nobody of ours wrote: no payload panics the decoder, makes it take much memory, or is half understood.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use holdfast_shared::wire::{self, FromAgent, JobSpec, PAYLOAD_BYTES_MAX, Presence, ToAgent, WireError};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every message of version 1, one per line, as it has always been.
const GOLDEN: &str = include_str!("../src/wire/golden-v1.hex");

fn golden() -> Vec<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let messages = GOLDEN
        .lines()
        .map(|line| line.as_bytes().chunks(2).map(byte).collect());
    messages.collect()
}

/// Decodes as one type; what is understood must survive being said again.
fn understood<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(payload: &[u8]) -> bool {
    let Ok(message) = wire::decode::<T>(payload) else {
        return false;
    };
    assert_eq!(wire::decode::<T>(&wire::encode(&message)).unwrap(), message);
    true
}

/// Decodes as every type that travels; answers whether any of them made sense of it.
fn anything(payload: &[u8]) -> bool {
    let to_agent = understood::<ToAgent>(payload);
    let from_agent = understood::<FromAgent>(payload);
    let presence = understood::<Presence>(payload);
    if let Ok(ToAgent::Assignments(set)) = wire::decode::<ToAgent>(payload) {
        for spec in set.jobs {
            // Whatever is in it, it is a job or an error.
            let _ = spec.job();
        }
    }
    to_agent || from_agent || presence
}

/// One way to damage a payload.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Truncate(Index),
    /// A number of elements or bytes that nobody has.
    Inflate(Index, u8),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            _ if bytes.is_empty() => {}
            Self::Flip(at, mask) => {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            Self::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(bytes.len());
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Self::Inflate(at, digits) => {
                let at = at.index(bytes.len());
                let varint = std::iter::repeat_n(0xff, usize::from(*digits)).chain([1]);
                bytes.splice(at..=at, varint);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1..=255_u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        (at(), proptest::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, more)| Damage::Insert(at, more)),
        (at(), 1..20_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        at().prop_map(Damage::Truncate),
        (at(), 1..10_u8).prop_map(|(at, digits)| Damage::Inflate(at, digits)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_a_message_or_an_error(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        is_version_1 in any::<bool>(),
    ) {
        if is_version_1 {
            bytes.insert(0, wire::VERSION);
        }
        anything(&bytes);
    }

    #[test]
    fn damaged_messages_are_a_message_or_an_error(
        which in any::<Index>(),
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        let golden = golden();
        let mut bytes = golden[which.index(golden.len())].clone();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        anything(&bytes);
    }

    #[test]
    fn a_specification_of_arbitrary_bytes_is_a_job_or_an_error(
        compressed in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let spec = JobSpec {
            namespace: String::new(),
            job: String::new(),
            version: 0,
            create_index: 0,
            compressed,
            bytes,
        };
        let _ = spec.job();
    }
}

#[test]
fn every_message_that_is_cut_or_lengthened_is_an_error() {
    let golden = golden();
    assert_eq!(golden.len(), 12, "six to agents, five from them, one presence");
    for (index, whole) in golden.iter().enumerate() {
        let fails = |bytes: &[u8]| match index {
            0..6 => wire::decode::<ToAgent>(bytes).is_err(),
            6..11 => wire::decode::<FromAgent>(bytes).is_err(),
            _ => wire::decode::<Presence>(bytes).is_err(),
        };
        assert!(!fails(whole));
        for cut in 0..whole.len() {
            assert!(fails(&whole[..cut]), "message {index} cut to {cut} bytes");
        }
        for more in [&[0][..], &[0xff], whole] {
            assert!(
                fails(&[whole, more].concat()),
                "message {index} with more behind it"
            );
        }
    }
}

/// The figure of the process called `name`, in bytes.
fn figure(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// How much memory the process had at most while `work` was done.
fn peak_during(work: impl FnOnce()) -> usize {
    // Sets the high-water mark back to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    work();
    figure("VmHWM:")
}

/// A payload whose `prefix` is followed by a length and then by one element over and over.
fn filled(prefix: &[u8], length: &[u8], element: &[u8], bytes: usize) -> Vec<u8> {
    let mut payload = [&[wire::VERSION][..], prefix, length].concat();
    payload.extend(element.iter().cycle().take(bytes));
    payload
}

/// Prefixes up to a length, each with the smallest element that it counts.
fn lists() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let held = [0, 0];
    let report = [&[1, 1, 1, 0][..], &held].concat();
    let alloc = [&[7; 16][..], &[0, 0, 0, 0]].concat();
    let one_alloc = [&report[..], &[1], &alloc].concat();
    let one_task = [&one_alloc[..], &[1], &[0; 8]].concat();
    vec![
        ("names of services", vec![3, 1], vec![0, 0]),
        ("namespaces", vec![3, 1, 0], vec![0]),
        ("a fingerprint", [&[0, 1][..], &held].concat(), vec![0]),
        ("allocations", report, [&alloc[..], &[0]].concat()),
        ("tasks", one_alloc, vec![0; 9]),
        ("events", one_task.clone(), vec![0; 7]),
        ("details", [&one_task[..], &[1], &[0; 6]].concat(), vec![0, 0]),
    ]
}

/// One test, because memory is the process's, and what it once had it may keep.
#[test]
fn memory_stays_a_small_multiple_of_the_payload_whatever_lengths_it_claims() {
    const BYTES: usize = 1024 * 1024;
    let idle = figure("VmRSS:");
    let grown = |payload: &[u8]| {
        let decode = || drop(std::hint::black_box(wire::decode::<FromAgent>(payload)));
        peak_during(decode).saturating_sub(idle)
    };
    // 2^63 elements, 2^20, and 2^16.
    let endless = [[0xff; 8].as_slice(), &[0x7f]].concat();
    let lengths = [&endless[..], &[0x80, 0x80, 0x40], &[0x80, 0x80, 0x04]];
    for (what, prefix, element) in lists() {
        for length in lengths {
            let grown = grown(&filled(&prefix, length, &element, 0));
            assert!(
                grown <= 4 * BYTES,
                "{what}: {grown} bytes for a length and nothing behind it"
            );
        }
    }
    for (what, prefix, element) in lists() {
        for length in lengths {
            let grown = grown(&filled(&prefix, length, &element, BYTES));
            println!(
                "{what}: at most {:.1} times the payload",
                grown as f64 / BYTES as f64
            );
            assert!(grown <= 64 * BYTES, "{what}: {grown} bytes");
        }
    }
}

#[test]
fn a_specification_that_inflates_without_end_is_refused() {
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![b' '; 20 * 1024 * 1024], 9);
    assert!(bomb.len() < 30_000);
    let spec = JobSpec {
        namespace: String::new(),
        job: String::new(),
        version: 0,
        create_index: 0,
        compressed: true,
        bytes: bomb,
    };
    assert!(matches!(spec.job(), Err(WireError::Compression)));
    let too_long = vec![wire::VERSION; PAYLOAD_BYTES_MAX + 1];
    assert!(matches!(
        wire::decode::<ToAgent>(&too_long),
        Err(WireError::TooLong(_))
    ));
}
