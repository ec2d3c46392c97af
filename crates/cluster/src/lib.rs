//! One replica among others, by the store: who lives, what clients changed in their sessions, and which keys.
//!
//! An extension: the core knows the ports in `server` alone. Nothing here is on the way of a call.

mod keys;
mod lives;
mod member;
mod retry;
mod sessions;

pub use keys::{KeysError, change as change_keys, find as find_keys, first as first_keys};
pub use lives::Lives;
pub use member::{JoinError, Member, Timing, Told};
pub use sessions::StoreSessions;
