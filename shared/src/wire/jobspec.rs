//! Job specifications on the wire: JSON without nulls, compressed when that is smaller.

use super::WireError;
use super::v1::JobSpec;
use crate::id::JobKey;
use crate::model::Job;

/// The largest specification that is decompressed.
const JOB_BYTES_MAX: usize = 16 * 1024 * 1024;

impl JobSpec {
    /// `job`, reduced to the groups that `wanted` accepts.
    pub fn of(job: &Job, wanted: impl Fn(&str) -> bool) -> Self {
        let mut reduced = job.clone();
        if job.task_groups.is_some() {
            let kept = job.groups().iter().filter(|group| wanted(group.name()));
            reduced.task_groups = Some(kept.cloned().collect());
        }
        let json = serde_json::to_vec(&reduced).expect("a job is plain data");
        let json = without_nulls(&json);
        let deflated = miniz_oxide::deflate::compress_to_vec(&json, 6);
        let compressed = deflated.len() < json.len();
        let key = job.key();
        Self {
            namespace: key.namespace.to_string(),
            job: key.id.to_string(),
            version: job.version(),
            create_index: job.create_index(),
            compressed,
            bytes: if compressed { deflated } else { json },
        }
    }

    /// The job it belongs to.
    pub fn key(&self) -> JobKey {
        JobKey::new(self.namespace.clone(), self.job.clone())
    }

    /// The job in it.
    ///
    /// # Errors
    /// When it does not decompress, or is no JSON of a job.
    pub fn job(&self) -> Result<Job, WireError> {
        if !self.compressed {
            return Ok(serde_json::from_slice(&self.bytes)?);
        }
        let json = miniz_oxide::inflate::decompress_to_vec_with_limit(&self.bytes, JOB_BYTES_MAX)
            .map_err(|_| WireError::Compression)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

/// `json`, which has no blanks, without the nulls of its objects: a missing field means the same, and the bytes are saved.
fn without_nulls(json: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(json.len());
    let (mut at, mut key) = (0, 0);
    while at < json.len() {
        // Only behind a key, as strings are taken whole.
        if json[at..].starts_with(b":null") {
            kept.truncate(key);
            at += b":null".len();
            if json[at] == b',' {
                at += 1;
            } else if kept.ends_with(b",") {
                kept.pop();
            }
            continue;
        }
        let end = if json[at] == b'"' {
            key = kept.len();
            end_of_string(json, at)
        } else {
            at + 1
        };
        kept.extend_from_slice(&json[at..end]);
        at = end;
    }
    kept
}

/// Where the string ends that begins at `at`.
fn end_of_string(json: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while json[end] != b'"' {
        end += if json[end] == b'\\' { 2 } else { 1 };
    }
    end + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::without_nulls;

    fn any_json() -> impl Strategy<Value = Value> {
        let text = r#"[a,:{}\[\]"\\n]{0,6}|null|:null,"#;
        let leaf = prop_oneof![
            3 => Just(Value::Null),
            1 => any::<i32>().prop_map(Value::from),
            1 => text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                3 => prop::collection::btree_map(text, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }

    #[test]
    fn nulls_of_objects_go_and_those_of_lists_and_strings_stay() {
        let before = json!({"a": null, "b": [null, {"c": null}], "d": "x\":null,", "e": {"f": 1, "g": null}});
        let after = without_nulls(before.to_string().as_bytes());
        let expected = r#"{"b":[null,{}],"d":"x\":null,","e":{"f":1}}"#;
        assert_eq!(String::from_utf8(after).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn whatever_the_json_is_only_the_nulls_of_its_objects_are_missing(mut value in any_json()) {
            let kept = without_nulls(value.to_string().as_bytes());
            strip(&mut value);
            prop_assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), value);
        }
    }
}
