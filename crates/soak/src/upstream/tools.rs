//! What every server here can do.
//!
//! Each call brings a nonce, and each answer gives it back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ledger::Ledger;

/// The one resource, which changes all the time.
pub const RESOURCE: &str = "soak://tick";

/// The longest a call may ask to take.
const PAUSE_MAX_MS: u64 = 20_000;

/// What a call needs of its client before it can go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub method: &'static str,
    pub params: Value,
}

/// A call of a tool.
#[derive(Debug)]
pub struct Call {
    name: String,
    nonce: String,
    pause: Duration,
    steps: u64,
}

impl Call {
    /// From the parameters of `tools/call`; `None` if there is no such tool.
    pub fn read(params: &Value) -> Option<Self> {
        let name = params["name"].as_str()?.to_owned();
        NAMES.iter().find(|known| **known == name)?;
        let arguments = &params["arguments"];
        let nonce = arguments["nonce"].as_str()?.to_owned();
        let pause = Duration::from_millis(arguments["ms"].as_u64().unwrap_or(0).min(PAUSE_MAX_MS));
        Some(Self { name, nonce, pause, steps: arguments["steps"].as_u64().unwrap_or(1).clamp(1, 100) })
    }

    /// What it asks its client.
    pub fn question(&self) -> Option<Question> {
        match self.name.as_str() {
            "ask" | "ask_safe" => {
                let word = json!({"type": "object", "properties": {"word": {"type": "string"}},
                    "required": ["word"]});
                let params = json!({"message": self.nonce, "requestedSchema": word});
                Some(Question { method: "elicitation/create", params })
            }
            "model" => {
                let text = json!({"type": "text", "text": self.nonce});
                let params = json!({"messages": [{"role": "user", "content": text}], "maxTokens": 10});
                Some(Question { method: "sampling/createMessage", params })
            }
            _ => None,
        }
    }

    /// Before which steps it pauses, and for how long: where it tells of its progress.
    pub fn steps(&self) -> impl Iterator<Item = (u64, Duration)> + use<> {
        let (steps, each) = (self.steps, self.pause / u32::try_from(self.steps).unwrap_or(1));
        (1..=steps).map(move |step| (step, each))
    }

    /// Whether something happens that must not happen twice.
    pub fn take_effect(&self, ledger: &Ledger) {
        // Of a task everything is noted.
        if matches!(self.name.as_str(), "pay" | "ask" | "model") || self.nonce.starts_with("task-") {
            ledger.effect(&self.nonce);
        }
    }

    /// The result, with what the client has answered.
    pub fn result(&self, answer: Option<&Value>) -> Value {
        let said = answer.map(|answer| {
            let word = answer["content"]["word"].as_str().or(answer["content"]["text"].as_str());
            word.unwrap_or("nothing").to_owned()
        });
        let text = said.map_or_else(|| self.nonce.clone(), |said| format!("{}|{said}", self.nonce));
        json!({"content": [{"type": "text", "text": text}]})
    }

    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

const NAMES: [&str; 6] = ["echo", "pay", "slow", "ask", "ask_safe", "model"];

/// The list of tools.
pub fn list() -> Value {
    let (text, number) = (json!({"type": "string"}), json!({"type": "integer"}));
    let tools = NAMES.map(|name| {
        let safe = matches!(name, "echo" | "slow" | "ask_safe");
        json!({
            "name": name,
            "description": "Gives the nonce back",
            "inputSchema": {
                "type": "object",
                "properties": {"nonce": text, "ms": number, "steps": number},
                "required": ["nonce"],
            },
            "annotations": {"readOnlyHint": safe, "idempotentHint": safe, "destructiveHint": !safe},
        })
    });
    json!({"tools": tools})
}

/// The list of resources.
pub fn resources() -> Value {
    json!({"resources": [{"uri": RESOURCE, "name": "tick"}]})
}

/// What both eras declare.
pub fn capabilities() -> Value {
    json!({"tools": {}, "resources": {"subscribe": true}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gives_back_its_nonce_and_what_its_client_said() {
        let params = json!({"name": "ask", "arguments": {"nonce": "n1"}});
        let call = Call::read(&params).unwrap();
        assert_eq!(call.question().unwrap().params["message"], "n1");
        let result = call.result(Some(&json!({"content": {"word": "w"}})));
        assert_eq!(result["content"][0]["text"], "n1|w");
        assert!(Call::read(&json!({"name": "other", "arguments": {"nonce": "n"}})).is_none());
    }

    #[test]
    fn a_pause_is_shared_among_the_steps() {
        let params = json!({"name": "slow", "arguments": {"nonce": "n", "ms": 90, "steps": 3}});
        let steps: Vec<_> = Call::read(&params).unwrap().steps().collect();
        assert_eq!(steps, [1, 2, 3].map(|step| (step, Duration::from_millis(30))));
    }
}
