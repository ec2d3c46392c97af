//! One upstream's list, read once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::headers::{ParamRule, param_rules};
use protocol::json::Object;
use protocol::{Method, Raw};
use tokio::time::Instant;

use crate::handles::SessionUse;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Tools.
    Tools,
    /// Prompts.
    Prompts,
    /// Resources.
    Resources,
    /// Resource templates.
    Templates,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The kind that a method lists.
    #[must_use]
    pub fn of(method: &Method) -> Option<Self> {
        match method {
            Method::ToolsList => Some(Self::Tools),
            Method::PromptsList => Some(Self::Prompts),
            Method::ResourcesList => Some(Self::Resources),
            Method::TemplatesList => Some(Self::Templates),
            _ => None,
        }
    }

    /// The method that lists it.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Self::Tools => Method::ToolsList,
            Self::Prompts => Method::PromptsList,
            Self::Resources => Method::ResourcesList,
            Self::Templates => Method::TemplatesList,
        }
    }

    /// The result's member that holds the items.
    #[must_use]
    pub fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The item's member that names it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The server capability that it belongs to.
    #[must_use]
    pub fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }
}

/// One entry of a list.
#[derive(Debug, Clone)]
pub struct Item {
    /// The upstream's own name or URI for it.
    pub key: Arc<str>,
    /// The entry as it came.
    pub raw: Raw,
    /// A tool's `x-mcp-header` rules.
    pub rules: Option<Arc<[ParamRule]>>,
    /// What a call of the tool has to do with sessions, where they are opened and closed by handles.
    pub session: Option<SessionUse>,
    /// The hash of its definition, where definitions are pinned. `None` there: it is the gateway's own.
    pub pin: Option<Arc<str>>,
}

/// A whole list, all of its pages.
#[derive(Debug)]
pub struct Listing {
    /// The entries in the upstream's order, without those that a client must ignore.
    pub items: Vec<Item>,
    index: HashMap<Arc<str>, usize>,
    unusable: HashSet<Arc<str>>,
    /// The first page without its entries and hints: what the upstream says beside them.
    pub rest: Raw,
    /// Until when it may be served.
    pub fresh_until: Instant,
    /// When it was asked for.
    pub read_at: Instant,
    /// Whether every principal may see it.
    pub public: bool,
    /// A number that no other listing has.
    pub version: u64,
    pub(crate) epoch: u64,
}

/// Pages on their way to becoming a [`Listing`].
#[derive(Debug, Default)]
pub(crate) struct Pages {
    items: Vec<Item>,
    unusable: HashSet<Arc<str>>,
    rest: Option<Raw>,
    ttl: Option<Duration>,
    private: bool,
}

/// Why a page is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPage(pub &'static str);

impl Pages {
    /// Takes a page and gives the cursor of the next.
    pub fn add(&mut self, kind: Kind, result: &Raw, items_max: usize) -> Result<Option<Raw>, BadPage> {
        let object = result.object().ok().flatten().ok_or(BadPage("a list that is no object"))?;
        let items =
            object.get(kind.member()).and_then(|i| i.items()).ok_or(BadPage("a list without its items"))?;
        for raw in items {
            if self.items.len() + self.unusable.len() >= items_max {
                return Err(BadPage("more items than limits.list_items_max"));
            }
            match read_item(kind, raw) {
                Entry::Item(item) => self.items.push(item),
                Entry::Unusable(name) => drop(self.unusable.insert(name)),
                Entry::Nameless => {}
            }
        }
        let ttl = object.get("ttlMs").and_then(|t| t.as_i64()).unwrap_or(0);
        let ttl = Duration::from_millis(u64::try_from(ttl).unwrap_or(0));
        self.ttl = Some(self.ttl.map_or(ttl, |known| known.min(ttl)));
        self.private |= object.get("cacheScope").is_none_or(|s| s.as_bytes() != b"\"public\"");
        let next = object.get("nextCursor").filter(|c| !c.is_null());
        if self.rest.is_none() {
            let edit = object.edit().remove(kind.member()).remove("nextCursor").remove("ttlMs");
            self.rest = Some(edit.remove("cacheScope").remove("resultType").finish());
        }
        Ok(next)
    }

    /// The hints of all pages: the shortest time, the strictest scope.
    pub fn ttl(&self) -> Duration {
        self.ttl.unwrap_or_default()
    }

    pub fn finish(self, read_at: Instant, ttl: Duration, version: u64, epoch: u64) -> Listing {
        let mut items: Vec<Item> = Vec::with_capacity(self.items.len());
        let mut index = HashMap::with_capacity(self.items.len());
        for item in self.items {
            // Of two entries of one name only the first can be called.
            if !index.contains_key(&item.key) {
                index.insert(Arc::clone(&item.key), items.len());
                items.push(item);
            }
        }
        let rest = self.rest.unwrap_or_else(|| Object::empty().raw());
        let (unusable, public, fresh_until) = (self.unusable, !self.private, read_at + ttl);
        Listing { items, index, unusable, rest, fresh_until, read_at, public, version, epoch }
    }
}

/// What an entry of a list turns out to be.
enum Entry {
    Item(Item),
    /// A tool that a client must drop (SEP-2243).
    Unusable(Arc<str>),
    Nameless,
}

fn read_item(kind: Kind, raw: Raw) -> Entry {
    let Ok(Some(object)) = raw.object() else { return Entry::Nameless };
    let name = object.get(kind.key());
    let Some(name) = name.as_ref().and_then(|name| name.as_str()) else { return Entry::Nameless };
    let key: Arc<str> = Arc::from(&*name);
    let mut rules = None;
    if kind == Kind::Tools
        && let Some(schema) = object.get("inputSchema")
    {
        match param_rules(&schema) {
            Ok(found) if found.is_empty() => {}
            Ok(found) => rules = Some(Arc::from(found)),
            Err(why) => {
                tracing::warn!(tool = %key, why, "a tool with a bad x-mcp-header annotation is not offered");
                return Entry::Unusable(key);
            }
        }
    }
    Entry::Item(Item { key, raw, rules, session: None, pin: None })
}

impl Listing {
    /// The same list with other items, each of another name.
    pub(crate) fn with_items(mut self, change: impl FnOnce(Vec<Item>) -> Vec<Item>) -> Self {
        self.items = change(std::mem::take(&mut self.items));
        self.index = self.items.iter().enumerate().map(|(at, item)| (Arc::clone(&item.key), at)).collect();
        self
    }

    /// The entry with this name or URI.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.index.get(key).map(|at| &self.items[*at])
    }

    /// Whether the upstream lists a tool of this name that a client must not use: its annotations make no
    /// valid headers (SEP-2243).
    #[must_use]
    pub fn is_unusable(&self, key: &str) -> bool {
        self.unusable.contains(key) && !self.index.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_with_bad_annotations_is_not_listed_and_known_as_unusable() {
        let tool = |name: &str, header: &str| {
            let region = format!(r#"{{"type":"string","x-mcp-header":"{header}"}}"#);
            format!(r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{"r":{region}}}}}}}"#)
        };
        let list = format!(r#"{{"tools":[{},{}]}}"#, tool("good", "Region"), tool("bad", "My Region"));
        let list = Raw::parse(list.into()).expect("JSON");
        let mut pages = Pages::default();
        assert_eq!(pages.add(Kind::Tools, &list, 2), Ok(None));
        let listing = pages.finish(Instant::now(), Duration::ZERO, 1, 0);
        assert!(listing.get("good").is_some_and(|item| item.rules.is_some()));
        assert!(listing.get("bad").is_none() && listing.is_unusable("bad"));
        assert!(!listing.is_unusable("good") && !listing.is_unusable("unheard of"));
        let mut pages = Pages::default();
        assert!(pages.add(Kind::Tools, &list, 1).is_err(), "what is dropped counts");
    }
}
