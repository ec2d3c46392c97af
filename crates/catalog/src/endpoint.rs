//! A virtual server: which upstreams, under which names.

use std::sync::Arc;
use std::time::Duration;

use config::{LifeStage, Lifecycle};
use futures_util::future::join_all;
use model::{Clock, Principal, Rng, Timestamp};
use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Raw, Revision, RpcError, code};
use seal::{Binding, KeyRing, Purpose};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::filter::Filter;
use crate::groups;
use crate::life::{self, LIFECYCLE, Turns};
use crate::listing::{Kind, Listing};
use crate::merge::{Entry, Merged, finish_page, merge, pins_of};
use crate::offered::Offered;
use crate::part::Part;
use crate::pins::Compared;
use crate::source::{Caller, ListError, SIGN_IN, Source};

/// Names upstreams whose part of a list is missing, and why. A key of ours in a list result's `_meta`.
pub const MISSING: &str = "io.tidegate/missing";

/// How long a cursor can be used.
const CURSOR_TIME: Duration = Duration::from_secs(86_400);
/// Merged lists that are kept for one endpoint.
const MERGED_MAX: u64 = 256;

/// What an endpoint is told at its start.
pub struct EndpointOptions {
    /// Its name.
    pub name: String,
    /// Whether it is one upstream as it is, and not a selection.
    pub direct: bool,
    /// Which of the names given out it offers.
    pub filter: Filter,
    /// Entries on one page of a list.
    pub page_size: usize,
    /// Who the gateway says it is: an `Implementation`.
    pub server_info: Raw,
    /// Whether that is said in the place of what an upstream says of itself, too.
    pub by_card: bool,
    /// In place of what upstreams say.
    pub instructions: Option<String>,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Whether what is experimental is offered.
    pub experimental: bool,
}

/// The revisions that every endpoint is served in, the newest first.
#[must_use]
pub fn served() -> Vec<&'static str> {
    Revision::ALL.iter().rev().map(|revision| revision.as_str()).collect()
}

/// Says what of a list somebody may see.
pub trait Sieve: Sync {
    /// Looks at a list.
    fn open<'s>(&'s self) -> Box<Allows<'s>>;
}

/// Whether somebody may see this: its kind, its upstream, the upstream's own name for it, and the entry as it
/// is given out.
pub type Allows<'s> = dyn Fn(Kind, &str, &str, &Raw) -> bool + 's;

/// A virtual server.
pub struct Endpoint {
    options: EndpointOptions,
    parts: Vec<Part>,
    has_handles: bool,
    /// When something of it may be elsewhere in its life.
    turns: Turns,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    merged: moka::sync::Cache<(Kind, Principal, Raw), Arc<Merged>>,
}

impl Endpoint {
    /// An endpoint over these upstreams, in this order.
    #[must_use]
    pub fn new(
        options: EndpointOptions,
        parts: Vec<Part>,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        let merged = moka::sync::Cache::builder()
            .max_capacity(MERGED_MAX)
            .time_to_live(Duration::from_secs(3_600))
            .build();
        let has_handles = parts.iter().any(|part| part.source.has_handles());
        let turns = Turns::merged(parts.iter().map(|part| part.life.turns()), &options.lifecycle);
        Self { options, parts, has_handles, turns, keys, clock, rng, merged }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Drops what is kept only to be faster: merged lists, which are made anew from those of the upstreams.
    pub fn shrink(&self) {
        self.merged.invalidate_all();
        self.merged.run_pending_tasks();
    }

    /// The life that the operator gave it.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.options.lifecycle
    }

    /// Where it is in its life.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> LifeStage {
        self.options.lifecycle.at(now)
    }

    /// Whether it is served. A selection that is experimental says so by itself; an upstream that is has to
    /// be selected by an endpoint that offers what is experimental.
    #[must_use]
    pub fn is_served(&self, now: Timestamp) -> bool {
        self.stage(now).is_offered(!self.options.direct)
    }

    /// Whether anything of an upstream may be offered.
    pub(crate) fn has(&self, part: usize) -> bool {
        let life = &self.parts[part].life;
        life.is_plain() || life.is_offered(self.clock.now(), self.options.experimental)
    }

    /// Whether what is experimental is offered here.
    #[must_use]
    pub fn is_experimental(&self) -> bool {
        self.options.experimental
    }

    /// Whether it is one upstream as it is.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.options.direct
    }

    /// Whether sessions with any of its upstreams are opened and closed by handles.
    #[must_use]
    pub fn has_handles(&self) -> bool {
        self.has_handles
    }

    /// Its upstreams.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What somebody has of the upstream of this name.
    #[must_use]
    pub fn source(&self, upstream: &str, principal: &Principal) -> Option<Arc<Source>> {
        let mut sources = self.parts.iter().map(|p| &p.source);
        sources.find(|s| s.upstream().name().as_str() == upstream).map(|source| source.of(principal))
    }

    /// Whether the filters let it be offered.
    pub(crate) fn allows(&self, kind: Kind, part: usize, own: &str) -> bool {
        let p = &self.parts[part];
        if !p.life.is_plain() && !p.life.offers(own, self.clock.now(), self.options.experimental) {
            return false;
        }
        // It is the gateway's own, and there only where it is needed.
        if p.source.is_per_user() && kind == Kind::Tools && own == SIGN_IN {
            return true;
        }
        if !p.filter.allows(own) {
            return false;
        }
        match kind {
            Kind::Tools | Kind::Prompts => self.options.filter.allows(&p.naming.full(own)),
            // Resources have no exposed name: they are matched as `upstream_URI`.
            Kind::Resources | Kind::Templates if self.options.direct => true,
            Kind::Resources | Kind::Templates => {
                self.options.filter.allows(&format!("{}_{own}", p.source.upstream().name()))
            }
        }
    }

    /// What the endpoint is and can do: the answer to `server/discover`.
    ///
    /// # Errors
    /// Where none of its upstreams can be asked.
    pub async fn discover(&self, principal: &Principal) -> Result<Raw, RpcError> {
        let parts: Vec<_> = self.offering().collect();
        let own: Vec<_> = parts.iter().map(|p| p.source.of(principal)).collect();
        let asked = join_all(own.iter().map(|source| source.discovery())).await;
        let mut known = Vec::new();
        let mut missing = Vec::new();
        for (part, answer) in parts.into_iter().zip(asked) {
            match answer {
                Ok(discovery) => known.push(discovery.discover),
                Err(error) => missing.push((part.source.upstream().name().to_string(), error.to_rpc())),
            }
        }
        if known.is_empty() && !missing.is_empty() {
            return Err(none_answered(missing));
        }
        let versions = Raw::from_value(&json!(served()));
        if self.options.direct
            && let Some(object) = known.first().and_then(|d| d.object().ok().flatten())
        {
            let mut edit = object.edit().set("supportedVersions", versions);
            if self.options.by_card {
                edit = edit.set("_meta", self.known_as(object.get("_meta").as_ref()));
            }
            if let Some(text) = &self.options.instructions {
                edit = edit.set("instructions", Raw::string(text));
            }
            let discover = edit.finish();
            return Ok(match (self.told(), discover.object()) {
                (Some(told), Ok(Some(object))) => life::with_told(&object, told),
                _ => discover,
            });
        }
        Ok(self.merged_discover(&known, &versions, &missing))
    }

    /// What is told of its life.
    fn told(&self) -> Option<Raw> {
        let life = &self.options.lifecycle;
        life::told(life, self.clock.now(), life.replacement.as_deref())
    }

    /// Those of its upstreams of which something may be offered now.
    pub fn offering(&self) -> impl Iterator<Item = &Part> {
        self.offered_parts().map(|at| &self.parts[at])
    }

    fn offered_parts(&self) -> impl Iterator<Item = usize> {
        (0..self.parts.len()).filter(|part| self.has(*part))
    }

    /// What an upstream says beside a result, with the name that the operator gave the endpoint.
    fn known_as(&self, meta: Option<&Raw>) -> Raw {
        let meta = meta.and_then(|meta| meta.object().ok().flatten()).unwrap_or_else(Object::empty);
        meta.edit().set(meta::SERVER_INFO, self.options.server_info.clone()).finish()
    }

    /// The experimental tasks of 2025-11-25, where the endpoint is one upstream that has them. Not where
    /// sessions belong to handles: a task belongs to a session, and who asks for it later names none.
    pub async fn legacy_tasks(&self, principal: &Principal) -> Option<Raw> {
        let [only] = self.parts.as_slice() else { return None };
        only.source.of(principal).discovery().await.ok()?.tasks.filter(|_| self.has_legacy_tasks())
    }

    /// Whether tasks of 2025-11-25 can be asked for at all.
    #[must_use]
    pub fn has_legacy_tasks(&self) -> bool {
        self.options.direct && !self.has_handles
    }

    fn merged_discover(&self, known: &[Raw], versions: &Raw, missing: &[(String, RpcError)]) -> Raw {
        let mut capabilities = json!({});
        for discover in known {
            if let Some(offered) = discover.get("capabilities") {
                union(&mut capabilities, &offered.to_value());
            }
        }
        groups::advertise(&mut capabilities, self.has_groups());
        let mut entries = json!({meta::SERVER_INFO: self.options.server_info.to_value()});
        if !missing.is_empty() {
            entries[MISSING] = missing_value(missing);
        }
        if let Some(told) = self.told() {
            entries[LIFECYCLE] = told.to_value();
        }
        let mut result = json!({
            "resultType": "complete",
            "supportedVersions": versions.to_value(),
            "capabilities": capabilities,
            "ttlMs": if missing.is_empty() { 60_000 } else { 0 },
            "cacheScope": "private",
            "_meta": entries,
        });
        if let Some(text) = &self.options.instructions {
            result["instructions"] = json!(text);
        }
        Raw::from_value(&result)
    }

    /// One page of a list.
    ///
    /// # Errors
    /// -32601 where no upstream has anything of the kind, -32602 for a cursor that is none, and the reason
    /// where there are upstreams and none of them answered: never an empty list in place of an error.
    pub async fn list(
        &self,
        kind: Kind,
        caller: &Caller,
        cursor: Option<&Raw>,
        sieve: Option<&dyn Sieve>,
    ) -> Result<Raw, RpcError> {
        let Gathered { lists, missing, merged } = self.gather(kind, caller).await?;
        let merged = match sieve {
            None => merged,
            Some(sieve) => {
                let allows = sieve.open();
                Arc::new(merged.sieved(|entry| {
                    let upstream = self.parts[entry.part].source.upstream().name().as_str();
                    allows(kind, upstream, &entry.key, &entry.raw)
                }))
            }
        };
        let start = match cursor {
            None => 0,
            Some(cursor) => self.open_cursor(kind, caller, cursor, &merged)?,
        };
        let rest = self.rest(&lists, &missing);
        let next = |entry: &Entry| self.seal_cursor(kind, caller, entry);
        let page = merged.page(kind, start, self.options.page_size, &rest, next);
        let now = Instant::now();
        let left = lists.iter().map(|(_, l)| l.fresh_until.saturating_duration_since(now));
        // Nobody keeps a list for longer than a call is judged by it.
        let judged = self.parts.iter().filter_map(|part| Some(part.source.pinned()?.rule.reread));
        // Nor beyond the day from which something of it is elsewhere in its life.
        let clock = self.clock.now();
        let turn = self.turns.next(clock).map(|turn| Duration::from_millis(turn.0.saturating_sub(clock.0)));
        let left = left.chain(judged).chain(turn).min();
        let ttl = if missing.is_empty() { left.unwrap_or_default().as_millis() } else { 0 };
        // What was made for one is not for others.
        let public = sieve.is_none() && missing.is_empty() && lists.iter().all(|(_, l)| l.public);
        Ok(finish_page(&page, ttl, public))
    }

    /// The lists of the upstreams, together.
    async fn gather(&self, kind: Kind, caller: &Caller) -> Result<Gathered, RpcError> {
        let parts: Vec<usize> = self.offered_parts().collect();
        let own: Vec<_> = parts.iter().map(|at| self.parts[*at].source.of(&caller.principal)).collect();
        let asked = join_all(own.iter().map(|source| source.list(kind, caller))).await;
        let mut lists = Vec::with_capacity(asked.len());
        let mut missing = Vec::new();
        for (part, answer) in parts.into_iter().zip(asked) {
            let name = || self.parts[part].source.upstream().name().to_string();
            match answer {
                Ok(list) => lists.push((part, list)),
                Err(ListError::None) => {}
                Err(ListError::Call(error)) => missing.push((name(), error.to_rpc())),
                Err(ListError::Rpc(error)) => missing.push((name(), error)),
            }
        }
        if lists.is_empty() {
            return Err(if missing.is_empty() {
                RpcError::method_not_found(kind.method().as_str())
            } else {
                none_answered(missing)
            });
        }
        // What is missing changes from moment to moment: such a list is not kept.
        let merged = match missing.is_empty() {
            true => self.merged(kind, caller, &lists),
            false => Arc::new(merge_again(kind, self, &lists)),
        };
        Ok(Gathered { lists, missing, merged })
    }

    /// All entries of a list, whoever may see them: for an index over them. What is quarantined, filtered, or
    /// somebody else's is not among them.
    ///
    /// # Errors
    /// As for [`Endpoint::list`].
    pub async fn offered(&self, kind: Kind, caller: &Caller) -> Result<Offered, RpcError> {
        let Gathered { missing, merged, .. } = self.gather(kind, caller).await?;
        let upstreams = self.parts.iter().map(|part| part.source.upstream().name().to_string()).collect();
        let missing = (!missing.is_empty()).then(|| Raw::from_value(&missing_value(&missing)));
        Ok(Offered { merged, upstreams, missing })
    }

    fn merged(&self, kind: Kind, caller: &Caller, lists: &[(usize, Arc<Listing>)]) -> Arc<Merged> {
        let key = (kind, caller.principal.clone(), caller.capabilities.raw.clone());
        let same = |m: &Arc<Merged>| {
            m.pins == pins_of(&self.parts)
                && m.turns == self.turns.passed(self.clock.now())
                && m.made_of.len() == lists.len()
                && m.made_of.iter().zip(lists).all(|(a, (part, l))| *a == (*part, l.version))
        };
        if let Some(merged) = self.merged.get(&key).filter(same) {
            return merged;
        }
        let merged = Arc::new(merge_again(kind, self, lists));
        self.compare(kind, lists);
        self.merged.insert(key, Arc::clone(&merged));
        merged
    }

    /// Tells whoever keeps pins what stands side by side here.
    fn compare(&self, kind: Kind, lists: &[(usize, Arc<Listing>)]) {
        let pinned = self.parts.iter().find_map(|part| part.source.pinned());
        let (Some(pinned), true) = (pinned, kind == Kind::Tools && lists.len() > 1) else { return };
        let of = |(part, list): &(usize, Arc<Listing>)| {
            let upstream = self.parts[*part].source.upstream().name().to_string();
            let items = list.items.iter().map(move |item| Compared {
                upstream: upstream.clone(),
                name: Arc::clone(&item.key),
                description: item
                    .raw
                    .get("description")
                    .and_then(|text| text.as_str().map(std::borrow::Cow::into_owned))
                    .unwrap_or_default(),
            });
            items.collect::<Vec<_>>()
        };
        pinned.pins.compare(&self.options.name, lists.iter().flat_map(of).collect());
    }

    /// What stands beside the entries: what a direct upstream says there, or what the gateway has to say.
    fn rest(&self, lists: &[(usize, Arc<Listing>)], missing: &[(String, RpcError)]) -> Raw {
        if let (true, [(_, only)]) = (self.options.direct, lists) {
            let meta = only.rest.get("_meta").filter(|_| self.options.by_card);
            return match (meta, only.rest.object()) {
                (Some(meta), Ok(Some(rest))) => rest.edit().set("_meta", self.known_as(Some(&meta))).finish(),
                _ => only.rest.clone(),
            };
        }
        let mut entries = json!({meta::SERVER_INFO: self.options.server_info.to_value()});
        if !missing.is_empty() {
            entries[MISSING] = missing_value(missing);
        }
        Raw::from_value(&json!({"_meta": entries}))
    }

    fn binding<'a>(&'a self, caller: &'a Caller) -> Binding<'a> {
        Binding { principal: &caller.principal, endpoint: &self.options.name, purpose: Purpose::Cursor }
    }

    fn seal_cursor(&self, kind: Kind, caller: &Caller, last: &Entry) -> String {
        let upstream = self.parts[last.part].source.upstream().name();
        let payload = format!("{}\n{upstream}\n{}", kind.member(), last.key);
        let now = self.clock.now();
        self.keys.seal(&*self.rng, now, &self.binding(caller), now.plus(CURSOR_TIME), payload.as_bytes())
    }

    fn open_cursor(
        &self,
        kind: Kind,
        caller: &Caller,
        cursor: &Raw,
        merged: &Merged,
    ) -> Result<usize, RpcError> {
        let opened =
            cursor.as_str().and_then(|c| self.keys.open(&self.binding(caller), self.clock.now(), &c));
        let place = opened.and_then(|payload| {
            let text = String::from_utf8(payload).ok()?;
            let mut parts = text.splitn(3, '\n');
            let (member, upstream, key) = (parts.next()?, parts.next()?, parts.next()?);
            let part = self.parts.iter().position(|p| p.source.upstream().name().as_str() == upstream)?;
            (member == kind.member()).then(|| merged.after(part, key)).flatten()
        });
        place.ok_or_else(|| RpcError::invalid_params("Invalid cursor: start the list again"))
    }
}

/// The lists of several upstreams, and what became of them.
struct Gathered {
    lists: Vec<(usize, Arc<Listing>)>,
    missing: Vec<(String, RpcError)>,
    merged: Arc<Merged>,
}

fn merge_again(kind: Kind, endpoint: &Endpoint, lists: &[(usize, Arc<Listing>)]) -> Merged {
    let now = endpoint.clock.now();
    let turns = (now, endpoint.turns.passed(now));
    merge(kind, &endpoint.parts, lists, turns, |part, own| endpoint.allows(kind, part, own))
}

fn missing_value(missing: &[(String, RpcError)]) -> Value {
    let one = |(upstream, error): &(String, RpcError)| {
        let reason = error.data.as_ref().and_then(|d| d.get("reason")).cloned();
        json!({"upstream": upstream, "reason": reason.unwrap_or(json!("error")), "message": error.message})
    };
    json!(missing.iter().map(one).collect::<Vec<_>>())
}

/// The error of an endpoint whose upstreams all failed: the only one's own, or all of them by name.
fn none_answered(mut missing: Vec<(String, RpcError)>) -> RpcError {
    if missing.len() == 1 {
        return missing.remove(0).1;
    }
    let code = missing.first().map_or(code::UPSTREAM_UNREACHABLE, |(_, error)| error.code);
    RpcError::new(code, "No upstream of this endpoint answered")
        .with(json!({MISSING: missing_value(&missing)}))
}

/// Adds what `more` offers: an object's members, a flag that is true anywhere.
fn union(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                match into.get_mut(name) {
                    Some(known) => union(known, value),
                    None => drop(into.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Bool(into), Value::Bool(more)) => *into |= more,
        _ => {}
    }
}
