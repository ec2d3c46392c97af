//! `completion/complete`.

use serde_json::{Value, json};

use super::{prompts, resources};
use crate::call::{Call, Outcome};
use crate::rpc::RpcError;

/// How many values one answer may hold.
const VALUES_MAX: usize = 100;

pub(crate) fn complete(call: &Call) -> Outcome {
    let params = call.params();
    let argument = &params["argument"];
    let (Some(name), Some(typed)) = (argument["name"].as_str(), argument["value"].as_str()) else {
        return Err(RpcError::invalid_params("argument has a name and a value").into());
    };
    let reference = &params["ref"];
    let candidates = match (reference["type"].as_str(), &reference["name"], &reference["uri"]) {
        (Some("ref/prompt"), Value::String(prompt), _) => prompts::completions(&call.server, prompt, name),
        (Some("ref/resource"), _, Value::String(template)) => resources::completions(template, name),
        _ => None,
    };
    let candidates =
        candidates.ok_or_else(|| RpcError::invalid_params("Nothing of that name to complete"))?;
    let mut values: Vec<_> = candidates.into_iter().filter(|value| value.starts_with(typed)).collect();
    let total = values.len();
    values.truncate(VALUES_MAX);
    let completion = json!({ "hasMore": total > values.len(), "total": total, "values": values });
    Ok(json!({ "completion": completion }))
}
