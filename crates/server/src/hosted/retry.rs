//! What a failure means for a task: in one word, whether it may pass, and whether the call may have run.

use std::time::Duration;

use bytes::Bytes;
use catalog::{Kind, Routed};
use config::{KeyPlace, RetryOn, RetryRule};
use http::{HeaderMap, HeaderName, HeaderValue};
use protocol::json::Object;
use protocol::{Raw, RpcError, code};
use tasks::{Failed, Ran};

use crate::app::Exchange;

/// How long an upstream keeps a task of ours whose own time is not known.
const TASK_TIME: Duration = Duration::from_secs(3_600);

/// Makes a call that of a task: asks for one where the upstream has no other way, and puts the key where its
/// upstream wants it.
pub(crate) fn equip(x: &Exchange, routed: &mut Routed) {
    let Some(hosted) = &x.hosted else { return };
    if needs_task(x, routed) && routed.source.upstream().holds_questions() {
        let ttl = hosted.until.map_or(TASK_TIME, |until| until.since(x.app.clock.now()));
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let task = Raw::from_value(&serde_json::json!({"ttl": ttl}));
        routed.call = routed.call.with("task", Some(task));
    }
    let Some(key) = &hosted.key else { return };
    let upstream = routed.source.upstream().name().as_str();
    let tool = routed.call.text("name").unwrap_or_default();
    let rule = x.generation.hosting.retry(upstream, &tool);
    let object = |name: &str| routed.call.params.get(name).and_then(|raw| raw.object().ok().flatten());
    let put = |within: &str, name: &str| {
        let inner = object(within).unwrap_or_else(Object::empty);
        routed.call.with(within, Some(inner.edit().set(name.to_owned(), Raw::string(key)).finish()))
    };
    match rule.and_then(|rule| rule.idempotency_key.as_ref()) {
        Some(KeyPlace::Meta(name)) => routed.call = put("_meta", name),
        Some(KeyPlace::Argument(name)) => routed.call = put("arguments", name),
        Some(KeyPlace::Header(_)) | None => {}
    }
}

/// The client's headers that its upstream may see, and the one by which it knows the attempts of a task.
pub(crate) fn headers(x: &Exchange, routed: &Routed) -> HeaderMap {
    let upstream = routed.source.upstream().name().as_str();
    let mut headers = x.forwarded(upstream);
    if routed.remade {
        // They repeat what the client said, in which something may stand that must not go on. Those of rules
        // that are known are written anew.
        let repeats = |name: &HeaderName| name.as_str().starts_with(protocol::headers::PARAM_PREFIX);
        let stale: Vec<HeaderName> = headers.keys().filter(|name| repeats(name)).cloned().collect();
        stale.iter().for_each(|name| drop(headers.remove(name)));
    }
    if let Some((name, value)) = key_header(x, routed) {
        headers.insert(name, value);
    }
    headers
}

fn key_header(x: &Exchange, routed: &Routed) -> Option<(HeaderName, HeaderValue)> {
    let key = x.hosted.as_ref()?.key.as_ref()?;
    let upstream = routed.source.upstream().name().as_str();
    let rule = x.generation.hosting.retry(upstream, &routed.call.text("name")?)?;
    let Some(KeyPlace::Header(name)) = &rule.idempotency_key else { return None };
    Some((name.parse().ok()?, HeaderValue::from_str(key).ok()?))
}

/// Whether the upstream runs this tool as a task or not at all (2025-11-25, `execution.taskSupport`).
pub(crate) fn needs_task(x: &Exchange, routed: &Routed) -> bool {
    let tool = routed.call.text("name");
    let listing = routed.source.cached(Kind::Tools, &x.caller);
    let support = || listing?.get(&tool?)?.raw.get("execution")?.get("taskSupport");
    support().is_some_and(|support| support.as_bytes() == b"\"required\"")
}

/// What an error of the gateway's own, or of the way to the upstream, means.
pub(super) fn of_gateway(error: &RpcError, rule: Option<&RetryRule>) -> Failed {
    let data = error.data.as_ref();
    let text = |name: &str| data.and_then(|data| data.get(name)?.as_str());
    let number = |name: &str| data.and_then(|data| data.get(name)?.as_u64());
    let reason = text("reason").unwrap_or("error");
    let status = number("status").and_then(|status| u16::try_from(status).ok());
    // Nothing is said of errors about the call itself: it was not made.
    let may_have_run = match text("retry") {
        Some(retry) => retry == model::Retry::MayHaveRun.as_str(),
        None => error.code != code::INVALID_PARAMS && error.code != code::METHOD_NOT_FOUND,
    };
    let wanted = |on: &RetryOn| match on {
        RetryOn::Connect => matches!(reason, "unreachable" | "busy" | "stopped" | "broke" | "circuit_open"),
        RetryOn::Timeout => reason == "timeout",
        RetryOn::Status(wanted) => status == Some(*wanted),
        RetryOn::Code(wanted) => error.code == *wanted,
        RetryOn::IsError(_) => false,
    };
    Failed {
        class: class(reason),
        error: error.to_raw().bytes(),
        // A server that says that there are too many requests has not taken this one (RFC 6585, section 4).
        may_have_run: may_have_run && status != Some(429),
        transient: rule.is_some_and(|rule| rule.retry_on.iter().any(wanted)),
        retry_after: number("retryAfterMs").map(Duration::from_millis),
    }
}

/// The words that are known for what failed.
fn class(reason: &str) -> &'static str {
    const KNOWN: [&str; 16] = [
        "unreachable",
        "circuit_open",
        "other_revision",
        "document",
        "unauthorized",
        "broke",
        "timeout",
        "invalid_answer",
        "http_status",
        "busy",
        "park_limit",
        "parked_gone",
        "stopped",
        "session_limit",
        "session_gone",
        "replica_gone",
    ];
    KNOWN.iter().find(|known| **known == reason).copied().unwrap_or("gateway_error")
}

/// What an error of the upstream's own means: it answered, so the call may have run.
pub(super) fn of_upstream(error: Raw, rule: Option<&RetryRule>) -> Ran {
    let read = RpcError::read(&error);
    let wanted = |on: &RetryOn| matches!(on, RetryOn::Code(wanted) if read.code == *wanted);
    let not_run = matches!(read.code, code::INVALID_PARAMS | code::METHOD_NOT_FOUND | code::INVALID_REQUEST);
    Ran::Failed(Failed {
        class: "rpc_error",
        error: error.bytes(),
        may_have_run: !not_run,
        transient: rule.is_some_and(|rule| rule.retry_on.iter().any(wanted)),
        retry_after: None,
    })
}

/// A result, and whether it tells of a failure that may pass.
pub(super) fn of_result(result: &Raw, rule: Option<&RetryRule>) -> Ran {
    let failed = || result.get("isError")?.as_bool();
    let text = || {
        let blocks = result.get("content")?.items()?;
        let text = |block: &Raw| (block.get("type")?.as_bytes() == b"\"text\"").then(|| block.get("text"))?;
        let first = blocks.iter().find_map(text)?;
        Some(first.as_str()?.into_owned())
    };
    let transient =
        failed() == Some(true) && rule.zip(text()).is_some_and(|(rule, text)| rule.is_on_text(&text));
    Ran::Result { result: result.bytes(), transient: transient.then_some("is_error") }
}

/// A failure of the gateway's own making.
pub(super) fn failed(class: &'static str, error: &RpcError, may_have_run: bool) -> Ran {
    let error: Bytes = error.to_raw().bytes();
    Ran::Failed(Failed { class, error, may_have_run, transient: false, retry_after: None })
}
