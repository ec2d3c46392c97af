//! Host and Origin, checked before anything else.
//!
//! A browser that was lured to `evil.example` can reach a gateway on loopback: by a name that resolves
//! there (DNS rebinding: the `Host` is theirs) or by a cross-site request (the `Origin` is theirs). Both
//! are refused before the request is routed or read. Probes alone may come under any `Host`: what they ask
//! for is nobody's secret, and takes nothing but a look.

use config::{HostList, OriginList};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use crate::answer::{self, Answer};
use crate::route::route;

/// What a page may read of an answer's head.
const EXPOSED: &str = "mcp-session-id, mcp-protocol-version, www-authenticate, deprecation, sunset, link";

/// Who may come.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Host names that the gateway answers to.
    pub hosts: HostList,
    /// Origins whose pages may call.
    pub origins: OriginList,
    /// What clients reach the gateway by, where the operator says so: its own pages send forms.
    pub own: Option<String>,
}

impl Guard {
    /// The answer to a request that must not be served.
    pub(crate) fn refuse(&self, uri: &Uri, headers: &HeaderMap) -> Option<Answer> {
        if !route(uri.path()).is_probe() && !self.host_allowed(uri, headers) {
            return Some(answer::text(
                StatusCode::FORBIDDEN,
                "This gateway does not answer to that Host. See `hosts`.\n",
            ));
        }
        if route(uri.path()).is_for_any_page() {
            return None;
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let fits = match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => origin
                .to_str()
                .is_ok_and(|origin| self.origins.allows(origin) || self.own.as_deref() == Some(origin)),
            (Some(_), Some(_)) => false,
        };
        (!fits).then(|| {
            answer::text(
                StatusCode::FORBIDDEN,
                "Pages of that Origin may not call this gateway. See `origins`.\n",
            )
        })
    }

    fn host_allowed(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let header = match (hosts.next(), hosts.next()) {
            (Some(host), None) => match host.to_str() {
                Ok(host) => Some(host),
                Err(_) => return false,
            },
            (None, _) => None,
            (Some(_), Some(_)) => return false,
        };
        let authority = uri.authority().map(http::uri::Authority::as_str);
        match (authority, header) {
            (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => false,
            (Some(host), _) | (None, Some(host)) => self.hosts.allows(host),
            (None, None) => false,
        }
    }

    /// The headers that let a browser's page read the answer.
    #[expect(clippy::unused_self, reason = "what a page may see is the guard's business")]
    pub(crate) fn cors(&self, origin: HeaderValue, answer: &mut Answer) {
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("origin"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }

    /// The headers that let a page of any origin read what is published for everybody. It is the same with
    /// whatever a browser sends along, and a page that sends anything of a user's along reads nothing.
    #[expect(clippy::unused_self, reason = "what a page may see is the guard's business")]
    pub(crate) fn cors_for_any(&self, answer: &mut Answer) {
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
        let allowed = HeaderValue::from_static("Content-Type, If-None-Match");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag"));
    }

    /// The answer to a browser that asks before it calls.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Answer {
        let mut answer = answer::empty(StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
        let wanted = request.get("access-control-request-headers").cloned();
        headers
            .insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(HeaderValue::from_static("content-type")));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let hosts = ["localhost", "127.0.0.1", "[::1]", "mcp.example"].map(String::from);
        Guard { hosts: HostList::new(&hosts).expect("hosts"), origins: OriginList::loopback(), own: None }
    }

    fn refused(host: &[&str], origin: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for h in host {
            headers.append(HOST, HeaderValue::from_bytes(h.as_bytes()).expect("a value"));
        }
        for o in origin {
            headers.append(ORIGIN, HeaderValue::from_bytes(o.as_bytes()).expect("a value"));
        }
        guard().refuse(&Uri::from_static("/mcp"), &headers).is_some()
    }

    #[test]
    fn only_known_hosts_are_answered() {
        for good in [
            "localhost",
            "localhost:7400",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:80",
            "mcp.example",
            "MCP.example:8443",
        ] {
            assert!(!refused(&[good], &[]), "{good}");
        }
        let bad = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "0.0.0.0",
            "0.0.0.0:7400",
            "127.1",
            "2130706433",
            "localhost@evil.example",
            "evil.example@localhost",
            "user@localhost",
            "localhost:port",
            "localhost:99999",
            "",
            " ",
            "localhost, evil.example",
            "[::]",
            "[::ffff:127.0.0.1]",
            "127.0.0.2",
            "localhost/evil",
            "localhost#",
            "\u{7f}",
        ];
        for host in bad {
            if HeaderValue::from_bytes(host.as_bytes()).is_ok() {
                assert!(refused(&[host], &[]), "{host:?}");
            }
        }
        assert!(refused(&[], &[]), "no Host at all");
        assert!(refused(&["localhost", "localhost"], &[]), "two of them");
    }

    #[test]
    fn only_known_origins_may_call() {
        for good in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5"] {
            assert!(!refused(&["localhost"], &[good]), "{good}");
        }
        for bad in [
            "http://evil.example",
            "null",
            "",
            "localhost",
            "http://localhost.evil.example",
            "file://",
            "http://127.0.0.1.nip.io",
        ] {
            assert!(refused(&["localhost"], &[bad]), "{bad}");
        }
        assert!(refused(&["localhost"], &["http://localhost", "http://localhost"]), "two of them");
        let origins = OriginList::new(&["https://app.example".to_owned()]).expect("origins");
        let named = Guard { origins, ..guard() };
        let headers = |o: &'static str| {
            HeaderMap::from_iter([
                (HOST, HeaderValue::from_static("localhost")),
                (ORIGIN, HeaderValue::from_static(o)),
            ])
        };
        assert!(named.refuse(&Uri::from_static("/"), &headers("https://app.example")).is_none());
        assert!(
            named.refuse(&Uri::from_static("/"), &headers("http://localhost")).is_some(),
            "a list replaces the default"
        );
    }

    #[test]
    fn a_probe_may_come_under_any_host_and_under_no_other_origin() {
        let headers = |host: &'static str| HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
        for path in ["/healthz", "/readyz"] {
            let uri = Uri::from_static(path);
            for host in ["10.244.0.7:7400", "evil.example", "", "10.0.0.7/x"] {
                assert!(guard().refuse(&uri, &headers(host)).is_none(), "{path} at {host:?}");
            }
            assert!(guard().refuse(&uri, &HeaderMap::new()).is_none(), "as HTTP/1.0 asks");
            let mut page = headers("10.244.0.7:7400");
            page.insert(ORIGIN, HeaderValue::from_static("http://evil.example"));
            assert!(guard().refuse(&uri, &page).is_some(), "{path} for a page");
        }
        for path in ["/mcp", "/metrics", "/sse", "/healthz/", "/crm/mcp?/healthz", "/elsewhere"] {
            assert!(guard().refuse(&Uri::from_static(path), &headers("10.244.0.7:7400")).is_some(), "{path}");
        }
    }

    #[test]
    fn a_host_in_the_request_line_must_agree_with_the_header() {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        assert!(guard().refuse(&Uri::from_static("http://evil.example/mcp"), &headers).is_some());
        assert!(guard().refuse(&Uri::from_static("http://localhost/mcp"), &headers).is_none());
    }
}
