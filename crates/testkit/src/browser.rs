//! A browser without a window: it goes where it is sent, and keeps cookies for each host.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{Method, Uri};

use crate::http::Http;

/// So many redirects are followed.
const HOPS_MAX: usize = 12;

/// What a browser sees.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it is.
    pub url: String,
    /// The status.
    pub status: u16,
    /// Where it leads, if it does.
    pub location: Option<String>,
    /// What it says.
    pub text: String,
}

/// A browser. One that is cloned has the same cookies, as of then.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    hosts: HashMap<String, SocketAddr>,
    cookies: HashMap<String, BTreeMap<String, String>>,
}

impl Page {
    /// The value of a hidden field of its form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split_once('"')?.0.replace("&amp;", "&"))
    }
}

impl Browser {
    /// One that knows nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds a host at this address.
    #[must_use]
    pub fn knowing(mut self, host: &str, address: SocketAddr) -> Self {
        self.hosts.insert(host.to_owned(), address);
        self
    }

    /// Opens a page, and goes nowhere from there.
    ///
    /// # Panics
    /// If it is none that can be reached.
    pub async fn open(&mut self, url: &str) -> Page {
        self.send(url, None).await
    }

    /// Sends a form, as a page of the same origin does, and goes nowhere from there.
    ///
    /// # Panics
    /// If it is none that can be reached.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(url, Some(form)).await
    }

    async fn send(&mut self, url: &str, form: Option<String>) -> Page {
        let uri: Uri = url.parse().expect("a URL");
        let authority = uri.authority().expect("a host").to_string();
        let known = self.hosts.get(uri.host().unwrap_or_default()).copied();
        let address = known.or_else(|| authority.parse().ok()).expect("a host that is known");
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let jar = self.cookies.entry(authority.clone()).or_default();
        let cookies: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let method = if form.is_some() { Method::POST } else { Method::GET };
        let http = Http::new(address);
        let mut request = http.request(method, path).header(HOST.as_str(), authority.as_bytes());
        if let Some(form) = form {
            let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
            request = request.header(ORIGIN.as_str(), origin);
            request = request.header(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded").body(form);
        }
        if !cookies.is_empty() {
            request = request.header(COOKIE.as_str(), cookies.join("; "));
        }
        let reply = request.send().await;
        for cookie in reply.headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().expect("a cookie");
            let (name, value) = text.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            jar.insert(name.to_owned(), value.to_owned());
            if value.is_empty() {
                jar.remove(name);
            }
        }
        let mut location = reply.header(LOCATION.as_str()).map(str::to_owned);
        let (status, text) = (reply.status, reply.text().await);
        if location.is_none() {
            // A page may send on, too.
            let after = text.split_once("http-equiv=\"refresh\" content=\"0;url=").map(|(_, rest)| rest);
            location = after.and_then(|rest| Some(rest.split_once('"')?.0.replace("&amp;", "&")));
        }
        Page { url: url.to_owned(), status, location, text }
    }

    /// Opens a page, and goes wherever it is sent: until there is a page that stays, or one whose address
    /// begins with `until`, which is not opened.
    ///
    /// # Panics
    /// If it goes in a circle.
    pub async fn go(&mut self, url: &str, until: &str) -> Page {
        let mut page = self.open(url).await;
        for _ in 0..HOPS_MAX {
            match &page.location {
                Some(next) if !until.is_empty() && next.starts_with(until) => return page,
                Some(next) => page = self.open(&next.clone()).await,
                None => return page,
            }
        }
        panic!("{url} leads in a circle")
    }

    /// The same, until there is a page that stays.
    pub async fn walk(&mut self, url: &str) -> Page {
        self.go(url, "").await
    }
}
