//! An object, split into its members without looking into their values; and splices of it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::scan::Scan;
use super::{JsonError, Raw, string_into};

/// Where one member stands.
#[derive(Debug, Clone)]
pub struct Member {
    /// The name with its quotes.
    key: Range<usize>,
    /// Whether the name is spelled with escapes.
    escaped: bool,
    /// The value.
    value: Range<usize>,
}

/// An object's members in the order in which they came.
#[derive(Debug, Clone)]
pub struct Object {
    bytes: Bytes,
    members: Vec<Member>,
}

impl Object {
    /// An object without members.
    #[must_use]
    pub fn empty() -> Self {
        Self { bytes: Bytes::from_static(b"{}"), members: Vec::new() }
    }

    /// Checks that `bytes` hold exactly one object in UTF-8 and splits it, in one pass.
    ///
    /// # Errors
    /// [`JsonError`] where they do not, or where a name stands twice.
    pub fn parse(bytes: Bytes) -> Result<Self, JsonError> {
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(JsonError { at: error.valid_up_to(), what: "invalid UTF-8" });
        }
        Self::split_with(Scan::incoming(&bytes.clone()), bytes)
    }

    /// Splits bytes that were checked before.
    pub(super) fn split(bytes: Bytes) -> Result<Self, JsonError> {
        Self::split_with(Scan::trusted(&bytes.clone()), bytes)
    }

    fn split_with(mut scan: Scan<'_>, bytes: Bytes) -> Result<Self, JsonError> {
        let mut members = Vec::with_capacity(8);
        scan.space();
        scan.expect(b'{', "expected an object")?;
        scan.space();
        if scan.peek() == Some(b'}') {
            scan.at += 1;
        } else {
            loop {
                members.push(Self::member(&mut scan)?);
                scan.space();
                if scan.peek() == Some(b',') {
                    scan.at += 1;
                    scan.space();
                } else {
                    scan.expect(b'}', "expected ',' or a closing bracket")?;
                    break;
                }
            }
        }
        scan.space();
        if scan.at != bytes.len() {
            return Err(scan.error("trailing characters"));
        }
        let object = Self { bytes, members };
        object.refuse_twins()?;
        Ok(object)
    }

    fn member(scan: &mut Scan<'_>) -> Result<Member, JsonError> {
        let start = scan.at;
        if scan.peek() != Some(b'"') {
            return Err(scan.error("expected a member name"));
        }
        let escaped = scan.string()?;
        let key = start..scan.at;
        scan.space();
        scan.expect(b':', "expected ':'")?;
        scan.space();
        let start = scan.at;
        scan.value()?;
        Ok(Member { key, escaped, value: start..scan.at })
    }

    /// Two members of one name: some readers take the first, some the last, and an attacker takes both.
    fn refuse_twins(&self) -> Result<(), JsonError> {
        let twin = |at: usize| JsonError { at: self.members[at].key.start, what: "duplicate member name" };
        if self.members.len() <= 12 {
            for at in 1..self.members.len() {
                if (0..at).any(|earlier| self.same_key(earlier, at)) {
                    return Err(twin(at));
                }
            }
            return Ok(());
        }
        let mut seen = HashSet::with_capacity(self.members.len());
        for at in 0..self.members.len() {
            if !seen.insert(self.key(at)) {
                return Err(twin(at));
            }
        }
        Ok(())
    }

    /// The name of the member at this place, with escapes resolved where that is possible.
    fn key(&self, at: usize) -> Cow<'_, str> {
        let inner = std::str::from_utf8(self.spelling(at)).expect("checked as UTF-8");
        if !self.members[at].escaped {
            return Cow::Borrowed(inner);
        }
        let quoted = &self.bytes[self.members[at].key.clone()];
        serde_json::from_slice::<String>(quoted).map_or(Cow::Borrowed(inner), Cow::Owned)
    }

    /// The name as it is spelled, without its quotes.
    fn spelling(&self, at: usize) -> &[u8] {
        let Range { start, end } = self.members[at].key;
        &self.bytes[start + 1..end - 1]
    }

    fn is_key(&self, at: usize, name: &str) -> bool {
        if self.members[at].escaped { self.key(at) == name } else { self.spelling(at) == name.as_bytes() }
    }

    fn same_key(&self, a: usize, b: usize) -> bool {
        match self.members[a].escaped || self.members[b].escaped {
            true => self.key(a) == self.key(b),
            false => self.spelling(a) == self.spelling(b),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        (0..self.members.len()).find(|at| self.is_key(*at, name))
    }

    /// The member's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Raw> {
        self.position(name).map(|at| self.value(at))
    }

    fn value(&self, at: usize) -> Raw {
        Raw::trusted(self.bytes.slice(self.members[at].value.clone()))
    }

    /// Whether there is a member of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Raw)> {
        (0..self.members.len()).map(|at| (self.key(at), self.value(at)))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The object as a value, without the space that stood around it.
    #[must_use]
    pub fn raw(&self) -> Raw {
        Raw::trimmed(self.bytes.clone())
    }

    /// Starts a splice.
    #[must_use]
    pub fn edit(&self) -> Edit<'_> {
        Edit { object: self, changes: Vec::new() }
    }
}

/// A splice of an object: some members replaced, removed or added, everything else as it came.
#[derive(Debug)]
pub struct Edit<'a> {
    object: &'a Object,
    changes: Vec<(Cow<'a, str>, Option<Raw>)>,
}

impl<'a> Edit<'a> {
    /// Gives the member this value, in its place or at the end.
    #[must_use]
    pub fn set(mut self, name: impl Into<Cow<'a, str>>, value: Raw) -> Self {
        self.changes.push((name.into(), Some(value)));
        self
    }

    /// Takes the member out, where there is one.
    #[must_use]
    pub fn remove(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.changes.push((name.into(), None));
        self
    }

    /// [`Edit::set`] where there is a value, else [`Edit::remove`].
    #[must_use]
    pub fn put(mut self, name: impl Into<Cow<'a, str>>, value: Option<Raw>) -> Self {
        self.changes.push((name.into(), value));
        self
    }

    /// The new object; the old bytes themselves where nothing changes. Of several changes to one name the
    /// last counts.
    #[must_use]
    pub fn finish(self) -> Raw {
        self.finish_object().raw()
    }

    /// The same, split already.
    #[must_use]
    pub fn finish_object(self) -> Object {
        let object = self.object;
        let idle = |(name, value): &(Cow<'_, str>, Option<Raw>)| match value {
            None => !object.has(name),
            Some(new) => object.get(name).as_ref() == Some(new),
        };
        if self.changes.iter().all(idle) {
            return object.clone();
        }
        let grown: usize = self
            .changes
            .iter()
            .map(|(k, v)| k.len() + 8 + v.as_ref().map_or(0, |v| v.as_bytes().len()))
            .sum();
        let mut out = BytesMut::with_capacity(object.bytes.len() + grown);
        let mut members = Vec::with_capacity(object.members.len() + self.changes.len());
        out.put_u8(b'{');
        for (at, Member { key, escaped, value }) in object.members.iter().enumerate() {
            let change = self.changes.iter().rev().find(|(name, _)| object.is_key(at, name));
            let new = match change {
                None => &object.bytes[value.clone()],
                Some((_, Some(new))) => new.as_bytes(),
                Some((_, None)) => continue,
            };
            separate(&mut out);
            let start = out.len();
            out.put_slice(&object.bytes[key.start..value.start]);
            let value = out.len()..out.len() + new.len();
            out.put_slice(new);
            members.push(Member { key: start..start + key.len(), escaped: *escaped, value });
        }
        for (at, (name, value)) in self.changes.iter().enumerate() {
            let later = self.changes[at + 1..].iter().any(|(n, _)| n == name);
            if let (Some(value), false, false) = (value, later, object.has(name)) {
                separate(&mut out);
                let start = out.len();
                string_into(&mut out, name);
                let key = start..out.len();
                let escaped = memchr::memchr(b'\\', &out[start..]).is_some();
                out.put_u8(b':');
                let value_at = out.len()..out.len() + value.as_bytes().len();
                out.put_slice(value.as_bytes());
                members.push(Member { key, escaped, value: value_at });
            }
        }
        out.put_u8(b'}');
        Object { bytes: out.freeze(), members }
    }
}

fn separate(out: &mut BytesMut) {
    if out.len() > 1 {
        out.put_u8(b',');
    }
}

/// The items of a checked array.
pub(super) fn split_array(bytes: &Bytes) -> Vec<Raw> {
    let mut scan = Scan::trusted(bytes);
    let mut items = Vec::new();
    scan.at = 1;
    scan.space();
    if scan.peek() == Some(b']') {
        return items;
    }
    loop {
        let start = scan.at;
        if scan.value().is_err() {
            return items;
        }
        items.push(Raw::trusted(bytes.slice(start..scan.at)));
        scan.space();
        if scan.peek() != Some(b',') {
            return items;
        }
        scan.at += 1;
        scan.space();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &'static str) -> Object {
        Object::parse(Bytes::from_static(text.as_bytes())).expect("an object")
    }

    #[test]
    fn members_keep_their_spelling() {
        let o = object(r#" { "a" : 1.50 , "b":{"x" :[1, 2]}, "c\u0064":null } "#);
        assert_eq!(o.get("a").expect("a").as_text(), "1.50");
        assert_eq!(o.get("b").expect("b").as_text(), r#"{"x" :[1, 2]}"#);
        assert_eq!(o.get("cd").expect("an escaped name is the same name").as_text(), "null");
        assert!(o.get("d").is_none());
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_in_any_spelling_and_number() {
        assert!(Object::parse(Bytes::from_static(br#"{"id":1,"i\u0064":2}"#)).is_err());
        let many: Vec<String> = (0..40).map(|n| format!("\"k{}\":1", n % 39)).collect();
        assert!(Object::parse(Bytes::from(format!("{{{}}}", many.join(",")))).is_err());
    }

    #[test]
    fn an_edit_changes_only_what_it_names() {
        let o = object(r#"{"a": 1.0,"b":"x","c":[1 , 2]}"#);
        let out = o.edit().set("b", Raw::literal("7")).remove("a").set("d", Raw::literal("true")).finish();
        assert_eq!(out.as_text(), r#"{"b":7,"c":[1 , 2],"d":true}"#);
        assert_eq!(o.edit().finish().as_text(), r#"{"a": 1.0,"b":"x","c":[1 , 2]}"#);
        assert_eq!(object("{}").edit().set("a", Raw::literal("1")).finish().as_text(), r#"{"a":1}"#);
        assert_eq!(object(r#"{"a":1}"#).edit().remove("a").finish().as_text(), "{}");
        let twice = o.edit().set("z", Raw::literal("1")).set("z", Raw::literal("2")).finish();
        assert_eq!(twice.as_text(), r#"{"a": 1.0,"b":"x","c":[1 , 2],"z":2}"#);
    }

    #[test]
    fn an_edited_object_is_the_one_that_its_text_splits_into() {
        let o = object(r#" { "a" : 1.0,"b\u0063":"x", "c":[1 , 2] } "#);
        let edits = [
            o.edit(),
            o.edit().remove("a"),
            o.edit().set("bc", Raw::literal("{}")).set("a\"q", Raw::literal("[1]")),
            o.edit().remove("a").remove("bc").remove("c"),
        ];
        for edit in edits {
            let edited = edit.finish_object();
            let again = Object::parse(edited.raw().into_bytes()).expect("an object");
            let pairs = |o: &Object| o.iter().map(|(k, v)| (k.into_owned(), v)).collect::<Vec<_>>();
            assert_eq!(pairs(&edited), pairs(&again));
        }
    }

    #[test]
    fn an_object_with_space_around_it_is_an_object_as_a_value() {
        let o = object(" {\"a\": 1.0}\r\n");
        for raw in [o.raw(), o.edit().finish(), o.edit().remove("b").finish()] {
            assert_eq!((raw.kind(), raw.as_text()), (crate::json::Kind::Object, r#"{"a": 1.0}"#));
        }
    }

    #[test]
    fn arrays_split_into_their_items() {
        let raw = Raw::literal(r#"[1, "a,b" ,{"x":[2]}, [] ]"#);
        let items: Vec<String> = raw.items().expect("an array").iter().map(Raw::to_string).collect();
        assert_eq!(items, ["1", r#""a,b""#, r#"{"x":[2]}"#, "[]"]);
        assert_eq!(Raw::literal("[ ]").items().expect("an array").len(), 0);
    }
}
