//! One upstream's lists, kept as long as they may be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Principal, TraceContext};
use protocol::{Call, Capabilities, Era, Raw, Revision, RpcError, code};
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use upstream::{
    Again, Body, CallContext, CallError, CallErrorKind, Change, Discovery, Line, Outcome, Sharing, Upstream,
    Watched,
};

use crate::handles::{self, ARGUMENTS, SessionUse};
use crate::listing::{BadPage, Item, Kind, Listing, Pages};
use crate::pins::{PinRule, Pinned, Refused, Standing};
use crate::reads::{ReadOptions, Reads};
use crate::uris;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// On whose behalf.
    pub principal: Principal,
    /// What the client declared.
    pub capabilities: Capabilities,
    /// Who the client says it is.
    pub client_info: Raw,
    /// The span that what is asked on the caller's behalf is a part of.
    pub trace: Option<TraceContext>,
}

/// How lists are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceOptions {
    /// In place of what the upstream says; `None` believes it.
    pub list_ttl: Option<Duration>,
    /// For an upstream that gives no hints but tells of its changes.
    pub unhinted_ttl: Duration,
    /// At most, whatever the upstream says; zero keeps nothing.
    pub ttl_max: Duration,
    /// The most entries of one list.
    pub items_max: usize,
    /// The most pages of one list.
    pub pages_max: usize,
    /// How many lists of this upstream are kept, over all principals.
    pub lists_max: u64,
    /// How answers to reads are kept.
    pub reads: ReadOptions,
    /// How definitions are held, where they are.
    pub pins: Option<PinRule>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            list_ttl: None,
            unhinted_ttl: Duration::from_secs(300),
            ttl_max: Duration::from_secs(3_600),
            items_max: 10_000,
            pages_max: 1_000,
            lists_max: 10_000,
            reads: ReadOptions {
                ttl_max: Duration::from_secs(3_600),
                bytes_max: 64 * 1024 * 1024,
                entry_bytes_max: 1024 * 1024,
            },
            pins: None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    /// `None`: for everybody.
    principal: Option<Principal>,
    /// What the list of a legacy server depends on beside the principal.
    class: Option<Raw>,
}

#[derive(Default)]
struct Slot {
    listing: Mutex<Option<Arc<Listing>>>,
    fetching: AsyncMutex<()>,
}

impl Slot {
    fn get(&self) -> Option<Arc<Listing>> {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, listing: &Arc<Listing>) {
        *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(listing));
    }
}

/// Counters of one upstream's lists; the server turns them into metrics.
#[derive(Debug, Default)]
pub struct ListStats {
    /// Lists that were needed and still known.
    pub hits: AtomicU64,
    /// Lists that had to be fetched.
    pub misses: AtomicU64,
}

/// One upstream and what is known of its lists.
pub struct Source {
    upstream: Arc<Upstream>,
    options: SourceOptions,
    slots: moka::sync::Cache<Key, Arc<Slot>>,
    epochs: [AtomicU64; 4],
    reads: Reads,
    stats: Arc<ListStats>,
    /// Those of each user, where each proves himself.
    users: Option<Users>,
    /// Whether it is one of those.
    of_user: bool,
    /// Which definitions are approved, where that matters.
    pinned: Option<Pinned>,
}

/// Makes the upstream of one user.
pub type OnBehalf = Box<dyn Fn(&Principal) -> Arc<Upstream> + Send + Sync>;

/// What each user has of an upstream where each proves himself.
struct Users {
    make: OnBehalf,
    known: moka::sync::Cache<Principal, Arc<Source>>,
}

/// The tool that stands in for those of an upstream which wants to know its user first. It is the gateway's
/// own: no upstream is ever called by this name.
pub const SIGN_IN: &str = "tidegate_sign_in";

/// Users of one upstream for whom something is kept.
const USERS_MAX: u64 = 10_000;
/// How long it is kept without use.
const USER_IDLE: Duration = Duration::from_secs(900);

/// Numbers of lists, of whatever upstream and user.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// Why a list cannot be had.
#[derive(Debug, Clone)]
pub enum ListError {
    /// The upstream offers nothing of the kind, and says so.
    None,
    /// The upstream could not be asked, or gave no answer.
    Call(CallError),
    /// The upstream answered with an error.
    Rpc(RpcError),
}

impl Source {
    /// Keeps what the upstream says until the upstream says that it changed.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, options: SourceOptions, pinned: Option<Pinned>) -> Arc<Self> {
        Self::build(upstream, options, Arc::default(), (None, false), pinned)
    }

    /// One of which each user has his own: what one may see there is none of another's business.
    #[must_use]
    pub fn per_user(
        upstream: Arc<Upstream>,
        options: SourceOptions,
        make: OnBehalf,
        pinned: Option<Pinned>,
    ) -> Arc<Self> {
        let known = moka::sync::Cache::builder()
            .max_capacity(USERS_MAX)
            .time_to_idle(USER_IDLE)
            .eviction_listener(|_, source: Arc<Self>, _| {
                // Calls under way have their answers, as they hold it; its sessions end.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { source.upstream.shutdown().await });
                }
            })
            .build();
        Self::build(upstream, options, Arc::default(), (Some(Users { make, known }), false), pinned)
    }

    fn build(
        upstream: Arc<Upstream>,
        options: SourceOptions,
        stats: Arc<ListStats>,
        (users, of_user): (Option<Users>, bool),
        pinned: Option<Pinned>,
    ) -> Arc<Self> {
        let slots = moka::sync::Cache::builder()
            .max_capacity(options.lists_max)
            .time_to_idle(Duration::from_secs(3_600))
            .build();
        let source = Arc::new(Self {
            upstream,
            options,
            slots,
            epochs: Default::default(),
            reads: Reads::new(options.reads),
            stats,
            users,
            of_user,
            pinned,
        });
        let hears = Arc::downgrade(&source);
        source.upstream.on_change(move |change| match hears.upgrade() {
            Some(source) => {
                source.end_what_changed(change);
                true
            }
            None => false,
        });
        source
    }

    /// What a user has of it: this one, or his own.
    #[must_use]
    pub fn of(self: &Arc<Self>, principal: &Principal) -> Arc<Self> {
        let Some(users) = &self.users else { return Arc::clone(self) };
        users.known.get_with_by_ref(principal, || {
            let (own, stats) = ((users.make)(principal), Arc::clone(&self.stats));
            Self::build(own, self.options, stats, (None, true), self.pinned.clone())
        })
    }

    /// Whether each user proves himself.
    #[must_use]
    pub fn is_per_user(&self) -> bool {
        self.users.is_some()
    }

    /// The upstreams: this one, and those of users.
    pub fn all_upstreams(&self) -> impl Iterator<Item = Arc<Upstream>> {
        let users = self.users.iter().flat_map(|users| users.known.iter());
        let users: Vec<_> = users.map(|(_, source)| Arc::clone(&source.upstream)).collect();
        std::iter::once(Arc::clone(&self.upstream)).chain(users)
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// How its lists are kept.
    #[must_use]
    pub fn options(&self) -> SourceOptions {
        self.options
    }

    /// How often its lists were known.
    #[must_use]
    pub fn stats(&self) -> &ListStats {
        &self.stats
    }

    fn epoch(&self, kind: Kind) -> &AtomicU64 {
        &self.epochs[kind as usize]
    }

    fn invalidate(&self, kinds: &[Kind]) {
        for kind in kinds {
            self.epoch(*kind).fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Ends what is kept of what changed. A client that hears of a change must not be given what was there
    /// before.
    pub fn end_what_changed(&self, change: &Change) {
        for (_, source) in self.users.iter().flat_map(|users| users.known.iter()) {
            source.end_what_changed(change);
        }
        match change {
            Change::Tools => self.invalidate(&[Kind::Tools]),
            Change::Prompts => self.invalidate(&[Kind::Prompts]),
            Change::Resources => self.invalidate(&[Kind::Resources, Kind::Templates]),
            Change::Resource(_) => self.reads.invalidate(),
            Change::Task(..) => {}
            Change::Gap => {
                self.invalidate(&Kind::ALL);
                self.reads.invalidate();
            }
        }
    }

    fn is_fresh(&self, kind: Kind, listing: &Listing) -> bool {
        // A server whose definitions are not believed is not believed how long they last, either.
        let young = self.pinned.as_ref().is_none_or(|p| listing.read_at.elapsed() < p.rule.reread);
        let current = listing.epoch == self.epoch(kind).load(Ordering::Acquire);
        young && current && Instant::now() < listing.fresh_until
    }

    /// The list, from the cache where it is fresh; fetched once for all who wait.
    ///
    /// # Errors
    /// [`ListError`]
    pub async fn list(&self, kind: Kind, caller: &Caller) -> Result<Arc<Listing>, ListError> {
        let found = self.list_unless(kind, caller, |listing| self.is_fresh(kind, listing)).await;
        self.or_sign_in(kind, found)
    }

    /// In place of the tools of an upstream that wants to know its user first: one by which it gets to.
    fn or_sign_in(
        &self,
        kind: Kind,
        found: Result<Arc<Listing>, ListError>,
    ) -> Result<Arc<Listing>, ListError> {
        let tools = match &found {
            Err(ListError::Call(error)) if error.kind == CallErrorKind::Consent => {
                if kind == Kind::Tools {
                    vec![sign_in(self.upstream.name().as_str())]
                } else {
                    Vec::new()
                }
            }
            // Its client was told that there may be some, before anybody knew.
            Err(ListError::None) if self.of_user => Vec::new(),
            _ => return found,
        };
        let mut pages = Pages::default();
        // One tool is never too many.
        let _ = pages.add(kind, &Raw::from_value(&json!({kind.member(): tools})), 1);
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(pages.finish(Instant::now(), Duration::ZERO, version, 0)))
    }

    /// What the upstream says of itself, or what stands in for it until its user has signed in.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn discovery(&self) -> Result<Discovery, CallError> {
        match self.upstream.discovery().await {
            Err(error) if error.kind == CallErrorKind::Consent => {
                let discover = Raw::literal(UNKNOWN);
                Ok(Discovery { revision: Revision::NEWEST, discover, tasks: None })
            }
            found => found,
        }
    }

    /// The list, however old; fetched only where there is none. For names and schemas.
    ///
    /// # Errors
    /// [`ListError`]
    pub async fn known(&self, kind: Kind, caller: &Caller) -> Result<Arc<Listing>, ListError> {
        self.or_sign_in(kind, self.list_unless(kind, caller, |_| true).await)
    }

    /// The list, if it has been fetched before.
    #[must_use]
    pub fn cached(&self, kind: Kind, caller: &Caller) -> Option<Arc<Listing>> {
        let shared = self.slots.get(&self.key(kind, None, None)).and_then(|slot| slot.get());
        shared.or_else(|| {
            let era = self.upstream.health().revision.map_or(Era::Modern, protocol::Revision::era);
            self.slots.get(&self.own_key(kind, caller, era)).and_then(|slot| slot.get())
        })
    }

    /// The kept contents of a resource.
    #[must_use]
    pub fn read_kept(&self, uri: &str, principal: &Principal) -> Option<Raw> {
        self.reads.get(uri, principal)
    }

    /// When a read leaves, for [`Source::keep_read`].
    #[must_use]
    pub fn reading(&self) -> (Instant, u64) {
        self.reads.asking()
    }

    /// Keeps the contents of a resource as their hints say.
    pub fn keep_read(&self, uri: &str, principal: &Principal, result: &Raw, asked_at: (Instant, u64)) {
        self.reads.put(uri, principal, result, asked_at);
    }

    /// Drops what is kept only to be faster: contents of resources.
    pub fn shrink(&self) {
        self.reads.shrink();
    }

    /// Forgets what it knows of a list: headers and schema disagreed.
    pub fn forget(&self, kind: Kind) {
        self.invalidate(&[kind]);
    }

    /// Whether its sessions are opened and closed by handles, unless it turns out to have none.
    #[must_use]
    pub fn has_handles(&self) -> bool {
        self.upstream.options().sharing == Sharing::Handle
    }

    /// What a call of this tool has to do with sessions. `None`: nothing.
    ///
    /// # Errors
    /// [`ListError`]: nobody knows without the list.
    pub async fn session_use(&self, caller: &Caller, tool: &str) -> Result<Option<SessionUse>, ListError> {
        if !self.has_handles() {
            return Ok(None);
        }
        let discovery = self.upstream.discovery().await.map_err(ListError::Call)?;
        if discovery.revision.era() == Era::Modern {
            return Ok(None);
        }
        let listing = Box::pin(self.known(Kind::Tools, caller)).await?;
        let unlisted = || SessionUse::Runs(ARGUMENTS[0].into());
        Ok(Some(listing.get(tool).and_then(|item| item.session.clone()).unwrap_or_else(unlisted)))
    }

    /// What holds for an entry of its lists.
    #[must_use]
    pub fn standing(&self, kind: Kind, item: &Item) -> Standing {
        self.pinned.as_ref().map_or(Standing::Approved, |pinned| pinned.standing(kind, item))
    }

    /// Which definitions are approved, where that matters.
    pub(crate) fn pinned(&self) -> Option<&Pinned> {
        self.pinned.as_ref()
    }

    /// A list that is young enough for a call to be judged by it.
    async fn list_to_judge(
        &self,
        pinned: &Pinned,
        kind: Kind,
        caller: &Caller,
    ) -> Result<Arc<Listing>, ListError> {
        let young = |l: &Listing| l.read_at.elapsed() < pinned.rule.reread;
        let current = |l: &Listing| l.epoch == self.epoch(kind).load(Ordering::Acquire);
        self.list_unless(kind, caller, |listing| current(listing) && young(listing)).await
    }

    /// Whether a tool or prompt of this name may be called: gives the hash of its definition, where
    /// definitions are pinned.
    pub(crate) async fn admit(
        &self,
        kind: Kind,
        caller: &Caller,
        own: &str,
    ) -> Result<Option<Arc<str>>, Refused> {
        let Some(pinned) = &self.pinned else { return Ok(None) };
        if self.is_own(kind, own) {
            return Ok(None);
        }
        let listing = match Box::pin(self.list_to_judge(pinned, kind, caller)).await {
            Ok(listing) => listing,
            // Nothing goes out before the user has signed in; then it is asked again.
            Err(ListError::Call(error)) if error.kind == CallErrorKind::Consent => return Ok(None),
            Err(_) if pinned.is_lenient() => return Ok(None),
            Err(ListError::None) => return Err(Refused::Unknown),
            Err(ListError::Call(error)) => return Err(Refused::Fault(error.to_rpc())),
            Err(ListError::Rpc(error)) => return Err(Refused::Fault(error)),
        };
        let Some(item) = listing.get(own) else {
            // What is not listed has no definition that anybody could have approved.
            return if pinned.is_lenient() { Ok(None) } else { Err(Refused::Unknown) };
        };
        let standing = pinned.standing(kind, item);
        if standing != Standing::Approved {
            pinned.pins.called(kind, own, standing);
        }
        match standing {
            Standing::Approved | Standing::Warned => Ok(item.pin.clone()),
            Standing::Quarantined => Err(Refused::Quarantined),
            Standing::Denied => Err(Refused::Unknown),
        }
    }

    /// Whether it is the gateway's, which stands in for what its user does not see yet.
    fn is_own(&self, kind: Kind, own: &str) -> bool {
        (self.of_user || self.users.is_some()) && kind == Kind::Tools && own == SIGN_IN
    }

    /// Whether a template, or a URI that belongs to one, may be asked about.
    pub(crate) async fn admit_template(&self, caller: &Caller, uri: &str) -> Result<(), Refused> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        let templates = Box::pin(self.list_to_judge(pinned, Kind::Templates, caller)).await;
        match templates.ok().and_then(|list| list.get(uri).map(|item| pinned.standing(Kind::Templates, item)))
        {
            Some(Standing::Quarantined) => Err(Refused::Quarantined),
            Some(Standing::Denied) => Err(Refused::Unknown),
            Some(Standing::Approved | Standing::Warned) => Ok(()),
            None => self.admit_uri(caller, uri).await,
        }
    }

    /// Whether a URI may be read: not if it belongs to a template that is not approved, and to nothing else.
    pub(crate) async fn admit_uri(&self, caller: &Caller, uri: &str) -> Result<(), Refused> {
        let Some(pinned) = &self.pinned else { return Ok(()) };
        let Ok(templates) = Box::pin(self.list_to_judge(pinned, Kind::Templates, caller)).await else {
            // Resources are not pinned; where there are no templates, nothing here is.
            return Ok(());
        };
        let standing = |item: &Item| pinned.standing(Kind::Templates, item);
        let fitting = templates.items.iter().filter(|item| uris::fits(&item.key, uri));
        let mut refused = None;
        for item in fitting {
            match standing(item) {
                Standing::Approved | Standing::Warned => return Ok(()),
                Standing::Quarantined => refused = Some((item, Refused::Quarantined)),
                Standing::Denied => refused = refused.or(Some((item, Refused::Unknown))),
            }
        }
        let Some((item, refused)) = refused else { return Ok(()) };
        let resources = Box::pin(self.known(Kind::Resources, caller)).await;
        if resources.is_ok_and(|list| list.get(uri).is_some()) {
            return Ok(());
        }
        pinned.pins.called(Kind::Templates, &item.key, standing(item));
        Err(refused)
    }

    fn key(&self, kind: Kind, principal: Option<Principal>, class: Option<Raw>) -> Key {
        Key { kind, principal, class }
    }

    fn own_key(&self, kind: Kind, caller: &Caller, era: Era) -> Key {
        let class = (era == Era::Legacy).then(|| caller.capabilities.raw.clone());
        self.key(kind, Some(caller.principal.clone()), class)
    }

    async fn list_unless(
        &self,
        kind: Kind,
        caller: &Caller,
        good: impl Fn(&Listing) -> bool,
    ) -> Result<Arc<Listing>, ListError> {
        let discovery = self.upstream.discovery().await.map_err(ListError::Call)?;
        let offered = discovery.discover.get("capabilities").and_then(|c| c.get(kind.capability()));
        let Some(offered) = offered else { return Err(ListError::None) };
        let shared = self.slots.get_with(self.key(kind, None, None), Arc::default);
        if let Some(listing) = shared.get().filter(|l| good(l)) {
            self.stats.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(listing);
        }
        let era = discovery.revision.era();
        let own = self.slots.get_with(self.own_key(kind, caller, era), Arc::default);
        if let Some(listing) = own.get().filter(|l| good(l)) {
            self.stats.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(listing);
        }
        let _one_at_a_time = own.fetching.lock().await;
        if let Some(listing) = own.get().or_else(|| shared.get()).filter(|l| good(l)) {
            self.stats.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(listing);
        }
        self.stats.misses.fetch_add(1, Ordering::Relaxed);
        let tells = offered.get("listChanged").is_some_and(|l| l.as_bool() == Some(true));
        let fallback = if era == Era::Legacy && tells { self.options.unhinted_ttl } else { Duration::ZERO };
        let mut listing = self.fetch(kind, caller, fallback).await?;
        if kind == Kind::Tools && era == Era::Legacy && self.has_handles() {
            listing = listing.with_items(handles::offer);
        }
        let listing = Arc::new(listing);
        own.set(&listing);
        if listing.public {
            shared.set(&listing);
        }
        Ok(listing)
    }

    async fn fetch(&self, kind: Kind, caller: &Caller, fallback: Duration) -> Result<Listing, ListError> {
        let limits = self.upstream.options().timeouts;
        let wait = limits.first_byte.min(limits.total);
        let fetched = timeout(wait, self.fetch_pages(kind, caller, fallback)).await;
        let late = || self.error(CallErrorKind::Timeout).detail("the list took too long");
        fetched.unwrap_or_else(|_| Err(self.unusable(kind, late())))
    }

    /// An answer came, or none in time, and there is no list: clients are told that it is missing, and only
    /// the operator is told why.
    fn unusable(&self, kind: Kind, error: CallError) -> ListError {
        let (upstream, method) = (self.upstream.name(), kind.method());
        tracing::warn!(%upstream, %method, %error, "the list cannot be used");
        self.upstream.failed_otherwise(error.clone());
        ListError::Call(error)
    }

    fn error(&self, kind: CallErrorKind) -> CallError {
        CallError::new(self.upstream.name(), kind)
    }

    async fn fetch_pages(
        &self,
        kind: Kind,
        caller: &Caller,
        fallback: Duration,
    ) -> Result<Listing, ListError> {
        let epoch = self.epoch(kind).load(Ordering::Acquire);
        let started = Instant::now();
        let mut pages = Pages::default();
        let mut cursor: Option<Raw> = None;
        for _ in 0..self.options.pages_max {
            let params = match &cursor {
                None => Raw::literal("{}"),
                Some(cursor) => Raw::from_value(&json!({"cursor": cursor.to_value()})),
            };
            let result = self.page(kind, caller, &params).await?;
            let next = pages.add(kind, &result, self.options.items_max);
            let next = next.map_err(|BadPage(what)| {
                self.unusable(kind, self.error(CallErrorKind::Invalid).detail(what))
            })?;
            if next.is_none() || next == cursor {
                cursor = None;
                break;
            }
            cursor = next;
        }
        if cursor.is_some() {
            let (upstream, method) = (self.upstream.name(), kind.method());
            let why = "there are more pages than limits.list_pages_max";
            tracing::warn!(%upstream, %method, "the rest of the list is left out: {why}");
        }
        let ttl = self.options.list_ttl.unwrap_or_else(|| pages.ttl().max(fallback));
        let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        let mut listing = pages.finish(started, ttl.min(self.options.ttl_max), version, epoch);
        if let Some(pinned) = &self.pinned {
            pinned.read(kind, &mut listing.items).await;
        }
        Ok(listing)
    }

    async fn page(&self, kind: Kind, caller: &Caller, params: &Raw) -> Result<Raw, ListError> {
        let call = Call::own(kind.method(), params, &caller.capabilities, &caller.client_info);
        let cx = CallContext {
            principal: caller.principal.clone(),
            headers: Default::default(),
            rules: None,
            polls: false,
            watched: Watched { parent: caller.trace.clone(), tool: None },
            line: Line::Usual,
            alone: true,
            script: None,
            waits_until: None,
            again: Again::Repeatable,
        };
        let reply = self.upstream.call(&cx, &call).await.map_err(ListError::Call)?;
        match reply.outcome().await.map_err(ListError::Call)? {
            Some(Outcome::Result(Body::Whole(result))) => Ok(result),
            Some(Outcome::Result(Body::Stream(_))) => {
                let what = "a list larger than limits.response_buffer_bytes_max";
                Err(self.unusable(kind, self.error(CallErrorKind::Invalid).detail(what)))
            }
            Some(Outcome::Error(error)) => match RpcError::read(&error) {
                error if error.code == code::METHOD_NOT_FOUND => Err(ListError::None),
                error => Err(ListError::Rpc(error)),
            },
            None => Err(ListError::Call(self.error(CallErrorKind::Broke))),
        }
    }
}

/// What an upstream may be able to do of which nothing is known yet. Clients of older revisions ask once.
const UNKNOWN: &str = concat!(
    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"#,
    r#""tools":{"listChanged":true},"resources":{"listChanged":true},"prompts":{"listChanged":true}},"#,
    r#""ttlMs":0,"cacheScope":"private"}"#
);

/// The tool in place of those of an upstream that wants to know its user first.
fn sign_in(upstream: &str) -> Value {
    let description = format!(
        "Sign in to {upstream}. Its own tools are listed once you have: this one gives the address of a page \
         on which you let the gateway use {upstream} for you."
    );
    json!({
        "name": SIGN_IN,
        "title": format!("Sign in to {upstream}"),
        "description": description,
        "inputSchema": {"type": "object", "additionalProperties": false},
        "annotations": {"readOnlyHint": true, "openWorldHint": true},
    })
}
