//! Upstreams that are web APIs: an OpenAPI document in front, an HTTP server behind.

mod answers;
mod calls;
mod credentials;
mod documents;
mod hostile;

use config::{OpenApi, Secret, Span, Upstream};
use serde_json::{Value, json};
use testkit::web_api::WebApi;
use testkit::{Client, Revision, World};

/// A shop as its maker would describe it.
fn shop() -> Value {
    serde_json::from_str(include_str!("shop.json")).expect("JSON")
}

/// The shop's section, by the document at its URL and with its key.
fn section(api: &WebApi) -> OpenApi {
    OpenApi {
        document: api.document_url(),
        credentials: [("api_key".to_owned(), Secret::plain("sesame"))].into(),
        refresh: Some(Span::from_millis(100)),
        ..OpenApi::default()
    }
}

/// A gateway in front of it, as `shop`, beside a server.
async fn world_with(section: OpenApi, change: impl FnOnce(&mut Upstream)) -> World {
    let mut upstream = Upstream { openapi: Some(section), ..Upstream::default() };
    change(&mut upstream);
    let builder = World::builder().demo("demo", demo::Server::builder());
    builder.config(|config| drop(config.upstreams.insert("shop".to_owned(), upstream))).start().await
}

/// The shop, and a gateway in front of it.
async fn begin() -> (WebApi, World) {
    let api = WebApi::start(&shop()).await;
    let world = world_with(section(&api), |_| ()).await;
    (api, world)
}

async fn client(world: &World) -> Client {
    world.client("shop", Revision::V2026_07_28).await
}

/// A client of the endpoint that is there whatever its upstreams do.
async fn everything(world: &World) -> Client {
    world.client("mcp", Revision::V2026_07_28).await
}

async fn tools(client: &Client) -> Vec<Value> {
    client.request("tools/list", json!({})).await.result()["tools"].as_array().expect("a list").clone()
}

async fn names(client: &Client) -> Vec<String> {
    let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
    tools(client).await.iter().map(name).collect()
}

/// Calls until the tools are these.
async fn until_names(client: &Client, wanted: &[&str]) {
    testkit::within(async {
        while names(client).await != wanted {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// How the shop does, as `tidegate upstreams` tells it.
async fn row(world: &World) -> tidegate_server::UpstreamRow {
    let generation = world.gateway().app().generation();
    let rows = tidegate_server::survey(&generation, std::time::Duration::from_secs(30)).await;
    rows.into_iter().find(|row| row.name == "shop").expect("it is there")
}
