//! One map of a text, read member by member. What nobody asks for is what is not known.

use indexmap::IndexMap;

use super::{Kind, Node, Source};
use crate::format::Fault;
use crate::model::Unknown;

/// A map that is being read. The first fault is kept; whoever ends the reading is told.
pub(crate) struct Reader<'a> {
    source: &'a Source<'a>,
    node: &'a Node,
    path: String,
    used: Vec<&'a str>,
    nulls: Vec<String>,
    fault: Option<Fault>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source<'a>, node: &'a Node, path: impl Into<String>) -> Self {
        let mut own =
            Self { source, node, path: path.into(), used: Vec::new(), nulls: Vec::new(), fault: None };
        match &node.kind {
            Kind::Map(_) => {}
            Kind::Unusable(fault) => own.fault = Some((**fault).clone()),
            _ => own.fail(node.at, "", format!("expected a map, found {}", node.describe())),
        }
        own
    }

    /// Says what is wrong with a member, or with the map where no member is named.
    pub(crate) fn fail(&mut self, at: usize, key: &str, message: impl Into<String>) {
        if self.fault.is_none() {
            let path = if key.is_empty() { self.path.clone() } else { format!("{}.{key}", self.path) };
            self.fault = Some(self.source.fault(at, &path, message));
        }
    }

    /// The same with the position of the member.
    pub(crate) fn fail_at(&mut self, key: &str, message: impl Into<String>) {
        let at = self.node.members().iter().find(|member| member.key == key).map(|member| member.at);
        self.fail(at.unwrap_or(self.node.at), key, message);
    }

    /// Whether a member is there, and not null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(|value| !matches!(value.kind, Kind::Null))
    }

    /// Whether a member is a map.
    pub(crate) fn is_map(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(|value| matches!(value.kind, Kind::Map(_)))
    }

    /// A member, unless it is null.
    pub(crate) fn get(&mut self, key: &str) -> Option<&'a Node> {
        let member = self.node.members().iter().find(|member| member.key == key)?;
        self.used.push(member.key.as_str());
        (!matches!(member.value.kind, Kind::Null)).then_some(&member.value)
    }

    fn expected<T>(&mut self, key: &str, node: &Node, what: &str) -> Option<T> {
        self.fail(node.at, key, format!("expected {what}, found {}", node.describe()));
        None
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let node = self.get(key)?;
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            _ => self.expected(key, node, "text"),
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let node = self.get(key)?;
        match &node.kind {
            Kind::Bool(flag) => Some(*flag),
            _ => self.expected(key, node, "true or false"),
        }
    }

    /// An amount in thousandths: a time in seconds is had as milliseconds with `scale` 1000.
    pub(crate) fn scaled(&mut self, key: &str, scale: u64) -> Option<u64> {
        let node = self.get(key)?;
        let Kind::Number(number) = &node.kind else { return self.expected(key, node, "a number") };
        if let Some(whole) = number.as_u64() {
            return whole.checked_mul(scale).or_else(|| self.expected(key, node, "a smaller number"));
        }
        // No time is that long that a fraction would be lost.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        match number.as_f64().map(|value| (value * scale as f64).round()) {
            Some(value) if (0.0..9.0e15).contains(&value) => Some(value as u64),
            _ => self.expected(key, node, "a number that is not negative"),
        }
    }

    pub(crate) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.get(key)?;
        let Kind::List(items) = &node.kind else { return self.expected(key, node, "a list") };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match &item.kind {
                Kind::Text(text) => texts.push(text.clone()),
                _ => return self.expected(key, item, "text in the list"),
            }
        }
        Some(texts)
    }

    /// Values by names. Numbers and flags count as the text that they are written as; null is left
    /// out: see [`Self::nulls`].
    pub(crate) fn map(&mut self, key: &str) -> IndexMap<String, String> {
        let mut values = IndexMap::new();
        let Some(node) = self.get(key) else { return values };
        if !matches!(node.kind, Kind::Map(_)) {
            let _: Option<()> = self.expected(key, node, "a map");
            return values;
        }
        for member in node.members() {
            let text = match &member.value.kind {
                Kind::Text(text) => text.clone(),
                Kind::Number(number) => number.to_string(),
                Kind::Bool(flag) => flag.to_string(),
                Kind::Null => {
                    self.nulls.push(format!("{key}.{}", member.key));
                    continue;
                }
                Kind::List(_) | Kind::Map(_) | Kind::Unusable(_) => {
                    let key = format!("{key}.{}", member.key);
                    let _: Option<()> = self.expected(&key, &member.value, "text");
                    continue;
                }
            };
            values.insert(member.key.clone(), text);
        }
        values
    }

    /// Where a value is null that [`Self::map`] has left out.
    pub(crate) fn nulls(&self) -> &[String] {
        &self.nulls
    }

    /// A reader of a member that is a map.
    pub(crate) fn inner(&mut self, key: &str) -> Option<Reader<'a>> {
        let node = self.get(key)?;
        Some(Reader::new(self.source, node, format!("{}.{key}", self.path)))
    }

    /// Takes over what is wrong with a map inside.
    pub(crate) fn close(&mut self, inner: Reader<'a>) -> Unknown {
        let rest = inner.rest();
        if self.fault.is_none() {
            self.fault = inner.fault;
        }
        rest
    }

    fn rest(&self) -> Unknown {
        let unknown = self.node.members().iter().filter(|member| !self.used.contains(&member.key.as_str()));
        unknown.map(|member| (member.key.clone(), member.value.to_value())).collect()
    }

    /// What nobody asked for.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub(crate) fn end(self) -> Result<Unknown, Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.rest()),
        }
    }
}
