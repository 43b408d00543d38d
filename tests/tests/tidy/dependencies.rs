//! Rules about what depends on what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use super::sources::{assert_none, root};

/// Crates that decide and therefore do nothing: no runtime, clock, entropy, input, output or logger.
const CORES: [&str; 2] = ["holdfast-agent-core", "holdfast-coordinator-core"];

/// What is flashed onto a box may not grow unnoticed: crates linked into the agent.
const AGENT_CRATES_MAX: usize = 190;

/// The dependency graph of this workspace, for the computer it is developed on.
pub(crate) fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .other_options(["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned))
            .exec()
            .unwrap()
    })
}

fn package(id: &PackageId) -> &'static Package {
    metadata()
        .packages
        .iter()
        .find(|package| package.id == *id)
        .unwrap()
}

/// Everything that is linked into `name`, itself excluded.
fn linked_into(name: &str) -> BTreeSet<String> {
    let start = metadata()
        .workspace_packages()
        .into_iter()
        .find(|package| *package.name == name)
        .unwrap();
    let resolve = metadata().resolve.as_ref().unwrap();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let (mut seen, mut queue) = (BTreeSet::new(), vec![&start.id]);
    while let Some(id) = queue.pop() {
        for dependency in &nodes[id].deps {
            let linked = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            // What runs inside of the compiler is not linked.
            let is_macro = package(&dependency.pkg)
                .targets
                .iter()
                .any(|target| target.is_proc_macro());
            if linked && !is_macro && seen.insert(package(&dependency.pkg).name.to_string()) {
                queue.push(&dependency.pkg);
            }
        }
    }
    seen
}

#[test]
fn the_cores_stay_pure() {
    let found: String = CORES
        .iter()
        .map(|core| {
            let crates: Vec<String> = linked_into(core).into_iter().collect();
            format!("{core}: {}\n", crates.join(" "))
        })
        .collect();
    let path = root().join("tests/core-dependencies.txt");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        committed,
        "the dependencies of a core have changed; if it still has no clock, entropy, input, output or logger, \
         write the left side into {}",
        path.display()
    );
}

#[test]
fn the_agent_stays_small() {
    let crates = linked_into("holdfast-agent").len();
    assert!(
        crates <= AGENT_CRATES_MAX,
        "{crates} crates are linked into the agent, more than {AGENT_CRATES_MAX}"
    );
}

#[test]
fn dependencies_point_in_one_direction() {
    let forbidden = [
        (
            "holdfast-agent",
            "holdfast-jobspec",
            "the agent gets jobs decoded",
        ),
        ("holdfast-agent", "holdfast-api", "the agent speaks no HTTP API"),
        (
            "holdfast-agent",
            "holdfast-coordinator-core",
            "only tests see both sides",
        ),
        (
            "holdfast-coordinator",
            "holdfast-agent-core",
            "only tests see both sides",
        ),
        (
            "holdfast-shared",
            "holdfast-api",
            "the vocabulary depends on nothing of ours",
        ),
        ("edgectl", "holdfast-coordinator-core", "edgectl asks over HTTP"),
    ];
    let found = forbidden
        .iter()
        .filter(|(from, to, _)| linked_into(from).contains(*to));
    assert_none(
        "forbidden",
        found
            .map(|(from, to, why)| format!("{from} -> {to}: {why}"))
            .collect(),
    );
}

#[test]
fn versions_and_lints_are_declared_once_for_the_workspace() {
    let mut found = Vec::new();
    for member in metadata().workspace_packages() {
        let manifest: toml::Table = fs::read_to_string(&member.manifest_path)
            .unwrap()
            .parse()
            .unwrap();
        if manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool)
            != Some(true)
        {
            found.push(format!("{}: no `[lints] workspace = true`", member.name));
        }
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            // A crate may name itself to switch a feature on for its tests.
            let declared = manifest
                .get(section)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten()
                .filter(|(name, _)| member.name.as_str() != name.as_str());
            let own = declared
                .filter(|(_, value)| value.get("workspace").and_then(toml::Value::as_bool) != Some(true));
            found.extend(own.map(|(name, _)| format!("{}: {name} is not `workspace = true`", member.name)));
        }
    }
    assert_none("say it in the root manifest", found);
}

/// `deny.toml`, as far as it can be checked without a network.
fn deny() -> toml::Table {
    fs::read_to_string(root().join("deny.toml"))
        .unwrap()
        .parse()
        .unwrap()
}

/// The texts in a list of `deny.toml`, or the `crate` of each table in it.
fn listed(section: &str, key: &str) -> BTreeSet<String> {
    let list = deny()[section][key].as_array().unwrap().clone();
    let text = |value: &toml::Value| {
        value
            .as_str()
            .or_else(|| value["crate"].as_str())
            .unwrap()
            .to_owned()
    };
    list.iter().map(text).collect()
}

#[test]
fn every_licence_is_on_the_list() {
    let allowed = listed("licenses", "allow");
    let is_allowed = |licence: &str| allowed.contains(licence.trim().trim_end_matches('+'));
    // An expression is a sum of choices or a choice of sums; `/` is the old way to write a choice.
    let is_fine = |expression: &str| {
        let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
        flat.split(" AND ")
            .all(|choice| choice.split(" OR ").any(is_allowed))
            || flat.split(" OR ").any(|sum| sum.split(" AND ").all(is_allowed))
    };
    let bad = metadata()
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(is_fine));
    assert_none(
        "not allowed by deny.toml",
        bad.map(|package| format!("{}: {:?}", package.name, package.license))
            .collect(),
    );
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let mut versions: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for package in &metadata().packages {
        versions
            .entry(package.name.as_str())
            .or_default()
            .push(&package.version);
    }
    let mut older = BTreeSet::new();
    for (name, mut list) in versions {
        list.sort();
        list.pop();
        older.extend(list.into_iter().map(|version| format!("{name}@{version}")));
    }
    let skipped = listed("bans", "skip");
    let unexplained = older
        .difference(&skipped)
        .map(|one| format!("{one} has no reason in deny.toml"));
    let gone = skipped
        .difference(&older)
        .map(|one| format!("{one} is in deny.toml and nowhere else"));
    assert_none("older versions", unexplained.chain(gone).collect());
}

#[test]
fn nothing_banned_is_linked() {
    let banned = listed("bans", "deny");
    let found = metadata()
        .packages
        .iter()
        .filter(|package| banned.contains(package.name.as_str()));
    assert_none(
        "banned by deny.toml",
        found.map(|package| package.name.to_string()).collect(),
    );
}

#[test]
fn the_lock_file_is_up_to_date() {
    let status = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--format-version=1",
            "--no-deps",
            "--quiet",
        ])
        .current_dir(root())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "run `cargo check` and commit Cargo.lock");
}
