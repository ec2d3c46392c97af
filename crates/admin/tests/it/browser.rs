//! A browser: it keeps cookies, and sends strict ones from pages of the same site alone.

use std::collections::BTreeMap;

use http::Method;
use testkit::http::{Http, Reply, Request};

/// Cookies, by name: the value, and whether it is strict.
pub type Jar = BTreeMap<String, (String, bool)>;

#[derive(Clone)]
pub struct Browser {
    pub http: Http,
    pub jar: Jar,
    /// The host behind whose proxy it is, with TLS.
    pub host: Option<String>,
}

/// What it got.
pub struct Got {
    pub status: u16,
    pub location: Option<String>,
    pub set: Vec<String>,
    pub text: String,
}

impl Browser {
    pub fn new(http: &Http) -> Self {
        Self { http: http.clone(), jar: Jar::new(), host: None }
    }

    /// The same browser, at another replica.
    pub fn at(&self, http: &Http) -> Self {
        Self { http: http.clone(), ..self.clone() }
    }

    /// What it calls the place that it is at.
    pub fn here(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.http.address().to_string())
    }

    pub fn origin(&self) -> String {
        format!("{}://{}", if self.host.is_some() { "https" } else { "http" }, self.here())
    }

    fn cookies(&self, same_site: bool) -> String {
        let sent = self.jar.iter().filter(|(_, (_, strict))| same_site || !strict);
        sent.map(|(name, (value, _))| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// A request with the cookies, as a page of the same site makes it.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let request = self.http.request(method, path).header("cookie", self.cookies(true));
        request.header("host", self.here())
    }

    /// Goes to a page, by a link on a page of the same site or another one.
    pub async fn go(&mut self, path: &str, same_site: bool) -> Got {
        let request = self.request(Method::GET, path).header("cookie", self.cookies(same_site));
        let site = if same_site { "same-origin" } else { "cross-site" };
        let request = request.header("sec-fetch-site", site).header("sec-fetch-dest", "document");
        self.take(request.send().await).await
    }

    /// Keeps the cookies of an answer.
    pub async fn take(&mut self, reply: Reply) -> Got {
        let set = reply.headers.get_all("set-cookie").iter();
        let set: Vec<String> = set.map(|value| value.to_str().unwrap().to_owned()).collect();
        for cookie in &set {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0;") {
                self.jar.remove(name);
            } else {
                let strict = attributes.contains("SameSite=Strict");
                self.jar.insert(name.to_owned(), (value.to_owned(), strict));
            }
        }
        let location = reply.header("location").map(str::to_owned);
        Got { status: reply.status, location, set, text: reply.text().await }
    }

    /// What `/v1/session` says.
    pub async fn session(&self) -> (u16, serde_json::Value) {
        let reply = self.request(Method::GET, "/v1/session").send().await;
        (reply.status, reply.json().await)
    }

    /// A request of a page of the listener's own that changes something.
    pub async fn post(&self, path: &str) -> Request {
        let (status, session) = self.session().await;
        assert_eq!(status, 200, "{session}");
        let request = self.request(Method::POST, path).header("origin", self.origin());
        let request = request.header("sec-fetch-site", "same-origin");
        request.header("x-csrf-token", session["csrf"].as_str().unwrap())
    }
}
