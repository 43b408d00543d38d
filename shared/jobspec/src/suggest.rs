//! The nearest known word to a mistyped one.

use holdfast_shared::words::edits;

/// The first candidate within two edits, as HashiCorp's library suggests them.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .find(|candidate| edits(word, candidate) < 3)
}
