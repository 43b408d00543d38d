//! Randomness from the operating system, read in one place.

use std::fmt::Write as _;

/// A seed for the ids of one run.
pub fn seed() -> u128 {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    u128::from_ne_bytes(bytes)
}

/// A new secret: 256 bits in hexadecimal digits.
pub fn secret() -> String {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory takes text");
        text
    })
}

/// Any number.
pub fn number() -> u32 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

/// A number from 0 to 1, for delays that must not coincide over a fleet.
pub fn jitter() -> f64 {
    f64::from(number()) / f64::from(u32::MAX)
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("every kernel that runs the agent has getrandom");
}
