//! JSON as the bytes it came in.
//!
//! A gateway that parses messages into types loses what the types do not know. So a message is checked and
//! split once, [`Raw`] values point into its bytes, and a change is a splice: everything that needs no
//! change leaves as it came, byte for byte, number spellings and unknown members included.

mod canonical;
mod extract;
mod object;
mod raw;
mod scan;
mod write;

pub use canonical::canonical;
pub use extract::{Extractor, Piece};
pub use object::{Edit, Member, Object};
pub use raw::{Kind, Raw};
pub use scan::{JsonError, check};
pub use write::{array, string, string_into};

/// The deepest nesting that a message may have when it comes in.
pub const DEPTH_MAX: usize = 96;

/// The deepest nesting that is read at all: what came in may be wrapped a few times on its way.
const WRAPPED_DEPTH_MAX: usize = 128;
