//! Which client can do what on which server: five revisions on each side, and everything that the protocol
//! has. The answers that come through the gateway are compared with those that the same server gives to a
//! client of its own revision without a gateway.
//!
//! The table is `docs/eras.md`. `UPDATE_ERAS=1 cargo test -p tidegate-server eras` writes it anew.

mod difference;
mod scenario;
mod table;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::harness::{path, upstream_name};
use testkit::http::Places;
use testkit::{Client, Demo, Revision, World};

use scenario::{SCENARIOS, Stage};
use table::{Cell, Table};

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// All scenarios of one client on one server.
async fn play(revision: Revision, at: impl Into<Places>, path: &str, demo: &Demo) -> Vec<Value> {
    let at = at.into();
    let mut transcripts = Vec::with_capacity(SCENARIOS.len());
    for scenario in SCENARIOS {
        let client = Client::with(at.clone(), path, revision, scenario.options()).await;
        let stage = Stage { client, server: demo.server.clone() };
        let played = tokio::time::timeout(PATIENCE, scenario.play(stage)).await;
        let mut transcript = played.unwrap_or_else(|_| json!({ "lost": "it hangs" }));
        scenario::forget_revision(&mut transcript, revision);
        transcripts.push(transcript);
    }
    transcripts
}

/// What each server answers to clients of its own revision, without a gateway.
async fn direct() -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for revision in Revision::ALL {
        let demo = Demo::speaking(revision).await;
        all.push(play(revision, demo.address(), "/mcp", &demo).await);
    }
    all
}

/// What a client of this revision gets through a gateway of so many replicas, from each server. Each request
/// goes to another replica than the one before.
async fn through(client: Revision, replicas: usize) -> Vec<Vec<Value>> {
    let world = World::builder().all_revisions().replicas(replicas).start().await;
    let mut all = Vec::new();
    for server in Revision::ALL {
        let name = upstream_name(server);
        all.push(play(client, world.places(), &path(&name), world.demo(&name)).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_can_do_on_every_server_what_the_table_says() {
    check(&table_of(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_same_table_where_each_request_goes_to_another_of_three_replicas() {
    check(&table_of(3).await);
}

async fn table_of(replicas: usize) -> String {
    let direct = tokio::spawn(direct());
    let clients = Revision::ALL.map(|client| tokio::spawn(through(client, replicas)));
    let direct = direct.await.expect("the direct answers");
    let mut rows = Vec::new();
    for client in clients {
        rows.push(client.await.expect("the answers through the gateway"));
    }
    let mut tables = Vec::new();
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let mut table = Table::new(scenario);
        for (client, row) in Revision::ALL.into_iter().zip(&rows) {
            let cells = direct.iter().zip(row).map(|(direct, through)| {
                if scenario.exists_for(client) {
                    Cell::compare(scenario, &direct[number], &through[number])
                } else {
                    Cell::Absent
                }
            });
            table.row(client, cells.collect());
        }
        tables.push(table);
    }
    table::document(&tables)
}

/// Compares with the file, or writes it.
fn check(text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/eras.md");
    if std::env::var_os("UPDATE_ERAS").is_some() {
        std::fs::write(&file, text).expect("a file that can be written");
        return;
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let changed: Vec<String> = kept
        .lines()
        .zip(text.lines())
        .filter(|(old, new)| old != new)
        .take(12)
        .map(|(old, new)| format!("- {old}\n+ {new}"))
        .collect();
    assert!(
        kept == text,
        "docs/eras.md says otherwise; if this is right, run with UPDATE_ERAS=1\n{}",
        changed.join("\n")
    );
}
