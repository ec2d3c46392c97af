//! The prompts.

use serde_json::{Value, json};

use super::{form, is_refusal, text_param};
use crate::call::{Call, Outcome};
use crate::rpc::RpcError;
use crate::server::{Listing, Server};

const NAMES: [&str; 5] = ["Ada", "Alan", "Barbara", "Edsger", "Grace"];
const GREETINGS: [(&str, &str); 4] =
    [("english", "Hello"), ("french", "Bonjour"), ("german", "Guten Tag"), ("spanish", "Hola")];
const STYLES: [&str; 3] = ["brief", "kind", "thorough"];

pub(crate) fn list(server: &Server) -> Vec<Value> {
    let mut prompts = vec![
        json!({
            "name": "greet",
            "title": "Greet somebody",
            "description": "Greets somebody by name, in one of a few languages",
            "arguments": [
                { "name": "name", "title": "Name", "description": "Whom to greet", "required": true },
                { "name": "language", "title": "Language", "description": "Which one", "required": false },
            ],
        }),
        json!({
            "name": "review",
            "title": "Review code",
            "description": "Asks for a review of some code, with the readme at hand",
            "arguments": [
                { "name": "code", "title": "Code", "description": "What to review", "required": true },
                { "name": "style", "title": "Style", "description": "How to review", "required": false },
            ],
        }),
        json!({
            "name": "plan",
            "title": "Make a plan",
            "description": "Asks the user for a goal first, then for a plan to reach it",
        }),
    ];
    if server.has_extra(Listing::Prompts) {
        prompts.push(json!({ "name": "extra", "description": "There while it is toggled on" }));
    }
    prompts
}

pub(crate) async fn get(call: &Call) -> Outcome {
    match text_param(call, "name")? {
        "greet" => greet(call),
        "review" => review(call),
        "plan" => plan(call).await,
        "extra" if call.server.has_extra(Listing::Prompts) => Ok(user("Say that you are the extra prompt.")),
        other => Err(RpcError::invalid_params(format!("Unknown prompt: {other}")).into()),
    }
}

/// What may be typed for an argument. `None`: there is no such prompt.
pub(crate) fn completions(server: &Server, prompt: &str, argument: &str) -> Option<Vec<&'static str>> {
    let known = list(server).iter().any(|known| known["name"] == prompt);
    known.then(|| match (prompt, argument) {
        ("greet", "name") => NAMES.to_vec(),
        ("greet", "language") => GREETINGS.iter().map(|(language, _)| *language).collect(),
        ("review", "style") => STYLES.to_vec(),
        _ => Vec::new(),
    })
}

fn greet(call: &Call) -> Outcome {
    let name = required(call, "name")?;
    let language = call.params()["arguments"]["language"].as_str().unwrap_or("english");
    let greeting = GREETINGS.iter().find(|(known, _)| *known == language).map(|(_, greeting)| *greeting);
    let greeting =
        greeting.ok_or_else(|| RpcError::invalid_params(format!("Unknown language: {language}")))?;
    let mut prompt = user(&format!("{greeting}, {name}!"));
    prompt["description"] = json!(format!("A greeting for {name}"));
    Ok(prompt)
}

fn review(call: &Call) -> Outcome {
    let code = required(call, "code")?;
    let style = call.params()["arguments"]["style"].as_str().unwrap_or("kind");
    Ok(json!({
        "description": format!("A {style} review"),
        "messages": [
            { "role": "user", "content": { "type": "resource", "resource": super::resources::readme() } },
            { "role": "assistant", "content": { "type": "text", "text": "I have read it." } },
            {
                "role": "user",
                "content": { "type": "text", "text": format!("Write a {style} review of this:\n{code}") },
            },
        ],
    }))
}

async fn plan(call: &Call) -> Outcome {
    let goal = json!({ "goal": { "type": "string", "title": "Goal", "minLength": 1 } });
    let fits = |answer: &Value| is_refusal(answer) || answer["content"]["goal"].is_string();
    let answer = call.ask("goal", form("What is the plan for?", goal, &["goal"], fits)).await?;
    let goal =
        answer["content"]["goal"].as_str().filter(|_| !is_refusal(&answer)).unwrap_or("nothing at all");
    Ok(user(&format!("Make a plan for {goal}.")))
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, RpcError> {
    let value = call.params()["arguments"][name].as_str();
    value.ok_or_else(|| RpcError::invalid_params(format!("Missing argument: {name}")))
}

fn user(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": text } }] })
}
