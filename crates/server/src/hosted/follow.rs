//! A task that an upstream hosts itself, and that is the gateway's too: asked for until it ends.

use std::sync::Arc;
use std::time::Duration;

use protocol::json::Object;
use protocol::{Call, Method, Raw, RpcError, code};
use serde_json::{Value, json};
use tasks::{Ran, Run};
use upstream::{Body, CallContext, Line, Outcome, Upstream, Watched};

use super::{retry, runner};
use crate::app::Exchange;
use crate::checks;

/// How often is asked where the upstream says nothing.
const POLL: Duration = Duration::from_secs(1);
/// However often it wants to be asked.
const POLL_MIN: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(60);
/// What separates an upstream's name from its own name for a task. No name has it.
const MARK: char = ' ';

/// Takes a task over that the upstream has just made.
pub(super) async fn begin(x: &Exchange, upstream: &str, own: &str, run: &Run) -> Ran {
    if run.tell.follow(&format!("{upstream}{MARK}{own}")).await.is_err() {
        return Ran::Lost;
    }
    poll(x, upstream, own, run).await
}

/// Goes on with one that another replica has left.
pub(super) async fn go_on(x: &Exchange, run: &Run) -> Ran {
    match run.task.upstream_task.as_deref().and_then(|name| name.split_once(MARK)) {
        Some((upstream, own)) => poll(x, upstream, own, run).await,
        None => Ran::Lost,
    }
}

/// Cancels the upstream's task where nobody waits for it any more.
struct Following {
    x: Exchange,
    upstream: Arc<Upstream>,
    own: String,
    over: bool,
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (x, upstream, own) = (self.x.clone(), Arc::clone(&self.upstream), self.own.clone());
        tokio::spawn(async move {
            if let Err(error) = ask(&x, &upstream, Method::TasksCancel, &own, None).await {
                tracing::debug!(%error.message, upstream = %upstream.name(), "a task there is not cancelled");
            }
        });
    }
}

async fn poll(x: &Exchange, upstream: &str, own: &str, run: &Run) -> Ran {
    let Some(source) = x.endpoint.source(upstream, &x.caller.principal) else {
        let text = format!("There is no upstream {upstream} here any more");
        return retry::failed("upstream_gone", &RpcError::invalid_params(text), true);
    };
    let upstream = Arc::clone(source.upstream());
    let mut following =
        Following { x: x.clone(), upstream: Arc::clone(&upstream), own: own.to_owned(), over: false };
    let ran = poll_on(x, &upstream, own, run).await;
    following.over = ran != Ran::Lost;
    ran
}

async fn poll_on(x: &Exchange, upstream: &Arc<Upstream>, own: &str, run: &Run) -> Ran {
    loop {
        let wait = match ask(x, upstream, Method::TasksGet, own, None).await {
            Ok(Ok(found)) => match step(x, upstream, own, run, &found).await {
                Step::Ended(ran) => return ran,
                Step::Wait(wait) => wait,
            },
            // It says that it does not know it, or something else that will not pass.
            Ok(Err(error)) => return retry::of_upstream(error, None),
            Err(error) => {
                let error = error.message;
                tracing::info!(upstream = %upstream.name(), error, "a task there is not seen");
                POLL * 2
            }
        };
        tokio::time::sleep(wait.clamp(POLL_MIN, POLL_MAX)).await;
    }
}

enum Step {
    Ended(Ran),
    Wait(Duration),
}

async fn step(x: &Exchange, upstream: &Arc<Upstream>, own: &str, run: &Run, found: &Raw) -> Step {
    let text = |name: &str| found.get(name).and_then(|raw| raw.as_str().map(|text| text.into_owned()));
    let poll = ["pollIntervalMs", "pollInterval"].iter().find_map(|name| found.get(name)?.as_i64());
    let wait = poll.and_then(|ms| u64::try_from(ms).ok()).map_or(POLL, Duration::from_millis);
    let legacy = upstream.holds_questions();
    match text("status").as_deref() {
        Some("completed" | "failed") if legacy => Step::Ended(legacy_result(x, upstream, own, run).await),
        Some("completed") => Step::Ended(match found.get("result") {
            Some(result) => retry::of_result(&result, None),
            None => invalid("ended a task without a result"),
        }),
        Some("failed") => Step::Ended(match found.get("error") {
            Some(error) => retry::of_upstream(error, None),
            None => invalid("let a task fail without an error"),
        }),
        Some("cancelled") => {
            let error = RpcError::new(code::UPSTREAM_BROKE, "The upstream cancelled its task").with(json!({
                "reason": "cancelled_upstream", "fault": "upstream", "retry": "may_have_run",
            }));
            Step::Ended(retry::failed("cancelled_upstream", &error, true))
        }
        Some("input_required") if legacy => Step::Ended(legacy_result(x, upstream, own, run).await),
        Some("input_required") => match answer(x, upstream, own, run, found).await {
            Ok(()) => Step::Wait(POLL_MIN),
            Err(ran) => Step::Ended(ran),
        },
        Some("working") => match run.tell.say(text("statusMessage")).await {
            Ok(()) => Step::Wait(wait),
            Err(tasks::Lost) => Step::Ended(Ran::Lost),
        },
        _ => Step::Ended(invalid("gave a task of no known status")),
    }
}

/// Passes the upstream's questions to the client and the answers back.
async fn answer(
    x: &Exchange,
    upstream: &Arc<Upstream>,
    own: &str,
    run: &Run,
    found: &Raw,
) -> Result<(), Ran> {
    let object = found.object().ok().flatten().unwrap_or_else(Object::empty);
    let answers = runner::ask(run, &object).await?;
    match ask(x, upstream, Method::TasksUpdate, own, Some(("inputResponses", answers))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(retry::of_upstream(error, None)),
        Err(error) => Err(Ran::Failed(retry::of_gateway(&error, None))),
    }
}

/// The result of a task of 2025-11-25, which may ask before it is there.
async fn legacy_result(x: &Exchange, upstream: &Arc<Upstream>, own: &str, run: &Run) -> Ran {
    let mut more: Vec<(&str, Raw)> = Vec::new();
    loop {
        let outcome = match ask_with(x, upstream, Method::TasksResult, own, &more).await {
            Ok(outcome) => outcome,
            Err(error) => return Ran::Failed(retry::of_gateway(&error, None)),
        };
        let result = match outcome {
            Ok(result) => result,
            Err(error) => return retry::of_upstream(error, None),
        };
        let object = result.object().ok().flatten().unwrap_or_else(Object::empty);
        if object.get("resultType").as_ref().map(Raw::as_bytes) != Some(b"\"input_required\"") {
            return retry::of_result(&result, None);
        }
        let answers = match runner::ask(run, &object).await {
            Ok(answers) => answers,
            Err(ran) => return ran,
        };
        more = vec![("inputResponses", answers)];
        more.extend(object.get("requestState").map(|state| ("requestState", state)));
    }
}

fn invalid(what: &str) -> Ran {
    let error = RpcError::new(code::UPSTREAM_INVALID, format!("The upstream {what}")).with(json!({
        "reason": "invalid_answer", "fault": "upstream", "retry": "may_have_run",
    }));
    retry::failed("invalid_answer", &error, true)
}

async fn ask(
    x: &Exchange,
    upstream: &Arc<Upstream>,
    method: Method,
    own: &str,
    more: Option<(&str, Raw)>,
) -> Result<Result<Raw, Raw>, RpcError> {
    let more: Vec<_> = more.into_iter().collect();
    ask_with(x, upstream, method, own, &more).await
}

async fn ask_with(
    x: &Exchange,
    upstream: &Arc<Upstream>,
    method: Method,
    own: &str,
    more: &[(&str, Raw)],
) -> Result<Result<Raw, Raw>, RpcError> {
    let empty = Object::empty();
    let mut edit = empty.edit().set("taskId", Raw::string(own));
    for (name, value) in more {
        edit = edit.set((*name).to_owned(), value.clone());
    }
    let params = edit.finish();
    let call = Call::own(method, &params, &declared(x), &x.caller.client_info);
    let call = checks::to_task(x, upstream.name().as_str(), call).await?;
    let cx = CallContext {
        principal: x.caller.principal.clone(),
        headers: x.forwarded(upstream.name().as_str()),
        rules: None,
        polls: false,
        watched: Watched { parent: x.caller.trace.clone(), tool: None },
        line: Line::Usual,
        alone: x.app.replicas.is_alone(),
        script: None,
        waits_until: None,
        again: upstream::Again::Never,
    };
    let reply = upstream.call(&cx, &call).await.map_err(|error| error.to_rpc());
    let outcome = match runner::whole(reply).await? {
        Ok(result) => Outcome::Result(Body::Whole(result)),
        Err(error) => Outcome::Error(error),
    };
    match checks::of_task(x, (upstream.name().as_str(), &call.method), outcome).await {
        Outcome::Result(Body::Whole(result)) => Ok(Ok(result)),
        Outcome::Result(Body::Stream(_)) => Err(RpcError::new(code::INTERNAL, "A result is not whole")),
        Outcome::Error(error) => Ok(Err(error)),
    }
}

/// What the client declared, and that whoever asks knows what tasks are.
fn declared(x: &Exchange) -> protocol::Capabilities {
    let mut raw = x.caller.capabilities.raw.to_value();
    let tasks = Value::Object(serde_json::Map::new());
    raw["extensions"][protocol::latest::TASKS_EXTENSION] = tasks;
    protocol::Capabilities::read(Some(&Raw::from_value(&raw)))
}
