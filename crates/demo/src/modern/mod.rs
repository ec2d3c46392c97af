//! 2026-07-28: stateless, metadata on each request, questions as results.

mod headers;
mod listen;
pub(crate) mod meta;
mod rounds;

use ::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::call::{Asking, Call, Outcome, Outlet, Stop};
use crate::content;
use crate::legacy;
use crate::revision::Revision;
use crate::rpc::{self, Message, RpcError};
use crate::server::Server;

pub(crate) use listen::Listen;

/// Whether a request carries its version itself.
pub(crate) fn is_modern(message: &Message) -> bool {
    message.params()["_meta"].get(meta::VERSION).is_some()
}

/// What an admitted request is.
pub(crate) enum Admitted {
    Call(Call),
    Listen(Listen),
}

/// Checks a request before it runs. Headers where it came over HTTP.
pub(crate) fn admit(
    server: &Server,
    message: Message,
    headers: Option<&HeaderMap>,
    outlet: Outlet,
) -> Result<Admitted, RpcError> {
    let version = message.meta(meta::VERSION);
    if let Some(headers) = headers {
        headers::check_version(headers, version)?;
        headers::check_method(headers, &message)?;
    }
    check_version(server, version, headers)?;
    let capabilities = message.meta(meta::CAPABILITIES);
    if !capabilities.is_object() {
        return Err(RpcError::invalid_params(format!("_meta has an object {}", meta::CAPABILITIES)));
    }
    let listens = message.method() == "subscriptions/listen" && can_listen(server);
    if !(listens || message.method() == "server/discover" || content::has_method(server, message.method())) {
        return Err(RpcError::method_not_found(message.method()));
    }
    if let Some(headers) = headers {
        headers::check_arguments(headers, server, &message)?;
    }
    if listens {
        return Listen::new(server, &message).map(Admitted::Listen);
    }
    let asking = rounds::read(server, &message)?;
    let capabilities = capabilities.clone();
    Ok(Admitted::Call(Call::new(
        server.clone(),
        Revision::V2026_07_28,
        message,
        capabilities,
        outlet,
        asking,
    )))
}

fn can_listen(server: &Server) -> bool {
    let config = server.config();
    config.tools || config.resources || config.prompts
}

fn check_version(server: &Server, version: &Value, headers: Option<&HeaderMap>) -> Result<(), RpcError> {
    match version {
        Value::String(version) if version == Revision::V2026_07_28.as_str() => Ok(()),
        Value::String(version) => Err(legacy::unsupported(server, version)),
        // Without a version in the body the one in the header is what was meant.
        _ => match headers
            .and_then(headers::version)
            .filter(|header| *header != Revision::V2026_07_28.as_str())
        {
            Some(header) => Err(legacy::unsupported(server, header)),
            None => Err(RpcError::invalid_params(format!("_meta has a string {}", meta::VERSION))),
        },
    }
}

/// Runs an admitted request to its response.
pub(crate) async fn respond(call: Call) -> Value {
    let id = call.message.id().clone();
    let outcome = match call.method() {
        "server/discover" => Ok(discover(&call.server)),
        _ => content::run(&call).await,
    };
    let answer = finish(&call, outcome);
    call.finish();
    rpc::answer(&id, answer)
}

/// Answers `server/discover` to a stdio client that sent no metadata, so that it does not take the server for
/// an older one.
pub(crate) fn respond_discover(server: &Server, id: &Value) -> Value {
    let mut result = discover(server);
    add_hints(server, &mut result, server.config().ttl_ms);
    rpc::success(id, complete(server, result))
}

fn discover(server: &Server) -> Value {
    let mut result = json!({
        "supportedVersions": server.config().supported_versions(),
        "capabilities": server.capabilities(Revision::V2026_07_28),
    });
    if let Some(instructions) = &server.config().instructions {
        result["instructions"] = json!(instructions);
    }
    result
}

fn finish(call: &Call, outcome: Outcome) -> Result<Value, RpcError> {
    let mut result = match outcome {
        Ok(result) => result,
        Err(Stop::Ask(questions)) => return Ok(named(&call.server, rounds::ask(call, questions))),
        Err(Stop::Lacks(required)) => {
            return Err(RpcError::new(rpc::MISSING_CAPABILITY, "A client capability is missing")
                .with_data(json!({ "requiredCapabilities": required })));
        }
        Err(Stop::Failed(why)) => return Err(RpcError::new(rpc::INTERNAL_ERROR, why)),
        Err(Stop::Error(error)) if error.code == rpc::RESOURCE_NOT_FOUND => {
            return Err(RpcError { code: rpc::INVALID_PARAMS, ..error });
        }
        Err(Stop::Error(error)) => return Err(error),
    };
    let ttl_ms = call.server.config().ttl_ms;
    match call.method() {
        "tools/call" | "prompts/get" | "completion/complete" => {}
        "resources/read" => {
            let fixed = call.params()["uri"].as_str().is_some_and(content::resources::is_fixed);
            add_hints(&call.server, &mut result, if fixed && !is_retry(call) { ttl_ms } else { 0 });
        }
        _ => add_hints(&call.server, &mut result, ttl_ms),
    }
    Ok(complete(&call.server, result))
}

fn is_retry(call: &Call) -> bool {
    matches!(&call.asking, Asking::Rounds { given, .. } if !given.is_empty())
}

fn add_hints(server: &Server, result: &mut Value, ttl_ms: u64) {
    result["ttlMs"] = json!(ttl_ms);
    result["cacheScope"] = json!(server.config().cache_scope.as_str());
}

fn complete(server: &Server, mut result: Value) -> Value {
    result["resultType"] = json!("complete");
    named(server, result)
}

/// With the name of the server.
fn named(server: &Server, mut result: Value) -> Value {
    result["_meta"] = json!({ meta::SERVER_INFO: server.info(Revision::V2026_07_28) });
    result
}

/// The HTTP status of a response.
pub(crate) fn status(response: &Value) -> StatusCode {
    match response["error"]["code"].as_i64() {
        Some(rpc::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(
            rpc::HEADER_MISMATCH
            | rpc::MISSING_CAPABILITY
            | rpc::UNSUPPORTED_VERSION
            | rpc::PARSE_ERROR
            | rpc::INVALID_REQUEST,
        ) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
