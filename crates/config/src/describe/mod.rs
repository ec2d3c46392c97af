//! The keys described from their types: a JSON Schema, a page for people, and one key at a time.

mod keys;
mod overlay;
mod page;
mod schema;

pub(crate) use overlay::merges;

pub use keys::{explain, key_paths, nearest_key};
pub use page::reference;
pub use schema::{overlay_schema, schema};
