//! Known without connecting: server cards, catalogs, registries, packages and bundles.
//!
//! Pure: documents are bytes, time is an argument, and what would be fetched, started or written is data.
//! Whatever was published by others is taken for hostile: it is bounded, each fault says where, what and who
//! caused it, and nothing that was read is a reason to trust. What a document has beyond what is known here
//! is kept as it came.

mod address;
pub mod auth;
pub mod card;
pub mod catalog;
pub mod contradict;
mod fault;
pub mod input;
pub mod launch;
pub mod mcpb;
mod moment;
mod parts;
pub mod polite;
pub mod publish;
mod read;
pub mod registry;
pub mod remote;
pub mod server_json;
mod template;
mod write;

pub use address::{Address, AddressError, Reach};
pub use fault::{By, Fault, Weight, shown};
pub use moment::{moment_from_text, moment_to_text};
pub use parts::{Icon, Repository, version_fault};
pub use read::{DEPTH_MAX, FAULTS_MAX, Read};
pub use template::{Part, Template, Value};
pub use write::Extra;

/// The media type of a server card.
pub const CARD_MEDIA_TYPE: &str = "application/mcp-server-card+json";
/// The media type of a catalog.
pub const CATALOG_MEDIA_TYPE: &str = "application/ai-catalog+json";
/// Where a domain has its catalog.
pub const CATALOG_PATH: &str = "/.well-known/ai-catalog.json";
/// What is added to an endpoint's URL for its card.
pub const CARD_SUFFIX: &str = "/server-card";

/// A digest of a document, the same for all spellings that say the same.
#[must_use]
pub fn digest(document: &protocol::Raw) -> String {
    seal::hex(&seal::sha256(protocol::json::canonical(document).as_bytes()))
}
