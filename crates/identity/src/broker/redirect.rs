//! Where users are sent back to: addresses of clients, which are compared and never guessed.

use http::Uri;

use crate::fetch::is_loopback;

/// The longest one, in bytes.
const BYTES_MAX: usize = 2_048;
/// Schemes that run something, or read it, in the browser itself.
const DANGEROUS: [&str; 12] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "filesystem",
    "blob",
    "about",
    "view-source",
    "chrome",
    "ws",
    "wss",
    "ftp",
];

fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut chars = scheme.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    good.then_some(scheme)
}

/// Why nobody can be sent back there; `None`: he can (RFC 6749, section 3.1.2; RFC 8252, section 7).
#[must_use]
pub fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it is empty, too long, or has other characters than a URL");
    }
    if text.contains(['#', '\\', '"', '<', '>']) {
        return Some("it has a fragment, or a character that is read in several ways");
    }
    let Some(scheme) = scheme(text).map(str::to_ascii_lowercase) else { return Some("it has no scheme") };
    if DANGEROUS.contains(&scheme.as_str()) {
        return Some("its scheme is not one that leads to a client");
    }
    if scheme != "https" && scheme != "http" {
        return None;
    }
    let Ok(url) = text.parse::<Uri>() else { return Some("it is no URL") };
    let host = url.host().unwrap_or_default();
    let user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if host.is_empty() || user {
        return Some("it has no host, or a user");
    }
    if scheme == "http" && !is_loopback(host) {
        return Some("it is plain http and not on the user's own machine");
    }
    None
}

/// Whether it leads to a program on the user's own machine: whatever runs there can take what is sent.
#[must_use]
pub fn is_local(text: &str) -> bool {
    match scheme(text).map(str::to_ascii_lowercase).as_deref() {
        Some("https" | "http") => text.parse::<Uri>().is_ok_and(|url| url.host().is_some_and(is_loopback)),
        _ => true,
    }
}

/// What people are shown of it: the host, or the scheme where there is none.
#[must_use]
pub fn shown(text: &str) -> String {
    match scheme(text).map(str::to_ascii_lowercase).as_deref() {
        Some("https" | "http") => {
            let url = text.parse::<Uri>().ok();
            url.and_then(|url| url.authority().map(ToString::to_string)).unwrap_or_default()
        }
        Some(other) => format!("{other}:"),
        None => String::new(),
    }
}

/// Whether an address is the one that was registered: byte for byte, but for the port of a plain address of
/// the user's own machine, which the operating system chooses (RFC 8252, section 7.3).
#[must_use]
pub fn fits(registered: &str, asked: &str) -> bool {
    registered == asked || without_port(registered).is_some_and(|known| without_port(asked) == Some(known))
}

/// The parts around the port of a plain loopback address; `None` for any other address.
fn without_port(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    is_loopback(host).then_some((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_where_no_client_is() {
        for good in [
            "https://app.example/cb",
            "http://127.0.0.1:33418/",
            "http://localhost/cb?x=1",
            "http://[::1]:1/a",
            "cursor://anysphere.cursor/mcp/oauth",
            "com.example.app:/cb",
            "vscode://x/y",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "",
            "/cb",
            "app.example/cb",
            "http://app.example/cb",
            "http://127.0.0.1.evil.example/",
            "https://app.example/cb#x",
            "https://user@app.example/",
            "https://",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://a\\b/",
            "https://a b/",
            "http://localhost@evil.example/",
            "1x:/y",
            "https://a/\r\nx",
            "view-source:https://a/",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        assert!(fault(&format!("https://a.example/{}", "x".repeat(BYTES_MAX))).is_some());
    }

    #[test]
    fn an_address_that_almost_fits_does_not() {
        assert!(fits("https://a.example/cb", "https://a.example/cb"));
        assert!(fits("http://127.0.0.1/cb", "http://127.0.0.1:4711/cb"));
        assert!(fits("http://localhost:1/cb?x=1", "http://localhost:2/cb?x=1"));
        assert!(fits("http://[::1]/cb", "http://[::1]:9/cb"));
        for (known, asked) in [
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://A.example/cb"),
            ("https://a.example/cb", "https://a.example:443/cb"),
            ("https://a.example/cb", "https://a.example/cb?x"),
            ("https://a.example/cb", "http://a.example/cb"),
            ("https://a.example", "https://a.example.evil.example"),
            ("https://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb2"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:x/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb"),
            ("app:/cb", "app:/cb2"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x=1"),
        ] {
            assert!(!fits(known, asked), "{known} {asked}");
        }
    }

    #[test]
    fn people_see_where_they_are_sent() {
        assert_eq!(shown("https://app.example:8443/cb?x"), "app.example:8443");
        assert_eq!(shown("cursor://a/b"), "cursor:");
        assert!(is_local("http://127.0.0.1:1/") && is_local("cursor://a") && !is_local("https://a.example/"));
    }
}
