//! Finding out what a server behind a URL speaks (versioning, "Backward compatibility"; transports).

use std::sync::Arc;

use protocol::{Call, Capabilities, Era, Method, Raw, Revision, RpcError, code, latest};

use crate::api::ApiHttp;
use crate::core::{Core, Stats};
use crate::http::{HttpLink, ModernHttp};
use crate::legacy::{Handshake, LegacyHttp};
use crate::options::HttpTransport;
use crate::pipe::{Dial, PipePool};
use crate::{Body, CallContext, CallError, CallErrorKind, Outcome, Reply};

/// The connector that fits the server.
pub(crate) enum Connector {
    ModernHttp(ModernHttp),
    LegacyHttp(LegacyHttp),
    Pipe(PipePool),
    Api(ApiHttp),
}

/// A connector, and what the server said of itself.
pub(crate) struct Found {
    pub connector: Connector,
    pub revision: Revision,
    pub discover: Raw,
    /// The experimental tasks of 2025-11-25, where it has them.
    pub tasks: Option<Raw>,
}

/// What is known of a modern server that has no `server/discover`.
pub(crate) const DISCOVER_UNKNOWN: &str = concat!(
    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
    r#""capabilities":{"tools":{},"resources":{},"prompts":{}},"ttlMs":0,"cacheScope":"private"}"#
);

/// Whether a `DiscoverResult` names the modern revision.
pub(crate) fn serves_modern(discover: &Raw) -> bool {
    let versions = discover.get("supportedVersions").and_then(|v| v.items()).unwrap_or_default();
    versions.iter().any(|v| v.as_str().as_deref() == Some(latest::DATE))
}

/// Finds out, or does as pinned.
pub(crate) async fn http(
    core: &Arc<Core>,
    link: HttpLink,
    transport: HttpTransport,
) -> Result<Found, CallError> {
    let pin = core.options.pin;
    let era = pin.map(Revision::era);
    if transport != HttpTransport::SsePair && era != Some(Era::Legacy) {
        match modern(core, &link).await? {
            Modern::Yes(discover) => {
                let connector = Connector::ModernHttp(ModernHttp { link });
                return Ok(Found { connector, revision: Revision::NEWEST, discover, tasks: None });
            }
            Modern::No(why) if era == Some(Era::Modern) => {
                return Err(core.error(CallErrorKind::OtherRevision).detail(why));
            }
            Modern::No(_) => {}
        }
    }
    let mut refused = None;
    if transport != HttpTransport::SsePair {
        match legacy(core, &link).await {
            Ok(found) => return Ok(found),
            Err(error) if error.kind != CallErrorKind::OtherRevision => return Err(error),
            Err(error) => refused = Some(error),
        }
    }
    if transport == HttpTransport::Streamable {
        return Err(refused.unwrap_or_else(|| core.error(CallErrorKind::OtherRevision)));
    }
    match sse_pair(core, link).await {
        Ok(found) => Ok(found),
        Err(error) => Err(refused.filter(|_| error.kind == CallErrorKind::OtherRevision).unwrap_or(error)),
    }
}

enum Modern {
    Yes(Raw),
    No(String),
}

async fn modern(core: &Arc<Core>, link: &HttpLink) -> Result<Modern, CallError> {
    Stats::add(&core.stats.probes);
    let probe = ModernHttp { link: link.clone() };
    let info = &core.options.client_info;
    let call = Call::own(Method::Discover, &Raw::literal("{}"), &Capabilities::none(), info);
    let mut reply = probe.call(&CallContext::own(), &call, core.slot().await?).await;
    if matches!(&reply, Ok(Reply::Ready(Outcome::Error(error))) if names_ours(error)) {
        reply = probe.call(&CallContext::own(), &call, core.slot().await?).await;
    }
    match reply {
        Ok(Reply::Ready(Outcome::Result(Body::Whole(discover)))) if serves_modern(&discover) => {
            Ok(Modern::Yes(discover))
        }
        Ok(Reply::Ready(Outcome::Error(error))) => Ok(modern_by_error(&error)),
        Ok(_) => Ok(Modern::No("server/discover names no revision that the gateway speaks".to_owned())),
        Err(error) if is_no_modern_server(&error) => Ok(Modern::No(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Whether a server refuses a version and names the modern one among those it supports: it is asked once
/// more, as a client that picks from the list would (versioning, "Version negotiation").
fn names_ours(error: &Raw) -> bool {
    let supported = error.get("data").and_then(|d| d.get("supported")).and_then(|s| s.items());
    RpcError::read(error).code == code::UNSUPPORTED_VERSION
        && supported.unwrap_or_default().iter().any(|v| v.as_str().as_deref() == Some(latest::DATE))
}

/// A server that knows the modern errors is a modern server, even if this one request was not to its liking.
fn modern_by_error(error: &Raw) -> Modern {
    let read = RpcError::read(error);
    match read.code {
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY => Modern::Yes(Raw::literal(DISCOVER_UNKNOWN)),
        _ => Modern::No(format!("server/discover gave error {}: {}", read.code, read.message)),
    }
}

fn is_no_modern_server(error: &CallError) -> bool {
    match error.kind {
        CallErrorKind::OtherRevision | CallErrorKind::Invalid => true,
        CallErrorKind::Status(status) => (400..500).contains(&status) || status == 501,
        _ => false,
    }
}

async fn legacy(core: &Arc<Core>, link: &HttpLink) -> Result<Found, CallError> {
    let http = LegacyHttp::new(Arc::clone(core), link.clone());
    let session = http.session(&CallContext::own().principal, &Capabilities::none()).await?;
    let Some(Handshake { revision, discover, tasks, .. }) = session.handshake.clone() else {
        return Err(core.error(CallErrorKind::Invalid));
    };
    Ok(Found { connector: Connector::LegacyHttp(http), revision, discover, tasks })
}

async fn sse_pair(core: &Arc<Core>, link: HttpLink) -> Result<Found, CallError> {
    pipe(PipePool::new(Arc::clone(core), Dial::SsePair(link))).await
}

/// Greets the server on a channel.
pub(crate) async fn pipe(pool: PipePool) -> Result<Found, CallError> {
    let lease = pool.lease(&CallContext::own().principal, &Capabilities::none(), false).await?;
    let (revision, discover, tasks) = match &lease.channel().spoken {
        crate::pipe::Spoken::Modern { discover } => (Revision::NEWEST, discover.clone(), None),
        crate::pipe::Spoken::Legacy(h) => (h.revision, h.discover.clone(), h.tasks.clone()),
    };
    drop(lease);
    Ok(Found { connector: Connector::Pipe(pool), revision, discover, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Scripted, upstream};

    const DISCOVER: &str = concat!(
        r#"{"jsonrpc":"2.0","id":ID,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
        r#""capabilities":{"tools":{}}}}"#
    );

    fn refusal(supported: &str) -> String {
        let data = format!(r#"{{"supported":[{supported}],"requested":"2026-07-28"}}"#);
        let error = format!(r#"{{"code":-32022,"message":"Unsupported protocol version","data":{data}}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":ID,"error":{error}}}"#)
    }

    #[tokio::test]
    async fn a_server_that_refuses_a_version_and_names_it_as_supported_is_asked_once_more() {
        let mut server = Scripted::start().await;
        let upstream = upstream(server.url());
        let asking = tokio::spawn(async move { upstream.discovery().await });
        server.next().await.answer("400 Bad Request", &refusal(r#""2026-07-28""#)).await;
        let again = server.next().await;
        assert!(again.body.contains("server/discover"), "{}", again.body);
        again.answer("200 OK", DISCOVER).await;
        let found = asking.await.expect("no panic").expect("a modern server");
        assert_eq!(found.revision, Revision::NEWEST);
    }

    #[tokio::test]
    async fn a_server_that_supports_other_versions_only_is_greeted_as_a_legacy_one() {
        let mut server = Scripted::start().await;
        let upstream = upstream(server.url());
        let asking = tokio::spawn(async move { upstream.discovery().await });
        server.next().await.answer("400 Bad Request", &refusal(r#""2025-11-25""#)).await;
        let greeting = server.next().await;
        assert!(greeting.body.contains(r#""method":"initialize""#), "{}", greeting.body);
        drop(greeting);
        assert!(asking.await.expect("no panic").is_err());
    }
}
