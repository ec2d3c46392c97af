//! The values that keys have.

mod address;
mod glob;
mod hedge;
mod hosts;
mod listen;
mod pace;
mod secret;
mod size;
mod span;
mod store_url;

pub use address::Address;
pub use glob::{GLOB_BYTES_MAX, Glob, GlobError};
pub use hedge::{Hedge, HedgeError};
pub use hosts::{HostList, OriginList, RuleError};
pub use listen::{ListenError, parse_listen};
pub(crate) use listen::{listen_from_text, listen_to_text};
pub use pace::{Pace, PaceError};
pub(crate) use secret::HIDDEN;
pub use secret::{
    Fetch, SECRET_BYTES_MAX, Secret, SecretCommand, SecretError, SecretErrorKind, SecretPlace, SecretText,
};
pub use size::{Size, SizeError};
pub use span::{Span, SpanError};
pub use store_url::{StoreUrl, StoreUrlError};
