//! A call that needs its user's consent: what its client is told, and how the call goes on.

use std::sync::Arc;
use std::time::Duration;

use catalog::Routed;
use identity::{NoToken, Users};
use protocol::{Call, Era, Method, Raw, RpcError, code};
use serde_json::{Value, json};
use tokio::time::Instant;
use upstream::{CallError, CallErrorKind, Reply};

use super::CONNECT;
use super::sealed::Ticket;
use crate::app::Exchange;
use crate::door;

/// What begins the request state of a call that waits for its user's consent.
const MARK: &str = "io.tidegate/consent ";
/// What the question is called.
const QUESTION: &str = "tidegate_sign_in";
/// The metadata of an answer that says what is missing (SEP-2643, a draft).
const AUTHORIZATION: &str = "io.modelcontextprotocol/authorization";
/// How long a call waits for a user who said that he is at it, before it asks once more. A modern client
/// would have to hold its request open for longer; a legacy one does so anyway.
const WAIT: Duration = Duration::from_secs(20);
/// How often is looked.
pub(crate) const LOOK: Duration = Duration::from_millis(250);
/// The key by which API keys come in; no user stands behind one.
const KEYS: &str = "keys";
/// The same for client certificates.
const MTLS: &str = "mtls";

/// How a call goes on that may have waited.
pub(crate) enum Resumed {
    /// As this one.
    Call(Call),
    /// Not at all: its user has said no.
    Answered(Reply),
}

fn users<'a>(x: &'a Exchange, routed: &Routed) -> Option<&'a Arc<Users>> {
    x.generation.users.get(routed.source.upstream().name().as_str())
}

/// The call as it was before it waited for its user.
///
/// # Errors
/// Where nobody knows what he has granted.
pub(crate) async fn resume(x: &Exchange, routed: &Routed) -> Result<Resumed, RpcError> {
    let call = &routed.call;
    let state = users(x, routed).and_then(|users| Some((users, call.text("requestState")?)));
    let Some((users, state)) = state else { return Ok(Resumed::Call(call.clone())) };
    let Some(before) = state.strip_prefix(MARK) else { return Ok(Resumed::Call(call.clone())) };
    let before = Raw::parse(before.to_owned().into_bytes().into()).unwrap_or_else(|_| Raw::literal("{}"));
    let responses = call.params.get("inputResponses");
    let action = responses.and_then(|all| all.get(QUESTION)).and_then(|answer| answer.get("action"));
    let action = action.and_then(|action| action.as_str().map(|action| action.into_owned()));
    let own = call.with("requestState", before.get("requestState"));
    let own = own.with("inputResponses", before.get("inputResponses"));
    match action.as_deref() {
        Some("accept") => {
            wait(x, users).await?;
            Ok(Resumed::Call(own))
        }
        // Whoever comes without an answer has perhaps done it.
        None => Ok(Resumed::Call(own)),
        Some(_) => {
            let name = routed.source.upstream().name();
            let text = format!("The user did not let the gateway use {name}. Nothing was done.");
            Ok(Resumed::Answered(Reply::result(failed(&text))))
        }
    }
}

/// How long a call waits for what its user does with a browser, before it asks once more.
pub(crate) fn patience(x: &Exchange) -> Duration {
    if x.revision.era() == Era::Legacy { x.generation.limits.answer_time } else { WAIT }
}

/// Waits until the user has granted it, though not for ever.
async fn wait(x: &Exchange, users: &Users) -> Result<(), RpcError> {
    let until = Instant::now() + patience(x);
    loop {
        let granted = users.is_granted(&x.caller.principal).await.map_err(|error| {
            tracing::warn!(%error, "nobody knows what a user has granted");
            RpcError::new(code::INTERNAL, "What the user has granted cannot be looked up")
                .with(json!({"reason": "vault", "fault": "gateway", "retry": "safe"}))
        })?;
        if granted || Instant::now() >= until {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks the user: by a question of the call's, where its client can show one.
///
/// # Errors
/// Where he cannot be asked.
pub(crate) fn ask(x: &Exchange, routed: &Routed, error: &CallError) -> Result<Reply, RpcError> {
    let name = routed.source.upstream().name();
    let url = address(x, routed).map_err(|why| refusal(error, &format!("{name} {}: {why}", error.kind)))?;
    let call = &routed.call;
    let message = format!("Let the gateway use {name} for you. The page asks you to sign in.");
    if call.method.may_ask() && x.caller.capabilities.elicit_url {
        let params = json!({"mode": "url", "message": message, "url": url});
        let state = json!({
            "requestState": call.params.get("requestState").map(|state| state.to_value()),
            "inputResponses": call.params.get("inputResponses").map(|all| all.to_value()),
        });
        let result = json!({
            "resultType": "input_required",
            "inputRequests": {QUESTION: {"method": "elicitation/create", "params": params}},
            "requestState": format!("{MARK}{}", without_nulls(state)),
            "_meta": {AUTHORIZATION: {
                "reason": "insufficient_authorization", "remediation": "available",
                "remediationHints": [{"type": "url"}],
            }},
        });
        return Ok(Reply::result(Raw::from_value(&result)));
    }
    let text = format!("{name} wants to know its user first. Open {url} and sign in, then call again.");
    if call.method == Method::ToolsCall {
        return Ok(Reply::result(failed(&text)));
    }
    let mut refused = refusal(error, &text);
    if let Some(data) = &mut refused.data {
        data["url"] = json!(url);
    }
    Err(refused)
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, value| !value.is_null());
    }
    value
}

/// The answer of a tool that did nothing.
fn failed(text: &str) -> Raw {
    let content = json!([{"type": "text", "text": text}]);
    Raw::from_value(&json!({"resultType": "complete", "content": content, "isError": true}))
}

fn refusal(error: &CallError, text: &str) -> RpcError {
    let rpc = error.to_rpc();
    let data = rpc.data.clone().unwrap_or_else(|| json!({}));
    RpcError::new(rpc.code, text.to_owned()).with(data)
}

/// Where the user goes. Why there is no such place, in words for whoever calls.
fn address(x: &Exchange, routed: &Routed) -> Result<String, &'static str> {
    let users = users(x, routed).ok_or("its users cannot sign in here any more")?;
    match x.who.issuer.as_deref() {
        None => {}
        Some(KEYS) => return Err("an API key is no user, who alone can give it"),
        Some(MTLS) => return Err("a certificate is of no user, who alone can give it"),
        Some(issuer) if x.generation.sign_ins.contains_key(issuer) => {}
        Some(_) => return Err("the operator has not said how users sign in (auth.issuers.*.sign_in)"),
    }
    let base = door::base(&x.app, &x.generation, &x.headers);
    if base.is_empty() {
        return Err("there are no pages here: use `tidegate up`");
    }
    let ticket = Ticket {
        upstream: routed.source.upstream().name().to_string(),
        principal: x.caller.principal.clone(),
        issuer: x.who.issuer.clone(),
        wanted: users.wanted(&x.caller.principal),
    };
    Ok(format!("{base}{CONNECT}?ticket={}", ticket.seal(&x.app.handles)))
}

/// The tool that stands in for those of a server whose user has not signed in: `None` where it is another one
/// that is called.
///
/// # Errors
/// Where he cannot.
pub(crate) async fn sign_in(x: &Exchange, routed: &Routed) -> Option<Result<Reply, RpcError>> {
    let own = routed.call.method == Method::ToolsCall
        && routed.call.text("name").as_deref() == Some(catalog::SIGN_IN);
    let users = users(x, routed).filter(|_| own)?;
    Some(match resume(x, routed).await {
        Err(error) => Err(error),
        Ok(Resumed::Answered(reply)) => Ok(reply),
        Ok(Resumed::Call(_)) => match look(x, routed, users).await {
            Ok(()) => {
                let name = routed.source.upstream().name();
                let text = format!("You are signed in to {name}. List the tools again to see its own.");
                let content = json!([{"type": "text", "text": text}]);
                Ok(Reply::result(Raw::from_value(&json!({"resultType": "complete", "content": content}))))
            }
            Err(error) if error.kind == CallErrorKind::Consent => ask(x, routed, &error),
            Err(error) => Err(error.to_rpc()),
        },
    })
}

/// Whether the upstream knows its user.
async fn look(x: &Exchange, routed: &Routed, users: &Users) -> Result<(), CallError> {
    let upstream = routed.source.upstream();
    let error = |kind| CallError::new(upstream.name(), kind);
    match users.check(&x.caller.principal).await {
        Ok(_) => upstream.discovery().await.map(drop),
        Err(NoToken::Consent) => Err(error(CallErrorKind::Consent)),
        Err(NoToken::Service(why)) => Err(error(CallErrorKind::Unreachable).detail(why)),
    }
}
