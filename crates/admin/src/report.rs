//! What operators are told of things, the same here and on the command line.

use bytes::Bytes;
use model::Timestamp;
use model::task::{AttemptFailure, TaskState};
use seal::time_to_text;
use serde_json::{Value, json};
use tasks::{Outcome, View};

/// All that is known of a task; times as in RFC 3339, `age` in seconds.
#[must_use]
pub fn task(view: &View, now: Timestamp) -> Value {
    let View { id, task, outcome, .. } = view;
    let mut report = json!({
        "id": id,
        "state": task.state.word(),
        "status": task.state.status(),
        "created": time_to_text(task.created),
        "updated": time_to_text(task.updated),
        "expires": time_to_text(task.expires),
        "attempts": task.attempts,
        "maxAttempts": task.rules.max_attempts,
        "mayRunTwice": task.rules.repeatable,
        "labels": task.labels,
        "age": now.since(task.created).as_secs(),
    });
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            report[name] = value;
        }
    };
    put("owner", task.owner.as_ref().map(|owner| json!(owner)));
    put("message", task.message.as_ref().map(|message| json!(message)));
    put("nextAttempt", (task.state == TaskState::Waiting).then(|| json!(time_to_text(task.due))));
    put("upstreamTask", task.upstream_task.as_ref().map(|name| json!(name)));
    let open: Vec<Value> =
        view.questions().map(|(key, ask)| json!({"key": key, "ask": parsed(ask)})).collect();
    put("questions", (!open.is_empty()).then(|| Value::Array(open)));
    let failure = |f: &AttemptFailure| json!({"class": f.class, "mayHaveRun": f.may_have_run});
    put("failure", task.failure.as_ref().map(failure));
    let bytes = |bytes: &Bytes| parsed(&String::from_utf8_lossy(bytes));
    match outcome {
        Some(Outcome::Result(result)) => put("result", Some(bytes(result))),
        Some(Outcome::Error(error)) => put("error", Some(bytes(error))),
        None => {}
    }
    report
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}
