//! One bad message and the answer that it gets.

use testkit::Revision;

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Clients of every revision.
    All,
    /// Clients of 2026-07-28.
    Modern,
    /// Clients of the revisions with `initialize`, each over its own transport.
    Legacy,
    /// Clients of the revisions with sessions over Streamable HTTP.
    Sessions,
    /// Clients of one revision.
    Only(Revision),
}

impl From {
    pub fn includes(self, revision: Revision) -> bool {
        match self {
            Self::All => true,
            Self::Modern => revision.is_modern(),
            Self::Legacy => !revision.is_modern(),
            Self::Sessions => !revision.is_modern() && revision > Revision::V2024_11_05,
            Self::Only(only) => revision == only,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status and a JSON-RPC error whose message contains the text. A client of 2024-11-05 reads an
    /// error that comes with status 200 on its stream.
    Error(u16, i64, &'static str),
    /// An HTTP status and a text for people that contains this.
    Plain(u16, &'static str),
    /// A status alone.
    Status(u16),
    /// A result: it looks odd and is good.
    Good,
}

/// How the headers differ from those of a good client.
#[derive(Debug, Clone)]
pub enum Change {
    Set(String, Vec<u8>),
    Add(String, Vec<u8>),
    Remove(&'static str),
}

/// One bad message.
#[derive(Debug, Clone)]
pub struct Row {
    pub what: &'static str,
    pub from: From,
    /// `META` stands for the `_meta` of the client's revision, `$NAME` for a handle, see `Handles`.
    pub body: Vec<u8>,
    pub method: &'static str,
    /// In place of the endpoint's path.
    pub path: Option<&'static str>,
    pub headers: Vec<Change>,
    pub answer: Answer,
    /// Where clients with `initialize` get another one.
    pub legacy: Option<Answer>,
    /// Whether it is the upstream that has to refuse it.
    pub reaches: bool,
}

/// A message that is sent as it stands.
pub fn post(what: &'static str, body: impl AsRef<[u8]>) -> Row {
    Row {
        what,
        from: From::All,
        body: body.as_ref().to_vec(),
        method: "POST",
        path: None,
        headers: Vec::new(),
        answer: Answer::Good,
        legacy: None,
        reaches: false,
    }
}

/// A request whose `_meta` is good. `params` are the other members, as JSON text without the braces.
pub fn request(what: &'static str, method: &str, params: &str) -> Row {
    let comma = if params.is_empty() { "" } else { "," };
    post(
        what,
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}{comma}"_meta":META}}}}"#),
    )
}

/// A good request, for rows about what is around it.
pub fn good(what: &'static str) -> Row {
    request(what, "tools/list", "")
}

/// A request without a body.
pub fn bare(what: &'static str, method: &'static str) -> Row {
    Row { method, ..post(what, "") }
}

impl Row {
    pub fn from(mut self, from: From) -> Self {
        self.from = from;
        self
    }

    pub fn at(mut self, path: &'static str) -> Self {
        self.path = Some(path);
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(Change::Set(name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// A further header of the same name.
    pub fn also(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(Change::Add(name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn without(mut self, name: &'static str) -> Self {
        self.headers.push(Change::Remove(name));
        self
    }

    /// It is for the upstream to refuse it, so it goes there, once.
    pub fn reaches(mut self) -> Self {
        self.reaches = true;
        self
    }

    pub fn error(mut self, status: u16, code: i64, text: &'static str) -> Self {
        self.answer = Answer::Error(status, code, text);
        self
    }

    pub fn legacy(mut self, status: u16, code: i64, text: &'static str) -> Self {
        self.legacy = Some(Answer::Error(status, code, text));
        self
    }

    pub fn plain(mut self, status: u16, text: &'static str) -> Self {
        self.answer = Answer::Plain(status, text);
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.answer = Answer::Status(status);
        self
    }

    pub fn legacy_status(mut self, status: u16) -> Self {
        self.legacy = Some(Answer::Status(status));
        self
    }

    /// What a client of this revision gets.
    pub fn answer_for(&self, revision: Revision) -> Answer {
        match self.legacy {
            Some(answer) if !revision.is_modern() => answer,
            _ => self.answer,
        }
    }
}
