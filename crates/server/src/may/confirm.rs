//! The caller's own yes: a question of the call's.

use catalog::Routed;
use policy::{Ask, Decision};
use protocol::{Call, Raw, RpcError};
use serde_json::{Value, json};
use upstream::Reply;

use super::on_page::Page;
use super::refusal::{self, AUTHORIZATION, Remedy};
use super::{Asked, May};

/// What begins the request state of a call that waits for its caller's yes.
pub(super) const MARK: &str = "io.tidegate/confirm ";
/// What the question is called.
pub(super) const QUESTION: &str = "tidegate_confirm";
/// The most of the arguments that a question shows, in bytes.
const SHOWN_BYTES_MAX: usize = 4 * 1024;

/// What the caller has said.
pub(super) struct Said {
    /// For what he was asked.
    bound: String,
    nonce: String,
    until: u64,
    pub(super) action: Option<String>,
}

/// What a call has of earlier rounds, for its state.
pub(super) fn before(call: &Call, name: &str) -> Option<Value> {
    call.params.get(name).map(|value| value.to_value())
}

/// Takes the call back to where it was before its caller was asked.
pub(super) fn resume(routed: &mut Routed) -> Option<Said> {
    let state = routed.call.text("requestState")?;
    let before: Value = serde_json::from_str(state.strip_prefix(MARK)?).ok()?;
    let responses = routed.call.params.get("inputResponses");
    let answer = responses.and_then(|all| all.get(QUESTION));
    let action = answer.and_then(|answer| Some(answer.get("action")?.as_str()?.into_owned()));
    let raw = |name: &str| before.get(name).filter(|value| !value.is_null()).map(Raw::from_value);
    routed.call = routed.call.with("requestState", raw("requestState"));
    routed.call = routed.call.with("inputResponses", raw("inputResponses"));
    let text = |name: &str| before.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let until = before.get("until").and_then(Value::as_u64).unwrap_or_default();
    Some(Said { bound: text("bound"), nonce: text("nonce"), until, action })
}

/// Whether the caller has said yes to just this; `None` where he has.
///
/// # Errors
/// Where it cannot be known whether he said it before.
pub(super) async fn confirm(
    asked: &Asked<'_>,
    (ask, decision): (&Ask, &Decision),
    said: Option<Said>,
    bound: &str,
) -> Result<Option<May>, RpcError> {
    let x = asked.x;
    let form = asked.routed.call.method.may_ask() && x.caller.capabilities.elicit_form;
    match Page::of(x) {
        Some(page) if ask.page || !form => return page.confirm(asked, (ask, decision), said, bound).await,
        None if ask.page => {
            asked.note(audit::Outcome::Denied);
            let text = "It takes the user's yes on a page, and there is none where he could sign in.";
            return refusal::answer(asked.call, Remedy::Unavailable, text)
                .map(|reply| Some(May::Answered(reply)));
        }
        _ => {}
    }
    let now = x.app.clock.now();
    match said.filter(|said| said.bound == bound && now.0 < said.until) {
        Some(Said { action: Some(action), nonce, .. }) if action == "accept" => {
            // A yes that was used is none: whoever repeats the state is asked again.
            match x.app.confirmed_once(&nonce).await {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(error) => return Err(super::approve::unknown(&error)),
            }
        }
        Some(Said { action: Some(_), .. }) => {
            asked.note(audit::Outcome::Denied);
            let text = "The user did not agree.";
            return refusal::answer(asked.call, Remedy::Unavailable, text)
                .map(|reply| Some(May::Answered(reply)));
        }
        _ => {}
    }
    asked.note(audit::Outcome::Deferred);
    question(asked, ask, bound).map(|reply| Some(May::Answered(reply)))
}

fn question(asked: &Asked<'_>, ask: &Ask, bound: &str) -> Result<Reply, RpcError> {
    let (x, call) = (asked.x, &asked.routed.call);
    if !call.method.may_ask() || !x.caller.capabilities.elicit_form {
        asked.note(audit::Outcome::Denied);
        let text = "It takes the user's yes, and this client cannot ask for it.";
        return refusal::answer(asked.call, Remedy::Undisclosed, text);
    }
    let mut random = [0; 16];
    x.app.rng.fill(&mut random);
    let nonce = audit::hex(&random);
    let state = json!({
        "bound": bound, "nonce": nonce, "until": x.app.clock.now().plus(ask.stands).0,
        "requestState": before(call, "requestState"), "inputResponses": before(call, "inputResponses"),
    });
    let params = json!({
        "mode": "form",
        "message": message(asked, ask),
        "requestedSchema": {"type": "object", "properties": {}},
    });
    let result = json!({
        "resultType": "input_required",
        "inputRequests": {QUESTION: {"method": "elicitation/create", "params": params}},
        "requestState": format!("{MARK}{state}"),
        "_meta": {AUTHORIZATION: {"reason": "insufficient_authorization", "remediation": "available"}},
    });
    Ok(Reply::result(Raw::from_value(&result)))
}

/// What the user is shown: what will run, and why he is asked.
fn message(asked: &Asked<'_>, ask: &Ask) -> String {
    let upstream = asked.routed.source.upstream().name();
    let arguments = asked.routed.call.params.get("arguments");
    let arguments = arguments.as_ref().map_or("{}", Raw::as_text);
    let shown = model::cut(arguments, SHOWN_BYTES_MAX);
    let more = if shown.len() < arguments.len() { " …" } else { "" };
    let why = ask.message.as_deref().unwrap_or("Let this run?");
    format!("{why}\n\n{} of {upstream} with {shown}{more}", asked.what())
}
