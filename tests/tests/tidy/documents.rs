//! Rules about the documents: they mention what there is, and nothing else.

use std::fs;

use super::dependencies::metadata;
use super::sources::{assert_none, root};

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_architecture_mentions_every_crate() {
    let architecture = document("ARCHITECTURE.md");
    let mut missing = Vec::new();
    for package in metadata().workspace_packages() {
        let folder = package
            .manifest_path
            .parent()
            .unwrap()
            .strip_prefix(root())
            .unwrap()
            .to_string();
        if !architecture.contains(&format!("`{folder}`")) && !architecture.contains(&format!("`{folder}/`")) {
            missing.push(folder);
        }
    }
    assert_none("ARCHITECTURE.md has no line for", missing);
}

/// What a document puts between backticks and looks like a path of this repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let folders: Vec<String> = fs::read_dir(root())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| format!("{}/", entry.file_name().to_string_lossy()))
        .filter(|folder| !folder.starts_with("target"))
        .collect();
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(move |word| {
        let plain = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
        plain && folders.iter().any(|folder| word.starts_with(folder.as_str()))
    })
}

/// Whether a path is there, from the root or from a crate that the text is about.
fn exists(path: &str) -> bool {
    let crates = metadata()
        .workspace_packages()
        .into_iter()
        .map(|package| package.manifest_path.parent().unwrap());
    root().join(path).exists() || crates.into_iter().any(|dir| dir.join(path).exists())
}

#[test]
fn the_paths_that_documents_name_exist() {
    let mut missing = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = document(name);
        // Blocks of code hold examples, not references.
        let prose: String = text.split("```").step_by(2).collect();
        // `NAME` and `vN` stand for what does not exist yet.
        let gone =
            paths(&prose).filter(|path| !path.contains("NAME") && !path.contains("vN") && !exists(path));
        missing.extend(gone.map(|path| format!("{name}: {path}")));
    }
    assert_none("these paths are gone", missing);
}

#[test]
fn the_standing_documents_are_there() {
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
    ];
    let missing = names
        .iter()
        .filter(|name| !root().join(name).exists())
        .map(|name| (*name).to_owned());
    assert_none("missing", missing.collect());
    assert!(document("LICENSE").contains("Apache License"));
}
