//! Calls that wait for somebody's yes.

use http::StatusCode;
use model::Timestamp;
use policy::{Action, Target, ToolHints};
use seal::time_to_text;
use serde_json::{Value, json};
use store::{Approval, ApprovalError, Decider};

use crate::admit::Operator;
use crate::listener::Own;
use crate::problem::{Answer, Problem, document};
use crate::role::Role;

/// Approvals in one answer, at most.
const LIMIT: usize = 500;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// What is told of an approval: what will run, for whom, and what became of it.
#[must_use]
pub fn approval_report(approval: &Approval, now: Timestamp) -> Value {
    json!({
        "id": approval.id,
        "state": approval.word(now),
        "tenant": approval.tenant,
        "subject": approval.subject,
        "client": approval.client,
        "endpoint": approval.endpoint,
        "upstream": approval.upstream,
        "tool": approval.tool,
        "arguments": approval.arguments,
        "policies": approval.policies,
        "message": approval.message,
        "groups": approval.groups,
        "task": approval.task,
        "operation": approval.operation,
        "created": time_to_text(approval.created),
        "expires": time_to_text(approval.expires),
        "decider": approval.decider,
        "reason": approval.reason,
        "decided": approval.decided.map(time_to_text),
    })
}

/// `GET /v1/approvals`
pub async fn list(own: &Own, who: &Operator, query: Option<&str>) -> Result<Answer, Problem> {
    let mut state = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "state" => state = Some(value.into_owned()),
            _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown parameter; there is state")),
        }
    }
    let now = own.clock.now();
    // One who has signed in sees those of his tenant.
    let tenant = who.session.as_ref().map(|session| session.principal.tenant());
    let found = own.approvals.list(tenant, LIMIT).await.map_err(|error| failed(&error.into()))?;
    let found = found.iter().filter(|found| state.as_deref().is_none_or(|word| word == found.word(now)));
    let found: Vec<Value> = found.map(|found| approval_report(found, now)).collect();
    Ok(document(StatusCode::OK, &json!({"approvals": found})))
}

/// `POST /v1/approvals/ID/approve` and `/refuse`
pub async fn decide(
    own: &Own,
    who: &Operator,
    (id, yes): (&str, bool),
    query: Option<&str>,
) -> Result<Answer, Problem> {
    let mut reason = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "reason" if value.len() <= REASON_BYTES_MAX => reason = Some(value.into_owned()),
            _ => {
                let text = "there is the parameter reason, of at most 1,024 bytes";
                return Err(Problem::new(StatusCode::BAD_REQUEST, text));
            }
        }
    }
    let may = |asked: &Approval| {
        let (endpoint, upstream, name) = (&*asked.endpoint, &*asked.upstream, &*asked.tool);
        let target = Target { endpoint, upstream, name, hints: ToolHints::default(), labels: &[] };
        own.forbids(who, Action::Approve, target).map_err(|problem| problem.detail)
    };
    let by = match &who.session {
        None => Decider::Operator(&who.name),
        Some(session) => {
            let (tenant, subject) = (session.principal.tenant(), session.principal.subject());
            match who.role {
                Role::Admin => Decider::Admin { tenant, subject },
                _ => Decider::User { tenant, subject, groups: session.groups() },
            }
        }
    };
    let decided = own.approvals.decide_if(id, &by, yes, reason.as_deref(), may).await;
    let decided = decided.map_err(|error| failed(&error))?;
    tracing::info!(approval = id, by = by.name(), yes, "an approval was decided");
    if let Some(task) = &decided.task {
        // One that is not let begin now begins when the approval ends, and is over then.
        if let Err(error) = own.office.hasten(task).await {
            tracing::warn!(%error, task, "the task of an approval was not let begin");
        }
    }
    Ok(document(StatusCode::OK, &approval_report(&decided, own.clock.now())))
}

fn failed(error: &ApprovalError) -> Problem {
    let status = match error {
        ApprovalError::Unknown => StatusCode::NOT_FOUND,
        ApprovalError::Own | ApprovalError::NotEntitled(_) | ApprovalError::Forbidden(_) => {
            StatusCode::FORBIDDEN
        }
        ApprovalError::Expired | ApprovalError::Decided(_) => StatusCode::CONFLICT,
        ApprovalError::TooLarge => StatusCode::BAD_REQUEST,
        ApprovalError::Store(_) => {
            tracing::warn!(%error, "an approval could not be looked at");
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached");
        }
    };
    Problem::new(status, error.to_string())
}
