//! What a server says of who issues tokens for it (RFC 9728).

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, Uri};
use serde_json::{Map, Value};

use super::ServiceError;
use crate::fetch::Fetch;

/// Authorization servers of one server that are looked at.
const SERVERS_MAX: usize = 16;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// What tokens are for.
    pub name: String,
    /// Who issues them: names of authorization servers.
    pub servers: Vec<String>,
    /// Scopes that there are.
    pub scopes: Vec<String>,
    /// Whether tokens must be bound to a key (RFC 9728, section 2).
    pub bound: bool,
}

/// Finds it: where the server's challenge says, else at the places of the specification.
pub(super) async fn find(
    fetch: &dyn Fetch,
    server: &Uri,
    said: Option<&str>,
    trusted: &(dyn Fn(&Uri) -> bool + Sync),
) -> Result<Resource, ServiceError> {
    let places = match said {
        Some(text) => {
            vec![text.parse().map_err(|_| ServiceError::Resource("its place is no URL".to_owned()))?]
        }
        None => places(server),
    };
    let mut last = "it has no metadata".to_owned();
    for place in places {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = place.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = fetch.send(request, trusted(&place)).await?;
        if !answer.status().is_success() {
            last = format!("its metadata answers {}", answer.status());
            continue;
        }
        let document: Map<String, Value> = serde_json::from_slice(answer.body())
            .map_err(|_| ServiceError::Resource("its metadata is no JSON object".to_owned()))?;
        return read(&document, server);
    }
    // Where the server itself says that there is something, its absence is a fault.
    Err(if said.is_some() { ServiceError::Resource(last) } else { ServiceError::Absent })
}

fn read(document: &Map<String, Value>, server: &Uri) -> Result<Resource, ServiceError> {
    let name = document.get("resource").and_then(Value::as_str);
    let name = name.ok_or_else(|| ServiceError::Resource("its metadata names no resource".to_owned()))?;
    if !covers(name, server) {
        return Err(ServiceError::Resource("its metadata is that of another server".to_owned()));
    }
    let list = |member: &str| -> Vec<String> {
        let all = document.get(member).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).take(SERVERS_MAX).map(str::to_owned).collect()
    };
    Ok(Resource {
        name: name.to_owned(),
        servers: list("authorization_servers"),
        scopes: list("scopes_supported"),
        bound: document.get("dpop_bound_access_tokens_required") == Some(&Value::Bool(true)),
    })
}

/// Whether a name is that of this server, or of what it is a part of.
fn covers(name: &str, server: &Uri) -> bool {
    let Ok(name) = name.parse::<Uri>() else { return false };
    let same = name.scheme() == server.scheme() && name.authority() == server.authority();
    let (whole, part) = (server.path(), name.path().trim_end_matches('/'));
    let rest = whole.strip_prefix(part);
    same && name.query().is_none() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where the specification says that it is: with the server's path, then without (RFC 9728, section 3.1).
fn places(server: &Uri) -> Vec<Uri> {
    let base = format!(
        "{}://{}/.well-known/oauth-protected-resource",
        server.scheme_str().unwrap_or("https"),
        server.authority().map(ToString::to_string).unwrap_or_default()
    );
    let path = server.path().trim_end_matches('/');
    let all = if path.is_empty() { vec![base] } else { vec![format!("{base}{path}"), base] };
    all.into_iter().filter_map(|place| place.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_another_server_is_not_believed() {
        let server: Uri = "https://s.example/a/mcp".parse().expect("a URL");
        for own in
            ["https://s.example/a/mcp", "https://s.example/a", "https://s.example/", "https://s.example"]
        {
            assert!(covers(own, &server), "{own}");
        }
        for other in [
            "https://s.example/a/mcp/b",
            "https://s.example/a/m",
            "https://s.example/b",
            "http://s.example/a/mcp",
            "https://s.example:8443/a/mcp",
            "https://evil.example/a/mcp",
            "https://s.example.evil.example/a/mcp",
            "https://s.example/a/mcp?x",
            "nonsense",
            "",
        ] {
            assert!(!covers(other, &server), "{other}");
        }
        let at: Vec<String> = places(&server).iter().map(Uri::to_string).collect();
        let base = "https://s.example/.well-known/oauth-protected-resource";
        assert_eq!(at, [format!("{base}/a/mcp"), base.to_owned()]);
    }
}
