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
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "2.3.0"},
        "servers": [{"url": "/v2"}],
        "security": [{"api_key": []}],
        "tags": [{"name": "orders"}, {"name": "catalog"}],
        "paths": {
            "/orders": {
                "get": {
                    "operationId": "listOrders", "tags": ["orders"], "summary": "List orders.",
                    "parameters": [
                        {"name": "status", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                        {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}},
                        {"name": "cursor", "in": "query", "schema": {"type": "string"}},
                        {"name": "X-Request-Id", "in": "header", "schema": {"type": "string"}},
                    ],
                    "responses": {"200": {"description": "A page.", "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/OrderPage"}}}}},
                },
                "post": {
                    "operationId": "createOrder", "tags": ["orders"],
                    "parameters": [
                        {"name": "Idempotency-Key", "in": "header", "required": true,
                         "schema": {"type": "string"}},
                    ],
                    "requestBody": {"required": true, "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/NewOrder"}}}},
                    "responses": {"201": {"description": "Made.", "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/Order"}}}}},
                },
            },
            "/orders/{orderId}": {
                "parameters": [{"name": "orderId", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {
                    "operationId": "getOrder", "tags": ["orders"],
                    "responses": {"200": {"description": "It.", "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/Order"}}}}},
                },
                "put": {
                    "operationId": "replaceOrder", "tags": ["orders"],
                    "requestBody": {"content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/NewOrder"}}}},
                    "responses": {"200": {"description": "It."}},
                },
                "delete": {
                    "operationId": "cancelOrder", "tags": ["orders"], "responses": {"204": {"description": "Gone."}},
                },
            },
            "/orders/{orderId}/notes": {
                "post": {
                    "operationId": "addNote",
                    "parameters": [{"name": "orderId", "in": "path", "required": true,
                                    "schema": {"type": "string"}}],
                    "requestBody": {"content": {"application/x-www-form-urlencoded": {
                        "schema": {"type": "object", "properties": {"text": {"type": "string"}}}}}},
                    "responses": {"204": {"description": "Added."}},
                },
            },
            "/products/{sku}/picture": {
                "get": {
                    "operationId": "getPicture", "tags": ["catalog"], "security": [],
                    "parameters": [{"name": "sku", "in": "path", "required": true, "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "It.", "content": {"image/png": {}}}},
                },
            },
            "/terms": {
                "get": {
                    "operationId": "getTerms", "tags": ["catalog"], "security": [],
                    "responses": {"200": {"description": "They.", "content": {"text/markdown": {}}}},
                },
            },
        },
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "X-Shop-Key"}},
            "schemas": {
                "NewOrder": {
                    "type": "object", "required": ["sku"],
                    "properties": {"sku": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
                },
                "Order": {
                    "allOf": [{"$ref": "#/components/schemas/NewOrder"}],
                    "type": "object",
                    "properties": {"id": {"type": "string", "readOnly": true}, "status": {"type": "string"}},
                },
                "OrderPage": {
                    "type": "object",
                    "properties": {
                        "items": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
                        "next_cursor": {"type": "string"},
                    },
                },
            },
        },
    })
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
