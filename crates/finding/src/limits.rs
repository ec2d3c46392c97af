//! How much there may be, so that an index and a question have an end.

/// Bounds on an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many tools there may be.
    pub tools_max: usize,
    /// How many bytes all of it may have: definitions, words, and where they stand.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tools_max: 50_000, bytes_max: 256 * 1024 * 1024 }
    }
}

/// How much of one text is read, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4 * 1024;

/// How many parameters of a tool are read, and how deep.
pub(crate) const PARAMETERS_MAX: usize = 64;
pub(crate) const PARAMETERS_DEPTH_MAX: usize = 3;

/// How many words of one field are counted.
pub(crate) const FIELD_WORDS_MAX: usize = 400;

/// The longest word, in characters. A longer one is cut.
pub(crate) const WORD_CHARS_MAX: usize = 40;

/// The longest question, in bytes, and its words.
pub(crate) const QUERY_BYTES_MAX: usize = 1024;
pub(crate) const QUERY_WORDS_MAX: usize = 24;

/// How many words of a question are looked at for typing errors, and how many readings each may have.
pub(crate) const TYPOS_MAX: usize = 3;
pub(crate) const READINGS_MAX: usize = 6;

/// How many tools one answer may have.
pub(crate) const FOUND_MAX: usize = 50;

/// How many tools one request may have described.
pub(crate) const DESCRIBED_MAX: usize = 20;
