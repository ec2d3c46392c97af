//! Servers that remember something between calls: who shares what they remember, through one replica and
//! through several, every request at another one.

mod by_client;
mod by_handle;
mod by_principal;
mod child;
mod replayed;

use std::sync::atomic::Ordering;

use config::{Sharing, Upstream};
use demo::Server;
use serde_json::{Value, json};
use testkit::{Client, Outcome, Revision, World};

/// A server that remembers, behind a URL or as a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http(Revision),
    Program(Revision),
}

/// Legacy servers of every kind.
const KINDS: [Kind; 6] = [
    Kind::Http(Revision::V2024_11_05),
    Kind::Http(Revision::V2025_03_26),
    Kind::Http(Revision::V2025_06_18),
    Kind::Http(Revision::V2025_11_25),
    Kind::Program(Revision::V2024_11_05),
    Kind::Program(Revision::V2025_11_25),
];

/// A gateway of so many replicas before upstream `a`, changed as wanted.
async fn world(kind: Kind, replicas: usize, change: impl Fn(&mut Upstream)) -> World {
    let builder = World::builder().replicas(replicas);
    let builder = match kind {
        Kind::Http(revision) => {
            builder.demo_with("a", Server::builder().memory(true).revisions(&[revision]), change)
        }
        Kind::Program(revision) => {
            let mut upstream = child::upstream(revision);
            change(&mut upstream);
            builder.config(|config| drop(config.upstreams.insert("a".to_owned(), upstream)))
        }
    };
    builder.start().await
}

fn shared(sharing: Sharing) -> impl Fn(&mut Upstream) {
    move |upstream| upstream.sessions = sharing
}

/// What the tool knows after it was told another word.
async fn remember(client: &Client, word: &str) -> Vec<String> {
    remembered(&client.call_tool("remember", json!({ "word": word })).await)
}

fn remembered(outcome: &Outcome) -> Vec<String> {
    let told: Value = serde_json::from_str(outcome.text()).unwrap_or_else(|_| panic!("{outcome:?}"));
    let words = told["words"].as_array().unwrap_or_else(|| panic!("{outcome:?}"));
    words.iter().map(|word| word.as_str().unwrap_or_default().to_owned()).collect()
}

/// The metric of this name for upstream `a`, over all replicas.
fn metric(world: &World, name: &str) -> u64 {
    let figures = world.replicas().map(|gateway| {
        let upstreams = gateway.app().generation().upstreams();
        let upstream = upstreams.iter().find(|upstream| upstream.name().as_str() == "a").expect("upstream a");
        match name {
            "sessions" => upstream.health().sessions as u64,
            "requests" => upstream.stats().requests.load(Ordering::Relaxed),
            "sessions_refused" => upstream.stats().sessions_refused.load(Ordering::Relaxed),
            _ => panic!("{name}"),
        }
    });
    figures.sum()
}

/// Waits until upstream `a` has so many sessions of clients and handles.
async fn sessions_become(world: &World, count: u64) {
    testkit::within(async {
        while metric(world, "sessions") != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until the demo server of upstream `a` has so many sessions.
async fn demo_sessions_become(world: &World, count: u64) {
    let stats = world.demo("a").server.stats();
    testkit::within(async {
        while stats.sessions() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Makes all replicas look for what was not used for long.
fn sweep(world: &World) {
    for gateway in world.replicas() {
        gateway.app().generation().upstreams().iter().for_each(|upstream| upstream.sweep());
    }
}
