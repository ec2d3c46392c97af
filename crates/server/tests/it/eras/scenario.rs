//! What is tried in every pair of revisions.

use std::pin::Pin;

use demo::{Listing, Server};
use serde_json::{Value, json};
use testkit::client::{Options, refusing};
use testkit::{Client, End, Outcome, Revision};

/// One client and the server that it reaches.
pub struct Stage {
    pub client: Client,
    /// The server itself, to see what reached it and to make it change.
    pub server: Server,
}

type Play = Pin<Box<dyn Future<Output = Value> + Send>>;

/// One thing to try.
pub struct Scenario {
    pub name: &'static str,
    play: fn(Stage) -> Play,
    client: Who,
    /// Whether an error is what is expected.
    pub about_errors: bool,
    exists_for: fn(Revision) -> bool,
}

/// What kind of client it takes.
enum Who {
    /// One that declares everything that its revision has, and accepts.
    Able,
    /// One that says no to everything.
    Refusing,
    /// One that declares nothing.
    Bare,
}

impl Scenario {
    /// Its client's choices.
    pub fn options(&self) -> Options {
        match self.client {
            Who::Able => Options::default(),
            Who::Refusing => Options { answers: refusing(), ..Options::default() },
            Who::Bare => Options { capabilities: Some(json!({})), ..Options::default() },
        }
    }

    /// Plays it and says what came of it.
    pub async fn play(&self, stage: Stage) -> Value {
        (self.play)(stage).await
    }

    /// Whether clients of this revision have it at all.
    pub fn exists_for(&self, client: Revision) -> bool {
        (self.exists_for)(client)
    }
}

/// What came of a request, without what is made up anew each time.
fn told(outcome: &Outcome) -> Value {
    let mut transcript = match &outcome.end {
        End::Result(result) => json!({ "result": result }),
        End::Error(error) => json!({ "error": error }),
        End::Lost if outcome.status == 200 => json!({ "lost": "the stream ended without an answer" }),
        End::Lost => json!({ "lost": format!("HTTP {}", outcome.status) }),
    };
    let mut asked = outcome.asked.clone();
    // Questions that are put at the same time have no order.
    asked.sort_by_key(|question| question["method"].to_string());
    if !asked.is_empty() {
        transcript["asked"] = json!(asked);
    }
    if !outcome.told.is_empty() {
        transcript["told"] = json!(outcome.told);
    }
    forget_random(&mut transcript);
    transcript
}

/// The client's own revision is not spelled out, so that what is the same for all of them reads the same.
pub fn forget_revision(transcript: &mut Value, client: Revision) {
    for place in ["/result/protocolVersion", "/error/message"] {
        if let Some(Value::String(text)) = transcript.pointer_mut(place) {
            *text = format!(" {text} ").replace(&format!(" {client} "), " its revision ").trim().to_owned();
        }
    }
}

/// Pages and questions to open them have random names, states are sealed, and the time for which something
/// stays fresh passes.
fn forget_random(value: &mut Value) {
    const PAGES: &str = "https://example.com/demo/";
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "elicitationId" => *member = json!("(an id)"),
                    "requestState" => *member = json!("(a state)"),
                    "ttlMs" if member.as_u64().is_some_and(|ttl| ttl > 0) => *member = json!("(some time)"),
                    _ => forget_random(member),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(forget_random),
        Value::String(text) if text.starts_with(PAGES) => *text = format!("{PAGES}(a name)"),
        _ => {}
    }
}

const fn scenario(name: &'static str, play: fn(Stage) -> Play) -> Scenario {
    Scenario { name, play, client: Who::Able, about_errors: false, exists_for: |_| true }
}

impl Scenario {
    const fn of_errors(mut self) -> Self {
        self.about_errors = true;
        self
    }

    const fn by(mut self, client: Who) -> Self {
        self.client = client;
        self
    }

    const fn only(mut self, exists_for: fn(Revision) -> bool) -> Self {
        self.exists_for = exists_for;
        self
    }
}

/// A request whose outcome is all.
macro_rules! request {
    ($method:expr, $params:tt) => {
        |stage: Stage| -> Play {
            Box::pin(async move { told(&stage.client.request($method, json!($params)).await) })
        }
    };
}

macro_rules! tool {
    ($name:expr, $arguments:tt) => {
        |stage: Stage| -> Play {
            Box::pin(async move { told(&stage.client.call_tool($name, json!($arguments)).await) })
        }
    };
}

macro_rules! play {
    ($play:path) => {
        |stage: Stage| -> Play { Box::pin($play(stage)) }
    };
}

/// Everything that is tried, in the order of the document.
pub const SCENARIOS: &[Scenario] = &[
    scenario("opening: initialize or server/discover", play!(opening)),
    scenario("ping", request!("ping", {})).only(|client| !client.is_modern()),
    scenario("tools/list", request!("tools/list", {})),
    scenario("tools/call: text", tool!("echo", { "text": "héllo\n\u{1f30a}" })),
    scenario("tools/call: a structured result", tool!("add", { "a": 1, "b": 2.5 })),
    scenario("tools/call: every kind of content", tool!("attach", {})),
    scenario("tools/call: an argument that a header repeats", play!(mirrored)),
    scenario("tools/call: a result of 64 KiB", tool!("big", { "bytes": 65_536 })),
    scenario("tools/call: a result of 3 MiB", tool!("big", { "bytes": 3_145_728 })),
    scenario("tools/call: progress", play!(progress)),
    scenario("tools/call: log messages from a level on", play!(log_level)),
    scenario("tools/call: log messages without a level", tool!("log_something", {})),
    scenario("tools/call: a stream that the server ends early", play!(dropped)),
    scenario("tools/call: the tool fails", tool!("fail", { "message": "no" })).of_errors(),
    scenario("tools/call: an error of the server's own", tool!("rpc_error", { "code": 1001 })).of_errors(),
    scenario("tools/call: an unknown tool", tool!("no_such_tool", {})).of_errors(),
    scenario("tools/call: cancelled", play!(cancelled)),
    scenario("question to the user, one form", tool!("confirm_order", {})),
    scenario("question to the user, two forms", tool!("confirm_order", { "rounds": 2 })),
    scenario("question to the user, declined", tool!("confirm_order", {})).by(Who::Refusing),
    scenario("question to the user, not declared", tool!("confirm_order", {})).by(Who::Bare),
    scenario("question to the user, by URL", tool!("open_page", {})),
    scenario("question to the user, by URL in an error", play!(page_by_error)),
    scenario("question to the model", tool!("ask_model", {})),
    scenario("question to the model, with tools", tool!("ask_model", { "with_tools": true })),
    scenario("question to the model, refused", tool!("ask_model", {})).by(Who::Refusing),
    scenario("question for the roots", tool!("list_my_roots", {})),
    scenario("three questions at once", tool!("interview", {})),
    scenario("resources/list", request!("resources/list", {})),
    scenario("resources/templates/list", request!("resources/templates/list", {})),
    scenario("resources/read: text", request!("resources/read", { "uri": "demo://readme" })),
    scenario("resources/read: a blob", request!("resources/read", { "uri": "demo://logo" })),
    scenario("resources/read: from a template", request!("resources/read", { "uri": "demo://notes/apples" })),
    scenario("resources/read: nothing there", request!("resources/read", { "uri": "demo://nothing" }))
        .of_errors(),
    scenario("resources/read: with a question", request!("resources/read", { "uri": "demo://report" })),
    scenario("subscribe and notifications/resources/updated", play!(updated)),
    scenario("subscribe to nothing there", request!("resources/subscribe", { "uri": "demo://nothing" }))
        .of_errors()
        .only(|client| !client.is_modern()),
    scenario("notifications/tools/list_changed", play!(tools_changed)),
    scenario("notifications/resources/list_changed", play!(resources_changed)),
    scenario("notifications/prompts/list_changed", play!(prompts_changed)),
    scenario("prompts/list", request!("prompts/list", {})),
    scenario(
        "prompts/get",
        request!("prompts/get", { "name": "greet", "arguments": { "name": "Ada", "language": "german" } }),
    ),
    scenario(
        "prompts/get: with a resource",
        request!("prompts/get", { "name": "review", "arguments": { "code": "1 + 1" } }),
    ),
    scenario("prompts/get: with a question", request!("prompts/get", { "name": "plan" })),
    scenario("prompts/get: an unknown prompt", request!("prompts/get", { "name": "no such" })).of_errors(),
    scenario(
        "completion/complete: a prompt's argument",
        request!("completion/complete", {
            "ref": { "type": "ref/prompt", "name": "greet" },
            "argument": { "name": "language", "value": "g" },
            "context": { "arguments": { "name": "Ada" } }
        }),
    ),
    scenario(
        "completion/complete: a template's variable",
        request!("completion/complete", {
            "ref": { "type": "ref/resource", "uri": "demo://notes/{id}" },
            "argument": { "name": "id", "value": "ap" }
        }),
    ),
    scenario("an unknown method", request!("demo/unknown", { "a": 1 })).of_errors(),
    scenario("a batch", play!(batch)).only(|client| client == Revision::V2025_03_26),
    scenario("the end of the session", play!(end))
        .only(|client| !client.is_modern() && client > Revision::V2024_11_05),
];

async fn opening(stage: Stage) -> Value {
    let mut transcript = json!({ "result": stage.client.opening() });
    forget_random(&mut transcript);
    transcript
}

async fn mirrored(stage: Stage) -> Value {
    // The client learns from the list which header to send.
    stage.client.request("tools/list", json!({})).await;
    told(&stage.client.call_tool("lookup_region", json!({ "region": "eu" })).await)
}

async fn progress(stage: Stage) -> Value {
    told(&stage.client.call_tool_for_progress("slow", json!({ "seconds": 0, "steps": 3 })).await)
}

async fn log_level(stage: Stage) -> Value {
    let level = stage.client.set_log_level("error").await;
    if !matches!(level.end, End::Result(_)) {
        return told(&level);
    }
    told(&stage.client.call_tool("log_something", json!({})).await)
}

async fn dropped(stage: Stage) -> Value {
    let arguments = json!({ "seconds": 0, "steps": 3, "drop_stream": true });
    told(&stage.client.call_tool_for_progress("slow", arguments).await)
}

/// The tool takes minutes: it ends in time only if the server hears of the cancellation.
async fn cancelled(stage: Stage) -> Value {
    let stats = stage.server.stats();
    let before = stats.cancelled().len();
    let calls = stats.requests("tools/call");
    let params = json!({ "name": "slow", "arguments": { "seconds": 600, "steps": 1 } });
    let call = stage.client.start("tools/call", params);
    // Other requests may run, of the gateway's own.
    stats.wait_until(|stats| stats.requests("tools/call") > calls && stats.calls_running() > 0).await;
    call.cancel().await;
    stats.wait_until(|stats| stats.cancelled().len() > before && stats.calls_running() == 0).await;
    json!({ "result": { "cancelled": stats.cancelled()[before..] } })
}

/// A client that does not know the error calls again by itself once the page is open.
async fn page_by_error(stage: Stage) -> Value {
    let first = stage.client.call_tool("open_page", json!({ "via": "error" })).await;
    if first.code() != Some(-32042) {
        return told(&first);
    }
    let again = stage.client.call_tool("open_page", json!({ "via": "error" })).await;
    let mut transcript = told(&again);
    transcript["before"] = told(&first);
    transcript
}

async fn updated(stage: Stage) -> Value {
    const CLOCK: &str = "demo://clock";
    if let Err(refused) = stage.client.watch(&[CLOCK]).await {
        return told(&refused);
    }
    stage.server.touch("demo://readme");
    stage.server.touch(CLOCK);
    json!({ "result": stage.client.next_change().await })
}

async fn tools_changed(stage: Stage) -> Value {
    changed(stage, Listing::Tools, "tools/list", "tools").await
}

async fn resources_changed(stage: Stage) -> Value {
    changed(stage, Listing::Resources, "resources/list", "resources").await
}

async fn prompts_changed(stage: Stage) -> Value {
    changed(stage, Listing::Prompts, "prompts/list", "prompts").await
}

/// The list changes, the client hears of it, and the list that it then fetches is the new one.
async fn changed(stage: Stage, listing: Listing, method: &str, member: &str) -> Value {
    if let Err(refused) = stage.client.watch(&[]).await {
        return told(&refused);
    }
    // The list as it was may be kept from now on.
    stage.client.request(method, json!({})).await;
    stage.server.toggle(listing);
    let heard = next_change_of(&stage.client, member).await;
    let list = stage.client.request(method, json!({})).await;
    let has_extra = list.result()[member].as_array().into_iter().flatten().any(|e| e["name"] == "extra");
    stage.server.toggle(listing);
    next_change_of(&stage.client, member).await;
    json!({ "result": { "heard": heard, "then listed": has_extra } })
}

/// The next change of this list: those of others may still be on their way from before, from each of the
/// sessions that the gateway has with the server.
async fn next_change_of(client: &Client, member: &str) -> Value {
    let method = format!("notifications/{member}/list_changed");
    loop {
        let heard = client.next_change().await;
        if heard["method"] == method {
            return heard;
        }
    }
}

async fn batch(stage: Stage) -> Value {
    if stage.client.revision() != Revision::V2025_03_26 {
        return json!({ "lost": "this revision has no batches" });
    }
    let echo = json!({ "name": "echo", "arguments": { "text": "one" } });
    let fails = json!({ "name": "no_such_tool" });
    let outcomes = stage.client.batch(vec![("ping", json!({})), ("tools/call", echo), ("tools/call", fails)]);
    let outcomes = outcomes.await;
    json!({ "result": outcomes.iter().map(told).collect::<Vec<_>>() })
}

/// After DELETE the session is unknown.
async fn end(stage: Stage) -> Value {
    if stage.client.session_id().is_none() {
        return json!({ "lost": "this revision has no session to end" });
    }
    let ended = stage.client.close().await;
    let after = stage.client.request("ping", json!({})).await;
    json!({ "result": { "ended": ended.is_some_and(|status| status < 300), "then": after.status } })
}
