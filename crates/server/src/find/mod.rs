//! The tools that find, describe and call others, where an endpoint offers them.
//!
//! What is called through them is called as if its client had called it: the call is unwrapped before
//! anything is decided, counted or recorded, and from there on nobody knows another tool than the one inside.

mod index;

use std::collections::HashMap;
use std::sync::Arc;

use catalog::{Kind, MISSING};
use finding::{Ask, CALL, DESCRIBE, Entry, Hit, SEARCH, definitions};
use protocol::json::{Object, array};
use protocol::latest::meta;
use protocol::{Call, Method, Raw, RpcError};
use serde_json::json;
use upstream::Reply;

use crate::app::Exchange;
use crate::{checks, hosted, may, rates};

pub(crate) use index::Finder;
use index::Indexed;

/// How long the list of these tools may be kept, in milliseconds: another configuration has others.
const LIST_TTL_MS: u64 = 60_000;

/// The endpoints that offer these tools, by name.
pub(crate) fn finders(config: &config::Config) -> HashMap<String, Arc<Finder>> {
    let finder = |(name, endpoint): (&String, &config::Endpoint)| {
        Some((name.clone(), Arc::new(Finder::new(endpoint.find.as_ref()?))))
    };
    config.endpoints.iter().filter_map(finder).collect()
}

/// What finds tools here, for a request that a client made itself.
fn finder(x: &Exchange) -> Option<&Arc<Finder>> {
    if x.generation.finders.is_empty() || x.through || x.hosted.is_some() {
        return None;
    }
    x.generation.finders.get(x.endpoint.name())
}

/// The name of the tool that is called, where it is one of these.
fn own_tool(call: &Call) -> Option<&'static str> {
    if call.method != Method::ToolsCall {
        return None;
    }
    let name = call.text("name")?;
    [SEARCH, DESCRIBE, CALL].into_iter().find(|own| **own == *name)
}

/// The call that a call of `call` is, with all that stands beside its name and arguments. `None`: it is
/// another one.
///
/// # Errors
/// Where its arguments name nothing that can be called.
pub(crate) fn inner(x: &Exchange, call: &Call) -> Result<Option<Call>, RpcError> {
    if finder(x).is_none() || own_tool(call) != Some(CALL) {
        return Ok(None);
    }
    let Ask::Call { name, arguments } = ask(call)? else { return Ok(None) };
    let arguments = arguments.unwrap_or_else(|| Object::empty().raw());
    Ok(Some(call.with("name", Some(Raw::string(&name))).with("arguments", Some(arguments))))
}

/// The same of parameters that are not read yet. What cannot be read is refused elsewhere.
pub(crate) fn inner_params(x: &Exchange, method: &Method, params: Option<&Raw>) -> Option<Raw> {
    finder(x)?;
    let call = Call::read(method.clone(), params).ok()?;
    Some(inner(x, &call).ok()??.params.raw())
}

fn ask(call: &Call) -> Result<Ask, RpcError> {
    let arguments = call.params.get("arguments");
    let name = call.text("name").unwrap_or_default();
    Ask::read(&name, arguments.as_ref())
        .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}")))
}

/// Answers what is asked of these tools, and their list. `None`: it is asked for something else.
///
/// # Errors
/// What there is to say against the request.
pub(crate) async fn serve(x: &Exchange, call: &Call) -> Result<Option<Reply>, RpcError> {
    let Some(finder) = finder(x) else { return Ok(None) };
    if call.method == Method::ToolsList {
        let admitted = rates::admit_list(x, call).await?;
        return list(x, finder, call).await.map(|list| Some(admitted.over(Reply::result(list))));
    }
    if own_tool(call).is_none() {
        return Ok(None);
    }
    if let Some(noted) = &x.noted {
        noted.discloses();
    }
    let admitted = rates::admit_list(x, call).await?;
    let result = match ask(call)? {
        Ask::Search { query, limit, server } => {
            let limit = limit.unwrap_or(finder.limit);
            search(x, finder, (&query, limit, server.as_deref())).await?
        }
        Ask::Describe { names } => describe(x, finder, &names).await?,
        // It was unwrapped before.
        Ask::Call { .. } => return Ok(None),
    };
    Ok(Some(admitted.over(Reply::result(result))))
}

/// The list of tools: these alone, or these first.
async fn list(x: &Exchange, finder: &Finder, call: &Call) -> Result<Raw, RpcError> {
    let own = definitions(finder.limit);
    let cursor = call.params.get("cursor").filter(|cursor| !cursor.is_null());
    if finder.beside {
        let sieve = may::Sieve::of(x);
        let sieve = sieve.as_ref().map(|sieve| sieve as &dyn catalog::Sieve);
        let list = x.endpoint.list(Kind::Tools, &x.caller, cursor.as_ref(), sieve).await?;
        let list = checks::listed(x, Kind::Tools, hosted::mark_tools(x, list)).await?;
        return Ok(beside(list, own, cursor.is_none()));
    }
    if cursor.is_some() {
        return Err(RpcError::invalid_params("Invalid cursor: start the list again"));
    }
    let entries = json!({meta::SERVER_INFO: x.app.server_info.to_value()});
    let tail =
        json!({"resultType": "complete", "ttlMs": LIST_TTL_MS, "cacheScope": "private", "_meta": entries});
    let Ok(Some(object)) = Raw::from_value(&tail).object() else { return Ok(Raw::from_value(&tail)) };
    Ok(object.edit().set("tools", array(&own)).finish())
}

/// A page of a list with these tools first, and without others of their names.
fn beside(list: Raw, own: [Raw; 3], first: bool) -> Raw {
    let Ok(Some(object)) = list.object() else { return list };
    let Some(tools) = object.get("tools").and_then(|tools| tools.items()) else { return list };
    let others = tools.into_iter().filter(|tool| {
        let name = tool.get("name");
        let name = name.as_ref().and_then(Raw::as_str).unwrap_or_default();
        ![SEARCH, DESCRIBE, CALL].contains(&&*name)
    });
    let own = own.into_iter().filter(|_| first);
    let tools: Vec<Raw> = own.chain(others).collect();
    object.edit().set("tools", array(&tools)).finish()
}

/// A tool that may be shown, with the upstream that it belongs to.
type Shown = (String, Entry);

async fn search(
    x: &Exchange,
    finder: &Finder,
    (query, limit, server): (&str, usize, Option<&str>),
) -> Result<Raw, RpcError> {
    let (indexed, missing) = finder.indexed(x).await?;
    let found = seeing(x, &indexed, |may| {
        let hits = indexed.index.search(query, limit, server, may);
        hits.iter().map(|hit| (hit.group.to_owned(), hit.entry.clone())).collect()
    });
    let shown = checked(x, found).await?;
    let hits: Vec<Hit<'_>> = shown.iter().map(|(group, entry)| Hit { entry, group, score: 0.0 }).collect();
    Ok(with_missing(finding::found(&hits), missing))
}

async fn describe(x: &Exchange, finder: &Finder, names: &[String]) -> Result<Raw, RpcError> {
    let (indexed, missing) = finder.indexed(x).await?;
    let found = seeing(x, &indexed, |may| {
        let entries = indexed.index.describe(names.iter().map(String::as_str), may);
        entries.filter_map(|raw| Some((String::new(), Entry::read(raw)?))).collect()
    });
    let shown = checked(x, found).await?;
    let entries: Vec<&Raw> = shown.iter().map(|(_, entry)| &entry.definition).collect();
    Ok(with_missing(finding::described(names, &entries), missing))
}

/// Looks into an index with the eyes of whoever asks: by the same decisions as his lists are made of.
fn seeing<T>(x: &Exchange, indexed: &Indexed, look: impl FnOnce(&dyn Fn(&str, &Entry) -> bool) -> T) -> T {
    let Some(sieve) = may::Sieve::of(x) else { return look(&|_, _| true) };
    let allows = catalog::Sieve::open(&sieve);
    look(&|upstream, entry| {
        // One whose own name is not known is decided on by nobody, and seen by nobody.
        let own = indexed.own.get(&entry.name);
        own.is_some_and(|own| allows(Kind::Tools, upstream, own, &entry.definition))
    })
}

/// The same as far as it passes what lists have to pass.
async fn checked(x: &Exchange, found: Vec<Shown>) -> Result<Vec<Shown>, RpcError> {
    if found.is_empty() {
        return Ok(found);
    }
    let entries = array(found.iter().map(|(_, entry)| &entry.definition));
    let list = Object::empty().edit().set("tools", entries).finish();
    let passed = checks::listed(x, Kind::Tools, list.clone()).await?;
    if passed == list {
        return Ok(found);
    }
    let groups: HashMap<String, String> =
        found.into_iter().map(|(group, entry)| (entry.name, group)).collect();
    let tools = passed.get("tools").and_then(|tools| tools.items()).unwrap_or_default();
    let read = |tool: &Raw| {
        let entry = Entry::read(tool)?;
        Some((groups.get(&entry.name)?.clone(), entry))
    };
    Ok(tools.iter().filter_map(read).collect())
}

/// A result that says which upstreams could not be asked, as a list does.
fn with_missing(result: Raw, missing: Option<Raw>) -> Raw {
    let (Some(missing), Ok(Some(object))) = (missing, result.object()) else { return result };
    let entries = Object::empty().edit().set(MISSING, missing).finish();
    object.edit().set("_meta", entries).finish()
}
