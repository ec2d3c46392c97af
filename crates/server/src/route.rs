//! From a path to what is served there.

use discovery::{CARD_SUFFIX, CATALOG_PATH};
use identity::{
    AUTHORIZE_PATH as AUTHORIZE, JWKS_PATH as JWKS, REGISTER_PATH as REGISTER, REVOKE_PATH as REVOKE,
    TOKEN_PATH as TOKEN,
};

use crate::account::ACCOUNT;
use crate::agree::AGREE;
use crate::consent::{CALLBACK, CLIENT, CONNECT};
use crate::published::REGISTRY;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/mcp` and `/NAME/mcp`
    Mcp(&'a str),
    /// `/sse` and `/NAME/sse`: the stream of the HTTP+SSE transport.
    Sse(&'a str),
    /// `/messages` and `/NAME/messages`: where its clients post.
    Messages(&'a str),
    /// `/.well-known/oauth-protected-resource` and what follows: who issues tokens for an endpoint. The
    /// endpoint and its own path.
    ResourceMetadata(&'a str, &'a str),
    /// `/oauth/connect`: where users let the gateway use a server for them.
    Connect,
    /// `/oauth/callback`: where they come back.
    Callback,
    /// `/oauth/client.json`: what the gateway is, as a client.
    Client,
    /// `/oauth/account`: what a user has granted, for himself.
    Account,
    /// `/oauth/agree`: where a user says yes or no to a call of his own.
    Agree,
    /// What the gateway's own authorization server serves.
    Broker(BrokerRoute),
    /// `/mcp/server-card` and `/NAME/mcp/server-card`: what an endpoint is, for those who look beforehand.
    Card(&'a str),
    /// `/.well-known/ai-catalog.json`: which cards there are.
    Catalog,
    /// `/registry/v0.1/` and what follows.
    Registry(&'a str),
    /// `/metrics`
    Metrics,
    /// `/healthz`: the process lives.
    Live,
    /// `/readyz`: it takes work.
    Ready,
    /// Nothing.
    Unknown,
}

/// What the gateway's own authorization server serves, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerRoute {
    /// `/.well-known/oauth-authorization-server` and `/.well-known/openid-configuration`
    Metadata,
    /// `/oauth/jwks.json`
    Jwks,
    /// `/oauth/authorize`: where clients send people.
    Authorize,
    /// `/oauth/token`
    Token,
    /// `/oauth/register`
    Register,
    /// `/oauth/revoke`
    Revoke,
}

/// Where the authorization server says what it is (RFC 8414).
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// The same, for those who know OpenID Connect Discovery alone.
const OPENID: &str = "/.well-known/openid-configuration";

/// Every route, as a path in which `crm` stands for the name of an endpoint, and its methods. Who gets what
/// at which of them is `docs/reference/routes.md`, made from this.
pub const ROUTES: &[(&str, &[&str])] = &[
    ("/crm/mcp", &["POST", "GET", "DELETE"]),
    ("/mcp", &["POST", "GET", "DELETE"]),
    ("/crm/sse", &["GET"]),
    ("/sse", &["GET"]),
    ("/crm/messages", &["POST"]),
    ("/messages", &["POST"]),
    ("/.well-known/oauth-protected-resource/crm/mcp", &["GET"]),
    ("/.well-known/oauth-protected-resource", &["GET"]),
    ("/crm/mcp/server-card", &["GET", "HEAD"]),
    ("/mcp/server-card", &["GET", "HEAD"]),
    (CATALOG_PATH, &["GET", "HEAD"]),
    ("/registry/v0.1/servers", &["GET"]),
    ("/registry/v0.1/servers/com.example%2Fcrm/versions", &["GET"]),
    ("/registry/v0.1/servers/com.example%2Fcrm/versions/latest", &["GET"]),
    (CONNECT, &["GET"]),
    (CALLBACK, &["GET"]),
    (CLIENT, &["GET"]),
    (ACCOUNT, &["GET", "POST"]),
    (AGREE, &["GET", "POST"]),
    (METADATA, &["GET"]),
    (OPENID, &["GET"]),
    (JWKS, &["GET"]),
    (AUTHORIZE, &["GET", "POST"]),
    (TOKEN, &["POST"]),
    (REGISTER, &["POST"]),
    (REVOKE, &["POST"]),
    ("/metrics", &["GET"]),
    ("/healthz", &["GET"]),
    ("/readyz", &["GET"]),
    ("/elsewhere", &["GET"]),
];

impl Route<'_> {
    /// Whether an orchestrator's probe asks for it. A probe speaks to an address that no configuration knows
    /// beforehand, a pod's own, and learns nothing but whether this process serves.
    pub(crate) fn is_probe(self) -> bool {
        matches!(self, Route::Live | Route::Ready)
    }

    /// Whether pages of any origin may read it: what is published for everybody, and the same for everybody.
    pub(crate) fn is_for_any_page(self) -> bool {
        matches!(self, Route::Card(_) | Route::Catalog)
    }
}

/// Reads a path. Names are compared byte for byte: what is encoded or has an extra slash names nothing.
pub(crate) fn route(path: &str) -> Route<'_> {
    let everything = crate::app::EVERYTHING;
    if let Some(rest) = path.strip_prefix("/.well-known/oauth-protected-resource") {
        return match route(rest) {
            _ if rest.is_empty() => Route::ResourceMetadata(everything, "/mcp"),
            Route::Mcp(name) | Route::Sse(name) => Route::ResourceMetadata(name, rest),
            _ => Route::Unknown,
        };
    }
    if let Some(rest) = path.strip_suffix(CARD_SUFFIX) {
        return match route(rest) {
            Route::Mcp(name) => Route::Card(name),
            _ => Route::Unknown,
        };
    }
    if let Some(rest) = path.strip_prefix(REGISTRY) {
        return Route::Registry(rest);
    }
    match path {
        CATALOG_PATH => Route::Catalog,
        "/mcp" => Route::Mcp(everything),
        "/sse" => Route::Sse(everything),
        "/messages" => Route::Messages(everything),
        CONNECT => Route::Connect,
        CALLBACK => Route::Callback,
        CLIENT => Route::Client,
        ACCOUNT => Route::Account,
        AGREE => Route::Agree,
        METADATA | OPENID => Route::Broker(BrokerRoute::Metadata),
        JWKS => Route::Broker(BrokerRoute::Jwks),
        AUTHORIZE => Route::Broker(BrokerRoute::Authorize),
        TOKEN => Route::Broker(BrokerRoute::Token),
        REGISTER => Route::Broker(BrokerRoute::Register),
        REVOKE => Route::Broker(BrokerRoute::Revoke),
        "/metrics" => Route::Metrics,
        "/healthz" => Route::Live,
        "/readyz" => Route::Ready,
        _ => match path.strip_prefix('/').and_then(|rest| rest.split_once('/')) {
            Some((name, "mcp")) if !name.is_empty() => Route::Mcp(name),
            Some((name, "sse")) if !name.is_empty() => Route::Sse(name),
            Some((name, "messages")) if !name.is_empty() => Route::Messages(name),
            _ => Route::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_table_of_routes() {
        let number = |route: Route<'_>| match route {
            Route::Mcp(_) => 0,
            Route::Sse(_) => 1,
            Route::Messages(_) => 2,
            Route::ResourceMetadata(..) => 3,
            Route::Metrics => 4,
            Route::Live => 5,
            Route::Ready => 6,
            Route::Unknown => 7,
            Route::Connect => 8,
            Route::Callback => 9,
            Route::Client => 10,
            Route::Account => 11,
            Route::Agree => 21,
            Route::Broker(of) => 12 + of as u8,
            Route::Card(_) => 18,
            Route::Catalog => 19,
            Route::Registry(_) => 20,
        };
        let found: std::collections::BTreeSet<_> =
            ROUTES.iter().map(|(path, _)| number(route(path))).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), (0..22).collect::<Vec<_>>());
    }

    #[test]
    fn a_path_names_one_thing_or_nothing() {
        assert_eq!(route("/mcp"), Route::Mcp("mcp"));
        assert_eq!(route("/crm/mcp"), Route::Mcp("crm"));
        assert_eq!(route("/crm/sse"), Route::Sse("crm"));
        assert_eq!(route("/crm/messages"), Route::Messages("crm"));
        assert_eq!(route("/mcp/server-card"), Route::Card("mcp"));
        assert_eq!(route("/crm/mcp/server-card"), Route::Card("crm"));
        assert_eq!(route("/registry/v0.1/servers"), Route::Registry("servers"));
        assert_eq!(route("/registry/mcp"), Route::Mcp("registry"));
        for nothing in ["/server-card", "/crm/sse/server-card", "/registry/v0.1", "/registry/v0/servers"] {
            assert_eq!(route(nothing), Route::Unknown, "{nothing}");
        }
        for nothing in
            ["", "/", "/MCP", "/mcp/", "//mcp", "/crm/mcp/", "/a/b/mcp", "/crm", "/crm/..%2fmcp", "/metrics/"]
        {
            assert_eq!(route(nothing), Route::Unknown, "{nothing}");
        }
    }

    #[test]
    fn only_health_and_readiness_are_for_probes() {
        for probe in ["/healthz", "/readyz"] {
            assert!(route(probe).is_probe(), "{probe}");
        }
        for other in [
            "/mcp",
            "/crm/mcp",
            "/sse",
            "/messages",
            "/metrics",
            "/",
            "/healthz/",
            "/readyz/mcp",
            "/x/healthz",
        ] {
            assert!(!route(other).is_probe(), "{other}");
        }
    }
}
