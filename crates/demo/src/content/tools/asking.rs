//! Tools that need an answer from the client: from its user, its model, or itself.

use serde_json::{Value, json};

use super::{Arguments, structured, text};
use crate::call::{Asking, Call, Need, Outcome, Question, Stop};
use crate::content::{form, is_refusal};
use crate::revision::Revision;
use crate::rpc::{self, RpcError};

/// How many things may be ordered at once.
const QUANTITY_MAX: i64 = 100;

pub(super) fn definitions() -> Vec<Value> {
    vec![order_definition(), model_definition(), page_definition()]
        .into_iter()
        .chain([
            json!({
                "name": "list_my_roots",
                "title": "List my roots",
                "description": "Asks the client for its roots and lists them",
                "inputSchema": { "type": "object" },
            }),
            json!({
                "name": "interview",
                "title": "Interview",
                "description": "Asks the user, the model and the client at the same time",
                "inputSchema": { "type": "object" },
            }),
        ])
        .collect()
}

fn order_definition() -> Value {
    json!({
        "name": "confirm_order",
        "title": "Confirm an order",
        "description": "Asks the user how many, and whether to order at all; in one form or in two",
        "inputSchema": {
            "type": "object",
            "properties": {
                "item": { "type": "string", "default": "cups of tea" },
                "rounds": { "type": "integer", "enum": [1, 2], "default": 1 },
            },
        },
        "outputSchema": {
            "type": "object",
            "properties": { "ordered": { "type": "boolean" }, "quantity": { "type": "integer" } },
            "required": ["ordered", "quantity"],
        },
        "annotations": { "destructiveHint": true, "idempotentHint": false },
    })
}

fn model_definition() -> Value {
    json!({
        "name": "ask_model",
        "title": "Ask the model",
        "description": "Lets the client's model answer a question",
        "inputSchema": {
            "type": "object",
            "properties": {
                "question": { "type": "string", "default": "What is a tide gate?" },
                "with_tools": { "type": "boolean", "default": false, "description": "Offer it a tool" },
            },
        },
    })
}

fn page_definition() -> Value {
    json!({
        "name": "open_page",
        "title": "Open a page",
        "description": "Asks the user to open a web page",
        "inputSchema": {
            "type": "object",
            "properties": {
                "via": {
                    "type": "string",
                    "enum": ["request", "error"],
                    "default": "request",
                    "description": "In 2025-11-25 the page can be named in an error, too",
                },
            },
        },
    })
}

pub(super) async fn confirm_order(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let item = arguments.text("item")?.unwrap_or("cups of tea");
    let rounds = arguments.count("rounds", 2)?.unwrap_or(1);
    let quantity = json!({
        "type": "integer",
        "title": "Quantity",
        "description": "How many",
        "minimum": 1,
        "maximum": QUANTITY_MAX,
    });
    let confirm =
        json!({ "type": "boolean", "title": "Order", "description": "Really order", "default": false });
    let answer = if rounds < 2 {
        let message = format!("How many {item} shall be ordered?");
        let properties = json!({ "quantity": quantity, "confirm": confirm });
        let question = form(&message, properties, &["quantity", "confirm"], |answer| {
            is_refusal(answer) || (has_quantity(answer) && has_confirm(answer))
        });
        call.ask("order", question).await?
    } else {
        let message = format!("How many {item}?");
        let properties = json!({ "quantity": quantity });
        let question =
            form(&message, properties, &["quantity"], |answer| is_refusal(answer) || has_quantity(answer));
        let mut answer = call.ask("quantity", question).await?;
        if !is_refusal(&answer) {
            let message = format!("Order {} {item}?", answer["content"]["quantity"]);
            let properties = json!({ "confirm": confirm });
            let question =
                form(&message, properties, &["confirm"], |answer| is_refusal(answer) || has_confirm(answer));
            let second = call.ask("confirm", question).await?;
            answer["action"] = second["action"].clone();
            answer["content"]["confirm"] = second["content"]["confirm"].clone();
        }
        answer
    };
    let ordered = !is_refusal(&answer) && answer["content"]["confirm"] == true;
    let quantity = if ordered { answer["content"]["quantity"].clone() } else { json!(0) };
    Ok(structured(json!({ "ordered": ordered, "quantity": quantity })))
}

fn has_quantity(answer: &Value) -> bool {
    let quantity = answer["content"]["quantity"].as_i64();
    answer["action"] == "accept" && quantity.is_some_and(|quantity| (1..=QUANTITY_MAX).contains(&quantity))
}

fn has_confirm(answer: &Value) -> bool {
    answer["action"] == "accept" && answer["content"]["confirm"].is_boolean()
}

pub(super) async fn ask_model(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let question = arguments.text("question")?.unwrap_or("What is a tide gate?");
    let answer = call.ask("model", sampling(question, arguments.flag("with_tools")?)).await?;
    Ok(text(&format!("The model says: {}", said(&answer))))
}

fn sampling(question: &str, with_tools: bool) -> Question {
    let mut params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": question } }],
        "systemPrompt": "Answer in one sentence.",
        "maxTokens": 100,
    });
    if with_tools {
        params["tools"] = json!([{
            "name": "dictionary",
            "description": "Looks a word up",
            "inputSchema": { "type": "object", "properties": { "word": { "type": "string" } } },
        }]);
        params["toolChoice"] = json!({ "mode": "auto" });
    }
    let needs = if with_tools { Need::SamplingWithTools } else { Need::Sampling };
    let fits = |answer: &Value| {
        answer["role"].is_string() && (answer["content"].is_object() || answer["content"].is_array())
    };
    Question { method: "sampling/createMessage", params: Some(params), needs, fits }
}

/// What a model said, as text where it is text.
fn said(answer: &Value) -> String {
    let content = &answer["content"];
    content["text"].as_str().map_or_else(|| content.to_string(), str::to_owned)
}

pub(super) async fn list_my_roots(call: &Call) -> Outcome {
    let answer = call.ask("roots", roots()).await?;
    Ok(text(&format!("The roots: {}", root_uris(&answer))))
}

fn roots() -> Question {
    let fits = |answer: &Value| answer["roots"].is_array();
    Question { method: "roots/list", params: None, needs: Need::Roots, fits }
}

fn root_uris(answer: &Value) -> String {
    let roots = answer["roots"].as_array().into_iter().flatten();
    roots.filter_map(|root| root["uri"].as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) async fn interview(call: &Call) -> Outcome {
    let name = json!({ "name": { "type": "string", "title": "Name", "minLength": 1, "maxLength": 100 } });
    let fits = |answer: &Value| is_refusal(answer) || answer["content"]["name"].is_string();
    let questions = vec![
        ("user", form("What is your name?", name, &["name"], fits)),
        ("model", sampling("What is your name?", false)),
        ("roots", roots()),
    ];
    let answers = call.ask_all(questions).await?;
    let [user, model, roots] = &answers[..] else {
        return Err(RpcError::new(rpc::INTERNAL_ERROR, "three questions, other than three answers").into());
    };
    let name = user["content"]["name"].as_str().filter(|_| !is_refusal(user)).unwrap_or("nobody");
    Ok(text(&format!(
        "The user is {name}; the model is {}; the roots are {}.",
        said(model),
        root_uris(roots)
    )))
}

pub(super) async fn open_page(call: &Call, arguments: Arguments<'_>) -> Outcome {
    let via_error = match arguments.text("via")? {
        None | Some("request") => false,
        Some("error") => true,
        Some(_) => return Err(Stop::failed("The argument via is request or error.")),
    };
    if !Need::Url.is_met(call.revision, &call.capabilities) {
        return Err(Stop::Lacks(Need::Url.required()));
    }
    // The modern era asks again with the same question, so it has no id; the legacy one names each page.
    let id = (!call.revision.is_modern()).then(|| call.server.keys().id());
    let page = id.as_deref().unwrap_or("page");
    let mut params = json!({
        "mode": "url",
        "message": "Please open this page.",
        "url": format!("https://example.com/demo/{page}"),
    });
    if let Some(id) = &id {
        params["elicitationId"] = json!(id);
    }
    if via_error
        && call.revision == Revision::V2025_11_25
        && let Asking::Live(session) = &call.asking
    {
        // The page counts as opened when the client calls again.
        if session.page_opened() {
            return Ok(text("The page was opened."));
        }
        let error = RpcError::new(rpc::URL_ELICITATION_REQUIRED, "A page is to be opened first");
        return Err(error.with_data(json!({ "elicitations": [params] })).into());
    }
    let fits = |answer: &Value| answer["action"].is_string();
    let question = Question { method: "elicitation/create", params: Some(params), needs: Need::Url, fits };
    let answer = call.ask("page", question).await?;
    if is_refusal(&answer) {
        return Ok(text("The page stays closed."));
    }
    if let Some(id) = id {
        let done =
            rpc::notification("notifications/elicitation/complete", Some(json!({ "elicitationId": id })));
        call.outlet.send(done).await;
    }
    Ok(text("The page was opened."))
}
