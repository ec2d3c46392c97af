//! Pages for operators: plain, and nothing that another page could use.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::problem::Answer;

/// Nothing is loaded, nobody frames it, and forms lead here alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 1rem;\
                     color:#1c2630;background:#fff}h1{font-size:1.3rem}a{color:inherit}\
                     @media(prefers-color-scheme:dark){body{color:#e6edf3;background:#12181f}}";

/// A page with a heading, a text, and markup that the caller vouches for.
pub fn page(status: StatusCode, heading: &str, text: &str, markup: &str) -> Answer {
    written(status, heading, text, markup, "")
}

/// A page that leads on by itself. A redirect would not do after a way through other sites: browsers keep a
/// strict cookie back until a page of the same site asks for the next.
pub fn onward(heading: &str, text: &str) -> Answer {
    let head = "<meta http-equiv=\"refresh\" content=\"0;url=/\">";
    written(StatusCode::OK, heading, text, "<p><a href=\"/\">Go on</a></p>", head)
}

fn written(status: StatusCode, heading: &str, text: &str, markup: &str, head: &str) -> Answer {
    let (heading, text) = (escaped(heading), escaped(text));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">{head}\
         <title>{heading}</title><style>{STYLE}</style></head>\
         <body><main><h1>{heading}</h1><p>{text}</p>{markup}</main></body></html>\n"
    );
    let mut answer = Response::new(Full::new(Bytes::from(html)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    guard(headers);
    answer
}

/// Sends a browser elsewhere.
pub fn redirect(to: &str) -> Option<Answer> {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let headers = answer.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_str(to).ok()?);
    guard(headers);
    Some(answer)
}

/// What keeps other pages away from an answer of any kind.
pub fn guard(headers: &mut HeaderMap) {
    const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
    // Without any referrer, a browser would call the origin of a form's request "null".
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// Text that is no markup.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Whether other sites may lead to a page with the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// They may not.
    Strict,
    /// By a link, as whoever is back from his issuer.
    Lax,
}

/// Cookies of the operators' pages. With TLS their names say that no other host and no plain page can set
/// them (RFC 6265bis, section 4.1.3.2).
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    /// Whether browsers come with TLS.
    pub tls: bool,
}

impl Cookies {
    fn name(self, name: &str) -> String {
        if self.tls { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// What a browser brings under this name, once: of two, one was set by somebody else.
    pub fn get(self, headers: &HeaderMap, name: &str) -> Option<String> {
        let name = self.name(name);
        let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut found = pairs.filter(|(key, _)| *key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value.to_owned()),
            _ => None,
        }
    }

    /// Gives a browser a cookie for so long; no time at all takes it back.
    pub fn set(self, answer: &mut Answer, name: &str, (value, time): (&str, Duration), site: Site) {
        let secure = if self.tls { "; Secure" } else { "" };
        let (name, age) = (self.name(name), time.as_secs());
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={site:?}{secure}");
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            answer.headers_mut().append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_once() {
        let headers = |text: &'static str| HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(text))]);
        let tls = Cookies { tls: true };
        assert_eq!(tls.get(&headers("a=1; __Host-way=x=y; b"), "way").as_deref(), Some("x=y"));
        for other in
            ["way=x", "__Host-way2=x", "x__Host-way=x", "", "__Host-way", "__Host-way=a; __Host-way=b"]
        {
            assert_eq!(tls.get(&headers(other), "way"), None, "{other}");
        }
    }

    #[test]
    fn a_cookie_is_for_this_host_and_no_script() {
        let set = |tls, site| {
            let mut answer = Response::new(Full::new(Bytes::new()));
            Cookies { tls }.set(&mut answer, "way", ("v", Duration::from_secs(7)), site);
            answer.headers()[SET_COOKIE].to_str().expect("text").to_owned()
        };
        let strict = "__Host-way=v; Path=/; Max-Age=7; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(set(true, Site::Strict), strict);
        assert_eq!(set(false, Site::Lax), "way=v; Path=/; Max-Age=7; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("<a href='x\"&\">"), "&lt;a href=&#39;x&quot;&amp;&quot;&gt;");
    }
}
