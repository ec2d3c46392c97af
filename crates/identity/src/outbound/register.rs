//! Who the gateway is at an authorization server that it learns of on its way (MCP authorization, "Client
//! Registration Approaches"): whom the operator registered, else a document that it publishes (CIMD), else
//! whom the server makes of it (RFC 7591).

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use model::Principal;
use serde_json::{Map, Value, json};

use super::exchange::{Client, short};
use super::grant::{UNUSED, hashed};
use super::{ClientProof, ServiceError};
use crate::fetch::{Fetch, is_loopback};
use crate::metadata::Metadata;
use crate::vault::{Place, Vault};

/// How tokens are asked for that the gateway can do, the simplest last.
const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];

/// Who the operator says that the gateway is.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Whom the operator registered.
    pub registered: Option<Client>,
    /// Where the gateway's document is; `None`: there is none.
    pub document: Option<String>,
    /// The gateway's name, for people.
    pub name: String,
}

/// A place in the vault that belongs to no user.
pub(super) fn nobody() -> Principal {
    Principal::new("", "")
}

/// Where the gateway registers.
pub(super) struct Desk<'a> {
    pub identity: &'a Identity,
    pub fetch: &'a dyn Fetch,
    pub vault: &'a dyn Vault,
    pub upstream: &'a str,
    pub metadata: &'a Metadata,
    /// Whether the operator wrote the host of the authorization server.
    pub trusted: bool,
}

impl Desk<'_> {
    /// Who the gateway is there, found or made. `redirect` is where users come back.
    pub async fn client(&self, redirect: &str, scopes: &str) -> Result<Client, ServiceError> {
        if let Some(client) = &self.identity.registered {
            return Ok(client.clone());
        }
        if let Some(document) = self
            .identity
            .document
            .as_ref()
            .filter(|_| self.metadata.flag("client_id_metadata_document_supported"))
        {
            return Ok(public(document));
        }
        if let Some(known) = self.known(redirect).await? {
            return Ok(known);
        }
        let client = self.register(redirect, scopes).await?;
        self.keep(redirect, &client).await?;
        Ok(client)
    }

    /// The client of this id, as it was when the user gave his consent.
    pub async fn client_of(&self, id: &str, redirect: &str) -> Result<Client, ServiceError> {
        if let Some(client) = self.identity.registered.as_ref().filter(|client| client.id == id) {
            return Ok(client.clone());
        }
        if self.identity.document.as_deref() == Some(id) {
            return Ok(public(id));
        }
        let known = self.known(redirect).await?.filter(|client| client.id == id);
        let gone =
            || ServiceError::Proof("it is no longer registered as the client of this grant".to_owned());
        known.ok_or_else(gone)
    }

    /// Registrations are of one issuer: another one never sees them.
    fn name(&self, redirect: &str) -> String {
        hashed("client", &[self.upstream, &self.metadata.issuer, redirect])
    }

    async fn known(&self, redirect: &str) -> Result<Option<Client>, ServiceError> {
        let (principal, name) = (nobody(), self.name(redirect));
        let place = Place { principal: &principal, upstream: self.upstream, name: &name };
        let kept = self.vault.get(place).await?;
        Ok(kept.and_then(|kept| read(&kept.data)))
    }

    async fn keep(&self, redirect: &str, client: &Client) -> Result<(), ServiceError> {
        let (principal, name) = (nobody(), self.name(redirect));
        let place = Place { principal: &principal, upstream: self.upstream, name: &name };
        let secret = match &client.proof {
            Some(ClientProof::Secret(secret)) => Some(secret),
            _ => None,
        };
        let text = json!({"id": client.id, "secret": secret, "method": client.method}).to_string();
        let before = self.vault.get(place).await?.map_or(0, |kept| kept.version);
        // Where somebody else has registered meanwhile, the last one counts for both.
        self.vault.put(place, before, text.as_bytes(), UNUSED * 4).await?;
        Ok(())
    }

    /// Asks the server to know the gateway (RFC 7591).
    async fn register(&self, redirect: &str, scopes: &str) -> Result<Client, ServiceError> {
        let issuer = &self.metadata.issuer;
        if self.metadata.text("registration_endpoint").is_none() {
            let what = "clients that nobody registered: give auth.client_id";
            return Err(ServiceError::Unsupported { issuer: issuer.clone(), what });
        }
        let url = self.metadata.url("registration_endpoint")?;
        let takes = self.metadata.list("token_endpoint_auth_methods_supported");
        let method = match &takes {
            Some(takes) => METHODS.into_iter().find(|known| takes.contains(known)),
            None => Some(METHODS[0]),
        };
        let what = "any way of client authentication that the gateway knows";
        let method = method.ok_or_else(|| ServiceError::Unsupported { issuer: issuer.clone(), what })?;
        let local = redirect.parse::<Uri>().is_ok_and(|url| url.host().is_some_and(is_loopback));
        let mut asked = json!({
            "client_name": self.identity.name,
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
            // SEP-837: a redirect to this machine is that of a native application.
            "application_type": if local { "native" } else { "web" },
        });
        if !scopes.is_empty() {
            asked["scope"] = json!(scopes);
        }
        let document = match self.ask_to_register(&url, &asked).await {
            // Some take no scopes there that they give later.
            Err(ServiceError::Refused { error, .. })
                if error == "invalid_client_metadata" && asked.get("scope").is_some() =>
            {
                if let Some(members) = asked.as_object_mut() {
                    members.remove("scope");
                }
                self.ask_to_register(&url, &asked).await?
            }
            answered => answered?,
        };
        let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
        let fault = || "its registration names no client_id".to_owned();
        let id = text("client_id")
            .ok_or_else(|| ServiceError::Wrong { issuer: issuer.clone(), fault: fault() })?;
        let proof = text("client_secret").map(ClientProof::Secret);
        // The server has the last word (RFC 7591, section 3.2.1).
        let method = text("token_endpoint_auth_method").unwrap_or_else(|| method.to_owned());
        let proof = proof.filter(|_| method != "none");
        Ok(Client { id, proof, method: Some(method) })
    }

    async fn ask_to_register(&self, url: &Uri, asked: &Value) -> Result<Map<String, Value>, ServiceError> {
        let mut request = Request::new(Bytes::from(asked.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.fetch.send(request, self.trusted).await?;
        let document: Map<String, Value> = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(document);
        }
        let error = document.get("error").and_then(Value::as_str);
        let error = error.map_or_else(|| format!("it answers {}", answer.status()), short);
        Err(ServiceError::Refused { issuer: self.metadata.issuer.clone(), error })
    }
}

fn public(id: &str) -> Client {
    Client { id: id.to_owned(), proof: None, method: Some("none".to_owned()) }
}

fn read(data: &[u8]) -> Option<Client> {
    let members: Map<String, Value> = serde_json::from_slice(data).ok()?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Client { id: text("id")?, proof: text("secret").map(ClientProof::Secret), method: text("method") })
}
