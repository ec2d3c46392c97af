//! What is looked at in what passes, and what becomes of what is found. The pipeline asks at four places:
//! before a call goes out, when its answer is shaped, when a question is, and when a list is given out.

mod rule;

use bytes::{Bytes, BytesMut};
use catalog::{Kind, Routed};
use futures_util::StreamExt as _;
use policy::content::SCANNED_BYTES_MAX;
use protocol::{Method, Raw, RpcError, code};
use serde_json::json;
use upstream::{Body, BodyStream, Outcome};

use crate::app::Exchange;
pub(crate) use rule::Checks;
use rule::{Part, Place, Verdict};

/// The envelope that says that nothing ran (SEP-2643, a draft).
const AUTHORIZATION: &str = "io.modelcontextprotocol/authorization";
/// Says by which rule an answer is withheld. A key of ours in a result's `_meta`.
const WITHHELD: &str = "io.tidegate/withheld";

fn place<'a>(x: &'a Exchange, routed: &'a Routed, name: &'a str) -> Place<'a> {
    Place { endpoint: x.endpoint.name(), upstream: routed.source.upstream().name().as_str(), name }
}

/// The tool's or prompt's own name, or the URI.
fn name_of(routed: &Routed) -> String {
    let member = if routed.call.method == Method::ResourcesRead { "uri" } else { "name" };
    routed.call.text(member).unwrap_or_default()
}

/// Looks at what the client sends, which may be blanked by that. `Some`: it is not sent, and this is
/// answered.
///
/// # Errors
/// The same for what is no call of a tool.
pub(crate) fn before(x: &Exchange, routed: &mut Routed) -> Result<Option<Raw>, RpcError> {
    let checks = &x.generation.checks;
    if checks.are_none() {
        return Ok(None);
    }
    let name = name_of(routed);
    for (part, member) in
        [(Part::Arguments, "arguments"), (Part::Arguments, "argument"), (Part::Questions, "inputResponses")]
    {
        let Some(value) = routed.call.params.get(member) else { continue };
        match checks.judge(&x.app.metrics, part, &place(x, routed, &name), &value) {
            Verdict::Pass => {}
            Verdict::Changed(value) => routed.call = routed.call.with(member, Some(value)),
            Verdict::Blocked { rule, found } => return refuse(routed, &rule, &found).map(Some),
        }
    }
    Ok(None)
}

fn refuse(routed: &Routed, rule: &str, found: &str) -> Result<Raw, RpcError> {
    let text =
        format!("The call was not made: the check {rule:?} found {found} in what was sent. Nothing ran.");
    if routed.call.method != Method::ToolsCall {
        let data = json!({"reason": "blocked_by_check", "check": rule, "fault": "client", "retry": "safe"});
        return Err(RpcError::invalid_params(text).with(data));
    }
    Ok(Raw::from_value(&json!({
        "resultType": "complete",
        "content": [{"type": "text", "text": text}],
        "isError": true,
        "_meta": {AUTHORIZATION: {"reason": "insufficient_authorization", "remediation": "unavailable"}},
    })))
}

/// Looks at what the server answers, or asks, as the client would see it.
pub(crate) async fn after(x: &Exchange, routed: &Routed, outcome: Outcome) -> Outcome {
    let checks = &x.generation.checks;
    if checks.are_none() {
        return outcome;
    }
    let name = name_of(routed);
    let place = place(x, routed, &name);
    match outcome {
        Outcome::Result(Body::Whole(result)) => {
            let asks = result.get("resultType").is_some_and(|kind| kind.as_bytes() == b"\"input_required\"");
            let part = if asks { Part::Questions } else { Part::Results };
            match checks.judge(&x.app.metrics, part, &place, &result) {
                Verdict::Pass => Outcome::Result(Body::Whole(result)),
                Verdict::Changed(result) => Outcome::Result(Body::Whole(result)),
                Verdict::Blocked { rule, found } => withheld(routed, &rule, &found),
            }
        }
        Outcome::Result(Body::Stream(stream)) if checks.fits_any(Part::Results, &place) => {
            match whole(stream).await {
                Ok(Some(result)) => match checks.judge(&x.app.metrics, Part::Results, &place, &result) {
                    Verdict::Pass => Outcome::Result(Body::Whole(result)),
                    Verdict::Changed(result) => Outcome::Result(Body::Whole(result)),
                    Verdict::Blocked { rule, found } => withheld(routed, &rule, &found),
                },
                Ok(None) => Outcome::Error(broken().to_raw()),
                Err(stream) => match checks.unseen(&x.app.metrics, Part::Results, &place) {
                    Some(rule) => withheld(routed, &rule, "more than can be looked at"),
                    None => Outcome::Result(Body::Stream(stream)),
                },
            }
        }
        Outcome::Error(error) => match checks.judge(&x.app.metrics, Part::Results, &place, &error) {
            Verdict::Pass => Outcome::Error(error),
            Verdict::Changed(error) => Outcome::Error(error),
            Verdict::Blocked { rule, found } => withheld(routed, &rule, &found),
        },
        other @ Outcome::Result(Body::Stream(_)) => other,
    }
}

fn broken() -> RpcError {
    RpcError::new(code::UPSTREAM_BROKE, "The server broke off in the middle of its answer")
        .with(json!({"reason": "broke", "fault": "upstream", "retry": "may_have_run"}))
}

/// What is answered in place of what the client may not see. The call was made.
fn withheld(routed: &Routed, rule: &str, found: &str) -> Outcome {
    let text =
        format!("The call was made, and its answer is withheld: the check {rule:?} found {found} in it.");
    if routed.call.method != Method::ToolsCall {
        let data =
            json!({"reason": "withheld_by_check", "check": rule, "fault": "gateway", "retry": "useless"});
        return Outcome::Error(RpcError::new(code::INTERNAL, text).with(data).to_raw());
    }
    Outcome::Result(Body::Whole(Raw::from_value(&json!({
        "resultType": "complete",
        "content": [{"type": "text", "text": text}],
        "isError": true,
        "_meta": {WITHHELD: {"check": rule, "ran": true}},
    }))))
}

/// A result that comes in pieces as a whole, `None` where it breaks off; what is too large comes back.
async fn whole(mut stream: BodyStream) -> Result<Option<Raw>, BodyStream> {
    let mut kept: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else { return Ok(None) };
        length += piece.len();
        kept.push(piece);
        if length > SCANNED_BYTES_MAX {
            let first = futures_util::stream::iter(kept.into_iter().map(Ok));
            return Err(Box::pin(first.chain(stream)));
        }
    }
    let mut all = BytesMut::with_capacity(length);
    kept.iter().for_each(|piece| all.extend_from_slice(piece));
    Ok(Raw::parse(all.freeze()).ok())
}

/// Looks at the entries of a list. One in which something is found is blanked or left out.
pub(crate) fn listed(x: &Exchange, kind: Kind, list: Raw) -> Raw {
    let checks = &x.generation.checks;
    if !checks.look_at_descriptions() {
        return list;
    }
    let Some(object) = list.object().ok().flatten() else { return list };
    let Some(items) = object.get(kind.member()).and_then(|items| items.items()) else { return list };
    let judged = items.iter().filter_map(|item| {
        let name = item.get(kind.key());
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        // Entries of several upstreams stand in one list: a rule for one upstream goes by their given names.
        let place = Place { endpoint: x.endpoint.name(), upstream: "", name: &name };
        match checks.judge(&x.app.metrics, Part::Descriptions, &place, item) {
            Verdict::Pass => Some(item.clone()),
            Verdict::Changed(item) => Some(item),
            Verdict::Blocked { .. } => None,
        }
    });
    let judged: Vec<Raw> = judged.collect();
    if judged == items {
        return list;
    }
    object.edit().set(kind.member(), protocol::json::array(&judged)).finish()
}
