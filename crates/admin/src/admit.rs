//! Who comes in, and what he may ask for.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::listener::Own;
use crate::page::Cookies;
use crate::problem::Problem;
use crate::role::Role;
use crate::route::Needs;
use crate::session::Session;
use crate::text::same;

/// What a request has that changes something and comes with a cookie.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// The same, of a form.
const CSRF_FIELD: &str = "csrf";
/// Where a browser says that a request of it comes from (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What it is to be (Fetch Metadata).
const KIND: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// The cookie of whoever has signed in.
pub const SESSION: &str = "tidegate-operator";
/// How large a form may be, in bytes.
const FORM_BYTES_MAX: usize = 4 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Somebody who may do something.
pub struct Operator {
    /// Who, in words for the log.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// Who has come with a browser; `None`: whoever has the token.
    pub session: Option<Session>,
}

/// What browsers reach operators' pages by.
pub struct Address {
    /// Without a path, as browsers write an origin.
    pub origin: String,
    host: String,
}

impl Address {
    /// `None`: it is none.
    pub fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (scheme, host) = (uri.scheme_str()?, uri.host()?.to_ascii_lowercase());
        let port = uri
            .port_u16()
            .filter(|port| (scheme, *port) != ("https", 443) && (scheme, *port) != ("http", 80));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(Self { origin: format!("{scheme}://{host}{port}"), host })
    }
}

impl Own {
    /// What the browser reaches this by.
    pub fn origin(&self, headers: &HeaderMap) -> String {
        match &self.address {
            Some(address) => address.origin.clone(),
            None => format!("http://{}", one(headers, HOST).unwrap_or_default().to_ascii_lowercase()),
        }
    }

    /// Its cookies.
    pub fn cookies(&self, headers: &HeaderMap) -> Cookies {
        Cookies { tls: self.origin(headers).starts_with("https:") }
    }

    /// Whether a program on this machine comes, or a page of this listener's own.
    pub fn guard(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = one(headers, HOST).map(name_of).unwrap_or_default();
        let own = self.address.as_ref().is_some_and(|address| address.host.eq_ignore_ascii_case(host));
        // A name that was made to resolve here is that of a page in a browser.
        if !own && !is_loopback(host) {
            let text =
                "operators are served under localhost, 127.0.0.1 and [::1], and the host of `admin.url`";
            return Err(Problem::new(StatusCode::FORBIDDEN, text));
        }
        let foreign = headers.contains_key(ORIGIN)
            && (one(headers, ORIGIN) != Some(&*self.origin(headers)) || headers.contains_key(AUTHORIZATION));
        if foreign {
            let text = "pages in a browser may not call this interface, but those of its own";
            return Err(Problem::new(StatusCode::FORBIDDEN, text));
        }
        Ok(())
    }

    /// Who comes, if anybody in particular.
    pub async fn who(&self, headers: &HeaderMap) -> Result<Option<Operator>, Problem> {
        if headers.contains_key(AUTHORIZATION) {
            return self.bearer(headers).map(Some);
        }
        let Some(sessions) = &self.sessions else { return Ok(None) };
        let Some(cookie) = self.cookies(headers).get(headers, SESSION) else { return Ok(None) };
        let opened = sessions.open(&cookie).await?;
        Ok(opened.map(|(session, role)| {
            let name = session.principal.to_string();
            Operator { name, role, session: Some(session) }
        }))
    }

    fn bearer(&self, headers: &HeaderMap) -> Result<Operator, Problem> {
        let now = self.clock.now();
        let given = one(headers, AUTHORIZATION).and_then(|text| text.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = given.ok_or_else(|| self.nobody())?;
        // Hashes are compared, whose bytes say nothing about the token's.
        let hash = seal::sha256(token.trim().as_bytes());
        let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "the token is not that of `admin.token`");
        if self.wrong.has(&hash) {
            return Err(wrong());
        }
        if let Some(wait) = self.tokens.wait(now) {
            return Err(Problem::too_many(wait));
        }
        if self.token != Some(hash) {
            self.tokens.failed(now);
            self.wrong.add(hash);
            tracing::warn!("somebody came to the operators' interface with a wrong token");
            return Err(wrong());
        }
        Ok(Operator { name: "admin.token".to_owned(), role: Role::Admin, session: None })
    }

    /// What somebody is told who has not said who he is.
    pub fn nobody(&self) -> Problem {
        let text = match self.sessions {
            Some(_) => "expected `Authorization: Bearer TOKEN`, or somebody who has signed in at /sign-in",
            None => "expected `Authorization: Bearer TOKEN`",
        };
        Problem::new(StatusCode::UNAUTHORIZED, text)
    }

    /// Whether somebody may have what needs this.
    pub async fn allow(
        &self,
        needs: Needs,
        who: Option<&Operator>,
        (method, headers): (&Method, &HeaderMap),
        body: &mut Unread,
    ) -> Result<(), Problem> {
        let session = who.and_then(|who| who.session.as_ref());
        if headers.contains_key(ORIGIN) && session.is_none() {
            let text = "a page of this interface calls it for somebody who has signed in";
            return Err(Problem::new(StatusCode::FORBIDDEN, text));
        }
        let Needs::Role(role) = needs else {
            // Another page could have its images sign in, and keep those out who mean it.
            return match headers.contains_key(&KIND).then(|| one(headers, KIND)) {
                None | Some(Some("document")) => Ok(()),
                _ => Err(Problem::new(StatusCode::FORBIDDEN, "this is a page, and for nothing else")),
            };
        };
        let who = who.ok_or_else(|| self.nobody())?;
        if let Some(session) = session {
            self.is_meant(session, (method, headers), body).await?;
        }
        if who.role < role {
            let text = format!("this needs the role {}, and yours is {}", role.word(), who.role.word());
            return Err(Problem::new(StatusCode::FORBIDDEN, text));
        }
        Ok(())
    }

    /// Whether a request that came with a cookie is meant by whoever has it: a browser sends it whatever page
    /// asks.
    async fn is_meant(
        &self,
        session: &Session,
        (method, headers): (&Method, &HeaderMap),
        body: &mut Unread,
    ) -> Result<(), Problem> {
        let forbidden = |text: &str| Err(Problem::new(StatusCode::FORBIDDEN, text));
        let site = headers.contains_key(&SITE).then(|| one(headers, SITE).unwrap_or_default());
        if !matches!(site, None | Some("same-origin" | "none")) {
            return forbidden("another page asks for this");
        }
        if method == Method::GET {
            return Ok(());
        }
        // One that is there is our own, or nobody had come so far.
        if !headers.contains_key(ORIGIN) && site != Some("same-origin") {
            return forbidden("expected the `Origin` of a page of this interface");
        }
        let given = match one(headers, CSRF) {
            Some(given) => Some(given.to_owned()),
            None if headers.contains_key(CSRF) => None,
            None => form_field(headers, body).await,
        };
        let sessions = self.sessions.as_ref();
        match given {
            Some(given) if sessions.is_some_and(|sessions| sessions.is_csrf(session, &given)) => Ok(()),
            Some(_) => forbidden("the X-CSRF-Token is not that of this session; see /v1/session"),
            None => forbidden("expected an X-CSRF-Token, as /v1/session gives it"),
        }
    }
}

/// A body that nobody has read.
pub type Unread = Option<Incoming>;

/// All of a body. `None`: it is larger, takes too long, or was read before.
pub async fn whole(body: Unread, bytes_max: usize) -> Option<Bytes> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body?, bytes_max).collect());
    Some(read.await.ok()?.ok()?.to_bytes())
}

async fn form_field(headers: &HeaderMap, body: &mut Unread) -> Option<String> {
    let kind = one(headers, CONTENT_TYPE)?.split(';').next()?.trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let form = whole(body.take(), FORM_BYTES_MAX).await?;
    let mut found = form_urlencoded::parse(&form).filter(|(name, _)| name == CSRF_FIELD);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        _ => None,
    }
}

/// The value of a header that is there once.
pub fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a browser is the one that has this.
pub fn has(cookies: Cookies, headers: &HeaderMap, name: &str, value: &str) -> bool {
    cookies.get(headers, name).is_some_and(|found| same(&found, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_by_its_own_names_is_answered() {
        let is_loopback = |host| is_loopback(name_of(host));
        for good in ["localhost", "LOCALHOST:1", "127.0.0.1:7402", "[::1]", "[::1]:7402"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in ["", "localhost.evil.example", "127.0.0.1.nip.io:80", "0.0.0.0", "localhost:80:80", "[::1"]
        {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (url, origin) in [
            ("https://Ops.example.com", "https://ops.example.com"),
            ("https://ops.example.com:443", "https://ops.example.com"),
            ("https://ops.example.com:8443", "https://ops.example.com:8443"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://localhost:443", "http://localhost:443"),
        ] {
            assert_eq!(Address::of(url).map(|address| address.origin).as_deref(), Some(origin), "{url}");
        }
    }
}
