//! The way of a call, stage by stage. Both edges end here: what comes in is a modern call.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use bridge::Script;
use catalog::{GROUPS_LIST, Kind, Routed};
use futures_util::StreamExt as _;
use policy::Duties;
use protocol::json::Object;
use protocol::{Call, Method, Raw, RpcError, code};
use upstream::{Body, CallContext, CallErrorKind, Item, Line, Outcome, Reply, Watched};

use crate::app::Exchange;
use crate::checks;
use crate::consent::{self, Resumed};
use crate::drain::{self, Phase};
use crate::extensions;
use crate::find;
use crate::handles::{Opened, Pass, State};
use crate::hosted;
use crate::line::{self, Way};
use crate::may::{self, May};
use crate::modern::gone;
use crate::note::Noted;
use crate::passed_tasks::{self, TaskIds};
use crate::rates;
use crate::replay::{self, Record};
use crate::trace::Operation;

/// What begins the request states of questions that the gateway itself asks.
const OWN_STATE: &str = "io.tidegate/";

/// Makes a call and gives its reply as the client may see it.
///
/// # Errors
/// What the gateway itself has to say against the call. An error of the upstream's own is an
/// [`Outcome::Error`].
pub(crate) async fn execute(x: &Exchange, call: &Call) -> Result<Reply, RpcError> {
    match find::inner(x, call) {
        Ok(None) => run(x, call).await,
        Ok(Some(inner)) => run(&x.through(), &inner).await,
        Err(error) => Err(Operation::begin(x, call).refused(error).await),
    }
}

async fn run(x: &Exchange, call: &Call) -> Result<Reply, RpcError> {
    let noted = Noted::begin(x, call).map(|noted| x.noted(noted));
    let x = noted.as_ref().unwrap_or(x);
    let mut operation = Operation::begin(x, call);
    let call = Operation::pass_on(x, call);
    // What is done on the way to the answer is a part of the operation's span.
    let traced = operation.context().map(|trace| x.traced(trace));
    let reply = tokio::select! {
        biased;
        reply = dispatch(traced.as_ref().unwrap_or(x), &call, &mut operation) => reply,
        () = ending(x) => Err(drain::cut_off()),
    };
    operation.answer(reply.map(|reply| ended_in_time(x, reply))).await
}

/// Waits until the client's calls are ended. The call of a task ends by the task, which has another replica
/// to go to.
async fn ending(x: &Exchange) {
    match x.hosted {
        None => x.app.reached(Phase::Ending).await,
        Some(_) => std::future::pending().await,
    }
}

/// The same reply; what comes of it bit by bit ends with an error where the process ends first.
fn ended_in_time(x: &Exchange, reply: Reply) -> Reply {
    let Reply::Stream(items) = reply else { return reply };
    if x.hosted.is_some() {
        return Reply::Stream(items);
    }
    let app = Arc::clone(&x.app);
    let ending = Box::pin(async move { app.reached(Phase::Ending).await });
    let items = futures_util::stream::unfold(Some((items, ending)), |state| async move {
        let (mut items, mut ending) = state?;
        tokio::select! {
            biased;
            item = items.next() => item.map(|item| (item, Some((items, ending)))),
            () = &mut ending => {
                let error = Outcome::Error(drain::cut_off().to_raw());
                Some((Ok(Item::Done(error)), None))
            }
        }
    });
    Reply::Stream(Box::pin(items))
}

async fn dispatch(x: &Exchange, call: &Call, operation: &mut Operation) -> Result<Reply, RpcError> {
    if let Some(reply) = Box::pin(find::serve(x, call)).await? {
        return Ok(reply);
    }
    if let Some(kind) = Kind::of(&call.method) {
        let admitted = rates::admit_list(x, call).await?;
        let cursor = call.params.get("cursor").filter(|c| !c.is_null());
        let sieve = may::Sieve::of(x);
        let sieve = sieve.as_ref().map(|sieve| sieve as &dyn catalog::Sieve);
        let list = x.endpoint.list(kind, &x.caller, cursor.as_ref(), sieve).await?;
        let list = if kind == Kind::Tools { hosted::mark_tools(x, list) } else { list };
        let list = Box::pin(checks::listed(x, kind, list)).await?;
        return Ok(admitted.over(Reply::result(list)));
    }
    match &call.method {
        Method::Discover => {
            let admitted = rates::admit_list(x, call).await?;
            let discover = x.endpoint.discover(&x.caller.principal).await?;
            let discover = extensions::offered(x, hosted::advertise(x, discover).await);
            Ok(admitted.over(Reply::result(discover)))
        }
        Method::Other(method) if **method == *GROUPS_LIST && x.endpoint.has_groups() => {
            let admitted = rates::admit_list(x, call).await?;
            groups(x, call).await.map(|list| admitted.over(Reply::result(list)))
        }
        Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksCancel
        | Method::TasksResult
        | Method::TasksList => {
            let admitted = rates::admit_list(x, call).await?;
            Box::pin(passed_tasks::serve(x, call)).await.map(|reply| admitted.over(reply))
        }
        _ => {
            let mut located = locate(x, call).await?;
            let tool = operation.located(x, &located.routed);
            if let Some(noted) = &x.noted {
                noted.resumed(&located.pass.operation);
            }
            located.duties = match may::may(x, call, &mut located.routed, &mut located.pass).await? {
                May::Go(duties) => duties,
                May::Answered(reply) => return Ok(shape(x, call, located, reply).await),
                May::Waits(approval) => {
                    return hosted::begin_waiting(x, call, &located.routed, &approval).await;
                }
            };
            // After the policies: what may not be seen is not told apart by what is in it.
            if let Some(blocked) = checks::before(x, call, &mut located.routed, &mut located.duties).await? {
                return Ok(blocked);
            }
            let admitted = rates::admit(x, call, &located.routed).await?;
            if let Some(noted) = &x.noted {
                if located.duties.capture {
                    noted.captures(&located.routed.call);
                }
                noted.started().await?;
            }
            let reply = match hosted::wish(x, call, &located.routed)? {
                None => perform(x, call, located, tool).await,
                Some(wish) => as_task(x, call, located, tool, wish).await,
            };
            reply.map(|reply| admitted.over(reply))
        }
    }
}

/// The groups of what whoever asks may see. There is one page.
async fn groups(x: &Exchange, call: &Call) -> Result<Raw, RpcError> {
    if let Some(noted) = &x.noted {
        noted.discloses();
    }
    if call.params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(RpcError::invalid_params("Invalid cursor: start the list again"));
    }
    let sieve = may::Sieve::of(x);
    x.endpoint.groups(&x.caller, sieve.as_ref().map(|sieve| sieve as &dyn catalog::Sieve)).await
}

type Performed<'a> = Pin<Box<dyn Future<Output = Result<Reply, RpcError>> + Send + 'a>>;

/// Makes a task of it, which may run for a while as any other call. Boxed without its type: a task makes
/// calls itself.
fn as_task<'a>(
    x: &'a Exchange,
    call: &'a Call,
    located: Located,
    tool: Option<Arc<str>>,
    wish: hosted::Wish,
) -> Performed<'a> {
    Box::pin(async move {
        let promise = hosted::Promise { granted: &located.pass.granted, approval: None };
        let new = hosted::new_task(x, call, &located.routed, &promise)?;
        let own = call.clone();
        let plain = move |x: Exchange| -> Performed<'static> {
            Box::pin(async move { perform(&x, &own, located, tool).await })
        };
        hosted::begin(x, call, new, wish, plain).await
    })
}

/// Where a call goes, and what is known of its earlier rounds.
struct Located {
    routed: Routed,
    /// What was asked and answered before. `None`: nobody wrote it down.
    record: Option<Record>,
    /// What was decided before.
    pass: Pass,
    /// What has to be done along the way.
    duties: Duties,
}

impl Located {
    fn new(x: &Exchange, routed: Routed) -> Self {
        let granted = x.hosted.as_ref().map(|hosted| hosted.granted.clone()).unwrap_or_default();
        let pass = Pass { operation: String::new(), granted };
        Self { routed, record: Some(Record::default()), pass, duties: Duties::default() }
    }
}

/// Where to: the upstream, its own names, and what a retry carries for it.
async fn locate(x: &Exchange, call: &Call) -> Result<Located, RpcError> {
    let mut routed = x.endpoint.route(&x.caller, call).await?;
    routed.remade |= x.through;
    check_params(x, &routed)?;
    let Some(sealed) = call.params.get("requestState") else {
        return Ok(Located::new(x, routed));
    };
    let name = routed.source.upstream().name().clone();
    let Opened { own: state, record, pass } = x.app.handles.open_state(x.holder(), &name, call, &sealed)?;
    let mut record = Record::read(&record);
    if let Some(record) = &mut record {
        let answers = call.params.get("inputResponses").and_then(|raw| raw.object().ok().flatten());
        record.answer(answers.as_ref());
    }
    routed.call = match x.replay {
        None => routed.call.with("requestState", Some(Raw::string(&state))),
        Some(_) if record.is_some() && replay::may_repeat(x, &routed) => {
            tracing::info!(upstream = %name, "a call whose replica is gone is made again");
            x.app.metrics.forwarded("made_again");
            routed.call.with("requestState", None).with("inputResponses", None)
        }
        Some(lost) => return Err(gone(lost.answered)),
    };
    Ok(Located { record, pass, ..Located::new(x, routed) })
}

/// Headers that repeat arguments must repeat them exactly. Legacy clients know of no such headers, nor do
/// those that call through `call`, whose own schema has none.
fn check_params(x: &Exchange, routed: &Routed) -> Result<(), RpcError> {
    if x.revision.era() == protocol::Era::Legacy || !x.over_http || x.through {
        return Ok(());
    }
    let arguments = routed.call.params.get("arguments");
    for rule in routed.rules.iter().flat_map(|rules| rules.iter()) {
        rule.check(&x.headers, arguments.as_ref())?;
    }
    Ok(())
}

/// Does it, or finds it done.
async fn perform(
    x: &Exchange,
    call: &Call,
    located: Located,
    tool: Option<Arc<str>>,
) -> Result<Reply, RpcError> {
    let Located { mut routed, record, pass, duties } = located;
    if let Some(reply) = Box::pin(consent::sign_in(x, &routed)).await {
        return Ok(shape(x, call, Located { routed, record, pass, duties }, reply?).await);
    }
    hosted::equip(x, &mut routed);
    let line = match line::way(x, &mut routed).await? {
        Way::On(line) => line,
        Way::Answered(result) => return Ok(Reply::result(result)),
    };
    let script = x.replay.and(record.clone()).map(|record| Arc::new(record) as Arc<dyn Script>);
    let handles = routed.session.is_some();
    let on = On { line, script, tool };
    let reached = match read_kept(x, &routed, &on.line) {
        Some(kept) => Ok((routed, Reply::result(kept))),
        None => reach(x, call, routed, on).await,
    };
    match reached {
        Ok((routed, reply)) => {
            let reply = may::as_unknown(x, call, &routed, reply).await;
            Ok(shape(x, call, Located { routed, record, pass, duties }, reply).await)
        }
        Err(error) if handles && error.code == code::SESSION_GONE => {
            Ok(Reply::result(line::unknown_handle()))
        }
        Err(error) => Err(error),
    }
}

/// How a call goes to its upstream.
#[derive(Clone)]
struct On {
    line: Line,
    script: Option<Arc<dyn Script>>,
    /// The tool's own name, for whoever watches.
    tool: Option<Arc<str>>,
}

/// Asks the upstream, and once more where it says that our copy of the tool's schema is old: it ran nothing.
async fn reach(x: &Exchange, call: &Call, routed: Routed, on: On) -> Result<(Routed, Reply), RpcError> {
    let asked_at = routed.source.reading();
    let reply = send(x, &routed, on.clone()).await?;
    keep_read(x, &routed, &on.line, &reply, asked_at);
    let stale = match &reply {
        Reply::Ready(Outcome::Error(error)) => RpcError::read(error).code == code::HEADER_MISMATCH,
        _ => false,
    };
    if !stale || call.method != Method::ToolsCall {
        return Ok((routed, reply));
    }
    routed.source.forget(Kind::Tools);
    Box::pin(async {
        // The fresh list gives the fresh rules; where it cannot be had the first answer stands.
        if routed.source.list(Kind::Tools, &x.caller).await.is_err() {
            return Ok((routed, reply));
        }
        // What was decided on, looked at and perhaps blanked is what goes on.
        let (decided, remade) = (routed.call, routed.remade);
        let routed = Routed { call: decided, remade, ..locate(x, call).await?.routed };
        let reply = send(x, &routed, on).await?;
        Ok((routed, reply))
    })
    .await
}

/// The URI of a read that may be answered from the cache. A retry with answers never is, nor what may
/// depend on headers or the session of this one client.
fn plain_read(x: &Exchange, routed: &Routed, line: &Line) -> Option<String> {
    if routed.call.method != Method::ResourcesRead || *line != Line::Usual {
        return None;
    }
    let upstream = routed.source.upstream().name().as_str();
    if x.generation.forward_headers.get(upstream).is_some_and(|names| !names.is_empty()) {
        return None;
    }
    let plain = !routed.call.params.has("inputResponses") && !routed.call.params.has("requestState");
    plain.then(|| routed.call.text("uri")).flatten()
}

fn read_kept(x: &Exchange, routed: &Routed, line: &Line) -> Option<Raw> {
    routed.source.read_kept(&plain_read(x, routed, line)?, &x.caller.principal)
}

fn keep_read(
    x: &Exchange,
    routed: &Routed,
    line: &Line,
    reply: &Reply,
    asked_at: (tokio::time::Instant, u64),
) {
    let uri = plain_read(x, routed, line);
    if let (Reply::Ready(Outcome::Result(Body::Whole(result))), Some(uri)) = (reply, uri) {
        routed.source.keep_read(&uri, &x.caller.principal, result, asked_at);
    }
}

async fn send(x: &Exchange, routed: &Routed, on: On) -> Result<Reply, RpcError> {
    let upstream = routed.source.upstream();
    let own = match Box::pin(consent::resume(x, routed)).await? {
        Resumed::Call(call) => call,
        Resumed::Answered(reply) => return Ok(reply),
    };
    let cx = CallContext {
        principal: x.caller.principal.clone(),
        headers: hosted::headers(x, routed),
        rules: routed.rules.clone(),
        polls: x.revision.features().polled_streams,
        watched: Watched { parent: x.caller.trace.clone(), tool: on.tool },
        line: on.line,
        alone: x.app.replicas.is_alone(),
        script: on.script,
        waits_until: x.hosted.as_ref().and_then(|hosted| hosted.until),
        again: replay::again(x, routed),
    };
    // Boxed: it would be copied through every stage on its way to where it is waited for.
    let reply = Box::pin(upstream.call(&cx, &own)).await;
    if let Err(error) = &reply
        && error.kind == CallErrorKind::Consent
    {
        return consent::ask(x, routed, error);
    }
    reply.map_err(|error| {
        match error.kind {
            CallErrorKind::ParkedGone => {}
            CallErrorKind::SessionGone => return line::gone(upstream.name()),
            _ => tracing::warn!(%error, method = %routed.call.method, "the upstream gave no answer"),
        }
        error.to_rpc()
    })
}

/// Names, URIs and handles as the client knows them, on every exit of the call.
async fn shape(x: &Exchange, call: &Call, located: Located, reply: Reply) -> Reply {
    let Located { routed, record, mut pass, duties } = located;
    if let Some(noted) = &x.noted {
        pass.operation = noted.operation().to_string();
    }
    let log_level = call.meta.log_level.as_ref().and_then(|l| l.as_str()).and_then(|l| severity(&l));
    match reply {
        Reply::Ready(outcome) => {
            let (x, call) = (Cow::Borrowed(x), Cow::Borrowed(call));
            let shaper = Shaper { x, call, routed, record, pass, duties, log_level };
            Reply::Ready(shaper.outcome(outcome).await)
        }
        Reply::Stream(items) => {
            let (x, call) = (Cow::Owned(x.clone()), Cow::Owned(call.clone()));
            let shaper = Arc::new(Shaper::<'static> { x, call, routed, record, pass, duties, log_level });
            Reply::Stream(Box::pin(items.filter_map(move |item| {
                let shaper = Arc::clone(&shaper);
                async move {
                    match item {
                        Ok(Item::Done(outcome)) => Some(Ok(Item::Done(shaper.outcome(outcome).await))),
                        Ok(Item::Notification { method, params }) => shaper
                            .takes(&method, params.as_ref())
                            .then_some(Ok(Item::Notification { method, params })),
                        Ok(Item::HungUp) => Some(Ok(Item::HungUp)),
                        Err(error) => Some(Err(error)),
                    }
                }
            })))
        }
    }
}

struct Shaper<'a> {
    x: Cow<'a, Exchange>,
    call: Cow<'a, Call>,
    routed: Routed,
    record: Option<Record>,
    pass: Pass,
    duties: Duties,
    log_level: Option<u8>,
}

impl Shaper<'_> {
    async fn outcome(&self, outcome: Outcome) -> Outcome {
        let shaped = self.shaped(outcome).await;
        checks::after(&self.x, &self.routed, shaped).await
    }

    async fn shaped(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Result(Body::Whole(result)) => match self.result(result).await {
                Ok(result) => Outcome::Result(Body::Whole(result)),
                Err(error) => Outcome::Error(error.to_raw()),
            },
            Outcome::Result(body) => match may::body_under(body, &self.duties) {
                Ok(body) => Outcome::Result(body),
                Err(error) => Outcome::Error(error.to_raw()),
            },
            other => other,
        }
    }

    async fn result(&self, result: Raw) -> Result<Raw, RpcError> {
        let invalid = |what: &str| {
            let name = self.routed.source.upstream().name();
            RpcError::new(code::UPSTREAM_INVALID, format!("Upstream {name} {what}"))
        };
        let Ok(Some(object)) = result.object() else {
            return Err(invalid("gave a result that is no object"));
        };
        match object.get("resultType").as_ref().map(Raw::as_bytes) {
            Some(b"\"input_required\"") => self.questions(&object).map_err(invalid),
            // The gateway's own task goes on with it.
            Some(b"\"task\"") if self.x.hosted.is_some() => Ok(object.raw()),
            Some(b"\"task\"") => self.task(&object).await,
            _ if self.x.hosted.is_some() && object.has("task") => Ok(object.raw()),
            _ if self.call.params.has("task") => Ok(self.tasks().seal_everywhere(&object)),
            Some(_) => may::result_under(self.links(result).await, &self.duties),
            // A server that leaves it out means this, and our clients may insist on it (basic, "Results").
            None => {
                let complete = Raw::literal(r#""complete""#);
                let result = self.links(object.edit().set("resultType", complete).finish()).await;
                may::result_under(result, &self.duties)
            }
        }
    }

    /// A task that the upstream has made of the call.
    async fn task(&self, object: &Object) -> Result<Raw, RpcError> {
        let name = self.routed.source.upstream().name().as_str();
        let own = object.get("taskId").and_then(|id| id.as_str().map(Cow::into_owned));
        match own {
            Some(own) if self.x.app.tasks.get().is_some() && self.x.generation.hosting.adopts(name) => {
                hosted::adopt(&self.x, &self.call, &self.routed, own).await
            }
            _ => Ok(self.tasks().seal_in(object)),
        }
    }

    /// The URIs that the client knows.
    async fn links(&self, result: Raw) -> Raw {
        let upstream = self.routed.source.upstream().name().as_str();
        self.routed.shape(self.x.endpoint.relink(&self.x.caller, upstream, result).await)
    }

    /// A question: only what the client declared, and the upstream's state under our seal.
    fn questions(&self, object: &Object) -> Result<Raw, &'static str> {
        if !self.call.method.may_ask() {
            return Err("asked for input where that is not possible");
        }
        let questions = match object.get("inputRequests").map(|q| q.object()) {
            None => None,
            Some(Ok(Some(questions))) => Some(questions),
            Some(_) => return Err("sent inputRequests that are no object"),
        };
        if let Some(questions) = &questions {
            let able = &self.x.caller.capabilities;
            if questions.iter().any(|(_, question)| !able.can_answer_question(&question)) {
                return Err("asked for something that the client did not declare");
            }
        }
        let Some(state) = object.get("requestState") else { return Ok(object.raw()) };
        let Some(state) = state.as_str() else { return Err("sent a requestState that is no string") };
        let upstream = self.routed.source.upstream();
        // A legacy server's question holds its call open in this process; a modern server's state is all that
        // it needs.
        let holds = upstream.holds_questions();
        // A question of the gateway's own holds nothing open.
        let ours = state.starts_with(OWN_STATE);
        let owner = (holds && !ours).then(|| self.x.app.replicas.me());
        let asked = questions.as_ref().filter(|_| !ours);
        let record = if holds { self.record_with(asked) } else { String::new() };
        let until = self.x.hosted.as_ref().and_then(|hosted| hosted.until);
        let state = State { own: &state, owner, record: &record, pass: &self.pass, until };
        let sealed = self.x.app.handles.seal_state(self.x.holder(), upstream.name(), &self.call, &state);
        Ok(object.edit().set("requestState", Raw::string(&sealed)).finish())
    }

    /// What was asked and answered so far, where the call may be made again in another replica.
    fn record_with(&self, questions: Option<&Object>) -> String {
        let mut record = match &self.record {
            Some(record) if replay::may_repeat(&self.x, &self.routed) => record.clone(),
            _ => return String::new(),
        };
        if let Some(questions) = questions {
            record.ask(questions);
        }
        record.write()
    }

    fn tasks(&self) -> TaskIds<'_> {
        TaskIds { x: &self.x, upstream: self.routed.source.upstream().name() }
    }

    /// Whether the client asked for this notification.
    fn takes(&self, method: &Method, params: Option<&Raw>) -> bool {
        match method {
            Method::LogMessage => {
                let level = params.and_then(|p| p.get("level"));
                let level = level.as_ref().and_then(|l| l.as_str()).and_then(|l| severity(&l));
                self.log_level.is_some_and(|from| level.is_none_or(|level| level >= from))
            }
            Method::Progress => self.call.meta.progress_token.is_some(),
            _ => true,
        }
    }
}

/// The rank of a log level (RFC 5424), higher is graver.
pub(crate) fn severity(level: &str) -> Option<u8> {
    const LEVELS: [&str; 8] =
        ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    LEVELS.iter().position(|known| *known == level).and_then(|at| u8::try_from(at).ok())
}
