//! Finding out what a server behind a URL speaks (versioning, "Backward compatibility"; transports).

use std::sync::Arc;

use protocol::{Call, Capabilities, Era, Method, Raw, Revision, RpcError, code, latest};

use crate::core::{Core, Stats};
use crate::http::{HttpLink, ModernHttp};
use crate::legacy::LegacyHttp;
use crate::options::HttpTransport;
use crate::pipe::{Dial, PipePool};
use crate::{Body, CallContext, CallError, CallErrorKind, Outcome, Reply};

/// The connector that fits the server.
pub(crate) enum Connector {
    ModernHttp(ModernHttp),
    LegacyHttp(LegacyHttp),
    Pipe(PipePool),
}

/// A connector, and what the server said of itself.
pub(crate) struct Found {
    pub connector: Connector,
    pub revision: Revision,
    pub discover: Raw,
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
                return Ok(Found { connector, revision: Revision::NEWEST, discover });
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
    let permit = core.slot().await?;
    match probe.call(&CallContext::own(), &call, permit).await {
        Ok(Reply::Ready(Outcome::Result(Body::Whole(discover)))) if serves_modern(&discover) => {
            Ok(Modern::Yes(discover))
        }
        Ok(Reply::Ready(Outcome::Error(error))) => Ok(modern_by_error(&error)),
        Ok(_) => Ok(Modern::No("server/discover names no revision that the gateway speaks".to_owned())),
        Err(error) if is_no_modern_server(&error) => Ok(Modern::No(error.to_string())),
        Err(error) => Err(error),
    }
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
    let (revision, discover) = (session.handshake.revision, session.handshake.discover.clone());
    Ok(Found { connector: Connector::LegacyHttp(http), revision, discover })
}

async fn sse_pair(core: &Arc<Core>, link: HttpLink) -> Result<Found, CallError> {
    pipe(PipePool::new(Arc::clone(core), Dial::SsePair(link))).await
}

/// Greets the server on a channel.
pub(crate) async fn pipe(pool: PipePool) -> Result<Found, CallError> {
    let lease = pool.lease(&CallContext::own().principal, &Capabilities::none(), false).await?;
    let (revision, discover) = match &lease.channel().spoken {
        crate::pipe::Spoken::Modern { discover } => (Revision::NEWEST, discover.clone()),
        crate::pipe::Spoken::Legacy(handshake) => (handshake.revision, handshake.discover.clone()),
    };
    drop(lease);
    Ok(Found { connector: Connector::Pipe(pool), revision, discover })
}
