//! `groups/list` (SEP-2084, a draft): the upstreams of an endpoint as groups of what they offer.

use config::{Endpoint, Policy, Preset};
use demo::Server;
use serde_json::{Value, json};
use testkit::harness::WorldBuilder;
use testkit::{Client, Revision, World};

use crate::may::policies;

const GROUPS: &str = "io.modelcontextprotocol/groups";

fn grouped() -> WorldBuilder {
    let upstreams = vec!["a".to_owned(), "b".to_owned()];
    let described = |section: &mut config::Upstream| section.description = Some("The second.".to_owned());
    let builder = World::builder().demo("a", Server::builder());
    builder.demo_with("b", Server::builder(), described).config(|config| {
        config.discovery.experimental_groups = true;
        config.endpoints.insert("work".to_owned(), Endpoint { upstreams, ..Endpoint::default() });
    })
}

async fn groups(client: &Client) -> Value {
    client.request("groups/list", json!({})).await.result()["groups"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_upstream_is_a_group_and_each_entry_names_its_own_in_every_revision() {
    let world = grouped().start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        let told = groups(&client).await;
        assert_eq!(told, json!([{"name": "a"}, {"name": "b", "description": "The second."}]), "{revision}");
        for (method, member) in
            [("tools/list", "tools"), ("prompts/list", "prompts"), ("resources/list", "resources")]
        {
            let list = client.request(method, json!({})).await;
            let entries = list.result()[member].as_array().expect("a list");
            assert!(!entries.is_empty(), "{revision}: {method}");
            for entry in entries {
                let group = entry["_meta"][GROUPS][0].as_str().expect("a group");
                assert!(["a", "b"].contains(&group), "{revision}: {entry}");
                if let Some(name) = entry["name"].as_str().filter(|_| member != "resources") {
                    assert!(name.starts_with(&format!("{group}_")), "{revision}: {entry}");
                }
            }
        }
        let refused = client.request("groups/list", json!({"cursor": "x"})).await;
        assert_eq!(refused.code(), Some(-32602), "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_that_there_are_groups_only_where_they_are() {
    for is_on in [true, false] {
        let world = grouped().config(move |config| config.discovery.experimental_groups = is_on);
        let world = world.start().await;
        for (endpoint, has) in [("work", is_on), ("mcp", is_on), ("a", false)] {
            let client = world.client(endpoint, Revision::V2026_07_28).await;
            let discover = client.request("server/discover", json!({})).await;
            let extensions = &discover.result()["capabilities"]["extensions"];
            assert_eq!(extensions["io.modelcontextprotocol/grouping"].is_object(), has, "{endpoint}");
            let list = client.request("groups/list", json!({})).await;
            assert_eq!(list.code().is_none(), has, "{endpoint}: {:?}", list.end);
            let tools = client.request("tools/list", json!({})).await;
            assert_eq!(tools.result()["tools"][0]["_meta"][GROUPS].is_array(), has, "{endpoint}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_which_nothing_may_be_seen_is_not_told() {
    let hidden = policies("forbid(principal, action, resource in Upstream::\"a\");");
    let files = vec![hidden.path.clone()];
    let world = grouped()
        .config(|config| {
            let arguments = [].into();
            config.policy = Some(Policy { presets: vec![Preset::Everyone], files, arguments });
        })
        .start()
        .await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        assert_eq!(groups(&client).await, json!([{"name": "b", "description": "The second."}]), "{revision}");
    }
}
