//! JSON, base64 and digests.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use gotmpl::Value;
use sha2::{Digest, Sha256};

use super::{Outcome, Row, exactly, string, text_of};
use crate::digests;
use crate::json::{self, Style};
use crate::yaml::{self, Quoting};

pub(super) const TABLE: &[Row] = &[
    exactly("parseJSON", 1, |_, args| match text_of(&args[0])? {
        "" => Ok(super::map::<&str>([])),
        text => json::parse(text),
    }),
    exactly("toJSON", 1, |_, args| {
        to_json(
            &args[0],
            Style {
                indent: 0,
                escape_html: true,
            },
        )
    }),
    exactly("toJSONPretty", 1, |_, args| {
        to_json(
            &args[0],
            Style {
                indent: 2,
                escape_html: true,
            },
        )
    }),
    exactly("toUnescapedJSON", 1, |_, args| {
        to_json(
            &args[0],
            Style {
                indent: 0,
                escape_html: false,
            },
        )
    }),
    exactly("toUnescapedJSONPretty", 1, |_, args| {
        to_json(
            &args[0],
            Style {
                indent: 2,
                escape_html: false,
            },
        )
    }),
    exactly("base64Encode", 1, |_, args| {
        Ok(string(STANDARD.encode(text_of(&args[0])?)))
    }),
    exactly("base64Decode", 1, |_, args| decode(&STANDARD, text_of(&args[0])?)),
    exactly("base64URLEncode", 1, |_, args| {
        Ok(string(URL_SAFE.encode(text_of(&args[0])?)))
    }),
    exactly("base64URLDecode", 1, |_, args| {
        decode(&URL_SAFE, text_of(&args[0])?)
    }),
    exactly("parseYAML", 1, |_, args| {
        yaml::parse(text_of(&args[0])?)
            .map(json::from_yaml)
            .map_err(|error| error.to_string())
    }),
    exactly("toYAML", 1, |_, args| {
        let printed = yaml::print(&json::to_yaml(&args[0])?, Quoting::Sparing);
        Ok(string(printed.trim_end_matches('\n')))
    }),
    exactly("toTOML", 1, |_, args| super::toml::print(&args[0]).map(string)),
    exactly("md5sum", 1, |_, args| {
        Ok(string(hex(&digests::md5(text_of(&args[0])?.as_bytes()))))
    }),
    exactly("sha256Hex", 1, |_, args| {
        Ok(string(hex(&Sha256::digest(text_of(&args[0])?))))
    }),
];

fn to_json(value: &Value, style: Style) -> Outcome {
    json::print(value, style).map(string)
}

fn decode(alphabet: &impl Engine, text: &str) -> Outcome {
    let bytes = alphabet
        .decode(text)
        .map_err(|error| format!("illegal base64 data: {error}"))?;
    String::from_utf8(bytes)
        .map(string)
        .map_err(|_| "the decoded data is not text".to_owned())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
