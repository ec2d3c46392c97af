//! Reading of hostile documents, member by member.

use bytes::Bytes;
use protocol::json::Object;
use protocol::{Raw, json::Kind};

use crate::fault::{By, Fault, Weight, shown, step};
use crate::write::Extra;

/// The deepest nesting of a document.
pub const DEPTH_MAX: usize = 32;
/// Faults of one document that are told.
pub const FAULTS_MAX: usize = 50;
/// Members of one object that are looked at.
const MEMBERS_MAX: usize = 500;

/// What was read, and what is to be told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// What it says.
    pub value: T,
    /// The document as it came.
    pub raw: Raw,
    /// What is not as it should be and was read all the same.
    pub remarks: Vec<Fault>,
}

/// How a document is read, and what was found.
pub(crate) struct Desk {
    /// Who is blamed for what is wrong in the document.
    pub by: By,
    /// Whether members may be spelled as they were before 2025-09-16: `registry_type` for `registryType`.
    pub old_names: bool,
    /// Whether the drafts about authentication are read.
    pub auth: bool,
    faults: Vec<Fault>,
    told_old: bool,
}

impl Desk {
    /// Blames what is wrong on this one.
    pub fn new(by: By) -> Self {
        Self { by, old_names: false, auth: false, faults: Vec::new(), told_old: false }
    }

    /// Tells a reason to refuse.
    pub fn refuse(&mut self, pointer: &str, what: impl Into<String>) {
        self.push(Fault::refused(self.by, pointer, what));
    }

    /// Tells something that is no reason to refuse.
    pub fn remark(&mut self, pointer: &str, what: impl Into<String>) {
        self.push(Fault::remark(self.by, pointer, what));
    }

    fn push(&mut self, fault: Fault) {
        // A reason to refuse is never lost behind remarks.
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else if fault.weight == Weight::Refused
            && let Some(last) = self.faults.last_mut()
            && last.weight == Weight::Remark
        {
            *last = fault;
        }
    }

    /// Whether something was a reason to refuse.
    pub fn refused(&self) -> bool {
        self.faults.iter().any(|fault| fault.weight == Weight::Refused)
    }

    /// The value if nothing was a reason to refuse.
    pub fn finish<T>(self, raw: Raw, value: Option<T>) -> Result<Read<T>, Vec<Fault>> {
        match value {
            Some(value) if !self.refused() => Ok(Read { value, raw, remarks: self.faults }),
            _ => Err(self.faults),
        }
    }
}

/// Takes bytes that should be one JSON object.
pub(crate) fn document(desk: &mut Desk, bytes: &Bytes, bytes_max: usize) -> Option<Raw> {
    if bytes.len() > bytes_max {
        desk.refuse("", format!("{} bytes, and at most {bytes_max} are read", bytes.len()));
        return None;
    }
    if too_deep(bytes) {
        desk.refuse("", format!("nested deeper than {DEPTH_MAX}"));
        return None;
    }
    match Raw::parse(bytes.clone()) {
        Ok(raw) => Some(raw),
        Err(error) => {
            desk.refuse("", format!("no JSON: {error}"));
            None
        }
    }
}

fn too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (text, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => text = !text,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// The members of one object, and which of them were asked for.
pub(crate) struct Members {
    /// Where the object is.
    pub at: String,
    object: Object,
    known: Vec<String>,
}

/// A member that is there.
pub(crate) struct Found {
    pub at: String,
    pub raw: Raw,
}

impl Members {
    /// The members of a value that has to be an object.
    pub fn open(desk: &mut Desk, at: impl Into<String>, raw: &Raw) -> Option<Self> {
        let at = at.into();
        match raw.object() {
            Ok(Some(object)) if object.len() > MEMBERS_MAX => {
                desk.refuse(&at, format!("{} members, and at most {MEMBERS_MAX} are read", object.len()));
                None
            }
            Ok(Some(object)) => Some(Self { at, object, known: Vec::new() }),
            Ok(None) => {
                desk.refuse(&at, "has to be an object");
                None
            }
            Err(_) => {
                desk.refuse(&at, "a member stands twice, and readers differ on which one counts");
                None
            }
        }
    }

    /// Whether there is a member of this name.
    pub fn has(&self, name: &str) -> bool {
        self.object.has(name)
    }

    /// The member, also under its older name where that is allowed. `null` counts as nothing.
    pub fn take(&mut self, desk: &mut Desk, name: &str) -> Option<Found> {
        self.known.push(name.to_owned());
        let mut spelled = name.to_owned();
        let mut raw = self.object.get(name);
        if desk.old_names
            && let Some(old) = old_name(name)
        {
            self.known.push(old.clone());
            let older = self.object.get(&old);
            match (&raw, older) {
                (Some(_), Some(_)) => {
                    desk.refuse(&step(&self.at, name), format!("stands here and as {old:?}"));
                }
                (None, Some(value)) => {
                    if !desk.told_old {
                        desk.told_old = true;
                        desk.remark(&step(&self.at, &old), format!("since 2025-09-16 this is {name:?}"));
                    }
                    (raw, spelled) = (Some(value), old);
                }
                _ => {}
            }
        }
        let at = step(&self.at, &spelled);
        let raw = raw?;
        if raw.is_null() {
            desk.remark(&at, "null, read as if it were not there");
            return None;
        }
        Some(Found { at, raw })
    }

    /// A text of 1 to `chars_max` characters.
    pub fn text(&mut self, desk: &mut Desk, name: &str, chars_max: usize) -> Option<String> {
        let text = self.any_text(desk, name, chars_max)?;
        if text.is_empty() {
            desk.refuse(&step(&self.at, name), "is empty");
            return None;
        }
        Some(text)
    }

    /// A text of at most `chars_max` characters.
    pub fn any_text(&mut self, desk: &mut Desk, name: &str, chars_max: usize) -> Option<String> {
        let found = self.take(desk, name)?;
        text_of(desk, &found.at, &found.raw, chars_max)
    }

    /// The member where it must be there, and be something.
    pub fn must(&mut self, desk: &mut Desk, name: &str) -> Option<Found> {
        let older = old_name(name).filter(|old| self.has(old));
        match older {
            Some(old) if !self.has(name) && !desk.old_names => {
                let what = format!("{name:?} is missing; {old:?} is how it was spelled before 2025-09-16");
                desk.refuse(&self.at, what);
            }
            None if !self.has(name) => {
                let older = OLDEST.iter().find(|(new, old)| *new == name && self.has(old));
                let hint = older.map_or(String::new(), |(_, old)| {
                    format!("; {old:?} is how it was said before the first dated schema, of 2025-07-09")
                });
                desk.refuse(&self.at, format!("{name:?} is missing{hint}"));
            }
            _ => {}
        }
        let there = self.has(name) || desk.old_names && old_name(name).is_some_and(|old| self.has(&old));
        let found = self.take(desk, name);
        if there && found.is_none() {
            desk.refuse(&step(&self.at, name), "is null");
        }
        found
    }

    /// A text of at least a character that must be there.
    pub fn needed(&mut self, desk: &mut Desk, name: &str, chars_max: usize) -> Option<String> {
        let found = self.must(desk, name)?;
        let text = text_of(desk, &found.at, &found.raw, chars_max)?;
        if text.is_empty() {
            desk.refuse(&found.at, "is empty");
            return None;
        }
        Some(text)
    }

    /// A truth value.
    pub fn flag(&mut self, desk: &mut Desk, name: &str) -> Option<bool> {
        let found = self.take(desk, name)?;
        let flag = found.raw.as_bool();
        if flag.is_none() {
            desk.refuse(&found.at, "has to be true or false");
        }
        flag
    }

    /// The items of a list, each with its pointer.
    pub fn items(&mut self, desk: &mut Desk, name: &str, max: usize) -> Option<Vec<Found>> {
        let found = self.take(desk, name)?;
        Self::items_of(desk, &found, max)
    }

    /// The items of a value that has to be a list.
    pub fn items_of(desk: &mut Desk, found: &Found, max: usize) -> Option<Vec<Found>> {
        let Some(items) = found.raw.items() else {
            desk.refuse(&found.at, "has to be a list");
            return None;
        };
        if items.len() > max {
            desk.refuse(&found.at, format!("{} items, and at most {max} are read", items.len()));
            return None;
        }
        let place = |(n, raw)| Found { at: format!("{}/{n}", found.at), raw };
        Some(items.into_iter().enumerate().map(place).collect())
    }

    /// A list of texts.
    pub fn texts(
        &mut self,
        desk: &mut Desk,
        name: &str,
        max: usize,
        chars_max: usize,
    ) -> Option<Vec<String>> {
        let items = self.items(desk, name, max)?;
        Some(items.iter().filter_map(|item| text_of(desk, &item.at, &item.raw, chars_max)).collect())
    }

    /// The members of an object, each with its name and pointer.
    pub fn entries(&mut self, desk: &mut Desk, name: &str, max: usize) -> Option<Vec<(String, Found)>> {
        let found = self.take(desk, name)?;
        let members = Self::open(desk, found.at, &found.raw)?;
        if members.object.len() > max {
            let what = format!("{} members, and at most {max} are read", members.object.len());
            desk.refuse(&members.at, what);
            return None;
        }
        let entry = |(name, raw): (std::borrow::Cow<'_, str>, Raw)| {
            (name.clone().into_owned(), Found { at: step(&members.at, &name), raw })
        };
        Some(members.object.iter().map(entry).collect())
    }

    /// Everything nobody asked for, as it came.
    pub fn rest(self) -> Extra {
        let known = |name: &str| self.known.iter().any(|known| known == name);
        let rest = self.object.iter().filter(|(name, _)| !known(name));
        Extra(rest.map(|(name, raw)| (name.into_owned(), raw)).collect())
    }
}

/// A value that has to be a text.
pub(crate) fn text_of(desk: &mut Desk, at: &str, raw: &Raw, chars_max: usize) -> Option<String> {
    let Some(text) = raw.as_str() else {
        let what =
            if raw.kind() == Kind::String { "a text with half a character" } else { "has to be a text" };
        desk.refuse(at, what);
        return None;
    };
    let chars = text.chars().count();
    if chars > chars_max {
        desk.refuse(at, format!("{chars} characters, and at most {chars_max} may stand here"));
        return None;
    }
    Some(text.into_owned())
}

/// One of some words.
pub(crate) fn word<T: Copy>(desk: &mut Desk, at: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        desk.refuse(at, format!("{} is none of {}", shown(text), all.join(", ")));
    }
    found
}

/// What members were called before any schema had a date. Documents of that time are not read.
const OLDEST: [(&str, &str); 4] = [
    ("version", "version_detail"),
    ("type", "transport_type"),
    ("registryType", "registry_name"),
    ("identifier", "name"),
];

/// `registry_type` for `registryType`.
fn old_name(name: &str) -> Option<String> {
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut old = String::with_capacity(name.len() + 3);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            old.push('_');
        }
        old.push(c.to_ascii_lowercase());
    }
    Some(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &'static str) -> (Desk, Option<Members>) {
        let mut desk = Desk::new(By::Publisher);
        let raw = document(&mut desk, &Bytes::from_static(text.as_bytes()), 1_000);
        let members = raw.and_then(|raw| Members::open(&mut desk, "", &raw));
        (desk, members)
    }

    #[test]
    fn what_is_too_deep_too_long_or_no_json_is_refused_before_it_is_read() {
        for text in ["", "{", "[]", "null", r#"{"a":1,"a":2}"#, r#"{"a":1} x"#] {
            let (desk, members) = open(text);
            assert!(members.is_none() && desk.refused(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
        let mut desk = Desk::new(By::Publisher);
        assert!(document(&mut desk, &Bytes::from(deep), 1_000).is_none() && desk.refused());
        let mut desk = Desk::new(By::Publisher);
        assert!(document(&mut desk, &Bytes::from(vec![b' '; 1_001]), 1_000).is_none() && desk.refused());
        let (desk, members) = open(r#"{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[["}"#);
        assert!(members.is_some() && !desk.refused(), "brackets in a text are no nesting");
    }

    #[test]
    fn older_names_are_read_where_they_are_allowed_and_never_beside_the_new_ones() {
        let text = r#"{"registry_type":"npm","isSecret":true,"is_secret":false,"x":[1, 2]}"#;
        let (mut desk, members) = open(text);
        let mut members = members.expect("an object");
        assert_eq!(members.text(&mut desk, "registryType", 9), None);
        desk.old_names = true;
        assert_eq!(members.text(&mut desk, "registryType", 9).as_deref(), Some("npm"));
        assert!(!desk.refused());
        assert_eq!(members.flag(&mut desk, "isSecret"), Some(true));
        assert!(desk.refused());
        let rest = members.rest();
        assert_eq!(rest.0.len(), 1);
        assert_eq!(rest.0[0].1.as_text(), "[1, 2]");
    }

    #[test]
    fn a_reason_to_refuse_is_not_lost_behind_remarks() {
        let mut desk = Desk::new(By::Registry);
        for _ in 0..FAULTS_MAX * 3 {
            desk.remark("", "something");
        }
        desk.refuse("/a", "much worse");
        assert!(desk.refused());
        assert_eq!(desk.finish(Raw::literal("{}"), Some(())).expect_err("refused").len(), FAULTS_MAX);
    }
}
