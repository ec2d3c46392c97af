//! What is made of a document: tools, where their requests go, and what is shown with them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::Uri;
use openapi::{Document, Limits, Options, Scheme, Tool, Tools};
use protocol::Raw;

use super::shown::{Shown, shown};
use super::{ApiOptions, DocumentAt};

/// How long clients may keep the list, who hear of changes at once where they listen.
const LIST_TTL: &str = "60000";

/// What is made of one document.
#[derive(Debug)]
pub(super) struct Made {
    pub title: String,
    tools: Tools,
    /// What each of them shows.
    shown: Vec<Shown>,
    pub schemes: BTreeMap<String, Scheme>,
    /// Before the path of every request; without a stroke at its end.
    base: String,
    /// The answer to `tools/list`.
    pub list: Raw,
}

impl Made {
    /// Reads a document. Takes a while where it is large.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(bytes: &[u8], options: &ApiOptions) -> Result<Self, String> {
        let limits = Limits::default();
        let document = Document::read(bytes, &limits).map_err(|fault| fault.to_string())?;
        let base = base(&document, options)?;
        let select = |view: &openapi::View<'_>| (options.select)(view);
        let wanted = Options { limits, select: Some(&select), outputs: options.outputs };
        let tools = document.tools(&wanted).map_err(|fault| fault.to_string())?;
        let shown = shown(&tools.tools, &document.schemes, options)?;
        let list = list(&tools.tools);
        let Document { title, schemes, .. } = document;
        Ok(Self { title, tools, shown, schemes, base, list })
    }

    /// The tool of this name, and what it shows.
    pub fn tool(&self, name: &str) -> Option<(&Tool, &Shown)> {
        let at = self.tools.tools.binary_search_by(|tool| tool.name.as_str().cmp(name)).ok()?;
        Some((&self.tools.tools[at], &self.shown[at]))
    }

    /// Where a request goes.
    pub fn url(&self, target: &str) -> Option<Uri> {
        format!("{}{target}", self.base).parse().ok()
    }

    /// How many tools there are, and what became none.
    pub fn counts(&self) -> (usize, usize) {
        (self.tools.tools.len(), self.tools.left_out.len())
    }

    /// Why operations are no tools: the first few.
    pub fn left_out(&self) -> Vec<String> {
        let first = self.tools.left_out.iter().take(5);
        first.map(|left| format!("{} {}: {}", left.method, left.path, left.reason)).collect()
    }

    /// What of it is another one than of `before`, in words; `None`: nothing that anybody could see.
    pub fn differs(&self, before: &Self) -> Option<String> {
        let difference = openapi::diff(&before.tools, &self.tools);
        let base = (self.base != before.base).then(|| format!(", requests go to {}", self.base));
        if difference.is_empty() && base.is_none() {
            return None;
        }
        Some(format!(
            "{} added, {} removed, {} changed, {} renamed{}",
            difference.added.len(),
            difference.removed.len(),
            difference.changed.len(),
            difference.renamed.len(),
            base.unwrap_or_default(),
        ))
    }
}

fn list(tools: &[Tool]) -> Raw {
    let all = protocol::json::array(tools.iter().map(|tool| &tool.definition));
    let head = "{\"resultType\":\"complete\",\"tools\":";
    let tail = format!(",\"ttlMs\":{LIST_TTL},\"cacheScope\":\"public\"}}");
    let mut out = Vec::with_capacity(head.len() + all.as_bytes().len() + tail.len());
    [head.as_bytes(), all.as_bytes(), tail.as_bytes()].iter().for_each(|part| out.extend_from_slice(part));
    Raw::trusted(out.into())
}

/// Where requests go. A document is somebody else's: it does not say to which host credentials go.
fn base(document: &Document, options: &ApiOptions) -> Result<String, String> {
    if let Some(server) = &options.server {
        return Ok(server.to_string().trim_end_matches('/').to_owned());
    }
    let DocumentAt::Url(at) = &options.document else {
        return Err("it is in a file, and nothing says where the API is: give \"openapi.server\"".to_owned());
    };
    let none = BTreeMap::new();
    let address = match document.servers.first() {
        None => origin(at),
        Some(server) => server.address(&none, Some(&at.to_string())).map_err(|fault| fault.to_string())?,
    };
    let own = address.parse::<Uri>().is_ok_and(|uri| same_host(&uri, at));
    match own {
        true => Ok(address),
        false => Err(format!(
            "it says that the API is at {address:?}, which is another host than its own: if that is right, \
             write it as \"openapi.server\""
        )),
    }
}

fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("https");
    format!("{scheme}://{}", uri.authority().map(http::uri::Authority::as_str).unwrap_or_default())
}

/// Whether two addresses are of one scheme, host and port.
pub(super) fn same_host(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let host = |uri: &Uri| {
        let host = uri.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        host.parse::<IpAddr>().map_or(host, |ip| ip.to_string())
    };
    a.scheme_str() == b.scheme_str() && host(a) == host(b) && port(a) == port(b)
}
