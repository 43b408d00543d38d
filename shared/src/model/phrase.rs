//! Words for people that many records have in common.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::allocation::ClientStatus;

/// What nearly every allocation is described by at one time; each is in memory once.
static COMMON: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| {
    use ClientStatus::{Complete, Failed, Pending, Running};
    [Pending, Running, Complete, Failed].map(|status| status.of_tasks().into())
});

/// A few words for people. What many records say takes up no room in each of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Phrase(Option<Arc<str>>);

impl From<&str> for Phrase {
    fn from(words: &str) -> Self {
        if words.is_empty() {
            return Self(None);
        }
        let common = COMMON.iter().find(|it| ***it == *words);
        Self(Some(common.map_or_else(|| words.into(), Arc::clone)))
    }
}

impl Deref for Phrase {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Phrase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Phrase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|words| words.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_in_memory_once_and_all_are_written_as_text() {
        let address = |phrase: &Phrase| phrase.as_ptr();
        let (first, second) = (
            Phrase::from(ClientStatus::Running.of_tasks()),
            Phrase::from(ClientStatus::Running.of_tasks()),
        );
        assert_eq!(address(&first), address(&second));
        for words in ["", "Tasks are running", "quite another thing"] {
            let json = serde_json::to_string(&Phrase::from(words)).unwrap();
            assert_eq!(json, format!("{words:?}"));
            assert_eq!(&*serde_json::from_str::<Phrase>(&json).unwrap(), words);
        }
    }
}
