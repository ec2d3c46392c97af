//! Rules that ask somebody else: what he is shown, what his answers come to, and what his silence does.

mod interceptors;
mod other;
mod tasks;
mod webhook;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use audit::{Event, Recorded, Recorder, Unwritten};
use config::{CheckRule, Checked};
use demo::Server;
use serde_json::Value;
use testkit::client::Options;
use testkit::{Client, End, Outcome, Revision, World};

const AUTHORIZATION: &str = "io.modelcontextprotocol/authorization";
/// What is looked at, by its rule.
const ALL: [Checked; 4] = [Checked::Arguments, Checked::Results, Checked::Questions, Checked::Descriptions];

async fn world(rules: Vec<CheckRule>) -> World {
    let server = Server::builder().ttl_ms(0);
    World::builder().demo("crm", server).config(move |config| config.checks = rules).start().await
}

async fn client(world: &World) -> Client {
    Client::with(world.address(), "/crm/mcp", Revision::V2026_07_28, Options::default()).await
}

/// Whether the client got what the server has, or that a check stands between: the text that says so.
fn stopped(outcome: &Outcome) -> Option<String> {
    let text = match &outcome.end {
        End::Result(result) => result["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
        End::Error(error) => error["message"].as_str().unwrap_or_default().to_owned(),
        End::Lost => panic!("{outcome:?}"),
    };
    text.contains("the check \"r\"").then_some(text)
}

/// Events as they are given to a log.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

#[async_trait]
impl Recorder for Events {
    fn is_strict(&self) -> bool {
        false
    }

    fn note(&self, event: Event) {
        self.0.lock().expect("nobody broke it").push(event);
    }

    async fn record(&self, _: Event) -> Result<Recorded, Unwritten> {
        unreachable!("nobody waits for records")
    }
}

impl Events {
    fn of(world: &World) -> Arc<Self> {
        let events = Arc::new(Self::default());
        world.gateway().app().record_with(Arc::clone(&events) as Arc<dyn Recorder>);
        events
    }

    /// The last one of calls.
    fn last(&self) -> Event {
        let all = self.0.lock().expect("nobody broke it");
        all.iter().rev().find(|event| event.kind == "tool_call").expect("a call").clone()
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["tools"].as_array().expect("a list").iter().map(|t| t["name"].as_str().expect("a name")).collect()
}
