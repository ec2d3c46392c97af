//! URLs that the gateway will ask.

use http::Uri;

/// What a URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlUse {
    Upstream,
    Telemetry,
    Replica,
    Own,
}

/// Why `url` cannot be asked, and what to write. The message never repeats the URL, which may contain a
/// password.
pub(super) fn url_fault(url: &str, used_for: UrlUse) -> Option<(String, Option<String>)> {
    let fault = |message: &str, hint: Option<String>| Some((message.to_owned(), hint));
    // A fragment never leaves the client, so one in a configuration is a mistake. `Uri` would drop it
    // silently.
    if url.contains('#') {
        return fault("the URL has a part after \"#\", which is never sent", Some("take it out".to_owned()));
    }
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        Err(_) => {
            return fault("this is not a URL", Some("write it as http://127.0.0.1:9100/mcp".to_owned()));
        }
    };
    let rest = || url.split_once("://").map_or(url, |(_, rest)| rest);
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some("ws" | "wss") => {
            return fault(
                "expected a URL with http or https",
                Some("WebSocket is no transport of MCP".to_owned()),
            );
        }
        Some(_) => return fault("expected a URL with http or https", None),
        None if rest().contains('@') => return fault("expected a URL with http or https", None),
        None => {
            return fault("expected a URL with http or https", Some(format!("perhaps http://{}", rest())));
        }
    }
    let Some(authority) = uri.authority() else { return fault("the URL names no host", None) };
    if authority.as_str().contains('@') {
        let hint = match used_for {
            UrlUse::Upstream => Some("put the credential into \"headers\", as a secret".to_owned()),
            UrlUse::Telemetry | UrlUse::Replica | UrlUse::Own => None,
        };
        return fault("a URL cannot carry a user name or password", hint);
    }
    if authority.host().is_empty() {
        return fault("the URL names no host", None);
    }
    // `Uri` takes any text for a port; only `port_u16` reads it as a number.
    let has_port = authority.as_str().len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return fault("the URL's port is no number from 1 to 65535", None);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_http_and_a_host() {
        for url in ["http://127.0.0.1:9100/mcp", "https://a.example", "http://[::1]:1/x?y=z", "HTTP://a"] {
            assert_eq!(url_fault(url, UrlUse::Upstream), None, "{url}");
        }
        for (url, message) in [
            ("", "this is not a URL"),
            ("http://a b", "this is not a URL"),
            ("http://", "this is not a URL"),
            ("127.0.0.1:9100", "expected a URL with http or https"),
            ("localhost", "expected a URL with http or https"),
            ("/mcp", "expected a URL with http or https"),
            ("ftp://a/b", "expected a URL with http or https"),
            ("ws://a/b", "expected a URL with http or https"),
            ("http://u:hunter2@a/b", "a URL cannot carry a user name or password"),
            ("http://a:0/b", "the URL's port is no number from 1 to 65535"),
            ("http://a:/b", "the URL's port is no number from 1 to 65535"),
            ("http://a:99999/b", "the URL's port is no number from 1 to 65535"),
            ("http://a/b#c", "the URL has a part after \"#\", which is never sent"),
        ] {
            let found = url_fault(url, UrlUse::Upstream).map(|(message, _)| message);
            assert_eq!(found.as_deref(), Some(message), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        for url in ["http://u:hunter2@a/b", "u:hunter2@a/b", "http://u:hunter2@a b", "ftp://u:hunter2@a"] {
            let found = url_fault(url, UrlUse::Upstream).expect("a fault");
            assert!(!format!("{found:?}").contains("hunter2"), "{url}: {found:?}");
        }
    }
}
