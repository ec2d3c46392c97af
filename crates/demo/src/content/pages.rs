//! Lists in pages.

use serde_json::{Value, json};

use crate::call::{Call, Outcome};
use crate::rpc::RpcError;

/// The page of the list that the request's cursor names.
pub(crate) fn list(call: &Call, member: &str, mut entries: Vec<Value>) -> Outcome {
    let config = call.server.config();
    let size = config.page_size;
    let start = match &call.params()["cursor"] {
        Value::Null => 0,
        cursor => start(call, member, cursor).ok_or_else(|| RpcError::invalid_params("Invalid cursor"))?,
    };
    let end = start.saturating_add(size);
    let next = (end < entries.len()).then(|| {
        if config.empty_cursor && start == 0 {
            String::new()
        } else {
            call.server.keys().seal(member, end.to_string().as_bytes())
        }
    });
    entries.truncate(end);
    entries.drain(..start.min(entries.len()));
    let mut page = json!({ member: entries });
    if let Some(next) = next {
        page["nextCursor"] = json!(next);
    }
    Ok(page)
}

/// Where the page of a cursor starts.
fn start(call: &Call, member: &str, cursor: &Value) -> Option<usize> {
    match cursor.as_str()? {
        "" => call.server.config().empty_cursor.then_some(call.server.config().page_size),
        sealed => String::from_utf8(call.server.keys().open(member, sealed)?).ok()?.parse().ok(),
    }
}
