//! One attempt, from its claim to what is written of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::FutureExt as _;
use model::task::{AttemptFailure, Command, Ending, Refusal, Task};

use crate::live::Live;
use crate::options::Counters;
use crate::outcome;
use crate::tasks::{Begun, Inner};
use crate::{Failed, Outcome, Ran, Run, Teller};

/// Begins an attempt of a task that this worker has claimed.
pub(crate) fn begin(inner: &Arc<Inner>, id: &str, live: Live, begun: Option<Begun>) {
    let fence = live.task.fence;
    inner.live.put(id, live);
    let (inner, id) = (Arc::clone(inner), id.to_owned());
    tokio::spawn(async move {
        attempt(&inner, &id, begun).await;
        let left =
            inner.live.get(&id).is_some_and(|live| live.task.fence == fence && live.task.owner.is_some());
        if left {
            // It came to nothing, and is this worker's all the same.
            inner.doubt.store(true, Ordering::Release);
        }
        // The next attempt may have begun here already.
        inner.live.remove(&id, fence);
        inner.claims.notify_one();
    });
}

async fn attempt(inner: &Arc<Inner>, id: &str, begun: Option<Begun>) {
    let Some(live) = inner.live.get(id) else { return };
    let fence = live.task.fence;
    let tell = Teller { inner: Arc::clone(inner), id: id.to_owned(), fence };
    let next = live.task.next();
    let run = Run { id: id.to_owned(), holder: live.holder, call: live.call, task: live.task, next, tell };
    Counters::add(&inner.counters.attempts, 1);
    let work = async {
        match begun {
            Some(begun) => begun(run).await,
            None => inner.runner.run(run).await,
        }
    };
    let ran = tokio::select! {
        biased;
        () = over(inner, id, fence) => return,
        ran = AssertUnwindSafe(work).catch_unwind() => ran,
    };
    let ran = ran.unwrap_or_else(|_| Ran::Failed(broken("the gateway broke off while it made the call")));
    // Written to the end also where somebody ends the task meanwhile: the command is refused then.
    finish(inner, id, fence, ran).await;
}

/// Waits until the task is over for this attempt: ended by somebody else, taken over, or out of time.
async fn over(inner: &Arc<Inner>, id: &str, fence: u64) {
    let Some(mut now) = inner.live.watch(id) else { return };
    loop {
        let (open, expires) = {
            let live = now.borrow_and_update();
            (live.task.state.is_open() && live.task.fence == fence, live.task.expires)
        };
        if !open {
            return;
        }
        let rest = expires.since(inner.now());
        if rest.is_zero() {
            if inner.change_held(id, Command::Expire, None).await.is_ok() {
                Counters::add(&inner.counters.expired, 1);
            }
            return;
        }
        tokio::select! {
            biased;
            changed = now.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(rest) => {}
        }
    }
}

fn broken(text: &str) -> Failed {
    let error = serde_json::json!({"code": -32603, "message": text, "data": {"retry": "may_have_run"}});
    Failed {
        class: "internal",
        error: Bytes::from(error.to_string()),
        may_have_run: true,
        transient: false,
        retry_after: None,
    }
}

async fn finish(inner: &Arc<Inner>, id: &str, fence: u64, ran: Ran) {
    let Some(task) = inner.live.get(id).map(|live| live.task) else { return };
    let ran = match ran {
        Ran::Result { result, .. } if result.len() > inner.options.load().result_bytes_max => {
            Ran::Failed(too_large(inner.options.load().result_bytes_max))
        }
        ran => ran,
    };
    if let Some(again) = again(inner, &task, fence, &ran) {
        match inner.change_held(id, again, None).await {
            Ok(_) => Counters::add(&inner.counters.retries, 1),
            Err(refusal) => tracing::debug!(task = id, %refusal, "a failed attempt changes nothing"),
        }
        return;
    }
    let (how, outcome, failure) = match ran {
        Ran::Lost => return,
        Ran::Result { result, .. } => (Ending::Completed, Outcome::Result(result), None),
        Ran::Failed(failed) => {
            let outcome = Outcome::Error(failed.error.clone());
            (Ending::Failed, outcome, Some(reason(&failed)))
        }
    };
    end(inner, id, fence, how, outcome, failure).await;
}

/// Writes the end, and goes on trying while the store cannot be used and the task is there.
async fn end(
    inner: &Arc<Inner>,
    id: &str,
    fence: u64,
    how: Ending,
    outcome: Outcome,
    failure: Option<AttemptFailure>,
) {
    let counter = if how == Ending::Completed { &inner.counters.completed } else { &inner.counters.failed };
    let mut spills = 0_u32;
    loop {
        spills += 1;
        // A name of its own for each try: parts of one that broke off are swept.
        let name = format!("{id}.{fence}.{spills}");
        let written = match outcome::write(&*inner.store, &name, &outcome, inner.now()).await {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(task = id, %error, "a result is not written yet");
                let here = inner.live.get(id).is_some_and(|live| !live.task.is_over(inner.now()));
                if !here {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                continue;
            }
        };
        let command = Command::End { fence, how, failure: failure.clone() };
        match inner.change_held(id, command, Some(&written)).await {
            Ok(task) => {
                Counters::add(counter, 1);
                let age = task.updated.since(task.created).as_millis();
                Counters::add(&inner.counters.ages, u64::try_from(age).unwrap_or(u64::MAX));
            }
            Err(Refusal::Ended) => tracing::debug!(task = id, "an answer came after the end"),
            Err(refusal) => tracing::info!(task = id, %refusal, "an answer came too late"),
        }
        return;
    }
}

fn reason(failed: &Failed) -> AttemptFailure {
    AttemptFailure {
        class: failed.class.to_owned(),
        error: String::from_utf8_lossy(&failed.error).into_owned(),
        may_have_run: failed.may_have_run,
    }
}

fn too_large(max: usize) -> Failed {
    let message = format!("The result has more than {max} bytes (tasks.result_bytes_max)");
    let data = serde_json::json!({"limit": "result_bytes_max", "retry": "may_have_run", "fault": "upstream"});
    let error = serde_json::json!({"code": -31006, "message": message, "data": data});
    Failed {
        class: "too_large",
        error: Bytes::from(error.to_string()),
        may_have_run: true,
        transient: false,
        retry_after: None,
    }
}

/// The command that makes another attempt, where one is wanted, harmless and in time.
fn again(inner: &Inner, task: &Task, fence: u64, ran: &Ran) -> Option<Command> {
    let (failure, asked) = match ran {
        Ran::Result { result, transient: Some(class) } if task.rules.repeatable => {
            let error = String::from_utf8_lossy(&result[..result.len().min(4_096)]).into_owned();
            let failure = AttemptFailure { class: (*class).to_owned(), error, may_have_run: true };
            (failure, None)
        }
        Ran::Failed(failed) if failed.transient && (task.rules.repeatable || !failed.may_have_run) => {
            (reason(failed), failed.retry_after)
        }
        _ => return None,
    };
    let at = inner.now().plus(task.rules.pause(task.attempts, asked, &*inner.rng));
    let allowed = task.rules.allows_another(task.created, task.attempts, at);
    allowed.then_some(Command::Retry { fence, at, failure })
}
