//! Pages for people: plain, and nothing that another page could use.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::time::Duration;

use crate::answer::{self, Answer};

/// Nothing is loaded, nobody frames it, and nothing is sent from it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'";
/// The same, of a page with a form for the gateway itself.
const FORM_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                           base-uri 'none'; form-action 'self'";

const STYLE: &str = ":root{color-scheme:light dark}\
                     body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;\
                     padding:0 1rem;color:#1c2630;background:#fff}h1{font-size:1.3rem}\
                     h2{font-size:1.05rem;margin-top:1.8rem}\
                     dt{color:#5b6b7a;font-size:.85rem;margin-top:.7rem}dd{margin:0;overflow-wrap:anywhere}\
                     .warn{border-left:4px solid #c77700;padding-left:.8rem}\
                     button{font:inherit;padding:.5rem 1.4rem;margin:1.2rem .8rem 0 0;cursor:pointer;\
                     border:1px solid #8a99a8;border-radius:.4rem;background:transparent;color:inherit}\
                     button.yes{background:#0b5cad;border-color:#0b5cad;color:#fff}\
                     table{border-collapse:collapse;width:100%}td button{margin:0;padding:.2rem .8rem}\
                     td{padding:.3rem .8rem .3rem 0;overflow-wrap:anywhere}\
                     td:last-child{padding-right:0;text-align:right;white-space:nowrap}\
                     td:only-child{text-align:left}\
                     @media(max-width:30rem){tr,td{display:block}tr{padding:.4rem 0}\
                     td,td:last-child{padding:.1rem 0;text-align:left}}\
                     @media(prefers-color-scheme:dark){body{color:#e6edf3;background:#12181f}\
                     dt{color:#9fb0c0}}";

/// A page with a heading and a text.
pub(crate) fn page(status: StatusCode, heading: &str, text: &str) -> Answer {
    framed(status, heading, &format!("<p>{}</p>", escaped(text)), false)
}

/// A page with a heading and markup, in which whatever somebody else has said is [`escaped`].
pub(crate) fn framed(status: StatusCode, heading: &str, markup: &str, has_form: bool) -> Answer {
    let mut answer = answer::text(status, html(heading, "", markup));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    plain(headers);
    if has_form {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(FORM_POLICY));
        // Else a browser does not say where a form comes from.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    answer
}

fn html(heading: &str, head: &str, markup: &str) -> String {
    let heading = escaped(heading);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">{head}\
         <title>{heading}</title><style>{STYLE}</style></head>\
         <body><main><h1>{heading}</h1>{markup}</main></body></html>\n"
    )
}

/// Sends a browser elsewhere that has sent a form: what a form leads to is held against the policy of its
/// page, also where that sends on (CSP 3, `form-action`), and no page knows where an identity provider leads.
pub(crate) fn moved(to: &str) -> Answer {
    let to = escaped(to);
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\">");
    let markup = format!("<p>You are sent on. If nothing happens, <a href=\"{to}\">go on</a>.</p>");
    let mut answer = answer::text(StatusCode::OK, html("One moment", &head, &markup));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    plain(answer.headers_mut());
    answer
}

/// Sends a browser elsewhere.
pub(crate) fn redirect(to: &str) -> Option<Answer> {
    let mut answer = answer::empty(StatusCode::SEE_OTHER);
    let headers = answer.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_str(to).ok()?);
    plain(headers);
    Some(answer)
}

fn plain(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}

/// A text as it stands in markup, also between quotation marks.
pub(crate) fn escaped(text: &str) -> String {
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

/// Cookies of the gateway's own. With TLS their names say that no other host and no plain page can set them
/// (RFC 6265bis, section 4.1.3.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookies {
    pub tls: bool,
}

impl Cookies {
    fn name(self, name: &str) -> String {
        if self.tls { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// What a browser brings under this name.
    pub fn get(self, headers: &HeaderMap, name: &str) -> Option<String> {
        let name = self.name(name);
        let all = headers.get_all(http::header::COOKIE);
        let mut found = all.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
        found.find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    }

    /// Gives a browser a cookie for so long; none at all takes it back.
    pub fn set(self, answer: &mut Answer, name: &str, value: &str, time: Duration) {
        let secure = if self.tls { "; Secure" } else { "" };
        let (name, age) = (self.name(name), time.as_secs());
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
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
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = |text: &'static str| {
            HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_static(text))])
        };
        let tls = Cookies { tls: true };
        assert_eq!(tls.get(&headers("a=1; __Host-way=x=y; b"), "way").as_deref(), Some("x=y"));
        for other in ["way=x", "__Host-way2=x", "x__Host-way=x", "", "__Host-way"] {
            assert_eq!(tls.get(&headers(other), "way"), None, "{other}");
        }
        let mut answer = answer::empty(StatusCode::OK);
        tls.set(&mut answer, "way", "v", Duration::from_secs(7));
        let set = answer.headers()[SET_COOKIE].to_str().expect("text").to_owned();
        assert_eq!(set, "__Host-way=v; Path=/; Max-Age=7; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("<a href='x\"&\">"), "&lt;a href=&#39;x&quot;&amp;&quot;&gt;");
    }
}
