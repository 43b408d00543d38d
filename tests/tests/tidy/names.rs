//! Rules about names: the words of the glossary (CONTRIBUTING.md), and no words that say nothing.

use syn::visit::{self, Visit};

use super::sources::{assert_none, rust};

/// Words that no item of ours is named with, and what to say instead.
const BANNED: [(&str, &str); 9] = [
    ("workload", "task, group or job"),
    ("pod", "allocation"),
    ("cordon", "eligibility"),
    ("evict", "migrate or stop"),
    ("tenant", "namespace"),
    ("helper", "say what it does"),
    ("util", "say what it does"),
    ("utils", "say what it does"),
    ("manager", "say what it does"),
];

/// Collects the names of everything that is declared.
#[derive(Default)]
struct Declared {
    functions: Vec<String>,
    all: Vec<String>,
}

impl Visit<'_> for Declared {
    fn visit_signature(&mut self, signature: &syn::Signature) {
        self.functions.push(signature.ident.to_string());
        self.all.push(signature.ident.to_string());
        visit::visit_signature(self, signature);
    }

    fn visit_item_struct(&mut self, item: &syn::ItemStruct) {
        self.all.push(item.ident.to_string());
    }

    fn visit_item_enum(&mut self, item: &syn::ItemEnum) {
        self.all.push(item.ident.to_string());
    }

    fn visit_item_trait(&mut self, item: &syn::ItemTrait) {
        self.all.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        self.all.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
    }
}

/// `NodeRank` and `node_rank` as `["node", "rank"]`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn declared() -> Vec<(String, Declared)> {
    let parse = |source: super::sources::Source| {
        let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
        let mut declared = Declared::default();
        declared.visit_file(&file);
        (source.path, declared)
    };
    rust().into_iter().map(parse).collect()
}

#[test]
fn names_use_the_words_of_the_glossary() {
    let mut found = Vec::new();
    for (path, declared) in declared() {
        // There, a pod is podman's.
        let is_podman = path.starts_with("agent/drivers/src/podman");
        for name in declared.all {
            let banned = BANNED
                .iter()
                .filter(|(word, _)| !(is_podman && *word == "pod"))
                .find(|(word, _)| words(&name).iter().any(|part| part == word));
            found.extend(banned.map(|(word, instead)| format!("{path}: {name} ({word}: {instead})")));
        }
    }
    assert_none("one word for one thing", found);
}

#[test]
fn functions_are_named_without_get_and_tests_without_test() {
    let mut found = Vec::new();
    for (path, declared) in declared() {
        let bad = |name: &&String| name.starts_with("get_") || name.starts_with("test_");
        found.extend(
            declared
                .functions
                .iter()
                .filter(bad)
                .map(|name| format!("{path}: {name}")),
        );
    }
    assert_none("`get_` and `test_` say nothing", found);
}

#[test]
fn names_are_split_into_words() {
    assert_eq!(words("PodmanPodSpec"), ["podman", "pod", "spec"]);
    assert_eq!(words("kill_timeout"), ["kill", "timeout"]);
}
