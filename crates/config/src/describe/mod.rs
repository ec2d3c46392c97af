//! The keys described from their types: a JSON Schema, a page for people, and one key at a time.

mod keys;
mod page;
mod schema;

pub use keys::{explain, key_paths, nearest_key};
pub use page::reference;
pub use schema::schema;
