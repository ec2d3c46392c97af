//! Bad messages: each has one expected answer, reaches no upstream, and leaves the gateway as it was.
//!
//! Every row is sent by a client of each revision that it concerns, over that revision's own transport.

mod agreement;
mod envelope;
mod handles;
mod http;
mod json;
mod meta;
mod row;
mod sender;
mod wire;

use std::fmt::Write as _;
use std::time::Duration;

use testkit::wire::{Wire, answers};
use testkit::{Revision, World};

use row::Row;
use sender::{Handles, Sender};
use wire::WireRow;

/// How many rows there are at least; the table does not shrink by accident.
const ROWS_MIN: usize = 400;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn rows() -> Vec<Row> {
    [json::rows(), envelope::rows(), meta::rows(), agreement::rows(), handles::rows(), http::rows()].concat()
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let mut names: Vec<_> = rows().iter().map(|row| (row.what, format!("{:?}", row.from))).collect();
    names.extend(wire::rows().iter().map(|row| (row.what, "wire".to_owned())));
    let count = names.len();
    names.sort();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two rows have one name");
    }
    assert!(count >= ROWS_MIN, "only {count} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_message_gets_its_answer_in_every_revision() {
    let world = sender::world(1).await;
    let other = sender::world(2).await;
    let handles = Handles::collect(&world, &other).await;
    let mut faults = String::new();
    for revision in Revision::ALL {
        let mut sender = Sender::connect(&world, &handles, revision).await;
        let stats = world.demo("crm").server.stats();
        for row in rows().iter().filter(|row| row.from.includes(revision)) {
            let before = stats.requests_total();
            let checked = tokio::time::timeout(PATIENCE, sender.check(row)).await;
            let fault = checked.unwrap_or_else(|_| Err("no answer: it hangs".to_owned())).err();
            let reached = stats.requests_total() - before;
            if reached != u64::from(row.reaches) {
                let _ = writeln!(faults, "{revision}: {}: {reached} requests reached the upstream", row.what);
            }
            if let Some(fault) = fault {
                let _ = writeln!(faults, "{revision}: {}: {fault}", row.what);
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
    still_good(&world).await;
}

/// After all that every kind of client still gets what it asks for.
async fn still_good(world: &World) {
    for revision in Revision::ALL {
        let client = world.client("mcp", revision).await;
        let echo = client.call_tool("crm_echo", serde_json::json!({ "text": "still here" })).await;
        assert_eq!(echo.text(), "still here", "{revision}");
    }
}

/// One connection's answers, until it is closed.
async fn exchange(world: &World, row: &WireRow) -> Vec<u16> {
    const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut wire = Wire::connect(world.address()).await;
    // In one piece: what is sent to a connection that is closed already destroys the answer
    // (RFC 9112, section 9.6).
    let last = if row.ends || row.waits { &[] } else { LAST };
    wire.send(&[&row.bytes, last].concat()).await;
    if row.ends {
        wire.end().await;
    }
    answers(&wire.rest().await).iter().map(|answer| answer.status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shape_of_http_hides_a_call_or_hangs() {
    let world = sender::world(1).await;
    let server = world.demo("crm").server.clone();
    let mut faults = String::new();
    let rows = wire::rows();
    for row in rows.iter().filter(|row| !row.waits) {
        let before = server.counter();
        let got = exchange(&world, row).await;
        let ran = server.counter() - before;
        if got != row.answers || ran != row.runs {
            let _ = writeln!(
                faults,
                "{}: answered {got:?} and ran {ran}, not {:?} and {}",
                row.what, row.answers, row.runs
            );
        }
    }
    // These take as long as the gateway's limits say, so they wait together.
    let slow = rows.iter().filter(|row| row.waits);
    let slow = futures_util::future::join_all(slow.map(async |row| (row, exchange(&world, row).await))).await;
    for (row, got) in slow.into_iter().filter(|(row, got)| row.answers != *got) {
        let _ = writeln!(faults, "{}: answered {got:?}, not {:?}", row.what, row.answers);
    }
    assert!(faults.is_empty(), "\n{faults}");
    still_good(&world).await;
}
