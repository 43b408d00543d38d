//! Who this node is: id, secret and a count of starts, in a small file of their own beside the store.
//!
//! They are kept apart from the store so that a damaged store never costs a node its identity. Two copies are written,
//! each atomically; either is enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use holdfast_shared::id::{IdGenerator, NodeId};
use serde::{Deserialize, Serialize};

use crate::{clock, entropy};

const COPIES: [&str; 2] = ["node.json", "node.backup.json"];

/// Bits of a session number that count connections within one start.
const CONNECTION_BITS: u32 = 24;

/// Bits of them that are chance at the start: two agents that are copies of each other, and were started together, are
/// told apart by them.
const CHANCE_BITS: u32 = 20;

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub id: NodeId,
    /// What proves to the coordinator that it is this node.
    pub secret: String,
    /// Counts up with every start of the agent, and never falls behind the clock.
    pub starts: u64,
}

/// Numbers connections: each number is greater than every one before, across restarts, crashes and reinstallations.
#[derive(Debug, Clone)]
pub struct Sessions {
    next: u64,
    /// Whether this start may still find that it is not the last one.
    may_rise: bool,
}

impl Identity {
    /// The identity kept in `dir`, or a new one with the id `wanted`; counts the start and writes it down.
    ///
    /// A disk that cannot be written is no reason not to start: the second value says what went wrong.
    pub fn load(dir: &Path, wanted: Option<NodeId>) -> (Self, Option<io::Error>) {
        let (kept, unreadable) = read_any(dir);
        let mut identity = kept.unwrap_or_else(|| {
            let mut ids = IdGenerator::from_seed(entropy::seed());
            Self {
                id: wanted.unwrap_or_else(|| NodeId::generate(&mut ids)),
                secret: entropy::secret(),
                starts: 0,
            }
        });
        if let Some(id) = wanted {
            identity.id = id;
        }
        // The clock as a floor: when the count was lost with the disk, sessions must still not go back.
        let clock = u64::try_from(clock::now().wall.as_secs()).unwrap_or(0);
        identity.starts = (identity.starts + 1).max(clock);
        // What cannot be read now may be readable next time: it must not be written over by a makeshift.
        let error = unreadable.or_else(|| identity.save(dir).err());
        (identity, error)
    }

    /// The numbers for the connections of this start.
    pub fn sessions(&self) -> Sessions {
        Sessions {
            next: first_session(self.starts),
            may_rise: true,
        }
    }

    fn save(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("an identity is plain data");
        for name in COPIES {
            let temporary = dir.join(format!("{name}.new"));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, dir.join(name))?;
        }
        File::open(dir)?.sync_all()
    }
}

impl Sessions {
    /// The number of the next connection.
    pub fn advance(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// This agent has been the node for a while.
    pub const fn settle(&mut self) {
        self.may_rise = false;
    }

    /// Another agent with this identity has had the session `newer`. One that has just been started and was not the node
    /// yet is the one that was started last, whatever its count and its clock say, and goes on above it; so the identity
    /// of an agent that is gone for good can be used again. Answers whether it does.
    pub fn rise_above(&mut self, newer: u64) -> bool {
        let rises = std::mem::take(&mut self.may_rise);
        if rises {
            self.next = first_session((newer >> CONNECTION_BITS) + 1);
        }
        rises
    }
}

/// The number before the first one of a start. By chance: two copies of one identity may count the same starts.
fn first_session(starts: u64) -> u64 {
    let chance = u64::from(entropy::number()) >> (u32::BITS - CHANCE_BITS);
    (starts << CONNECTION_BITS) | chance
}

/// The first copy that makes sense; without one, why a copy that is there could not be read.
fn read_any(dir: &Path) -> (Option<Identity>, Option<io::Error>) {
    let mut unreadable = None;
    for name in COPIES {
        match fs::read(dir.join(name)) {
            Ok(bytes) => {
                if let Ok(identity) = serde_json::from_slice(&bytes) {
                    return (Some(identity), None);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => unreadable = Some(error),
        }
    }
    (None, unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_was_just_started_rises_once_above_the_sessions_of_another() {
        let identity = Identity {
            id: NodeId(1),
            secret: String::new(),
            starts: 3,
        };
        let other = first_session(20) + 7;
        let mut fresh = identity.sessions();
        assert!(fresh.advance() < other);
        assert!(fresh.rise_above(other));
        assert!(fresh.advance() > other);
        let back = first_session(40);
        assert!(!fresh.rise_above(back) && fresh.advance() < back);

        let mut settled = identity.sessions();
        settled.settle();
        assert!(!settled.rise_above(other) && settled.advance() < other);
    }

    #[test]
    fn a_node_keeps_its_identity_and_its_sessions_only_increase() {
        let dir = tempfile::tempdir().unwrap();
        let (first, error) = Identity::load(dir.path(), None);
        assert!(error.is_none());
        let last = first.sessions().advance();
        for damage in [None, Some("node.json"), Some("node.backup.json")] {
            if let Some(name) = damage {
                fs::write(dir.path().join(name), b"").unwrap();
            }
            let (again, _) = Identity::load(dir.path(), None);
            assert_eq!((again.id, &again.secret), (first.id, &first.secret));
            assert!(again.sessions().advance() > last);
        }
        let copies = [first.sessions().advance(), first.sessions().advance()];
        assert_ne!(copies[0], copies[1], "copies of a node are told apart");
    }

    #[test]
    fn an_identity_that_cannot_be_read_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        // Root may read everything; a directory in the place of the file is what even root cannot read.
        fs::create_dir(dir.path().join("node.json")).unwrap();
        let (_, error) = Identity::load(dir.path(), None);
        assert!(error.is_some() && !dir.path().join("node.backup.json").exists());
    }

    #[test]
    fn a_disk_that_cannot_be_written_still_gives_an_identity() {
        let (identity, error) = Identity::load(Path::new("/proc/no/such/place"), None);
        assert!(error.is_some());
        assert_eq!(identity.secret.len(), 64);
    }
}
