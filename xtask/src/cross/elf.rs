//! The one question that is asked of a finished binary: does it run without anything else on the box?

use anyhow::{Context as _, ensure};

/// Program header type of the path of a dynamic loader.
const PT_INTERP: u64 = 3;

/// Whether an ELF binary asks for no dynamic loader.
pub(crate) fn is_static(bytes: &[u8]) -> anyhow::Result<bool> {
    ensure!(bytes.starts_with(b"\x7fELF"), "it is not an ELF binary");
    ensure!(bytes.get(5) == Some(&1), "it is not little-endian");
    // Where the table of program headers, the size of one, and their number stand; and the size of an offset.
    let (table, entry_size, count, offset_size) = if bytes.get(4) == Some(&2) {
        (0x20, 0x36, 0x38, 8)
    } else {
        (0x1c, 0x2a, 0x2c, 4)
    };
    let table = number(bytes, table, offset_size)?;
    let entry_size = number(bytes, entry_size, 2)?;
    for index in 0..number(bytes, count, 2)? {
        if number(bytes, usize::try_from(table + index * entry_size)?, 4)? == PT_INTERP {
            return Ok(false);
        }
    }
    Ok(true)
}

fn number(bytes: &[u8], start: usize, length: usize) -> anyhow::Result<u64> {
    let field = bytes
        .get(start..start + length)
        .context("the ELF header is cut short")?;
    Ok(field
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_has_a_loader() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!is_static(&own).unwrap());
    }

    #[test]
    fn a_header_without_an_interpreter_is_static() {
        let mut elf = vec![0; 0x40];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert!(is_static(&elf).unwrap());
    }

    #[test]
    fn what_is_no_binary_is_an_error() {
        assert!(is_static(b"#!/bin/sh").is_err());
        assert!(is_static(b"\x7fELF\x02\x01").is_err());
    }
}
