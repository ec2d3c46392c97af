//! What goes to upstreams, for metrics and traces.

use std::borrow::Cow;
use std::time::Duration;

use model::{NewSpan, Span, SpanKind, UpstreamName};
use protocol::Revision;
use upstream::{Ended, Ending, Observer, Options, Request, Target as Reached};

use super::Watch;
use super::operation::{describe, finish};
use crate::metrics::{Asked, ErrorType, Target, method_word};

fn transport(upstream: &Options) -> &'static str {
    match upstream.target {
        Reached::Http { .. } | Reached::Api { .. } => "tcp",
        Reached::Stdio(_) => "pipe",
    }
}

impl Observer for Watch {
    fn leaves(&self, request: &Request<'_>) -> Option<Box<dyn Span>> {
        let tracer = self.tracer.as_ref()?;
        let method = method_word(&request.call.method);
        let name = match request.tool {
            Some(tool) => format!("{method} {tool}"),
            None => method.to_owned(),
        };
        let (kind, parent) = (SpanKind::Client, request.parent);
        let mut span = tracer.start(NewSpan { kind, name, parent, link: None });
        if !span.is_recording() {
            return Some(span);
        }
        span.set("mcp.method.name", request.call.method.as_str().to_owned().into());
        span.set("mcp.protocol.version", request.revision.as_str().into());
        span.set("network.transport", transport(request.upstream).into());
        let id = request.id.raw();
        span.set("jsonrpc.request.id", id.as_str().map_or_else(|| id.to_string(), Cow::into_owned).into());
        let url = match &request.upstream.target {
            Reached::Http { url, .. } => Some(url),
            Reached::Api { api, .. } => api.home(),
            Reached::Stdio(_) => None,
        };
        if let Some(url) = url {
            span.set("network.protocol.name", "http".into());
            let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
            span.set("server.address", url.host().unwrap_or_default().to_owned().into());
            span.set("server.port", port.into());
        }
        span.set("tidegate.upstream", request.upstream.name.as_str().to_owned().into());
        describe(&mut *span, request.call);
        Some(span)
    }

    fn ended(&self, ended: &Ended<'_>, span: Option<Box<dyn Span>>) {
        let error = ErrorType::of(ended.ending);
        let status = match ended.ending {
            Ending::Error { code, .. } => Some(*code),
            _ => None,
        };
        let target = ended.tool.cloned().map(Target::Tool);
        let asked = Asked {
            method: ended.method,
            target: target.as_ref(),
            revision: ended.revision,
            transport: transport(ended.upstream),
        };
        self.metrics.asked(&asked, &ended.upstream.name, &error, status, ended.took);
        if let Some(mut span) = span {
            finish(&mut *span, ended.ending, &error);
        }
    }

    fn session_ended(&self, upstream: &UpstreamName, revision: Revision, lasted: Duration) {
        self.metrics.upstream_session(upstream, revision, lasted);
    }
}
