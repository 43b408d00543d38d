//! Every real job file that lies beside the repository, against what the original's formatter makes of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The line where two texts part, for people.
fn first_difference(expected: &str, found: &str) -> String {
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    match lines.find(|(_, (expected, found))| expected != found) {
        Some((at, (expected, found))) => {
            format!("line {}:\n  expected {expected:?}\n  found    {found:?}", at + 1)
        }
        None => format!("{} and {} bytes", expected.len(), found.len()),
    }
}

#[test]
fn every_real_job_file_is_formatted_as_the_original_formats_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/jobspecs");
    if !corpus.is_dir() {
        eprintln!("skipped: {} is not there", corpus.display());
        return;
    }
    let sources = corpus.join("files");
    let mut files = Vec::new();
    files_below(&sources, &mut files).unwrap();
    files.sort();
    // What the original cannot parse, it does not format either.
    let is_valid = |name: &Path| {
        corpus
            .join("evaluated")
            .join(format!("{}.json", name.display()))
            .exists()
    };
    let (mut passed, mut refused, mut failures) = (0, 0, Vec::new());
    for file in &files {
        let name = file.strip_prefix(&sources).unwrap();
        if !is_valid(name) {
            refused += 1;
            continue;
        }
        let source = fs::read_to_string(file).unwrap();
        let expected =
            fs::read_to_string(corpus.join("formatted").join(name)).unwrap_or_else(|_| source.clone());
        let found = holdfast_hclfmt::format(&source);
        assert!(
            holdfast_hclfmt::check(&found),
            "{}: formatting twice changes more",
            name.display()
        );
        if found == expected {
            passed += 1;
        } else {
            failures.push(format!(
                "{}: {}",
                name.display(),
                first_difference(&expected, &found)
            ));
        }
    }
    println!(
        "{passed} of {} files as the original, {refused} are no HCL",
        files.len()
    );
    assert!(
        failures.is_empty(),
        "{passed} passed, {} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
}
