//! Hearing of an upstream's changes: one stream for everybody who wants to know.
//!
//! A modern server is listened to with `subscriptions/listen`, and asked anew when the set of wanted
//! resources changes. A legacy server sends changes on its session's stream by itself and is told which
//! resources matter. After a loss the stream is opened again, and a [`Change::Gap`] says that something
//! may have been missed.

use std::collections::BTreeSet;
use std::sync::Arc;
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
    interest: Option<watch::Sender<Interest>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl State {
    pub fn stop(&mut self) {
        self.interest = None;
        if let Some(task) = self.task.take() {
            task.abort();
        }
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
    /// Says what to listen for from now on; nothing ends the listening.
    pub async fn listen(self: &Arc<Self>, interest: Interest) {
        let mut state = self.listener.lock().await;
        if interest.is_empty() {
            state.stop();
            return;
        }
        if let Some(sender) = &state.interest {
            sender.send_if_modified(|now| {
                let changed = *now != interest;
                *now = interest;
                changed
            });
            return;
        }
        let (sender, receiver) = watch::channel(interest);
        state.interest = Some(sender);
        // The task must not keep the upstream alive: it ends with it.
        let upstream = Arc::downgrade(self);
        state.task = Some(tokio::spawn(async move {
            let mut receiver = receiver;
            let mut wait = RETRY_MIN;
            let mut heard = false;
            loop {
                let Some(upstream) = upstream.upgrade() else { return };
                match listen_once(&upstream, &mut receiver, &mut heard).await {
                    Ok(()) => wait = RETRY_MIN,
                    Err(error) => {
                        tracing::debug!(upstream = %upstream.name(), %error, "not listening");
                        wait = (wait * 2).min(RETRY_MAX);
                    }
                }
                drop(upstream);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    changed = receiver.changed() => if changed.is_err() { return },
                }
            }
        }));
    }
}

/// Listens until the stream ends. `heard`: there was a stream before, so something may have been missed.
async fn listen_once(
    upstream: &Arc<Upstream>,
    interest: &mut watch::Receiver<Interest>,
    heard: &mut bool,
) -> Result<(), CallError> {
    let found = upstream.connector().await?;
    if found.revision.era() == Era::Modern && !tells(&found.discover, &interest.borrow()) {
        // Asked again only where the wish or, after a while, the server may have changed.
        drop(timeout(RETRY_MAX, interest.changed()).await);
        return Ok(());
    }
    match (&found.connector, found.revision.era()) {
        (Connector::ModernHttp(http), _) => modern_http(http, upstream.core(), interest, heard).await,
        (Connector::Pipe(pool), Era::Modern) => modern_pipe(pool, upstream.core(), interest, heard).await,
        (Connector::LegacyHttp(_) | Connector::Pipe(_), _) => {
            legacy(&found.connector, upstream, interest, heard).await
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

/// From now on nothing is missed.
fn stands(core: &Core, heard: &mut bool) {
    if std::mem::replace(heard, true) {
        core.changed(Change::Gap);
    }
}

async fn modern_http(
    http: &ModernHttp,
    core: &Core,
    interest: &mut watch::Receiver<Interest>,
    heard: &mut bool,
) -> Result<(), CallError> {
    let mut events = agreed(http, core, interest).await?;
    stands(core, heard);
    loop {
        tokio::select! {
            message = events.message() => if !take(core, message?) { return Ok(()) },
            changed = interest.changed() => {
                if changed.is_err() { return Ok(()) }
                events = instead(events, core, agreed(http, core, interest)).await?;
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

/// A stream for what is wanted now, to which the server has agreed.
async fn agreed(
    http: &ModernHttp,
    core: &Core,
    interest: &mut watch::Receiver<Interest>,
) -> Result<EventStream, CallError> {
    let wanted = interest.borrow_and_update().clone();
    let call = listen_call(&core.options.client_info, &wanted);
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
async fn modern_pipe(
    pool: &PipePool,
    core: &Core,
    interest: &mut watch::Receiver<Interest>,
    heard: &mut bool,
) -> Result<(), CallError> {
    let mut before: Option<(Id, Lease)> = None;
    let mut agreed = false;
    loop {
        let wanted = interest.borrow_and_update().clone();
        let call = listen_call(&core.options.client_info, &wanted);
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
                    Some(_) if !std::mem::replace(&mut agreed, true) => stands(core, heard),
                    Some(_) => {}
                },
                changed = interest.changed() => {
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
    interest: &mut watch::Receiver<Interest>,
    heard: &mut bool,
) -> Result<(), CallError> {
    let mut told: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut first = true;
    loop {
        let wanted = interest.borrow_and_update().uris.clone();
        for uri in wanted.difference(&told) {
            tell(connector, upstream, "resources/subscribe", uri).await?;
        }
        for uri in told.difference(&wanted) {
            tell(connector, upstream, "resources/unsubscribe", uri).await?;
        }
        told = wanted;
        if std::mem::take(&mut first) {
            stands(upstream.core(), heard);
        }
        if interest.changed().await.is_err() {
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
        Connector::ModernHttp(_) => return Err(upstream.core().error(CallErrorKind::OtherRevision)),
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

    #[tokio::test]
    async fn a_change_while_another_resource_is_asked_for_is_heard_of() {
        let mut server = Scripted::start().await;
        let upstream = testing::upstream(server.url());
        let mut changes = upstream.changes();
        upstream.listen(interest(&[])).await;
        server.next().await.answer("200 OK", DISCOVER).await;
        let mut first = server.next().await;
        first.event(AGREED).await;
        // The server does not agree to the other stream yet.
        upstream.listen(interest(&["x://a"])).await;
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
        upstream.listen(interest(&[])).await;
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
