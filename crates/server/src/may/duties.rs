//! What has to be done along the way of what is allowed: parts that are blanked, results that are too large.

use policy::Duties;
use policy::content::{Detectors, redact_pointers, redact_result_pointers};
use protocol::{Call, Raw, RpcError, code};
use serde_json::json;
use upstream::Body;

use super::refusal;

/// The most that is looked at of one text, in bytes: what is larger does not pass.
const SCANNED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The call without what of its arguments must not go on.
///
/// # Errors
/// Where that cannot be told apart: nothing goes on then.
pub(super) fn arguments(call: &Call, duties: &Duties) -> Result<Option<Call>, RpcError> {
    if duties.redact_arguments.is_empty() && duties.detect_arguments.is_empty() {
        return Ok(None);
    }
    let Some(before) = call.params.get("arguments") else { return Ok(None) };
    let made = redact_pointers(&before, &duties.redact_arguments).map_err(|error| undecided(&error))?;
    let made = blanked(made, &duties.detect_arguments)?;
    Ok((made != before).then(|| call.with("arguments", Some(made))))
}

/// What the client gets of a result.
///
/// # Errors
/// Where it must not get it.
pub(crate) fn result(raw: Raw, duties: &Duties) -> Result<Raw, RpcError> {
    if let Some(max) = duties.result_bytes_max
        && raw.as_bytes().len() as u64 > max
    {
        return Err(withheld(&format!("The result has more than the {max} bytes that are allowed here")));
    }
    if duties.redact_results.is_empty() && duties.detect_results.is_empty() {
        return Ok(raw);
    }
    let made = redact_result_pointers(&raw, &duties.redact_results)
        .map_err(|error| withheld(&format!("The result cannot be looked at: {error}")))?;
    blanked(made, &duties.detect_results)
        .map_err(|_| withheld("The result is too large to be looked at as a whole"))
}

/// A result that is too large to be held: it passes where nobody has to look at it.
///
/// # Errors
/// Where somebody has.
pub(crate) fn body(body: Body, duties: &Duties) -> Result<Body, RpcError> {
    let looks = !duties.redact_results.is_empty()
        || !duties.detect_results.is_empty()
        || duties.result_bytes_max.is_some();
    match body {
        Body::Stream(_) if looks => Err(withheld("The result is too large to be looked at as a whole")),
        body => Ok(body),
    }
}

fn blanked(raw: Raw, detectors: &[std::sync::Arc<str>]) -> Result<Raw, RpcError> {
    if detectors.is_empty() {
        return Ok(raw);
    }
    let detectors = Detectors::named(detectors).map_err(|error| undecided(&error))?;
    let (made, _found) = detectors.blank(&raw, SCANNED_BYTES_MAX).map_err(|error| undecided(&error))?;
    Ok(made)
}

fn undecided(error: &dyn std::fmt::Display) -> RpcError {
    refusal::denied_error("unavailable", &format!("The arguments cannot be looked at: {error}."))
}

/// The error of a call that ran, and whose result stays here.
fn withheld(text: &str) -> RpcError {
    RpcError::new(code::DENIED, format!("{text}. The call ran, and its result is withheld")).with(json!({
        "reason": "withheld", "fault": "gateway", "retry": "may_have_run",
    }))
}
