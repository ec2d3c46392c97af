//! Finding the right tool among thousands: an index over names, titles, descriptions and parameters, and the
//! meta-tools that ask it.
//!
//! Pure: tools are entries of lists, who may see what is a predicate. What somebody may not see changes
//! nothing that he is shown: neither what is found, nor its order, nor a score, nor how a typing error is
//! read.

mod entry;
mod index;
mod limits;
mod meta;
mod query;
mod synonyms;
mod tokens;
mod words;

pub use entry::Entry;
pub use index::{Changes, Hit, Index};
pub use limits::Limits;
pub use meta::{Ask, AskFault, CALL, DESCRIBE, FOUND, SEARCH, definitions, described, found};
pub use query::{K1, Weights};
pub use synonyms::{NEAR, SAME, Synonyms};
pub use tokens::estimate;
