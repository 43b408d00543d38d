//! How a block is compared: the vocabulary of the tables in [`job`](crate::tables::job) and its neighbours.

/// How a kind of block is compared and shown.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What the difference calls the block.
    pub(crate) name: &'static str,
    /// Its fields, in any order.
    pub(crate) fields: &'static [(&'static str, Kind)],
    /// Fields that are no difference of their own.
    pub(crate) hidden: &'static [&'static str],
    /// The blocks in it, in the order in which they are shown.
    pub(crate) parts: &'static [Part],
    /// How it is told what became of the block.
    pub(crate) judged: Judged,
    /// Whether unchanged fields are shown beside changed ones.
    pub(crate) in_context: bool,
}

/// The usual block; tables say what differs.
pub(crate) const BLOCK: Shape = Shape {
    name: "",
    fields: &[],
    hidden: &[],
    parts: &[],
    judged: Judged::ByPresence,
    in_context: true,
};

/// How it is told what became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// By which version has it.
    ByPresence,
    /// By its fields alone: a block that gained a field and lost none was added.
    ByFields,
}

/// How a field becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text; empty when missing.
    Text,
    /// A number; 0 when missing.
    Number,
    /// `true` or `false`; `false` when missing.
    Flag,
    /// Anything; `nil` when missing.
    Nullable,
    /// Anything; no field when missing.
    Optional,
    /// Anything, and only when both versions have the block; empty when missing.
    WhenEdited,
    /// The same, written as people write durations.
    ElapsedWhenEdited,
    /// Texts by key: one field `Name[key]` each.
    Map,
    /// Texts by key: one field `key` each.
    Entries,
    /// Texts in one line; no field when there are none.
    Joined,
}

/// A block, or several, inside a block.
#[derive(Debug)]
pub(crate) enum Part {
    /// One block.
    Block(&'static str, &'static Shape),
    /// A list of blocks, and how those of both versions find each other.
    List(&'static str, &'static Shape, Pairing),
    /// A set of words.
    Words(&'static str),
    /// A set of words that is shown only when it changed.
    ChangedWords(&'static str),
    /// Settings whose names the job chooses.
    Settings(&'static str),
    /// The same, without unchanged ones.
    ChangedSettings(&'static str),
}

/// How the elements of two lists find each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pairing {
    /// Equal elements do; all others were added or deleted.
    Equal,
    /// By the values of these fields.
    Fields(&'static [&'static str]),
    /// By their position.
    Position,
    /// The only ones of both versions always do, others by the values of this field.
    OnlyOrField(&'static str),
    /// By how much they look like the same service.
    Likeness,
}
