//! Hearing of an upstream's changes: one stream for everybody who wants to know.
//!
//! A modern server is listened to with `subscriptions/listen`, and asked anew when the set of wanted
//! resources changes. A legacy server sends changes on its session's stream by itself and is told which
//! resources matter. After a loss the stream is opened again, and a [`Change::Gap`] says that something
//! may have been missed.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use protocol::latest::TASKS_EXTENSION;
use protocol::{Call, Capabilities, Era, Id, Message, Method, Raw, envelope};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::core::{Change, Core};
use crate::detect::{Connector, DISCOVER_UNKNOWN};
use crate::http::{EventStream, ModernHttp};
use crate::pipe::{Lease, PipePool, change_of};
use crate::{CallContext, CallError, CallErrorKind, Upstream};

/// What somebody wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Changes of the lists.
    pub lists: bool,
    /// Changes of these resources.
    pub uris: BTreeSet<Arc<str>>,
    /// The states of these tasks; only a modern server tells of them.
    pub tasks: BTreeSet<Arc<str>>,
}

impl Interest {
    fn is_empty(&self) -> bool {
        !self.lists && self.uris.is_empty() && self.tasks.is_empty()
    }
}

/// The listening task of one upstream.
#[derive(Default)]
pub(crate) struct State {
    wish: Option<watch::Sender<Wish>>,
    task: Option<tokio::task::JoinHandle<()>>,
    /// The last number that a wish was given.
    last: u64,
    /// The number of the last wish that the server has agreed to, or has been told of in vain.
    told: watch::Sender<u64>,
}

/// What to listen for, numbered.
#[derive(Default, Clone)]
struct Wish {
    number: u64,
    interest: Interest,
}

impl State {
    pub fn stop(&mut self) {
        self.wish = None;
        if let Some(task) = self.task.take() {
            task.abort();
        }
        // Nobody has to wait for what is no longer wanted.
        self.told.send_replace(self.last);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.stop();
    }
}

const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

impl Upstream {
    /// Says what to listen for from now on; nothing ends the listening. Ready once the server has agreed, or
    /// has been told in vain: then it is told again later.
    pub async fn listen(self: &Arc<Self>, interest: Interest) {
        let (number, mut told) = {
            let mut state = self.listener.lock().await;
            if interest.is_empty() {
                state.stop();
                return;
            }
            (self.wish(&mut state, interest), state.told.subscribe())
        };
        // The sender lives in `self`.
        let _ = told.wait_for(|told| *told >= number).await;
    }

    /// Hands the wish to the listening task and gives its number.
    fn wish(self: &Arc<Self>, state: &mut State, interest: Interest) -> u64 {
        if let Some(sender) = &state.wish {
            let same = sender.borrow().interest == interest;
            if !same {
                state.last += 1;
                sender.send_replace(Wish { number: state.last, interest });
            }
            return state.last;
        }
        state.last += 1;
        let (sender, receiver) = watch::channel(Wish { number: state.last, interest });
        state.wish = Some(sender);
        // The task must not keep the upstream alive: it ends with it.
        let listening = Listening { wish: receiver, told: state.told.clone(), heard: false, missed: false };
        state.task = Some(tokio::spawn(run(Arc::downgrade(self), listening)));
        state.last
    }
}

/// What the listening task knows.
struct Listening {
    wish: watch::Receiver<Wish>,
    told: watch::Sender<u64>,
    /// There was a stream.
    heard: bool,
    /// There is none any more, so something may be missed.
    missed: bool,
}

impl Listening {
    /// What is wanted now.
    fn wanted(&mut self) -> Wish {
        self.wish.borrow_and_update().clone()
    }

    /// The server has agreed to this wish.
    fn stands(&mut self, core: &Core, number: u64) {
        self.heard = true;
        if std::mem::take(&mut self.missed) {
            core.changed(Change::Gap);
        }
        self.told.send_replace(number);
    }
}

async fn run(upstream: Weak<Upstream>, mut listening: Listening) {
    let mut wait = RETRY_MIN;
    loop {
        let Some(upstream) = upstream.upgrade() else { return };
        match listen_once(&upstream, &mut listening).await {
            Ok(()) => wait = RETRY_MIN,
            Err(error) => {
                tracing::debug!(upstream = %upstream.name(), %error, "not listening");
                wait = (wait * 2).min(RETRY_MAX);
            }
        }
        drop(upstream);
        listening.missed = listening.heard;
        // Who waits for an answer has one.
        let number = listening.wish.borrow().number;
        listening.told.send_replace(number);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = listening.wish.changed() => if changed.is_err() { return },
        }
    }
}

/// Listens until the stream ends.
async fn listen_once(upstream: &Arc<Upstream>, listening: &mut Listening) -> Result<(), CallError> {
    let found = upstream.connector().await?;
    while found.revision.era() == Era::Modern {
        let wish = listening.wanted();
        if tells(&found.discover, &wish.interest) {
            break;
        }
        // Nobody has to wait. Asked again only where the wish or, after a while, the server may have changed.
        listening.told.send_replace(wish.number);
        match timeout(RETRY_MAX, listening.wish.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(()),
        }
    }
    match (&found.connector, found.revision.era()) {
        (Connector::ModernHttp(http), _) => modern_http(http, upstream.core(), listening).await,
        (Connector::Api(_), _) => told(upstream, listening).await,
        (Connector::Pipe(pool), Era::Modern) => modern_pipe(pool, upstream.core(), listening).await,
        (Connector::LegacyHttp(_) | Connector::Pipe(_), _) => {
            legacy(&found.connector, upstream, listening).await
        }
    }
}

/// Whether a modern server says that it tells of anything that is wanted.
fn tells(discover: &Raw, wanted: &Interest) -> bool {
    let says = |group: &str, flag: &str| {
        let group = discover.get("capabilities").and_then(|capabilities| capabilities.get(group));
        group.and_then(|group| group.get(flag)).is_some_and(|flag| flag.as_bytes() == b"true")
    };
    let lists = || ["tools", "prompts", "resources"].into_iter().any(|group| says(group, "listChanged"));
    discover.as_bytes() == DISCOVER_UNKNOWN.as_bytes()
        || !wanted.tasks.is_empty()
        || (wanted.lists && lists())
        || (!wanted.uris.is_empty() && says("resources", "subscribe"))
}

/// Whoever reads its document tells of changes.
async fn told(upstream: &Upstream, listening: &mut Listening) -> Result<(), CallError> {
    loop {
        let number = listening.wanted().number;
        listening.stands(upstream.core(), number);
        if listening.wish.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn modern_http(http: &ModernHttp, core: &Core, listening: &mut Listening) -> Result<(), CallError> {
    let wish = listening.wanted();
    let mut events = agreed(http, core, &wish.interest).await?;
    listening.stands(core, wish.number);
    loop {
        tokio::select! {
            message = events.message() => if !take(core, message?) { return Ok(()) },
            changed = listening.wish.changed() => {
                if changed.is_err() { return Ok(()) }
                let wish = listening.wanted();
                events = instead(events, core, agreed(http, core, &wish.interest)).await?;
                listening.stands(core, wish.number);
            }
        }
    }
}

/// Reads one stream until another stands: a change meanwhile is on one of them or on both, never on none.
async fn instead(
    mut events: EventStream,
    core: &Core,
    other: impl Future<Output = Result<EventStream, CallError>>,
) -> Result<EventStream, CallError> {
    let mut other = std::pin::pin!(other);
    let mut open = true;
    loop {
        tokio::select! {
            // What is there already comes first.
            biased;
            message = events.message(), if open => open = message.is_ok_and(|message| take(core, message)),
            other = &mut other => return other,
        }
    }
}

/// A stream to which the server has agreed.
async fn agreed(http: &ModernHttp, core: &Core, wanted: &Interest) -> Result<EventStream, CallError> {
    let call = listen_call(&core.options.client_info, wanted);
    let mut events = http.listen(&CallContext::own(), &call).await?;
    // Whatever comes first, the stream stands.
    if take(core, events.message().await?) { Ok(events) } else { Err(core.error(CallErrorKind::Broke)) }
}

/// Tells of a change. `false`: the stream has ended.
fn take(core: &Core, message: Option<Message>) -> bool {
    match message {
        Some(Message::Notification(note)) => {
            if let Some(change) = change_of(&note.method, note.params.as_ref()) {
                core.changed(change);
            }
            true
        }
        Some(Message::Request(_)) => true,
        Some(Message::Response(_)) | None => false,
    }
}

/// The changes themselves go past this: whoever reads the pipe takes them.
async fn modern_pipe(pool: &PipePool, core: &Core, listening: &mut Listening) -> Result<(), CallError> {
    let mut before: Option<(Id, Lease)> = None;
    let mut agreed = false;
    loop {
        let wish = listening.wanted();
        let call = listen_call(&core.options.client_info, &wish.interest);
        let id = core.next_id();
        let bytes = envelope::request(&id, call.method.as_str(), Some(&call.params.raw()));
        let lease = pool.lease(&CallContext::own().principal, &Capabilities::none(), false).await?;
        let mut incoming = lease.background(&id, bytes).await?;
        // In this order nothing is missed.
        if let Some((id, lease)) = before.take() {
            let params = Raw::from_value(&json!({"requestId": id.as_u64()}));
            let bytes = envelope::notification("notifications/cancelled", Some(&params));
            lease.channel().pipe.send(bytes).await?;
        }
        loop {
            tokio::select! {
                message = incoming.next() => match message? {
                    // A server that ends what it has not begun is not asked again at once.
                    Some(Message::Response(_)) if !agreed => return Err(core.error(CallErrorKind::Broke)),
                    Some(Message::Response(_)) | None => return Ok(()),
                    // The first one says that the server has agreed.
                    Some(_) => {
                        agreed = true;
                        listening.stands(core, wish.number);
                    }
                },
                changed = listening.wish.changed() => {
                    if changed.is_err() { return Ok(()) }
                    break;
                }
            }
        }
        before = Some((id, lease));
    }
}

/// A legacy server is told of each resource, on the session that the gateway keeps for itself.
async fn legacy(
    connector: &Connector,
    upstream: &Arc<Upstream>,
    listening: &mut Listening,
) -> Result<(), CallError> {
    if let Connector::LegacyHttp(http) = connector {
        http.session(&CallContext::own().principal, &Capabilities::none()).await?.listens().await;
    }
    let mut told: BTreeSet<Arc<str>> = BTreeSet::new();
    loop {
        let Wish { number, interest: Interest { uris: wanted, .. } } = listening.wanted();
        for uri in wanted.difference(&told) {
            tell(connector, upstream, "resources/subscribe", uri).await?;
        }
        for uri in told.difference(&wanted) {
            tell(connector, upstream, "resources/unsubscribe", uri).await?;
        }
        told = wanted;
        listening.stands(upstream.core(), number);
        if listening.wish.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn tell(connector: &Connector, upstream: &Upstream, method: &str, uri: &str) -> Result<(), CallError> {
    let params = Raw::from_value(&json!({"uri": uri}));
    let principal = CallContext::own().principal;
    let outcome = match connector {
        Connector::LegacyHttp(http) => {
            let session = http.session(&principal, &Capabilities::none()).await?;
            http.request(&session, method, &params).await?
        }
        Connector::Pipe(pool) => {
            let lease = pool.lease(&principal, &Capabilities::none(), false).await?;
            pool.request(&lease, method, &params).await?
        }
        Connector::ModernHttp(_) | Connector::Api(_) => {
            return Err(upstream.core().error(CallErrorKind::OtherRevision));
        }
    };
    // A server that has no subscriptions says so once; there is nothing to be gained by asking again.
    if let Err(error) = outcome {
        tracing::debug!(upstream = %upstream.name(), uri, %error, "{method} was refused");
    }
    Ok(())
}

fn listen_call(info: &Raw, wanted: &Interest) -> Call {
    let texts = |set: &BTreeSet<Arc<str>>| json!(set.iter().map(|text| &**text).collect::<Vec<_>>());
    let mut filter = json!({});
    if wanted.lists {
        filter = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    }
    if !wanted.uris.is_empty() {
        filter["resourceSubscriptions"] = texts(&wanted.uris);
    }
    let mut able = Capabilities::none();
    if !wanted.tasks.is_empty() {
        filter["taskIds"] = texts(&wanted.tasks);
        able = Capabilities::read(Some(&Raw::from_value(&json!({"extensions": {TASKS_EXTENSION: {}}}))));
    }
    let params = Raw::from_value(&json!({"notifications": filter}));
    Call::own(Method::Listen, &params, &able, info)
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, Scripted};

    use super::*;

    const DISCOVER: &str = concat!(
        r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
        r#""capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}},"ttlMs":0,"#,
        r#""cacheScope":"private"}}"#
    );
    const AGREED: &str = concat!(
        r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","#,
        r#""params":{"notifications":{}}}"#
    );
    const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

    fn interest(uris: &[&str]) -> Interest {
        let uris = uris.iter().map(|uri| Arc::from(*uri)).collect();
        Interest { lists: true, uris, tasks: BTreeSet::new() }
    }

    /// Wants something of a server that has yet to agree.
    fn want(upstream: &Arc<Upstream>, uris: &[&str]) -> tokio::task::JoinHandle<()> {
        let (upstream, interest) = (Arc::clone(upstream), interest(uris));
        tokio::spawn(async move { upstream.listen(interest).await })
    }

    #[tokio::test]
    async fn whoever_wants_to_hear_of_changes_knows_when_the_server_has_agreed() {
        let mut server = Scripted::start().await;
        let upstream = testing::upstream(server.url());
        let wanting = want(&upstream, &[]);
        server.next().await.answer("200 OK", DISCOVER).await;
        let mut stream = server.next().await;
        assert!(!wanting.is_finished());
        stream.event(AGREED).await;
        wanting.await.expect("no panic");
        upstream.listen(interest(&[])).await;
        let refused = want(&upstream, &["x://a"]);
        server.next().await.answer("500 Internal Server Error", "").await;
        refused.await.expect("it is no use to wait on");
    }

    #[tokio::test]
    async fn a_change_while_another_resource_is_asked_for_is_heard_of() {
        let mut server = Scripted::start().await;
        let upstream = testing::upstream(server.url());
        let mut changes = upstream.changes();
        want(&upstream, &[]);
        server.next().await.answer("200 OK", DISCOVER).await;
        let mut first = server.next().await;
        first.event(AGREED).await;
        // The server does not agree to the other stream yet.
        want(&upstream, &["x://a"]);
        let mut second = server.next().await;
        assert!(second.body.contains("x://a"), "{}", second.body);
        first.event(CHANGED).await;
        assert_eq!(changes.recv().await.expect("a change"), Change::Tools);
        second.event(AGREED).await;
        second.event(CHANGED).await;
        assert_eq!(changes.recv().await.expect("a change"), Change::Tools);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_leaves_a_gap_once_there_is_another() {
        let mut server = Scripted::start().await;
        let upstream = testing::upstream(server.url());
        let mut changes = upstream.changes();
        want(&upstream, &[]);
        server.next().await.answer("200 OK", DISCOVER).await;
        let mut first = server.next().await;
        first.event(AGREED).await;
        drop(first);
        let mut second = server.next().await;
        assert!(changes.is_empty(), "what is read now may still change unheard");
        second.event(AGREED).await;
        assert_eq!(changes.recv().await.expect("a change"), Change::Gap);
    }

    #[test]
    fn a_server_is_asked_to_tell_only_of_what_it_says_it_tells_of() {
        let discover = |capabilities: &str| {
            Raw::parse(format!(r#"{{"capabilities":{capabilities}}}"#).into()).expect("JSON")
        };
        let (lists, resource) = (interest(&[]), Interest { lists: false, ..interest(&["x://a"]) });
        let cases = [
            (r#"{"tools":{"listChanged":true}}"#, [true, false]),
            (r#"{"prompts":{"listChanged":true},"resources":{}}"#, [true, false]),
            (r#"{"resources":{"subscribe":true,"listChanged":false}}"#, [false, true]),
            (r#"{"tools":{"listChanged":false},"resources":{"subscribe":false}}"#, [false, false]),
            ("{}", [false, false]),
        ];
        for (capabilities, expected) in cases {
            let discover = discover(capabilities);
            assert_eq!(
                [&lists, &resource].map(|wanted| tells(&discover, wanted)),
                expected,
                "{capabilities}"
            );
        }
        let task = Interest { tasks: BTreeSet::from([Arc::from("t")]), ..Interest::default() };
        assert!(tells(&discover("{}"), &task), "who has a task was told of it");
        assert!(tells(&Raw::literal(DISCOVER_UNKNOWN), &lists), "nobody knows");
    }
}
