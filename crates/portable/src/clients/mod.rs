//! The formats of clients.

mod codex;
mod dialect;
mod export;
mod goose;
mod image;
mod import;
mod oauth;
mod server_json;
mod table;

pub(crate) use goose::is_plain_key;

use crate::format::Format;

/// The formats of clients, in the order of the matrix.
#[must_use]
pub fn clients() -> Vec<&'static dyn Format> {
    let mut all: Vec<&'static dyn Format> =
        table::ALL.iter().map(|dialect| *dialect as &dyn Format).collect();
    all.push(&codex::Codex);
    all.push(&goose::Goose);
    all.push(&server_json::ServerJson);
    all
}
