//! What is wrong with a document, with an operation of it, or with arguments.

/// Why no tools are made of a document at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is more of it than is read.
    #[error("the document has {bytes} bytes, and may have {max}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// It is no JSON and no YAML.
    #[error("the document cannot be read: {0}")]
    Syntax(String),
    /// It is something else, or of a version that is not known.
    #[error("the document is {0}; OpenAPI 3.0 and 3.1 are read")]
    Version(String),
    /// A part of it has the wrong form.
    #[error("{0}")]
    Form(String),
    /// There are more operations than may become tools.
    #[error("the document has more than {max} operations; choose some of them")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// The tools are more than somebody should keep.
    #[error("the tools of the document have more than {max} bytes; choose some of its operations")]
    TooMuch {
        /// How many they may have.
        max: usize,
    },
    /// Nothing can be called.
    #[error("the document has no operation that can be called{0}")]
    Nothing(String),
}

/// Why one operation does not become a tool, or what of it was left away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A reference leads out of the document.
    #[error("it refers to {0:?}, which is not in this document")]
    Outside(String),
    /// A reference leads nowhere.
    #[error("it refers to {0:?}, which does not exist")]
    Dangling(String),
    /// References that lead to one another.
    #[error("it refers to {0:?}, which refers to itself")]
    Circle(String),
    /// A keyword that would make references mean something else.
    #[error("its schema uses {0:?}, which is not read")]
    Keyword(String),
    /// A dialect of JSON Schema that is not known.
    #[error("its schemas are of the dialect {0:?}, which is not read")]
    Dialect(String),
    /// A schema beyond the limits.
    #[error("its {what} schema has more than {max} {unit}")]
    TooLarge {
        /// Which one.
        what: &'static str,
        /// How much there may be.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// The schemas of operations before it were as much as is looked at.
    #[error("the schemas of the document are too much; choose some of its operations")]
    Work,
    /// It belongs to another server than the document does.
    #[error("it has a server of its own, {0:?}")]
    Server(String),
    /// A part has the wrong form.
    #[error("{0}")]
    Form(String),
}

impl Reason {
    pub(crate) fn form(text: impl Into<String>) -> Self {
        Self::Form(text.into())
    }
}

/// Why no request can be made of arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentFault {
    /// The arguments are no plain object.
    #[error("the arguments must be an object without repeated names")]
    NoObject,
    /// One that is needed is not there.
    #[error("the argument {0:?} is required")]
    Missing(String),
    /// One that the tool does not have.
    #[error("there is no argument {0:?}")]
    Unknown(String),
    /// One with a value that cannot be sent.
    #[error("the argument {name:?} {what}")]
    Value {
        /// Which one.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// All of them together are too much.
    #[error("the request's {what} has more than {max} bytes")]
    TooLarge {
        /// Its path or its body.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
}

impl ArgumentFault {
    pub(crate) fn value(name: &str, what: &'static str) -> Self {
        Self::Value { name: name.to_owned(), what }
    }
}
