//! Tools of a server that remembers something between calls, which legacy servers may do.

use serde_json::{Value, json};

use super::{Arguments, structured, text};
use crate::call::{Asking, Call, Outcome};
use crate::content::{form, is_refusal};

pub(super) fn definitions() -> Vec<Value> {
    let remember = json!({
        "name": "remember",
        "title": "Remember",
        "description": "Remembers a word for the rest of the session, and answers with all of them",
        "inputSchema": {
            "type": "object",
            "properties": { "word": { "type": "string" } },
            "required": ["word"],
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": { "words": { "type": "array", "items": { "type": "string" } } },
            "required": ["words"],
        },
    });
    let guess = json!({
        "name": "guess",
        "title": "Guess",
        "description": "Asks the user something else each time, although it says that it can be repeated",
        "inputSchema": { "type": "object" },
        "annotations": { "idempotentHint": true },
    });
    vec![remember, guess]
}

pub(super) fn remember(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let word = Arguments::required("word", arguments.text("word")?)?;
    let words = match &call.asking {
        Asking::Live(session) => session.remember(word),
        Asking::Rounds { .. } | Asking::Never => vec![word.to_owned()],
    };
    Ok(structured(json!({ "words": words })))
}

pub(super) async fn guess(call: &Call) -> Outcome {
    let message = format!("What do you guess, for the {}. time?", call.server.count());
    let number = json!({ "number": { "type": "integer" } });
    let fits = |answer: &Value| is_refusal(answer) || answer["content"]["number"].is_i64();
    let answer = call.ask("number", form(&message, number, &["number"], fits)).await?;
    Ok(text(&format!("The user guesses {}.", answer["content"]["number"])))
}
