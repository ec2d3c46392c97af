//! Pure translations between the modern revision and each legacy one.
//!
//! Everything inside the gateway is modern. [`down`] turns what goes to a legacy client into its revision and
//! what it sends into a modern message; [`up`] does the same towards a legacy server. All of it is splices of
//! the bytes that came: a member that no rule names passes as it was spelled, and where no rule applies the
//! very same bytes come back. The rules, one by one, stand in `docs/bridging.md`.
//!
//! None of these functions fails on odd input. What is no object, or names a member twice, comes back
//! unchanged: the one who reads it next refuses it with the error that fits there.

mod content;
pub mod down;
mod form;
mod sampling;
mod splice;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tool;
pub mod up;

use protocol::{Revision, RpcError, code};

/// Why a question cannot be put to a legacy client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The server sent what is no question.
    #[error("read the server's question: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The client's revision has no words for it.
    #[error("put {what} to a client of revision {revision}")]
    Inexpressible {
        /// What the question needs.
        what: &'static str,
        /// The client's revision.
        revision: Revision,
    },
}

impl Refusal {
    /// The error that ends the call: -31005 or -31008.
    #[must_use]
    pub fn to_rpc(&self) -> RpcError {
        let code = match self {
            Self::Malformed { .. } => code::UPSTREAM_INVALID,
            Self::Inexpressible { .. } => code::NOT_TRANSLATABLE,
        };
        RpcError::new(code, format!("The gateway failed to {self}"))
    }
}
