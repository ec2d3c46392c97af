//! What is likely a secret in a configuration, by its name and its look.
//!
//! One place decides that, for whatever is read, written, compared, shown or packed. Each function gives the
//! parts of a text that are secret, so that the rest of it can be shown.

mod look;
mod mask;
mod name;
mod words;

#[cfg(test)]
mod tests;

pub use look::{in_url, looks_secret};
pub use mask::{in_tree, mask, mask_lines, mask_shown, mask_tree};
pub use words::in_words;

/// How deep texts in texts are looked into: a command in an argument of a command, JSON in a variable.
const DEPTH_MAX: usize = 6;

/// The secrets in a value that is called `name`: a variable, a header, an option, a key. An empty name says
/// nothing.
#[must_use]
pub fn in_value<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
    words::in_value(name, text, DEPTH_MAX)
}
