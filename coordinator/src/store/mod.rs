//! Where state lives when the coordinator does not: batches of deltas in, the whole state out.
//!
//! A [`Store`] holds one record for each key of each table and knows nothing of what the records mean, so that the same
//! trait fits an embedded database and a remote one. It does not decide when to commit, nor what a failure means.

mod batch;
mod carry_over;
mod files;
mod fingerprints;
mod journal;
mod open;
mod record;
mod sled;

use std::path::PathBuf;

use holdfast_coordinator_core::State;

pub use batch::Batch;
pub use open::Condition;
pub use record::RecordError;
pub use sled::SledStore;

/// Durable state.
pub trait Store: Send {
    /// Makes all of `batch` durable, or nothing of it: once this returns, a power cut loses none of it.
    ///
    /// # Errors
    /// When it is not certain to be durable. The batch may be committed again, and must be: after
    /// [`Store::reopen`] the store is usable once more.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Everything that was committed.
    ///
    /// # Errors
    /// When it cannot be read, or was written by a newer program.
    fn load(&self) -> Result<State, StoreError>;

    /// Opens the store anew after a failure, and says in which condition it was: when it was replaced, everything has to
    /// be committed once more, in one batch.
    ///
    /// # Errors
    /// When what made it fail still lasts.
    fn reopen(&mut self) -> Result<Condition, StoreError>;
}

/// Why a store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder cannot be made, looked at, or put aside.
    #[error("cannot use the data folder {path}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database in it does not open.
    #[error("cannot open the database in {path}")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: ::sled::Error,
    },
    /// Somebody else has the database open.
    #[error("another coordinator uses the database in {path}")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] ::sled::Error),
    /// The database file could not be flushed to the disk.
    #[error("cannot flush {path} to the disk")]
    Flush {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no room for what is to be stored.
    #[error("the disk of {path} is full: {left} KB are left, {needed} KB are needed")]
    Full {
        /// The folder.
        path: PathBuf,
        /// Kilobytes that are left.
        left: u64,
        /// Kilobytes that are needed.
        needed: u64,
    },
    /// A record cannot be understood.
    #[error(
        "record `{key}` of the database cannot be read: start the coordinator that wrote it, or restore a backup"
    )]
    Record {
        /// Table and key.
        key: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// Somebody has deleted, moved or covered it while it was open.
    #[error("{path} is not the file that was opened: it was deleted or replaced")]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// It failed so often that something else must be wrong.
    #[error("the database failed again and again: mend the disk and restart the coordinator")]
    GivenUp,
    /// A failed store was not opened anew yet.
    #[error("the database is closed after a failure")]
    Closed,
}
