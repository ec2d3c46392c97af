//! An attempt of a task: its call, made in the client's name through the same pipeline.

use std::sync::{Arc, Weak};

use catalog::Caller;
use http::HeaderMap;
use model::task::{Next, Refusal};
use model::{Fault, Principal, Retry, Timestamp};
use protocol::json::Object;
use protocol::{Call, Raw, RpcError, code};
use serde_json::json;
use tasks::{Ran, Run, Runner};
use upstream::{Body, Outcome, Reply, Upstream};

use super::begin::INSIDE;
use super::call::StoredCall;
use super::{follow, retry};
use crate::app::{App, Exchange, HostedCall};
use crate::legacy::gather;
use crate::pipeline::execute;

/// Makes the calls of tasks.
pub struct TaskRunner(Weak<App>);

impl TaskRunner {
    pub fn new(app: &Arc<App>) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(app)))
    }
}

#[async_trait::async_trait]
impl Runner for TaskRunner {
    async fn run(&self, run: Run) -> Ran {
        if run.next == Next::GiveUp {
            return interrupted();
        }
        let Some(app) = self.0.upgrade() else { return Ran::Lost };
        let Some(stored) = StoredCall::read(&run.call) else {
            let error = RpcError::new(code::INTERNAL, "The stored call cannot be read");
            return retry::failed("corrupt", &error, false);
        };
        // What he asked for before he was barred is not begun for him any more.
        if app.barred.list().bars(&stored.principal, None, Some(run.task.created)) {
            return barred(run.next == Next::Follow || run.task.attempts > 1);
        }
        let (Some(x), Some(call)) = (exchange(&app, &stored, run.task.expires), stored.call()) else {
            let text = format!("There is no endpoint {} any more", stored.endpoint);
            return retry::failed("endpoint_gone", &RpcError::invalid_params(text), false);
        };
        let x = x.entered(&call);
        if run.next == Next::Follow {
            return follow::go_on(&x, &run).await;
        }
        let reply = execute(&x, &call).await;
        go_on_with(&x, run, call, reply).await
    }
}

/// What a call that was interrupted with its replica comes to.
fn interrupted() -> Ran {
    let text = "The gateway's replica that made this call is gone. The call may have run, and is not made \
                again, as nothing says that the tool may run twice";
    let error = RpcError::new(code::UPSTREAM_BROKE, text).with(json!({
        "reason": "replica_gone",
        "fault": Fault::Gateway.as_str(),
        "retry": Retry::MayHaveRun.as_str(),
    }));
    retry::failed("interrupted", &error, true)
}

/// What a call comes to whose user was disabled or signed out after he asked for it.
fn barred(may_have_run: bool) -> Ran {
    let retry = if may_have_run { Retry::MayHaveRun } else { Retry::Useless };
    let error =
        RpcError::new(code::INVALID_REQUEST, "The user was disabled, or signed out, meanwhile").with(json!({
            "reason": "user_barred", "fault": Fault::Client.as_str(), "retry": retry.as_str(),
        }));
    retry::failed("user_barred", &error, may_have_run)
}

/// The exchange of a call that nobody waits for.
fn exchange(app: &Arc<App>, stored: &StoredCall, until: Timestamp) -> Option<Exchange> {
    let generation = app.generation();
    let endpoint = Arc::clone(generation.endpoint(&stored.endpoint, app.clock.now())?);
    let mut caller: Caller = crate::modern::unknown_caller(stored.principal.clone());
    caller.client_info = stored.client_info.clone();
    Some(Exchange {
        app: Arc::clone(app),
        generation,
        endpoint,
        who: Arc::new(stored.who()),
        caller,
        headers: Arc::new(HeaderMap::new()),
        over_http: false,
        // It is made here: what lives in another process is not reached from a task.
        forwarded: true,
        certificate: None,
        revision: INSIDE,
        lines: None,
        replay: None,
        request_id: None,
        place: None,
        hosted: Some(Arc::new(HostedCall {
            key: stored.key.clone(),
            until: Some(until),
            operation: stored.operation.as_deref().map(Arc::from),
            granted: stored.granted.clone().unwrap_or_default(),
            approval: stored.approval.clone(),
        })),
        address: None,
        noted: None,
        stale: Arc::default(),
        through: false,
    })
}

/// Goes on with a call that was under way when it became a task.
pub(super) async fn go_on(x: &Exchange, run: Run, reply: Result<Reply, RpcError>) -> Ran {
    let call = StoredCall::read(&run.call).and_then(|stored| stored.call());
    let Some(call) = call else {
        let error = RpcError::new(code::INTERNAL, "The stored call cannot be read");
        return retry::failed("corrupt", &error, true);
    };
    let x = Exchange { revision: INSIDE, ..x.clone() };
    go_on_with(&x, run, call, reply).await
}

async fn go_on_with(x: &Exchange, run: Run, mut call: Call, mut reply: Result<Reply, RpcError>) -> Ran {
    let (upstream, tool) = destination(x, &call).await;
    let rule = x.generation.hosting.retry(&upstream, &tool);
    loop {
        let outcome = match whole(reply).await {
            Ok(outcome) => outcome,
            Err(error) => return Ran::Failed(retry::of_gateway(&error, rule)),
        };
        let result = match outcome {
            Ok(result) => result,
            Err(error) => return retry::of_upstream(error, rule),
        };
        let object = result.object().ok().flatten().unwrap_or_else(Object::empty);
        match object.get("resultType").as_ref().map(Raw::as_bytes) {
            Some(b"\"input_required\"") => {
                let waiting = Waiting::of(x, &upstream, &call, &object);
                match ask(&run, &object).await {
                    Ok(answers) => {
                        waiting.goes_on();
                        call = answered(&call, &object, answers);
                        reply = execute(x, &call).await;
                    }
                    Err(ran) => return ran,
                }
            }
            Some(b"\"task\"") => return follow_new(x, &upstream, &object, &run).await,
            _ if object.has("task") && !object.has("content") => {
                let task = object.get("task").and_then(|task| task.object().ok().flatten());
                return follow_new(x, &upstream, &task.unwrap_or_else(Object::empty), &run).await;
            }
            _ => return retry::of_result(&result, rule),
        }
    }
}

/// A call that a legacy server holds open until its question is answered. Dropped, it is given up.
struct Waiting(Option<(Arc<Upstream>, String, Principal)>);

impl Waiting {
    fn of(x: &Exchange, upstream: &str, call: &Call, asked: &Object) -> Self {
        let found = || {
            let upstream = Arc::clone(x.endpoint.source(upstream, &x.caller.principal)?.upstream());
            let state = asked.get("requestState").filter(|_| upstream.holds_questions())?;
            let opened = x.app.handles.open_state(x.holder(), upstream.name(), call, &state).ok()?;
            Some((upstream, opened.own, x.caller.principal.clone()))
        };
        Self(found())
    }

    fn goes_on(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((upstream, name, principal)) = self.0.take() {
            upstream.give_up(&name, &principal);
        }
    }
}

async fn follow_new(x: &Exchange, upstream: &str, task: &Object, run: &Run) -> Ran {
    match task.get("taskId").and_then(|id| id.as_str().map(|id| id.into_owned())) {
        Some(own) => follow::begin(x, upstream, &own, run).await,
        None => {
            let error = RpcError::new(code::UPSTREAM_INVALID, "The upstream made a task without a taskId");
            retry::failed("invalid_answer", &error, true)
        }
    }
}

/// The upstream of a call and its name for the tool, for what is configured of them.
async fn destination(x: &Exchange, call: &Call) -> (String, String) {
    match x.endpoint.route(&x.caller, call).await {
        Ok(routed) => {
            let upstream = routed.source.upstream().name().to_string();
            (upstream, routed.call.text("name").unwrap_or_default())
        }
        Err(_) => (String::new(), String::new()),
    }
}

/// The outcome as a whole: a result, or the upstream's error.
pub(super) async fn whole(reply: Result<Reply, RpcError>) -> Result<Result<Raw, Raw>, RpcError> {
    let outcome = reply?.outcome().await.map_err(|error| error.to_rpc())?;
    match outcome {
        Some(Outcome::Result(Body::Whole(raw))) => Ok(Ok(raw)),
        Some(Outcome::Result(Body::Stream(chunks))) => gather(chunks).await.map(Ok),
        Some(Outcome::Error(error)) => Ok(Err(error)),
        None => Err(RpcError::new(code::UPSTREAM_BROKE, "The upstream broke off").with(json!({
            "reason": "broke", "fault": "upstream", "retry": "may_have_run",
        }))),
    }
}

/// Asks the client of the task, and gives its answers by the upstream's names for the questions.
pub(super) async fn ask(run: &Run, asked: &Object) -> Result<Raw, Ran> {
    let questions = asked.get("inputRequests").and_then(|raw| raw.object().ok().flatten());
    let questions: Vec<(String, String)> = questions
        .iter()
        .flat_map(Object::iter)
        .map(|(own, ask)| (own.into_owned(), ask.as_text().to_owned()))
        .collect();
    match run.tell.ask(questions).await {
        Err(tasks::Lost) => Err(Ran::Lost),
        Ok(Err(Refusal::TooMany)) => {
            let error = RpcError::new(code::LIMIT, "The call asks more than a task may ask").with(json!({
                "reason": "limit", "limit": "questions", "fault": "upstream", "retry": "may_have_run",
            }));
            Err(retry::failed("too_many_questions", &error, true))
        }
        Ok(Err(_)) => Err(Ran::Lost),
        Ok(Ok(answers)) => {
            let empty = Object::empty();
            let mut edit = empty.edit();
            for (own, answer) in answers {
                edit = edit.put(own, Raw::parse(answer.into()).ok());
            }
            Ok(edit.finish())
        }
    }
}

fn answered(call: &Call, asked: &Object, answers: Raw) -> Call {
    call.with("inputResponses", Some(answers)).with("requestState", asked.get("requestState"))
}
