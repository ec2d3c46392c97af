//! A task on the wire, in both forms: that of the Tasks extension (SEP-2663) and that of 2025-11-25.

use std::time::Duration;

use model::Timestamp;
use model::task::{Task, TaskState};
use protocol::json::Object;
use protocol::{Raw, RpcError, code};
use seal::time_to_text;
use serde_json::{Value, json};
use tasks::{Outcome, TaskError, View};

/// Where the gateway says more of a task than the protocol has words for; see
/// `docs/extensions/task-lifecycle.md`.
pub(crate) const LIFECYCLE: &str = "io.tidegate/task-lifecycle";
/// Where a legacy result names the task that it belongs to (2025-11-25, "Tasks").
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// How a task is shown.
pub(crate) struct Shown<'a> {
    /// The name that the client knows it by.
    pub id: &'a str,
    pub view: &'a View,
    pub now: Timestamp,
    /// The least and the longest time between two polls.
    pub polls: (Duration, Duration),
}

impl Shown<'_> {
    fn task(&self) -> &Task {
        &self.view.task
    }

    fn poll_ms(&self) -> Option<u64> {
        let (least, most) = self.polls;
        let open = self.task().state.is_open();
        let ms = || self.task().poll_interval(self.now, least, most).as_millis();
        open.then(|| u64::try_from(ms()).unwrap_or(u64::MAX))
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.task().ttl().as_millis()).unwrap_or(u64::MAX)
    }

    /// What the protocol has no words for.
    fn lifecycle(&self) -> Value {
        let task = self.task();
        let mut more = json!({
            "attempt": task.attempts,
            "attemptsLeft": task.rules.max_attempts.saturating_sub(task.attempts),
            "expiresAt": time_to_text(task.expires),
        });
        if task.state == TaskState::Waiting {
            more["nextAttemptAt"] = json!(time_to_text(task.due));
        }
        if let Some(key) = task.labels.get("idempotencyKey") {
            more["idempotencyKey"] = json!(key);
        }
        if let Some(failure) = &task.failure {
            more["failure"] = json!({"class": failure.class, "mayHaveRun": failure.may_have_run});
        }
        more
    }

    /// The members of a task, without a result.
    fn fields(&self) -> Value {
        let task = self.task();
        let mut fields = json!({
            "taskId": self.id,
            "status": task.state.status(),
            "createdAt": time_to_text(task.created),
            "lastUpdatedAt": time_to_text(task.updated),
            "ttlMs": self.ttl_ms(),
        });
        if let Some(message) = self.message() {
            fields["statusMessage"] = json!(message);
        }
        if let Some(ms) = self.poll_ms() {
            fields["pollIntervalMs"] = json!(ms);
        }
        fields["_meta"] = json!({LIFECYCLE: self.lifecycle()});
        if let Some(approval) = self.waits_for() {
            fields["_meta"][crate::may::AUTHORIZATION] = crate::may::approval_envelope(approval);
        }
        fields
    }

    /// The approval that it waits for.
    fn waits_for(&self) -> Option<&str> {
        let task = self.task();
        let waits = task.state == TaskState::Waiting && task.attempts == 0;
        task.labels.get("approval").filter(|_| waits).map(String::as_str)
    }

    fn message(&self) -> Option<String> {
        let task = self.task();
        if let Some(approval) = self.waits_for() {
            return Some(format!("waits for the approval {approval}; nothing was done yet"));
        }
        match (&task.message, task.state, &task.failure) {
            (Some(message), _, _) => Some(message.clone()),
            (None, TaskState::Waiting, Some(failure)) => {
                Some(format!("attempt {} failed ({}); another one follows", task.attempts, failure.class))
            }
            _ => None,
        }
    }

    /// The result of a call that became a task.
    pub fn created(&self) -> Raw {
        let mut fields = self.fields();
        fields["resultType"] = json!("task");
        Raw::from_value(&fields)
    }

    /// The task with everything that its client is to know: the parameters of `notifications/tasks`.
    pub fn whole(&self) -> Raw {
        let fields = Raw::from_value(&self.fields()).object().ok().flatten().unwrap_or_else(Object::empty);
        let edit = fields.edit();
        let edit = match (&self.view.outcome, self.task().state) {
            (Some(Outcome::Result(result)), _) => edit.put("result", Raw::parse(result.clone()).ok()),
            (Some(Outcome::Error(error)), _) => edit.put("error", Raw::parse(error.clone()).ok()),
            (None, TaskState::Asking) => edit.set("inputRequests", self.questions()),
            (None, _) => edit,
        };
        edit.finish()
    }

    /// The answer to `tasks/get`.
    pub fn got(&self) -> Raw {
        let whole = self.whole().object().ok().flatten().unwrap_or_else(Object::empty);
        whole.edit().set("resultType", Raw::literal("\"complete\"")).finish()
    }

    /// The questions that wait, by their keys.
    pub fn questions(&self) -> Raw {
        let empty = Object::empty();
        let all = self.view.questions();
        let edit =
            all.fold(empty.edit(), |edit, (key, ask)| edit.put(key, Raw::parse(ask.to_owned().into()).ok()));
        edit.finish()
    }

    /// The same as they are asked on the stream of `tasks/result`: each says whose it is (2025-11-25,
    /// "Related Task").
    pub fn legacy_questions(&self) -> Raw {
        let questions = self.questions().object().ok().flatten().unwrap_or_else(Object::empty);
        let inner = |object: &Object, name: &str| {
            let found = object.get(name).and_then(|raw| raw.object().ok().flatten());
            found.unwrap_or_else(Object::empty)
        };
        let edit = questions.iter().fold(questions.edit(), |edit, (key, question)| {
            let Ok(Some(question)) = question.object() else { return edit };
            let params = inner(&question, "params");
            let meta = inner(&params, "_meta").edit().set(RELATED, self.related()).finish();
            let params = params.edit().set("_meta", meta).finish();
            edit.set(key.into_owned(), question.edit().set("params", params).finish())
        });
        edit.finish()
    }

    fn related(&self) -> Raw {
        Raw::from_value(&json!({"taskId": self.id}))
    }

    /// The task in the form of 2025-11-25.
    pub fn legacy(&self) -> Raw {
        let mut fields = self.fields();
        fields["ttl"] = fields["ttlMs"].take();
        let poll = fields["pollIntervalMs"].take();
        if let Some(object) = fields.as_object_mut() {
            object.retain(|name, _| name != "ttlMs" && name != "pollIntervalMs");
        }
        if !poll.is_null() {
            fields["pollInterval"] = poll;
        }
        // A tool's own failure is a failed task there.
        if let Some(Outcome::Result(result)) = &self.view.outcome
            && Raw::parse(result.clone()).ok().and_then(|r| r.get("isError")?.as_bool()) == Some(true)
        {
            fields["status"] = json!("failed");
        }
        Raw::from_value(&fields)
    }

    /// The same as the answer to a call that became a task.
    pub fn legacy_created(&self) -> Raw {
        let empty = Object::empty();
        empty.edit().set("task", self.legacy()).finish()
    }

    /// What `tasks/result` answers with, of a task that has ended.
    pub fn legacy_result(&self) -> Result<Raw, RpcError> {
        match &self.view.outcome {
            Some(Outcome::Result(result)) => {
                let raw = Raw::parse(result.clone()).unwrap_or_else(|_| Raw::literal("{}"));
                let object = raw.object().ok().flatten().unwrap_or_else(Object::empty);
                let meta = object.get("_meta").and_then(|m| m.object().ok().flatten());
                let meta = meta.unwrap_or_else(Object::empty).edit().set(RELATED, self.related()).finish();
                Ok(object.edit().set("_meta", meta).finish())
            }
            Some(Outcome::Error(error)) => {
                let raw = Raw::parse(error.clone()).unwrap_or_else(|_| Raw::literal("{}"));
                Err(RpcError::read(&raw))
            }
            None => Err(RpcError::new(code::INTERNAL, "The task was cancelled").with(json!({
                "reason": "cancelled", "fault": "client", "retry": "useless",
            }))),
        }
    }
}

/// What a client hears where a task cannot be had or made.
pub(crate) fn refused(error: &TaskError) -> RpcError {
    let about = |reason: &str, fault: model::Fault, retry: model::Retry| {
        let (fault, retry) = (fault.as_str(), retry.as_str());
        json!({"reason": reason, "fault": fault, "retry": retry})
    };
    match error {
        TaskError::Unknown => RpcError::invalid_params("Unknown task"),
        TaskError::Expired { at } => {
            let mut data = about("task_expired", model::Fault::Client, model::Retry::Useless);
            data["expiredAt"] = json!(time_to_text(*at));
            let text = format!("The task expired at {}", time_to_text(*at));
            RpcError::invalid_params(text).with(data)
        }
        TaskError::Share { limit } => {
            let mut data = about("limit", model::Fault::Gateway, model::Retry::Safe);
            data["limit"] = json!(limit);
            let text = format!("No further task: the limit {limit} is reached, and nothing ran");
            RpcError::new(code::LIMIT, text).with(data)
        }
        TaskError::Stopping => {
            let data = about("stopping", model::Fault::Gateway, model::Retry::Safe);
            RpcError::new(code::LIMIT, "The gateway is stopping, and nothing ran").with(data)
        }
        TaskError::Store { maybe_written, source } => {
            tracing::warn!(error = &**source as &dyn std::error::Error, "a task could not be had");
            // It is said of tasks with a key alone.
            let (text, retry) = if *maybe_written {
                (
                    "The gateway lost its store: the task may be there, try again with the same key",
                    model::Retry::MayHaveRun,
                )
            } else {
                ("The gateway cannot use its store: nothing ran, try again", model::Retry::Safe)
            };
            let data = about("store_unavailable", model::Fault::Gateway, retry);
            RpcError::new(code::INTERNAL, text).with(data)
        }
    }
}
