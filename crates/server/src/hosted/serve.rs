//! The methods on tasks, for those that are the gateway's own.

use std::time::Duration;

use model::task::TaskState;
use protocol::json::{Object, array};
use protocol::{Call, Era, Method, Raw, RpcError};
use seal::{Binding, Purpose};
use serde_json::json;
use upstream::Reply;

use super::begin::{hosting, shown};
use super::call::holder;
use super::shape;
use crate::app::Exchange;

/// Tasks on one page of a list.
const PAGE: usize = 100;
/// How long one look at a task waits; whoever waits longer looks again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a cursor is good.
const CURSOR_TIME: Duration = Duration::from_secs(24 * 3_600);

/// Serves a method on a task. `own` is the gateway's name for it, `given` the client's.
pub(crate) async fn serve(x: &Exchange, call: &Call, own: &str, given: &str) -> Result<Reply, RpcError> {
    let tasks = hosting(x)?;
    let holder = holder(&x.caller.principal, x.endpoint.name());
    let legacy = x.revision.era() == Era::Legacy;
    let refused = |error: tasks::TaskError| shape::refused(&error);
    let result = match call.method {
        Method::TasksGet => {
            let view = tasks.get(own, &holder).await.map_err(refused)?;
            shown(x, &view, Some(given)).with(|task| if legacy { task.legacy() } else { task.got() })
        }
        Method::TasksUpdate => {
            tasks.answer(own, &holder, answers(call)?).await.map_err(refused)?;
            done()
        }
        Method::TasksCancel if legacy => return legacy_cancel(x, own, given, &holder).await,
        Method::TasksCancel => {
            tasks.cancel(own, Some(&holder)).await.map_err(refused)?;
            done()
        }
        _ => return legacy_result(x, call, own, given, &holder).await,
    };
    Ok(Reply::result(result))
}

fn done() -> Raw {
    Raw::literal(r#"{"resultType":"complete"}"#)
}

/// The client's answers, by their keys.
fn answers(call: &Call) -> Result<Vec<(String, String)>, RpcError> {
    let wrong = || RpcError::invalid_params("Invalid params: \"inputResponses\" must be an object");
    match call.params.get("inputResponses").map(|raw| raw.object()) {
        Some(Ok(Some(object))) => {
            Ok(object.iter().map(|(key, answer)| (key.into_owned(), answer.as_text().to_owned())).collect())
        }
        _ => Err(wrong()),
    }
}

/// A task that has ended cannot be cancelled there (2025-11-25, "Task Cancellation").
async fn legacy_cancel(x: &Exchange, own: &str, given: &str, holder: &str) -> Result<Reply, RpcError> {
    let tasks = hosting(x)?;
    let refused = |error: tasks::TaskError| shape::refused(&error);
    let view = tasks.get(own, holder).await.map_err(refused)?;
    if !view.task.state.is_open() {
        let text = format!("Cannot cancel a task that is {}", view.task.state.status());
        return Err(RpcError::invalid_params(text));
    }
    tasks.cancel(own, Some(holder)).await.map_err(refused)?;
    let view = tasks.get(own, holder).await.map_err(refused)?;
    Ok(Reply::result(shown(x, &view, Some(given)).with(|task| task.legacy())))
}

/// `tasks/result` of 2025-11-25: waits for the end, and meanwhile passes the task's questions on. Nothing is
/// held but the wait itself.
async fn legacy_result(
    x: &Exchange,
    call: &Call,
    own: &str,
    given: &str,
    holder: &str,
) -> Result<Reply, RpcError> {
    let tasks = hosting(x)?;
    let refused = |error: tasks::TaskError| shape::refused(&error);
    if call.params.has("inputResponses") {
        tasks.answer(own, holder, answers(call)?).await.map_err(refused)?;
    }
    loop {
        let asks = |task: &model::task::Task| task.state == TaskState::Asking;
        let view = tasks.wait(own, holder, asks, PATIENCE).await.map_err(refused)?;
        let task = shown(x, &view, Some(given));
        if view.task.state == TaskState::Asking {
            let questions = task.with(|task| task.legacy_questions());
            let empty = Object::empty();
            let result = empty
                .edit()
                .set("resultType", Raw::literal("\"input_required\""))
                .set("inputRequests", questions);
            return Ok(Reply::result(result.finish()));
        }
        if !view.task.state.is_open() {
            return task.with(|task| task.legacy_result()).map(Reply::result);
        }
    }
}

/// `tasks/list` of 2025-11-25: the client's own tasks at this endpoint, the newest first.
pub(crate) async fn list(x: &Exchange, call: &Call) -> Result<Reply, RpcError> {
    let holder = holder(&x.caller.principal, x.endpoint.name());
    let after = match call.params.get("cursor").filter(|cursor| !cursor.is_null()) {
        None => None,
        Some(cursor) => Some(open_cursor(x, &cursor)?),
    };
    let found = hosting(x)?.list(&holder, after.as_deref(), PAGE).await;
    let views = found.map_err(|error| shape::refused(&error))?;
    let all: Vec<Raw> = views.iter().map(|view| shown(x, view, None).with(|task| task.legacy())).collect();
    let empty = Object::empty();
    let mut edit = empty.edit().set("tasks", array(&all));
    if views.len() == PAGE
        && let Some(last) = views.last()
    {
        edit = edit.set("nextCursor", Raw::string(&seal_cursor(x, &last.id)));
    }
    Ok(Reply::result(edit.finish()))
}

fn binding(x: &Exchange) -> Binding<'_> {
    let holder = x.holder();
    Binding { principal: holder.principal, endpoint: holder.endpoint, purpose: Purpose::Cursor }
}

/// What begins a cursor of this list and of no other.
const MARK: &[u8] = b"tasks\0";

fn seal_cursor(x: &Exchange, last: &str) -> String {
    let now = x.app.clock.now();
    let payload = [MARK, last.as_bytes()].concat();
    x.app.handles.keys.seal(&*x.app.rng, now, &binding(x), now.plus(CURSOR_TIME), &payload)
}

fn open_cursor(x: &Exchange, cursor: &Raw) -> Result<String, RpcError> {
    let open = || {
        let payload = x.app.handles.keys.open(&binding(x), x.app.clock.now(), &cursor.as_str()?)?;
        String::from_utf8(payload.strip_prefix(MARK)?.to_vec()).ok()
    };
    open().ok_or_else(|| RpcError::invalid_params("Invalid cursor").with(json!({"reason": "cursor"})))
}
