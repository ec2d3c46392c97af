//! Writing of documents, member by member.

use bytes::{BufMut as _, BytesMut};
use protocol::Raw;
use protocol::json::{array, string_into};

/// Members that nothing here knows, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra(pub Vec<(String, Raw)>);

impl Extra {
    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// An object that is being written.
pub(crate) struct Out(BytesMut);

impl Out {
    /// Without a member yet.
    pub fn new() -> Self {
        let mut out = BytesMut::with_capacity(256);
        out.put_u8(b'{');
        Self(out)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.put_u8(b',');
        }
        string_into(&mut self.0, name);
        self.0.put_u8(b':');
    }

    /// A member as it is.
    pub fn raw(mut self, name: &str, value: &Raw) -> Self {
        self.name(name);
        self.0.put_slice(value.as_bytes());
        self
    }

    /// The same where there is one.
    pub fn maybe(self, name: &str, value: Option<&Raw>) -> Self {
        match value {
            Some(value) => self.raw(name, value),
            None => self,
        }
    }

    /// A text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        string_into(&mut self.0, value);
        self
    }

    /// The same where there is one.
    pub fn some_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// A truth value where there is one.
    pub fn some_flag(self, name: &str, value: Option<bool>) -> Self {
        match value {
            Some(true) => self.raw(name, &Raw::literal("true")),
            Some(false) => self.raw(name, &Raw::literal("false")),
            None => self,
        }
    }

    /// A list, left out where it is empty.
    pub fn list(self, name: &str, items: impl IntoIterator<Item = Raw>) -> Self {
        let items: Vec<Raw> = items.into_iter().collect();
        if items.is_empty() { self } else { self.raw(name, &array(&items)) }
    }

    /// A list of texts, left out where it is empty.
    pub fn texts(self, name: &str, items: &[String]) -> Self {
        self.list(name, items.iter().map(|item| Raw::string(item)))
    }

    /// What came along.
    pub fn extra(mut self, extra: &Extra) -> Self {
        for (name, value) in &extra.0 {
            self = self.raw(name, value);
        }
        self
    }

    /// The object.
    pub fn finish(mut self) -> Raw {
        self.0.put_u8(b'}');
        Raw::trusted(self.0.freeze())
    }
}
