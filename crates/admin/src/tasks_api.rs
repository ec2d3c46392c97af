//! Tasks.

use http::StatusCode;
use model::task::{Refusal, Task, TaskState};
use serde_json::{Value, json};
use store::{TaskFilter, TaskPhase};
use tasks::TaskError;

use crate::admit::Operator;
use crate::listener::Own;
use crate::problem::{Answer, Problem, document};
use crate::report;

/// Tasks in one answer, at most.
const LIMIT_MAX: usize = 500;
/// Tasks in one answer where nothing is said.
const LIMIT: usize = 50;
/// Tasks that are looked at for one answer, where few of them fit.
const LOOKED_AT_MAX: usize = 5_000;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    tenant: Option<String>,
    tool: Option<String>,
    state: Option<TaskState>,
    after: Option<String>,
    limit: Option<usize>,
}

impl Query {
    fn read(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.into_owned();
            let bad = |expected: &str| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the parameter {name} must be {expected}"))
            };
            let again = match &*name {
                "tenant" => query.tenant.replace(value).is_some(),
                "tool" => query.tool.replace(value).is_some(),
                "after" => query.after.replace(value).is_some(),
                "state" => {
                    let state = TaskState::of_word(&value).ok_or_else(|| {
                        bad("waiting, running, asking, completed, failed, cancelled or gone")
                    })?;
                    query.state.replace(state).is_some()
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    query.limit.replace(limit.ok_or_else(|| bad("a number from 1 to 500"))?).is_some()
                }
                // One that was misspelt and passed over would show more than was asked for.
                _ => {
                    let text = "unknown parameter; there are tenant, tool, state, after and limit";
                    return Err(Problem::new(StatusCode::BAD_REQUEST, text));
                }
            };
            if again {
                return Err(bad("there once"));
            }
        }
        Ok(query)
    }

    /// What the store can choose by.
    fn filter(&self) -> TaskFilter {
        let phase = self.state.map(|state| match state {
            TaskState::Waiting | TaskState::Running | TaskState::Asking => TaskPhase::Open,
            TaskState::Completed | TaskState::Failed | TaskState::Cancelled => TaskPhase::Ended,
            TaskState::Gone => TaskPhase::Gone,
        });
        TaskFilter { holder: None, tenant: self.tenant.clone(), phase }
    }

    fn fits(&self, task: &Task) -> bool {
        let state = self.state.is_none_or(|state| state == TaskState::Gone || state == task.state);
        state && self.tool.as_ref().is_none_or(|tool| task.labels.get("tool") == Some(tool))
    }
}

/// `GET /v1/tasks`
pub async fn list(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let query = Query::read(query.unwrap_or_default())?;
    let (filter, limit) = (query.filter(), query.limit.unwrap_or(LIMIT));
    let mut found: Vec<Value> = Vec::new();
    let (mut after, mut looked_at, mut more) = (query.after.clone(), 0, true);
    while more && found.len() < limit && looked_at < LOOKED_AT_MAX {
        let page = own.office.find(&filter, after.as_deref(), LIMIT_MAX).await.map_err(|e| failed(&e))?;
        more = page.len() == LIMIT_MAX;
        for view in page {
            if found.len() == limit {
                more = true;
                break;
            }
            looked_at += 1;
            after = Some(view.id.clone());
            if query.fits(&view.task) {
                found.push(report::task(&view, own.clock.now()));
            }
        }
    }
    let next = if more { json!(after) } else { Value::Null };
    Ok(document(StatusCode::OK, &json!({"tasks": found, "next": next})))
}

/// `GET /v1/tasks/ID`
pub async fn show(own: &Own, id: &str) -> Result<Answer, Problem> {
    let view = own.office.inspect(id).await.map_err(|error| failed(&error))?;
    Ok(document(StatusCode::OK, &report::task(&view, own.clock.now())))
}

/// `POST /v1/tasks/ID/cancel`
pub async fn cancel(own: &Own, who: &Operator, id: &str) -> Result<Answer, Problem> {
    let done = own.office.cancel(id).await.map_err(|error| failed(&error))?;
    told("cancel", (who, id), done)
}

/// `POST /v1/tasks/ID/retry`
pub async fn retry(own: &Own, who: &Operator, id: &str) -> Result<Answer, Problem> {
    let done = own.office.hasten(id).await.map_err(|error| failed(&error))?;
    told("retry", (who, id), done)
}

fn told(what: &str, (who, id): (&Operator, &str), done: Result<Task, Refusal>) -> Result<Answer, Problem> {
    match done {
        Ok(task) => {
            let (operator, state) = (&who.name, task.state.word());
            tracing::info!(operator, task = id, what, state, "an operator changed a task");
            Ok(document(StatusCode::OK, &json!({"id": id, "state": task.state.word()})))
        }
        Err(refusal) => Err(Problem::new(StatusCode::CONFLICT, format!("{what} the task {id}: {refusal}"))),
    }
}

fn failed(error: &TaskError) -> Problem {
    match error {
        TaskError::Unknown => Problem::new(StatusCode::NOT_FOUND, "there is no such task"),
        error => {
            tracing::warn!(%error, "an operator's request failed");
            let text = format!("{error}; it is safe to try again");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}
