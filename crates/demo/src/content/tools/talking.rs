//! Tools that say something while they work.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Arguments, text};
use crate::call::{Call, Level, Outcome, Stop};

/// How long `slow` takes at most, in seconds.
const SECONDS_MAX: f64 = 3_600.0;
/// How many steps it has at most.
const STEPS_MAX: u64 = 1_000_000;

pub(super) fn definitions() -> Vec<Value> {
    let slow = json!({
        "name": "slow",
        "title": "Slow",
        "description": "Takes its time, and reports progress after each step",
        "inputSchema": {
            "type": "object",
            "properties": {
                "seconds": { "type": "number", "minimum": 0, "maximum": SECONDS_MAX, "default": 1 },
                "steps": { "type": "integer", "minimum": 1, "maximum": STEPS_MAX, "default": 5 },
                "drop_stream": {
                    "type": "boolean",
                    "default": false,
                    "description": "End the response stream after the first step; over legacy HTTP \
                        the client can come back for the rest",
                },
            },
        },
        "annotations": { "readOnlyHint": true },
    });
    let log = json!({
        "name": "log_something",
        "title": "Log something",
        "description": "Logs one message at each level, or at the given one",
        "inputSchema": {
            "type": "object",
            "properties": { "level": { "type": "string", "enum": Level::names().collect::<Vec<_>>() } },
        },
    });
    vec![slow, log]
}

pub(super) async fn slow(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let read = |value: &Value| value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    let seconds = arguments.get("seconds", "a number from 0 to 3600", read)?.unwrap_or(1.0);
    let steps = arguments.count("steps", STEPS_MAX)?.unwrap_or(5).max(1);
    let drop_stream = arguments.flag("drop_stream")?;
    let pause = Duration::from_secs_f64(seconds).div_f64(steps as f64);
    for step in 1..=steps {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        call.progress(step, steps, &format!("Step {step} of {steps}")).await;
        if drop_stream && step == 1 {
            call.hang_up().await;
        }
    }
    Ok(text(&format!("Done after {seconds} s in {steps} steps.")))
}

pub(super) async fn log_something(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let only = arguments.text("level")?;
    let mut logged = 0;
    for name in Level::names().filter(|name| only.is_none_or(|only| only == *name)) {
        let level = Level::parse(name).ok_or_else(|| Stop::failed("There is no such level."))?;
        call.log(level, json!({ "message": format!("Something of level {name}") })).await;
        logged += 1;
    }
    if logged == 0 {
        return Err(Stop::failed("There is no such level."));
    }
    Ok(text(&format!("Logged {logged} messages.")))
}
