//! What PostgreSQL and the way to it can answer, and what that means to who called.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::io;
use store::StoreError;

/// Something failed, before it is known whether that matters.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(sqlx::Error),
    /// The other side is silent.
    TimedOut,
    /// The store was closed.
    Closed,
    /// Found by a verb itself.
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    fn database(&self) -> Option<&PgDatabaseError> {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.try_downcast_ref(),
            Self::Sql(_) | Self::TimedOut | Self::Closed | Self::Store(_) => None,
        }
    }

    /// The class and kind of a database's error, as in its manual's appendix A; empty where it sent none.
    fn code(&self) -> &str {
        self.database().map_or("", PgDatabaseError::code)
    }

    /// While connecting: whether the database may take a connection in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Io(error)) => matches!(
                error.kind(),
                // A server that starts has no listener, or cuts what its listener took.
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::BrokenPipe
            ),
            // Too many connections, starting, stopping.
            Self::Sql(_) => matches!(self.code(), "53300" | "57P01" | "57P02" | "57P03"),
            Self::TimedOut | Self::Closed | Self::Store(_) => false,
        }
    }

    /// Two transactions were in each other's way, and this one was undone.
    fn is_conflict(&self) -> bool {
        // Serialization failure, deadlock, a row that another one inserted first.
        matches!(self.code(), "40001" | "40P01" | "23505")
    }

    /// The connection is gone, or of no use any more.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::TimedOut | Self::Closed => true,
            Self::Store(_) => false,
            Self::Sql(sqlx::Error::Database(_)) => {
                self.database().is_none_or(|e| !matches!(e.severity(), PgSeverity::Error))
            }
            Self::Sql(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => true,
            Self::Sql(_) => false,
        }
    }

    /// Whether the same transaction, begun again, may well succeed at once.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        // Not where it was silent: who waited that long has waited enough.
        self.is_conflict() || (self.is_lost() && !matches!(self, Self::TimedOut | Self::Closed))
    }

    /// What the caller is told where no commit was under way: then nothing was written.
    pub(crate) fn nothing_written(self) -> StoreError {
        self.told(false)
    }

    /// What the caller is told where a commit was under way.
    ///
    /// An error of the transaction means that it was undone. An end of the connection says nothing: the
    /// commit may have been through when the answer was lost.
    pub(crate) fn in_commit(self) -> StoreError {
        let lost = self.is_lost();
        self.told(lost)
    }

    fn told(self, maybe_written: bool) -> StoreError {
        if let Self::Store(error) = self {
            return error;
        }
        if self.is_conflict() {
            return StoreError::Conflict;
        }
        match self.code() {
            // A lock was not had in time, the statement took too long, no connection is free.
            "55P03" | "57014" | "53300" => return StoreError::Busy,
            _ => {}
        }
        let source: Box<dyn std::error::Error + Send + Sync> = match self {
            Self::Sql(error) => Box::new(error),
            Self::TimedOut => Box::new(io::Error::new(io::ErrorKind::TimedOut, "the database is silent")),
            Self::Closed => "the store is closed".into(),
            Self::Store(error) => Box::new(error),
        };
        StoreError::Unavailable { source, maybe_written }
    }
}
