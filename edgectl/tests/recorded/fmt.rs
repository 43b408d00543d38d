//! `fmt`: what it changes, what it leaves alone, and what it says.

use std::fs;

use edgectl::output::Style;

use crate::bodies::at;
use crate::case::run_with;

const NOW: &str = "2026-11-21T08:00:00Z";
const UGLY: &str = "job \"j\" {\n a=1\n  long = 2\n}\n";
const PRETTY: &str = "job \"j\" {\n  a    = 1\n  long = 2\n}\n";
const OLD: &str = "job \"j\" {\n  meta {\n    \"owner\" = \"me\",\n  }\n}\n";
const NEW: &str = "job \"j\" {\n  meta {\n    owner = \"me\"\n  }\n}\n";

fn fmt(words: &[&str]) -> (String, u8) {
    let argv: Vec<&str> = ["edgectl", "fmt"].iter().chain(words).copied().collect();
    run_with(&[], &argv, Style::default(), at(NOW))
}

#[test]
fn files_of_a_folder_are_formatted_and_named_and_those_below_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("below")).unwrap();
    for name in ["a.nomad", "b.nomad.hcl", "c.txt", "below/d.hcl"] {
        fs::write(path(name), UGLY).unwrap();
    }
    fs::write(path("e.hcl"), PRETTY).unwrap();
    let root = folder.path().to_str().unwrap();
    let (a, b) = (format!("{root}/a.nomad"), format!("{root}/b.nomad.hcl"));

    assert_eq!(fmt(&["-check", root]), (format!("{a}\n{b}\n"), 1));
    assert_eq!(fs::read_to_string(path("a.nomad")).unwrap(), UGLY);
    assert_eq!(fmt(&[root]), (format!("{a}\n{b}\n"), 0));
    assert_eq!(fmt(&["-check", root]), (String::new(), 0));
    assert_eq!(fs::read_to_string(path("a.nomad")).unwrap(), PRETTY);
    assert_eq!(fs::read_to_string(path("c.txt")).unwrap(), UGLY);
    let below = path("below/d.hcl");
    let below = below.to_str().unwrap();
    assert_eq!(fmt(&["-recursive", root]), (format!("{below}\n"), 0));
    fs::write(below, UGLY).unwrap();
    assert_eq!(fmt(&["-list=false", "-write=false", below]), (PRETTY.into(), 0));
    assert_eq!(fs::read_to_string(below).unwrap(), UGLY);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        5,
        "nothing else is left behind"
    );
}

#[test]
fn a_file_of_the_old_language_is_refused_with_the_correction_and_upgraded_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.nomad");
    fs::write(&path, OLD).unwrap();
    let name = path.to_str().unwrap();
    let (told, exit) = fmt(&[name]);
    assert_eq!(exit, 1);
    assert!(told.contains("Argument names must not be quoted."), "{told}");
    assert!(told.contains("3 |     owner = \"me\","), "{told}");
    assert_eq!(fs::read_to_string(&path).unwrap(), OLD);

    let (told, exit) = fmt(&["-upgrade", name]);
    assert_eq!(exit, 0, "{told}");
    assert!(
        told.contains(":3: write the names of arguments without quotes"),
        "{told}"
    );
    assert!(
        told.contains(":3: leave out what stands behind the argument"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), NEW);
}
