//! Somebody else's yes: a task that waits for it, or a call that is made again once it was given.

use policy::{Ask, Decision, Whom};
use protocol::{Method, Raw, RpcError, code};
use serde_json::{Value, json};
use store::{Approval, ApprovalError, ApprovalState, StoreError, Taken};

use super::question::Facts;
use super::refusal::{self, Remedy};
use super::{Asked, May};
use crate::app::Exchange;
use crate::hosted;

/// What a yes is for, beside the caller: the tool as it is defined, its arguments to the byte, the policies.
pub(super) fn bound(asked: &Asked<'_>, facts: &Facts, policies: &str) -> String {
    let arguments = asked.routed.call.params.get("arguments");
    let definition = facts.definition.as_ref().map_or(&b""[..], Raw::as_bytes);
    hosted::hex(&[
        asked.call.method.as_str().as_bytes(),
        asked.routed.source.upstream().name().as_str().as_bytes(),
        asked.what().as_bytes(),
        arguments.as_ref().map_or(&b"{}"[..], Raw::as_bytes),
        definition,
        policies.as_bytes(),
    ])
}

/// Whether somebody has said yes; `None` where one has.
///
/// # Errors
/// Where it cannot be known.
pub(super) async fn approve(
    asked: &Asked<'_>,
    ask: &Ask,
    decision: &Decision,
    bound: &str,
) -> Result<Option<May>, RpcError> {
    let x = asked.x;
    let Some(office) = x.app.approvals.get() else {
        asked.note(audit::Outcome::Denied);
        let text = "It takes somebody's approval, and this gateway keeps none (store.url).";
        return refusal::answer(asked.call, Remedy::Unavailable, text)
            .map(|reply| Some(May::Answered(reply)));
    };
    let task = x.hosted.as_ref().and_then(|hosted| hosted.approval.as_deref());
    let id = match task {
        Some(id) => id.to_owned(),
        None => name_of(x, bound, None),
    };
    match office.take(&id, bound, task.is_some()).await.map_err(|error| unknown(&error))? {
        Taken::Yes(approval) => {
            used(x, *approval);
            Ok(None)
        }
        Taken::No(approval) => no(asked, &approval).map(Some),
        Taken::Waits(approval) if task.is_none() => waits(asked, &approval).map(Some),
        Taken::Waits(_) | Taken::None if task.is_some() => {
            asked.note(audit::Outcome::Denied);
            let text = "Nobody has approved it in time.";
            refusal::answer(asked.call, Remedy::Unavailable, text).map(|reply| Some(May::Answered(reply)))
        }
        Taken::Waits(_) | Taken::None => {
            let tasks = can_wait(asked);
            let id = if tasks { name_of(x, bound, Some(x)) } else { id };
            let new = new(asked, (ask, decision), bound, id);
            if tasks {
                return Ok(Some(May::Waits(Box::new(new))));
            }
            match office.ask(&new).await {
                Ok(approval) => waits(asked, &approval).map(Some),
                Err(error) => not_asked(asked, &error).map(Some),
            }
        }
    }
}

/// Records whose yes a call uses.
pub(super) fn used(x: &Exchange, approval: Approval) {
    if let Some(noted) = &x.noted {
        noted.detail("approval", approval.id);
        noted.detail("approved_by", approval.decider.unwrap_or_default());
    }
}

/// What a call comes to about which nobody could be asked.
pub(super) fn not_asked(asked: &Asked<'_>, error: &ApprovalError) -> Result<May, RpcError> {
    if !matches!(error, ApprovalError::TooLarge) {
        return Err(unknown(error));
    }
    asked.note(audit::Outcome::Denied);
    refusal::answer(asked.call, Remedy::Unavailable, &format!("{error}.")).map(May::Answered)
}

/// Whether the client can wait for a task.
fn can_wait(asked: &Asked<'_>) -> bool {
    let x = asked.x;
    let possible = x.app.tasks.get().is_some() && x.hosted.is_none() && asked.routed.session.is_none();
    hosted::takes_task(x, asked.call) && possible && asked.call.method == Method::ToolsCall
}

/// The name of what one caller asks for: the same each time, or once for each task.
pub(super) fn name_of(x: &Exchange, bound: &str, once: Option<&Exchange>) -> String {
    let mut random = [0; 16];
    if let Some(x) = once {
        x.app.rng.fill(&mut random);
    }
    let principal = &x.caller.principal;
    let (tenant, subject) = (principal.tenant().as_bytes(), principal.subject().as_bytes());
    let digest = hosted::hex(&[tenant, subject, x.endpoint.name().as_bytes(), bound.as_bytes(), &random]);
    digest[..24].to_owned()
}

pub(super) fn new(
    asked: &Asked<'_>,
    (ask, decision): (&Ask, &Decision),
    bound: &str,
    id: String,
) -> Approval {
    let x = asked.x;
    let now = x.app.clock.now();
    let groups = match &ask.whom {
        Whom::Groups(groups) => groups.iter().map(|group| group.to_string()).collect(),
        Whom::Caller => Vec::new(),
    };
    let arguments = asked.routed.call.params.get("arguments");
    Approval {
        id,
        tenant: x.caller.principal.tenant().to_owned(),
        subject: x.caller.principal.subject().to_owned(),
        client: x.who.client.clone(),
        endpoint: x.endpoint.name().to_owned(),
        upstream: asked.routed.source.upstream().name().to_string(),
        tool: asked.what(),
        arguments: arguments.map_or_else(|| "{}".to_owned(), |raw| raw.as_text().to_owned()),
        bound: bound.to_owned(),
        policies: decision.policies.iter().map(|policy| policy.to_string()).collect(),
        message: ask.message.as_ref().map(|message| message.to_string()),
        groups,
        task: None,
        operation: x.noted.as_ref().map(|noted| noted.operation().to_string()),
        created: now,
        expires: now.plus(ask.stands),
        state: ApprovalState::Pending,
        decider: None,
        reason: None,
        decided: None,
    }
}

fn no(asked: &Asked<'_>, approval: &Approval) -> Result<May, RpcError> {
    asked.note(audit::Outcome::Denied);
    let text = match &approval.reason {
        Some(reason) => format!("It was not approved: {reason}."),
        None => "It was not approved.".to_owned(),
    };
    refusal::answer(asked.call, Remedy::Unavailable, &text).map(May::Answered)
}

fn waits(asked: &Asked<'_>, approval: &Approval) -> Result<May, RpcError> {
    asked.note(audit::Outcome::Deferred);
    let text = format!(
        "It waits for the approval {}. Make the same call again once somebody has approved it.",
        approval.id
    );
    refusal::answer(asked.call, Remedy::Undisclosed, &text).map(May::Answered)
}

pub(super) fn unknown(error: &dyn std::fmt::Display) -> RpcError {
    tracing::warn!(%error, "a call is denied, as nobody knows whether it was approved");
    RpcError::new(code::INTERNAL, "Approvals cannot be looked up").with(json!({
        "reason": "approvals", "fault": "gateway", "retry": "safe",
    }))
}

/// What is said of a task that waits for an approval (SEP-2643, a draft).
pub(crate) fn envelope(approval: &str) -> Value {
    json!({
        "reason": "insufficient_authorization",
        "remediation": "available",
        "authorizationContextId": approval,
        "remediationHints": [{"type": "task"}],
    })
}

/// Keeps an approval that a task waits for.
///
/// # Errors
/// Where it cannot be asked for.
pub(crate) async fn keep(x: &Exchange, approval: &Approval) -> Result<(), RpcError> {
    let Some(office) = x.app.approvals.get() else { return Err(unknown(&StoreError::Busy)) };
    match office.ask(approval).await {
        Ok(_) => Ok(()),
        Err(ApprovalError::TooLarge) => {
            Err(refusal::denied_error("unavailable", &format!("{}.", ApprovalError::TooLarge)))
        }
        Err(error) => Err(unknown(&error)),
    }
}
