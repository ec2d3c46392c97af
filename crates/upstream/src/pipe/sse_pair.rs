//! HTTP+SSE (2024-11-05): one stream for everything that comes, and a second URL to post to. Newer revisions
//! are spoken over it too.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue};

use super::{Pipe, Writer};
use crate::http::{EventStream, HttpLink, refused_kind};
use crate::{CallError, CallErrorKind};

/// Opens the stream, learns where to post, and reads what comes until the stream ends.
pub(super) async fn open(link: &HttpLink) -> Result<Arc<Pipe>, CallError> {
    let core = &link.core;
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let response = link.send(http::Method::GET, headers, Bytes::new()).await?;
    if !response.status().is_success() {
        return Err(core.error(refused_kind(response.status().as_u16())));
    }
    if crate::http::media_type(response.headers()) != "text/event-stream" {
        return Err(core.error(CallErrorKind::OtherRevision).detail("GET gives no stream of events"));
    }
    let mut events = EventStream::new(Arc::clone(core), response.into_body());
    let post = loop {
        let Some(event) = events.event().await? else { return Err(core.error(CallErrorKind::OtherRevision)) };
        if event.event.as_deref() == Some("endpoint") {
            let text = String::from_utf8_lossy(&event.data).into_owned();
            let refused =
                || core.error(CallErrorKind::Invalid).detail("the endpoint event names another origin");
            break resolve(link.url(), &text).ok_or_else(refused)?;
        }
    };
    let pipe = Pipe::new(Arc::clone(core), Writer::Post(link.at(post)));
    let reader = Arc::clone(&pipe);
    tokio::spawn(async move {
        while let Ok(Some(event)) = events.event().await {
            if !event.data.is_empty() && event.event.as_deref().is_none_or(|kind| kind == "message") {
                reader.on_message(event.data);
            }
        }
        reader.close();
    });
    Ok(pipe)
}

/// Where to post, seen from the stream's URL. `None`: not on the same origin.
///
/// A server that could send our messages, credentials among them, to a host of its choice would be a way
/// round every rule about where the gateway may connect.
fn resolve(base: &Uri, target: &str) -> Option<Uri> {
    if target.starts_with("//") {
        return None;
    }
    if let Ok(uri) = target.parse::<Uri>()
        && uri.scheme().is_some()
    {
        let same = uri.scheme() == base.scheme() && uri.authority() == base.authority();
        return same.then_some(uri);
    }
    let path = if target.starts_with('/') {
        target.to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{target}")
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use model::{ManualClock, Principal, SeededRng};
    use protocol::{Capabilities, Raw, Revision};

    use super::*;
    use crate::core::Core;
    use crate::pipe::pool::{Dial, PipePool, Spoken};
    use crate::testing::{self, Scripted};

    #[test]
    fn messages_are_posted_to_the_same_origin_only() {
        let base: Uri = "http://127.0.0.1:9/a/sse".parse().expect("a URL");
        let at = |target| resolve(&base, target).map(|uri| uri.to_string());
        assert_eq!(at("/messages?s=1").as_deref(), Some("http://127.0.0.1:9/messages?s=1"));
        assert_eq!(at("messages").as_deref(), Some("http://127.0.0.1:9/a/messages"));
        assert_eq!(at("http://127.0.0.1:9/m").as_deref(), Some("http://127.0.0.1:9/m"));
        for other in
            ["http://127.0.0.1:8/m", "https://127.0.0.1:9/m", "//evil/m", "http://evil/m", "http://a b/"]
        {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn the_newest_legacy_revision_is_asked_for_and_what_the_server_chooses_is_spoken() {
        let mut server = Scripted::start().await;
        let (clock, rng) = (Arc::new(ManualClock::default()), Arc::new(SeededRng::new(1)));
        let core = Arc::new(Core::new(testing::options(server.url()), clock, rng, Arc::default()));
        let link = HttpLink::new(Arc::clone(&core), testing::http(), server.url(), &[]);
        let pool = PipePool::new(core, Dial::SsePair(link));
        let leasing = tokio::spawn(async move {
            let lease = pool.lease(&Principal::anonymous(), &Capabilities::none(), false).await?;
            match &lease.channel().spoken {
                Spoken::Legacy(handshake) => Ok::<_, CallError>(handshake.revision),
                Spoken::Modern { .. } => panic!("there is no modern pair"),
            }
        });
        let mut stream = server.next().await;
        stream.event("/messages\nevent: endpoint").await;
        let hello = server.next().await;
        assert!(hello.body.contains(r#""protocolVersion":"2025-11-25""#), "{}", hello.body);
        let asked = Raw::parse(hello.body.clone().into()).expect("JSON");
        let id = asked.get("id").expect("an id").to_string();
        hello.answer("202 Accepted", "").await;
        let chosen =
            r#""result":{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"s"}}"#;
        stream.event(&format!(r#"{{"jsonrpc":"2.0","id":{id},{chosen}}}"#)).await;
        server.next().await.answer("202 Accepted", "").await;
        assert_eq!(leasing.await.expect("no panic").expect("a lease"), Revision::V2024_11_05);
    }
}
