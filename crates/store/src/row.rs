//! What is stored, as it goes in and comes out.

use std::collections::BTreeSet;
use std::fmt;

use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    AuditContentRow, AuditEntryRow, AuditLogRow, AuditNoteRow, AuditTileRow, BudgetRow, GrantRow, TaskRow,
};

/// A place in the order of all changes of sessions. The first change has 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// Which holder of a lease: each has a greater one than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fence(pub u64);

/// A replica, as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRow {
    /// Its name.
    pub id: ReplicaId,
    /// Where its internal listener is; empty where it has none.
    pub url: String,
    /// When it started, by its own clock.
    pub started: Timestamp,
    /// When it wrote this, by its own clock, which may differ from others'.
    pub at: Timestamp,
    /// How often it has written. Whoever sees it grow knows that it lives, whatever the clocks say.
    pub beat: u64,
    /// The version of the program.
    pub version: String,
    /// The ids of its keys that open handles, each with a space behind it.
    pub keys: String,
    /// Whether it takes no new work.
    pub draining: bool,
}

/// What a client changed in its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionRow {
    /// The last change.
    pub seq: Seq,
    /// The log level that was asked for.
    pub level: Option<String>,
    /// The resources subscribed to.
    pub uris: BTreeSet<String>,
    /// Whether it was ended.
    pub ended: bool,
    /// When nobody can ask for it any more.
    pub expires: Timestamp,
}

/// What became of a change of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is made.
    Done(Seq),
    /// It would be one too many.
    Full,
    /// The session was ended.
    Ended,
}

/// How much may be kept of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Events.
    pub events: u64,
    /// Bytes of all events.
    pub bytes: u64,
}

/// What became of events for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// All are in it.
    Done,
    /// Not one is: they would be more than may be kept.
    Full,
    /// Not one is: the stream goes on with another number.
    Expected(u64),
    /// Not one is: the stream is closed.
    Closed,
}

/// The head of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    /// The session that it belongs to; no other may read it.
    pub session: String,
    /// The number of the first event that was kept.
    pub first: u64,
    /// The number that the next event would have.
    pub next: u64,
    /// Bytes of all events.
    pub bytes: u64,
    /// Whether nothing more will come.
    pub closed: bool,
    /// When nobody will ask for it any more.
    pub expires: Timestamp,
}

/// Some events of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPart {
    /// The stream.
    pub head: StreamRow,
    /// Events in order, with their numbers.
    pub events: Vec<(u64, Bytes)>,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// The holder; `None`: it was given back.
    pub owner: Option<String>,
    /// Of the holder, or of the last one.
    pub fence: Fence,
    /// Until when.
    pub until: Timestamp,
}

/// A key of the ring.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id, as text.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it seals.
    pub active_from: Timestamp,
    /// From when on it opens nothing.
    pub retired_at: Option<Timestamp>,
    /// The key itself.
    pub secret: [u8; 32],
}

impl fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRow").field("id", &self.id).field("secret", &"[secret]").finish_non_exhaustive()
    }
}

/// One thing that a store holds, as it is moved to another store. Replicas are not moved: those that live
/// tell of themselves again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the rows")]
pub enum Record {
    /// The number of the last change of a session.
    Seq { seq: Seq },
    /// A session, without its resources.
    Session {
        name: String,
        seq: Seq,
        level: Option<String>,
        ended: bool,
        #[serde(with = "ms")]
        expires: Timestamp,
    },
    /// A resource that a session subscribed to. It follows its session.
    SessionUri { name: String, uri: String },
    /// A stream, without its events.
    Stream {
        name: String,
        session: String,
        first: u64,
        next: u64,
        bytes: u64,
        closed: bool,
        #[serde(with = "ms")]
        expires: Timestamp,
    },
    /// An event. It follows its stream, in order.
    StreamEvent {
        name: String,
        number: u64,
        #[serde(with = "base64_bytes")]
        data: Bytes,
    },
    /// A lease, also one that nobody holds: its fence must not be forgotten.
    Lease {
        name: String,
        owner: Option<String>,
        fence: Fence,
        #[serde(with = "ms")]
        until: Timestamp,
    },
    /// A key of the ring.
    Key(#[serde(with = "key")] KeyRow),
    /// A task, also one of which only that it was there is known.
    Task(TaskRow),
    /// What a user has granted.
    Grant(GrantRow),
    /// How much of a budget was used.
    Budget(BudgetRow),
    /// A large value, without its parts; `parts` where it is kept, and whole.
    Blob {
        name: String,
        parts: Option<u32>,
        #[serde(with = "ms")]
        expires: Timestamp,
    },
    /// A part. It follows its large value, in order.
    BlobPart {
        name: String,
        part: u32,
        #[serde(with = "base64_bytes")]
        data: Bytes,
    },
    /// An audit log.
    AuditLog(AuditLogRow),
    /// An entry of it.
    AuditEntry(AuditEntryRow),
    /// A tile of its tree.
    AuditTile(AuditTileRow),
    /// What is kept beside an entry.
    AuditContent(AuditContentRow),
    /// A checkpoint that is kept.
    AuditNote(AuditNoteRow),
}

/// Times as numbers: milliseconds since 1970.
pub(crate) mod ms {
    use super::{Deserialize as _, Deserializer, Serializer, Timestamp};

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(from).map(Timestamp)
    }
}

pub(crate) mod base64_bytes {
    use base64::Engine as _;

    use super::{Bytes, Deserialize as _, Deserializer, STANDARD, Serializer};

    pub(crate) fn serialize<S: Serializer>(data: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(data))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}

mod key {
    use base64::Engine as _;

    use super::{Deserialize, Deserializer, KeyRow, STANDARD, Serialize, Serializer, Timestamp};

    #[derive(Serialize, Deserialize)]
    struct Text {
        id: String,
        created: u64,
        active_from: u64,
        retired_at: Option<u64>,
        secret: String,
    }

    pub(super) fn serialize<S: Serializer>(row: &KeyRow, to: S) -> Result<S::Ok, S::Error> {
        let text = Text {
            id: row.id.clone(),
            created: row.created.0,
            active_from: row.active_from.0,
            retired_at: row.retired_at.map(|at| at.0),
            secret: STANDARD.encode(row.secret),
        };
        text.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<KeyRow, D::Error> {
        let text = Text::deserialize(from)?;
        let secret = STANDARD.decode(text.secret).ok().and_then(|bytes| bytes.try_into().ok());
        // What stood there may be most of a key.
        let secret = secret.ok_or_else(|| serde::de::Error::custom("a key is 32 bytes in base64"))?;
        Ok(KeyRow {
            id: text.id,
            created: Timestamp(text.created),
            active_from: Timestamp(text.active_from),
            retired_at: text.retired_at.map(Timestamp),
            secret,
        })
    }
}
