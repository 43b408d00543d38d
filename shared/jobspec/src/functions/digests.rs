//! Digests.

use holdfast_template::digests::{md5, sha1};
use sha2::{Digest, Sha256, Sha512};

use super::{Failure, Function, Kind, fixed, text};
use crate::value::Value;

const STR: (&str, Kind) = ("str", Kind::Text);

pub(super) const TABLE: &[Function] = &[
    fixed("md5", &[STR], |_, args| {
        Ok(Value::text(hex(&md5(text(&args[0]).as_bytes()))))
    }),
    fixed("sha1", &[STR], |_, args| {
        Ok(Value::text(hex(&sha1(text(&args[0]).as_bytes()))))
    }),
    fixed("sha256", &[STR], |_, args| {
        Ok(Value::text(hex(&Sha256::digest(text(&args[0])))))
    }),
    fixed("sha512", &[STR], |_, args| {
        Ok(Value::text(hex(&Sha512::digest(text(&args[0])))))
    }),
    fixed("bcrypt", &[STR], |_, _| {
        Err("bcrypt is not supported; hash the password beforehand and put it into a variable".into())
    }),
    fixed(
        "rsadecrypt",
        &[("ciphertext", Kind::Text), ("privatekey", Kind::Text)],
        |_, _| {
            Err(Failure::from(
                "rsadecrypt is not supported; decrypt the value beforehand and put it into a variable",
            ))
        },
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
