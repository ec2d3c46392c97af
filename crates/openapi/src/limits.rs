//! How much there may be, so that what a document costs is bounded.

/// Bounds on one document and on what is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest document, in bytes. Those of large vendors have one to nine million.
    pub document_bytes_max: usize,
    /// How many operations may become tools.
    pub operations_max: usize,
    /// How many parameters one operation may have.
    pub parameters_max: usize,
    /// The largest input or output schema of one tool, in bytes.
    pub schema_bytes_max: usize,
    /// How large the definitions of all tools may be together, in bytes.
    pub tools_bytes_max: usize,
    /// How many schemas are looked at for all tools, those that are looked at twice counted twice.
    pub schemas_max: usize,
    /// The longest description of a tool, in characters.
    pub description_chars_max: usize,
    /// The longest path with its query, in bytes.
    pub target_bytes_max: usize,
    /// The largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// The largest text of an answer that is handed on, in bytes.
    pub answer_bytes_max: usize,
    /// The largest answer that is no text and is handed on, in bytes.
    pub binary_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 10 * 1024 * 1024,
            operations_max: 5_000,
            parameters_max: 128,
            schema_bytes_max: 128 * 1024,
            tools_bytes_max: 32 * 1024 * 1024,
            schemas_max: 5_000_000,
            description_chars_max: 1_024,
            target_bytes_max: 8 * 1024,
            body_bytes_max: 8 * 1024 * 1024,
            answer_bytes_max: 4 * 1024 * 1024,
            binary_bytes_max: 1024 * 1024,
        }
    }
}

/// How deep a document may be nested.
pub(crate) const DOCUMENT_DEPTH_MAX: usize = 96;

/// How deep a schema of a tool may be nested. Messages may be 96 deep, and a list is a few levels around it.
pub(crate) const SCHEMA_DEPTH_MAX: usize = 64;

/// How deep in a schema others are still put in place of references.
pub(crate) const INLINE_DEPTH_MAX: usize = 24;

/// How many schemas one schema of a tool may be made of, all that it refers to included.
pub(crate) const SCHEMA_NODES_MAX: usize = 20_000;

/// How many references in a row are followed.
pub(crate) const HOPS_MAX: usize = 16;

/// The longest name of a tool, in characters: some model interfaces take no longer one.
pub(crate) const NAME_CHARS_MAX: usize = 64;

/// How deep the objects of a form may be nested.
pub(crate) const FORM_DEPTH_MAX: usize = 16;

/// How many pairs a form or a query may have.
pub(crate) const PAIRS_MAX: usize = 10_000;
