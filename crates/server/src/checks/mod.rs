//! What is looked at in what passes, and what becomes of what is found. The pipeline asks at four places:
//! before a call goes out, when its answer is shaped, when a question is, and when a list is given out.

mod descriptor;
mod interceptors;
mod lists;
mod passing;
mod remote;
mod rule;
mod webhook;

use bytes::{Bytes, BytesMut};
use catalog::Routed;
use futures_util::StreamExt as _;
use policy::Duties;
use policy::content::SCANNED_BYTES_MAX;
use protocol::{Call, Method, Raw, RpcError, code};
use serde_json::json;
use upstream::{Body, BodyStream, Outcome, Reply};

use crate::app::Exchange;
use crate::may;
pub(crate) use lists::listed;
use passing::{Shape, nothing};
pub use remote::{CheckError, Unprepared};
pub(crate) use rule::Checks;
use rule::{Asked, Blocked, Part, Place, Verdict, Why};

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

/// Looks at what the client sends, which may be changed by that. `Some`: it is not sent, and this is
/// answered.
///
/// # Errors
/// The same for what is no call of a tool.
pub(crate) async fn before(
    x: &Exchange,
    call: &Call,
    routed: &mut Routed,
    duties: &mut Duties,
) -> Result<Option<Reply>, RpcError> {
    if x.generation.checks.are_none() {
        return Ok(None);
    }
    // Boxed: calls that nobody looks at do not carry what it takes.
    Box::pin(outgoing(x, call, routed, duties)).await
}

async fn outgoing(
    x: &Exchange,
    call: &Call,
    routed: &mut Routed,
    duties: &mut Duties,
) -> Result<Option<Reply>, RpcError> {
    let checks = &x.generation.checks;
    let (name, method) = (name_of(routed), routed.call.method.clone());
    let mut others = false;
    for member in ["arguments", "argument", "inputResponses"] {
        let Some(text) = sent(&routed.call, member) else { continue };
        let asked_of = routed.call.clone();
        let (part, shape) = match member {
            "inputResponses" => (Part::Questions, Shape::Answers),
            member => (Part::Arguments, Shape::Member(&asked_of, member)),
        };
        let asked = Asked { x, part, place: place(x, routed, &name), method: &method, shape };
        match checks.judge(&asked, &text).await {
            Verdict::Pass => {}
            Verdict::Changed { text, by_others } => {
                others |= by_others && part == Part::Arguments;
                routed.remake(member, text);
            }
            Verdict::Blocked(blocked) => return refuse(x, &method, &blocked).map(Some),
        }
    }
    if !others {
        return Ok(None);
    }
    // Somebody else wrote these arguments: nothing may come about by them that was not allowed with them.
    may::still(x, call, routed, duties)
}

/// What a client sends there. Whoever is asked about calls is asked about one without arguments, too.
fn sent(call: &Call, member: &str) -> Option<Raw> {
    let always = matches!(call.method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead);
    let there = call.params.get(member);
    if member == "arguments" && always { Some(there.unwrap_or_else(nothing)) } else { there }
}

/// Why something does not pass, in the words of whoever is told: `in_it` is where.
fn because(blocked: &Blocked, in_it: &str) -> String {
    let Blocked { rule, why } = blocked;
    match why {
        Why::Found(found) => format!("the check {rule:?} found {found} in {in_it}"),
        Why::Denied(None) => format!("the check {rule:?} does not allow it"),
        Why::Denied(Some(reason)) => format!("the check {rule:?} does not allow it ({reason})"),
        Why::Unasked => format!("the check {rule:?} could not be made"),
    }
}

impl Blocked {
    /// Who caused it.
    fn fault(&self) -> &'static str {
        if matches!(self.why, Why::Unasked) { "gateway" } else { "client" }
    }
}

fn refuse(x: &Exchange, method: &Method, blocked: &Blocked) -> Result<Reply, RpcError> {
    if let Some(noted) = &x.noted {
        noted.ends(audit::Outcome::Denied);
    }
    let text = format!("The call was not made: {}. Nothing ran.", because(blocked, "what was sent"));
    if *method != Method::ToolsCall {
        let (check, fault) = (&blocked.rule, blocked.fault());
        let data = json!({"reason": "blocked_by_check", "check": check, "fault": fault, "retry": "safe"});
        return Err(RpcError::invalid_params(text).with(data));
    }
    Ok(Reply::result(Raw::from_value(&json!({
        "resultType": "complete",
        "content": [{"type": "text", "text": text}],
        "isError": true,
        "_meta": {AUTHORIZATION: {"reason": "insufficient_authorization", "remediation": "unavailable"}},
    }))))
}

/// Looks at what the server answers, or asks, as the client would see it.
pub(crate) async fn after(x: &Exchange, routed: &Routed, outcome: Outcome) -> Outcome {
    if x.generation.checks.are_none() {
        return outcome;
    }
    let (name, method) = (name_of(routed), &routed.call.method);
    Box::pin(answered(x, (place(x, routed, &name), method), outcome)).await
}

/// The same for the answer to any method, of any place.
async fn answered(x: &Exchange, (place, method): (Place<'_>, &Method), outcome: Outcome) -> Outcome {
    let checks = &x.generation.checks;
    let asked = |part, shape| Asked { x, part, place: place.clone(), method, shape };
    match outcome {
        Outcome::Result(Body::Whole(result)) => {
            let asks = result.get("resultType").is_some_and(|kind| kind.as_bytes() == b"\"input_required\"");
            let asked = if asks {
                asked(Part::Questions, Shape::Questions)
            } else {
                asked(Part::Results, Shape::Result)
            };
            judged(&asked, result).await
        }
        Outcome::Result(Body::Stream(stream)) if checks.fits_any(Part::Results, &place) => {
            let asked = asked(Part::Results, Shape::Result);
            match whole(stream).await {
                Ok(Some(result)) => judged(&asked, result).await,
                Ok(None) => Outcome::Error(broken().to_raw()),
                Err(stream) => match checks.unseen(&asked) {
                    Some(blocked) => withheld(method, &blocked),
                    None => Outcome::Result(Body::Stream(stream)),
                },
            }
        }
        Outcome::Error(error) => match checks.judge(&asked(Part::Results, Shape::Error), &error).await {
            Verdict::Pass => Outcome::Error(error),
            Verdict::Changed { text, .. } => Outcome::Error(text),
            Verdict::Blocked(blocked) => withheld(method, &blocked),
        },
        other @ Outcome::Result(Body::Stream(_)) => other,
    }
}

/// Looks at what a server says of a task of its own that has ended or asks. Of which tool the task is nobody
/// knows: rules for some tools hold.
pub(crate) async fn of_task(x: &Exchange, (upstream, method): (&str, &Method), outcome: Outcome) -> Outcome {
    let says =
        |result: &Raw| ["result", "error", "inputRequests"].iter().any(|name| result.get(name).is_some());
    let runs = matches!(&outcome, Outcome::Result(Body::Whole(task)) if !says(task));
    if x.generation.checks.are_none() || (runs && *method != Method::TasksResult) {
        return outcome;
    }
    let place = Place { endpoint: x.endpoint.name(), upstream, name: "" };
    match Box::pin(answered(x, (place.clone(), method), outcome)).await {
        Outcome::Result(Body::Whole(task)) if task.get("inputRequests").is_some() => {
            let asked = Asked { x, part: Part::Questions, place, method, shape: Shape::Questions };
            judged(&asked, task).await
        }
        other => other,
    }
}

/// Looks at the answers to questions of a server's own task, which may be changed by that.
///
/// # Errors
/// Where they are not sent.
pub(crate) async fn to_task(x: &Exchange, upstream: &str, call: Call) -> Result<Call, RpcError> {
    let Some(text) = call.params.get("inputResponses") else { return Ok(call) };
    let place = Place { endpoint: x.endpoint.name(), upstream, name: "" };
    let asked = Asked { x, part: Part::Questions, place, method: &call.method, shape: Shape::Answers };
    match x.generation.checks.judge(&asked, &text).await {
        Verdict::Pass => Ok(call),
        Verdict::Changed { text, .. } => Ok(call.with("inputResponses", Some(text))),
        Verdict::Blocked(blocked) => refuse(x, &call.method, &blocked).map(|_| call),
    }
}

async fn judged(asked: &Asked<'_>, result: Raw) -> Outcome {
    match asked.x.generation.checks.judge(asked, &result).await {
        Verdict::Pass => Outcome::Result(Body::Whole(result)),
        Verdict::Changed { text, .. } => Outcome::Result(Body::Whole(text)),
        Verdict::Blocked(blocked) => withheld(asked.method, &blocked),
    }
}

fn broken() -> RpcError {
    RpcError::new(code::UPSTREAM_BROKE, "The server broke off in the middle of its answer")
        .with(json!({"reason": "broke", "fault": "upstream", "retry": "may_have_run"}))
}

/// What is answered in place of what the client may not see. The call was made.
fn withheld(method: &Method, blocked: &Blocked) -> Outcome {
    let because = because(blocked, "it");
    let text = format!("The call was made, and its answer is withheld: {because}.");
    let rule = &blocked.rule;
    if *method != Method::ToolsCall {
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
