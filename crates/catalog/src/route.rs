//! Where a call goes: the upstream that a name or a URI belongs to, and what it is called there.

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::headers::ParamRule;
use protocol::json::Object;
use protocol::{Call, Method, Raw, Revision, RpcError};
use serde_json::json;

use crate::endpoint::Endpoint;
use crate::handles::SessionUse;
use crate::listing::{Kind, Listing};
use crate::names::Own;
use crate::source::{Caller, ListError, Source};
use crate::uris;

/// Where a call goes.
pub struct Routed {
    /// The upstream.
    pub source: Arc<Source>,
    /// The call as that upstream knows it.
    pub call: Call,
    /// The tool's `x-mcp-header` rules.
    pub rules: Option<Arc<[ParamRule]>>,
    /// The URI as the client knows it, where that is another one.
    pub wrapped: Option<(String, String)>,
    /// What the call has to do with sessions, where they are opened and closed by handles.
    pub session: Option<SessionUse>,
    /// The hash of the definition by which it is called, where definitions are pinned.
    pub pin: Option<Arc<str>>,
    /// Whether it says something else than the client said: no header of the client's repeats that.
    pub remade: bool,
}

impl Endpoint {
    /// Where a call goes, and what it is called there.
    ///
    /// # Errors
    /// -32602 for a name that is unknown or not offered here (nobody learns which), -32601 for a method
    /// that has no place here.
    pub async fn route(&self, caller: &Caller, call: &Call) -> Result<Routed, RpcError> {
        match &call.method {
            Method::ToolsCall => self.route_name(Kind::Tools, caller, call).await,
            Method::PromptsGet => self.route_name(Kind::Prompts, caller, call).await,
            Method::ResourcesRead => Box::pin(self.route_uri(caller, call)).await,
            Method::Complete => Box::pin(self.route_completion(caller, call)).await,
            _ => match self.parts() {
                [only] if self.is_direct() => Ok(Routed {
                    source: only.source.of(&caller.principal),
                    call: call.clone(),
                    rules: None,
                    wrapped: None,
                    session: None,
                    pin: None,
                    remade: false,
                }),
                _ => Err(RpcError::method_not_found(call.method.as_str())),
            },
        }
    }

    async fn route_name(&self, kind: Kind, caller: &Caller, call: &Call) -> Result<Routed, RpcError> {
        let Some(name) = call.text("name") else {
            return Err(RpcError::invalid_params("Invalid params: \"name\" must be a string"));
        };
        let (part, own) = self.find_name(kind, caller, &name).await?;
        let source = self.parts()[part].source.of(&caller.principal);
        let pin = admit(&source, (kind, &own), caller, &name).await?;
        let call = if own == name { call.clone() } else { call.with("name", Some(Raw::string(&own))) };
        let rules = match kind {
            Kind::Tools => {
                rules_of(&source, caller, &own).await.map_err(|Unusable| unknown("tool", &name))?
            }
            _ => None,
        };
        let session = match kind {
            Kind::Tools if source.has_handles() => {
                source.session_use(caller, &own).await.map_err(|error| match error {
                    ListError::None => unknown("tool", &name),
                    ListError::Call(error) => error.to_rpc(),
                    ListError::Rpc(error) => error,
                })?
            }
            _ => None,
        };
        Ok(Routed { source, call, rules, wrapped: None, session, pin, remade: false })
    }

    /// The upstream that a name belongs to, and its own name for it.
    async fn find_name(&self, kind: Kind, caller: &Caller, name: &str) -> Result<(usize, String), RpcError> {
        let what = if kind == Kind::Tools { "tool" } else { "prompt" };
        let unknown = || unknown(what, name);
        for (part, p) in self.parts().iter().enumerate() {
            let own = match p.naming.own(name) {
                Own::NotOurs => continue,
                Own::Is(own) => own.to_owned(),
                Own::Cut(own) => {
                    let list = Box::pin(p.source.of(&caller.principal).known(kind, caller)).await.ok();
                    let cut = |l: &Arc<Listing>| {
                        l.items.iter().find(|i| p.naming.exposed(&i.key) == name).map(|i| i.key.to_string())
                    };
                    list.as_ref().and_then(cut).unwrap_or_else(|| own.to_owned())
                }
            };
            return if self.allows(kind, part, &own) { Ok((part, own)) } else { Err(unknown()) };
        }
        Err(unknown())
    }

    async fn route_uri(&self, caller: &Caller, call: &Call) -> Result<Routed, RpcError> {
        let Some(uri) = call.text("uri") else {
            return Err(RpcError::invalid_params("Invalid params: \"uri\" must be a string"));
        };
        let Some((part, own)) = self.find_uri(caller, &uri).await else {
            return Err(unknown_resource(&uri));
        };
        let source = self.parts()[part].source.of(&caller.principal);
        let admitted = source.admit_uri(caller, &own).await;
        admitted.map_err(|refused| refused.answer("resource", &uri, || unknown_resource(&uri)))?;
        let (call, wrapped) = match own == uri {
            true => (call.clone(), None),
            false => (call.with("uri", Some(Raw::string(&own))), Some((own, uri))),
        };
        Ok(Routed { source, call, rules: None, wrapped, session: None, pin: None, remade: false })
    }

    /// The upstream that a URI belongs to, and its own URI.
    pub async fn find_uri(&self, caller: &Caller, uri: &str) -> Option<(usize, String)> {
        let named = uris::unwrap(uri).and_then(|(upstream, own)| {
            let part = self.parts().iter().position(|p| p.source.upstream().name().as_str() == upstream)?;
            Some((part, own.to_owned()))
        });
        let found = match (self.parts(), named) {
            // Nothing is wrapped where nothing can collide.
            ([_], _) => (0, uri.to_owned()),
            (_, Some(named)) => named,
            (_, None) => (self.best_fit(caller, uri).await?, uri.to_owned()),
        };
        self.allows(Kind::Resources, found.0, &found.1).then_some(found)
    }

    /// The upstream that a URI which names none fits best.
    pub(crate) async fn best_fit(&self, caller: &Caller, uri: &str) -> Option<usize> {
        let fits = join_all(self.parts().iter().enumerate().map(|(at, p)| async move {
            if !self.has(at) {
                return (false, None);
            }
            let source = p.source.of(&caller.principal);
            let resources = source.known(Kind::Resources, caller).await.ok();
            let templates = source.known(Kind::Templates, caller).await.ok();
            let has_any = resources.is_some() || templates.is_some();
            (has_any, uris::fit(uri, resources.as_deref(), templates.as_deref()))
        }))
        .await;
        let best = fits.iter().filter_map(|(_, fit)| *fit).max();
        match best {
            // Of several that fit equally the first counts: the later's URIs are given out wrapped.
            Some(best) => fits.iter().position(|(_, fit)| *fit == Some(best)),
            None => {
                let mut holders = fits.iter().enumerate().filter(|(_, (has_any, _))| *has_any);
                match (holders.next(), holders.next()) {
                    (Some((only, _)), None) => Some(only),
                    _ => None,
                }
            }
        }
    }

    async fn route_completion(&self, caller: &Caller, call: &Call) -> Result<Routed, RpcError> {
        let invalid = || RpcError::invalid_params("Invalid params: \"ref\" must name a prompt or a resource");
        let reference = call.params.get("ref").and_then(|r| r.object().ok().flatten()).ok_or_else(invalid)?;
        let text = |name: &str| reference.get(name).and_then(|v| v.as_str().map(|s| s.into_owned()));
        let mut pin = None;
        let (part, member, own) = match text("type").as_deref() {
            Some("ref/prompt") => {
                let name = text("name").ok_or_else(invalid)?;
                let (part, own) = self.find_name(Kind::Prompts, caller, &name).await?;
                let source = self.parts()[part].source.of(&caller.principal);
                pin = admit(&source, (Kind::Prompts, &own), caller, &name).await?;
                (part, "name", own)
            }
            Some("ref/resource") => {
                let uri = text("uri").ok_or_else(invalid)?;
                let unknown = || RpcError::invalid_params(format!("Resource not found: {uri}"));
                let (part, own) = self.find_uri(caller, &uri).await.ok_or_else(unknown)?;
                let source = self.parts()[part].source.of(&caller.principal);
                // Named by the template itself, or by a URI that fits one.
                let admitted = source.admit_template(caller, &own).await;
                admitted.map_err(|refused| refused.answer("resource", &uri, unknown))?;
                (part, "uri", own)
            }
            _ => return Err(invalid()),
        };
        let reference = reference.edit().set(member, Raw::string(&own)).finish();
        let call = call.with("ref", Some(reference));
        let source = self.parts()[part].source.of(&caller.principal);
        Ok(Routed { source, call, rules: None, wrapped: None, session: None, pin, remade: false })
    }
}

/// Whether it may be called, by its own name and as clients call it: the hash of its definition, where
/// definitions are pinned. What is pinned nowhere costs one look.
async fn admit(
    source: &Source,
    (kind, own): (Kind, &str),
    caller: &Caller,
    name: &str,
) -> Result<Option<Arc<str>>, RpcError> {
    if source.pinned().is_none() {
        return Ok(None);
    }
    let what = if kind == Kind::Tools { "tool" } else { "prompt" };
    let admitted = Box::pin(source.admit(kind, caller, own)).await;
    admitted.map_err(|refused| refused.answer(what, name, || unknown(what, name)))
}

/// The error of a name that means nothing here.
#[must_use]
pub fn unknown(what: &str, name: &str) -> RpcError {
    RpcError::invalid_params(format!("Unknown {what}: {name}"))
}

/// The error of a URI that nobody has.
#[must_use]
pub fn unknown_resource(uri: &str) -> RpcError {
    RpcError::invalid_params(format!("Resource not found: {uri}")).with(json!({"uri": uri}))
}

/// A tool that a client must not use.
struct Unusable;

/// The rules of a tool. They are needed before the call, so a modern server's list is fetched where it is
/// unknown.
async fn rules_of(
    source: &Source,
    caller: &Caller,
    tool: &str,
) -> Result<Option<Arc<[ParamRule]>>, Unusable> {
    let modern = source.upstream().health().revision.is_none_or(|r| r >= Revision::NEWEST);
    let list = match source.cached(Kind::Tools, caller) {
        None if modern => Box::pin(source.known(Kind::Tools, caller)).await.ok(),
        cached => cached,
    };
    let Some(list) = list else { return Ok(None) };
    match list.get(tool) {
        Some(item) => Ok(item.rules.clone()),
        // What is not listed passes: the upstream knows best. What may not be called does not.
        None if list.is_unusable(tool) => Err(Unusable),
        None => Ok(None),
    }
}

impl Routed {
    /// Says something else there than the client did.
    pub fn remake(&mut self, member: &str, value: Raw) {
        self.call = self.call.with(member, Some(value));
        self.remade = true;
    }

    /// A result with the URIs that the client knows.
    #[must_use]
    pub fn shape(&self, result: Raw) -> Raw {
        let Some((own, given)) = &self.wrapped else { return result };
        let Some(object) = result.object().ok().flatten() else { return result };
        let Some(contents) = object.get("contents").and_then(|c| c.items()) else { return result };
        let contents: Vec<Raw> = contents
            .into_iter()
            .map(|item| match item.object() {
                Ok(Some(o)) if is_text(&o, "uri", own) => o.edit().set("uri", Raw::string(given)).finish(),
                _ => item,
            })
            .collect();
        object.edit().set("contents", protocol::json::array(&contents)).finish()
    }
}

fn is_text(object: &Object, member: &str, text: &str) -> bool {
    object.get(member).is_some_and(|v| v.as_str().as_deref() == Some(text))
}
