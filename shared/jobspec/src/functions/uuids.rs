//! UUIDs.

use std::hash::{BuildHasher, RandomState};

use holdfast_template::digests::sha1;

use super::{Failure, Function, Kind, fixed, text};
use crate::value::Value;

pub(super) const TABLE: &[Function] = &[
    fixed("uuidv4", &[], |_, _| Ok(Value::text(random()))),
    fixed(
        "uuidv5",
        &[("namespace", Kind::Text), ("name", Kind::Text)],
        |_, args| {
            let namespace = match text(&args[0]) {
                "dns" => well_known(0x10),
                "url" => well_known(0x11),
                "oid" => well_known(0x12),
                "x500" => well_known(0x14),
                other => parse(other).ok_or_else(|| {
                    Failure::Argument(0, format!("uuidv5() doesn't support namespace {other}"))
                })?,
            };
            let mut hashed = namespace.to_vec();
            hashed.extend_from_slice(text(&args[1]).as_bytes());
            let mut bytes: [u8; 16] = sha1(&hashed)[..16].try_into().expect("16 of 20 bytes");
            mark(&mut bytes, 5);
            Ok(Value::text(print(&bytes)))
        },
    ),
];

/// The namespaces of RFC 4122 differ in one byte.
fn well_known(last: u8) -> [u8; 16] {
    [
        0x6b, 0xa7, 0xb8, last, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
    ]
}

fn mark(bytes: &mut [u8; 16], version: u8) {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
}

fn print(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn parse(text: &str) -> Option<[u8; 16]> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    if hex.len() != 32 {
        return None;
    }
    let bytes: Vec<u8> = (0..16)
        .map(|index| u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// The hasher of the standard library is seeded by the system; it is random enough for a name.
fn random() -> String {
    let mut bytes = [0; 16];
    for half in bytes.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(half.as_ptr()).to_le_bytes());
    }
    mark(&mut bytes, 4);
    print(&bytes)
}
