//! Job specifications on the wire: JSON without nulls, compressed when that is smaller.

use serde_json::Value;

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
        let mut value = serde_json::to_value(&reduced).expect("a job is plain data");
        strip_nulls(&mut value);
        let json = value.to_string().into_bytes();
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

/// Removes every null of every object: a missing field means the same, and the bytes are saved.
pub(super) fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
