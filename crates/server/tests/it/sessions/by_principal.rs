//! `shared` and `per-principal`: what one client says, others of the same kind find.

use config::{Sharing, Span};
use serde_json::json;
use testkit::client::Options;
use testkit::{Client, Revision};

use super::{Kind, metric, remember, shared, world};

const HTTP: Kind = Kind::Http(Revision::V2025_11_25);
const PROGRAM: Kind = Kind::Program(Revision::V2025_11_25);

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_principal_and_of_one_kind_share_what_is_remembered() {
    for kind in [HTTP, PROGRAM] {
        for sharing in [Sharing::Shared, Sharing::PerPrincipal] {
            let world = world(kind, 1, shared(sharing)).await;
            let (one, two) = (
                world.client("a", Revision::V2026_07_28).await,
                world.client("a", Revision::V2026_07_28).await,
            );
            assert_eq!(remember(&one, "a").await, ["a"], "{kind:?} {sharing:?}");
            assert_eq!(remember(&two, "b").await, ["a", "b"], "{kind:?} {sharing:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_a_principal_has_one_process_also_for_calls_that_ask() {
    let world = world(PROGRAM, 1, shared(Sharing::PerPrincipal)).await;
    let client = world.client("a", Revision::V2026_07_28).await;
    assert_eq!(remember(&client, "a").await, ["a"]);
    let calls = (0..4).map(|_| client.start("tools/call", json!({"name": "confirm_order", "arguments": {}})));
    for call in calls.collect::<Vec<_>>() {
        let outcome = call.outcome().await;
        assert_eq!(outcome.result()["structuredContent"]["ordered"], true, "{outcome:?}");
    }
    assert_eq!(remember(&client, "b").await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_principal_is_not_given_up_for_another() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, |upstream| {
            upstream.sessions = Sharing::PerPrincipal;
            // The gateway's own and one more.
            upstream.sessions_max = 2;
            upstream.session_idle = Span::from_mins(5);
        })
        .await;
        let client = world.client("a", Revision::V2026_07_28).await;
        assert_eq!(remember(&client, "a").await, ["a"]);
        let options = Options { capabilities: Some(json!({})), ..Options::default() };
        let other = Client::with(world.places(), "/a/mcp", Revision::V2026_07_28, options).await;
        let refused = other.call_tool("remember", json!({"word": "b"})).await;
        assert_eq!(refused.code(), Some(-31006), "{kind:?}: {refused:?}");
        assert_eq!((metric(&world, "sessions"), metric(&world, "sessions_refused")), (2, 1));
        assert_eq!(remember(&client, "c").await, ["a", "c"]);
    }
}
