//! What the formatter makes of a file.

/// What is different about the layout of one file. What was formatted must stay as it is.
pub(super) fn run(source: &str, expected: &str) -> Option<String> {
    let found = holdfast_hclfmt::format(source);
    if !holdfast_hclfmt::check(&found) {
        return Some("formatting twice changes more".into());
    }
    if found == expected {
        return None;
    }
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    Some(match lines.find(|(_, (expected, found))| expected != found) {
        Some((at, (expected, found))) => format!("line {}: {found:?} instead of {expected:?}", at + 1),
        None => format!("{} bytes instead of {}", found.len(), expected.len()),
    })
}
