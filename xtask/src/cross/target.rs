//! The descriptions in `firmware-targets/*/target.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// One kind of box.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirmwareTarget {
    /// Name of its folder.
    #[serde(skip)]
    pub(crate) name: String,
    /// What boxes it is for, in a few words.
    pub(crate) description: String,
    /// What to compile for.
    pub(crate) triple: String,
    /// Largest allowed size of each binary, in bytes.
    budget_bytes: BTreeMap<String, u64>,
}

impl FirmwareTarget {
    /// Whether an operator means this target by `name`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.triple == name
    }

    /// Largest allowed size of `binary`, in bytes.
    pub(crate) fn budget(&self, binary: &str) -> anyhow::Result<u64> {
        let budget = self.budget_bytes.get(binary);
        budget
            .copied()
            .with_context(|| format!("firmware-targets/{} has no budget for {binary}", self.name))
    }
}

/// Reads every target, in order of their names.
pub(crate) fn read_all(dir: &Path) -> anyhow::Result<Vec<FirmwareTarget>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read folder {}", dir.display()))? {
        let path = entry?.path().join("target.toml");
        if path.exists() {
            targets.push(read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
    }
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

fn read(path: &Path) -> anyhow::Result<FirmwareTarget> {
    let mut target: FirmwareTarget = toml::from_str(&fs::read_to_string(path)?)?;
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .context("it stands in a folder")?;
    target.name = folder.to_string_lossy().into_owned();
    ensure!(!target.description.is_empty(), "the description is empty");
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::root;

    #[test]
    fn every_committed_target_can_be_read_and_has_its_files() {
        let targets = read_all(&root().join("firmware-targets")).unwrap();
        let triples: Vec<&str> = targets.iter().map(|target| target.triple.as_str()).collect();
        for triple in [
            "aarch64-unknown-linux-musl",
            "armv7-unknown-linux-musleabihf",
            "x86_64-unknown-linux-musl",
        ] {
            assert!(triples.contains(&triple), "{triple} is not among {triples:?}");
        }
        for target in &targets {
            assert!(
                target.budget("holdfast-agent").is_ok() && target.budget("edgectl").is_ok(),
                "{target:?}"
            );
            assert!(
                root()
                    .join("firmware-targets")
                    .join(&target.name)
                    .join("README.md")
                    .exists(),
                "{target:?}"
            );
        }
    }

    #[test]
    fn cross_knows_every_triple() {
        let cross = fs::read_to_string(root().join("cross.toml")).unwrap();
        for target in read_all(&root().join("firmware-targets")).unwrap() {
            assert!(
                cross.contains(&format!("[target.{}]", target.triple)),
                "{}",
                target.triple
            );
        }
    }
}
