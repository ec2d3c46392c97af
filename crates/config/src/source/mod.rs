//! From text to typed values, with the position of everything.
//!
//! Text is read into a [`Node`] tree first, and typed values are read from the tree. So each message has a
//! position, a fault does not hide those after it, and another format needs no more than a tree of the same
//! shape.

mod fault;
mod merge;
mod path;
mod tree;
mod typed;
mod typed_parts;
mod typed_words;
mod variables;
mod yaml;

pub(crate) use fault::{FAULTS_MAX, Fault, Problem, note};
pub(crate) use merge::{Covered, merge};
pub(crate) use path::{Path, Seg};
pub(crate) use tree::{Entry, Node, Position, Value};
pub(crate) use typed::read;
pub(crate) use variables::{SECTION as VARIABLES, Values, fill};
pub(crate) use yaml::{parse, parse_layer};
