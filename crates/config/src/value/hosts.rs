//! Which `Host` and `Origin` headers are ours.
//!
//! A page in a browser can make the browser send requests to a loopback address under a name that the page's
//! owner controls (DNS rebinding). So both headers are held against lists before anything else is looked at.

use std::net::SocketAddr;

/// The names of this machine for itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Why a text is not an entry of `hosts` or `origins`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a name with or without a port.
    #[error("expected a host such as \"gateway.example.com\" or \"gateway.example.com:8443\"")]
    Host,
    /// Not a scheme, a name and perhaps a port.
    #[error("expected an origin such as \"https://app.example.com\" or \"http://localhost:*\"")]
    Origin,
}

/// Which port a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Any,
    Only(u16),
}

impl Port {
    fn allows(self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == port,
        }
    }
}

/// The values of `Host` that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostList {
    any: bool,
    rules: Vec<(String, Port)>,
}

/// The values of `Origin` that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginList {
    any: bool,
    rules: Vec<OriginRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct OriginRule {
    scheme: &'static str,
    host: String,
    port: Port,
}

impl HostList {
    /// The loopback names and the address that is listened on, at any port.
    #[must_use]
    pub fn of_listen(listen: SocketAddr) -> Self {
        let mut rules: Vec<_> = LOOPBACK.iter().map(|name| ((*name).to_owned(), Port::Any)).collect();
        let address = match listen {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        // "All addresses" is not a name that a client could have used.
        if !listen.ip().is_unspecified() && !LOOPBACK.contains(&address.as_str()) {
            rules.push((address, Port::Any));
        }
        Self { any: false, rules }
    }

    /// The entries of `hosts`: `*`, a name, or a name with a port. Without a port, any port is allowed.
    ///
    /// # Errors
    /// [`RuleError::Host`] for the first entry that is none of these.
    pub fn new(entries: &[String]) -> Result<Self, RuleError> {
        let mut list = Self { any: false, rules: Vec::new() };
        for entry in entries {
            if entry == "*" {
                list.any = true;
                continue;
            }
            let (host, port) = split_port(entry).ok_or(RuleError::Host)?;
            let port = match port {
                None => Port::Any,
                Some(text) => Port::Only(parse_port(text).ok_or(RuleError::Host)?),
            };
            list.rules.push((host.to_ascii_lowercase(), port));
        }
        Ok(list)
    }

    /// Whether the value of a `Host` header (or of `:authority`) is one of ours. Case does not count.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let Some((name, port)) = split_port(host) else { return false };
        let port = port.map(parse_port);
        if self.any {
            return port != Some(None);
        }
        self.rules.iter().any(|(ours, allowed)| {
            ours.eq_ignore_ascii_case(name)
                && match (allowed, port) {
                    (Port::Any, None | Some(Some(_))) => true,
                    (Port::Only(only), Some(Some(port))) => *only == port,
                    // The port that is left out is that of the scheme, which may be either.
                    (Port::Only(only), None) => matches!(only, 80 | 443),
                    (_, Some(None)) => false,
                }
        })
    }
}

impl OriginList {
    /// Pages from this machine itself, by either scheme, at any port.
    #[must_use]
    pub fn loopback() -> Self {
        let rule = |scheme: &'static str| {
            LOOPBACK.iter().map(move |host| OriginRule { scheme, host: (*host).to_owned(), port: Port::Any })
        };
        Self { any: false, rules: rule("http").chain(rule("https")).collect() }
    }

    /// The entries of `origins`: `*`, or a scheme and a name, with a port, `:*` for any port, or the scheme's
    /// own.
    ///
    /// # Errors
    /// [`RuleError::Origin`] for the first entry that is none of these.
    pub fn new(entries: &[String]) -> Result<Self, RuleError> {
        let mut list = Self { any: false, rules: Vec::new() };
        for entry in entries {
            if entry == "*" {
                list.any = true;
                continue;
            }
            let (entry, any_port) = match entry.strip_suffix(":*") {
                Some(start) => (start, true),
                None => (entry.as_str(), false),
            };
            let (scheme, host, port) = split_origin(entry).ok_or(RuleError::Origin)?;
            let port = match (any_port, port) {
                (true, None) => Port::Any,
                (true, Some(_)) => return Err(RuleError::Origin),
                (false, port) => Port::Only(port.unwrap_or(default_port(scheme))),
            };
            list.rules.push(OriginRule { scheme, host: host.to_ascii_lowercase(), port });
        }
        Ok(list)
    }

    /// Whether the value of an `Origin` header is allowed. `null` and what is not an origin never is, unless
    /// every origin is.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        if self.any {
            return true;
        }
        let Some((scheme, host, port)) = split_origin(origin) else { return false };
        let port = port.unwrap_or(default_port(scheme));
        self.rules.iter().any(|rule| {
            rule.scheme == scheme && rule.host.eq_ignore_ascii_case(host) && rule.port.allows(port)
        })
    }
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

fn parse_port(text: &str) -> Option<u16> {
    // `parse` would also take a sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Splits `name`, `name:port`, `[v6]` and `[v6]:port`; `None` where the name is not one.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let (host, rest) = text.split_at(text.find(']')? + 1);
        host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().ok()?;
        return match rest {
            "" => Some((host, None)),
            _ => rest.strip_prefix(':').map(|port| (host, Some(port))),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(plain)).then_some((host, port))
}

fn split_origin(text: &str) -> Option<(&'static str, &str, Option<u16>)> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = ["http", "https"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
    match split_port(rest)? {
        (host, None) => Some((scheme, host, None)),
        (host, Some(port)) => Some((scheme, host, Some(parse_port(port)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    #[test]
    fn by_default_only_our_own_addresses_are_hosts() {
        let loopback = HostList::of_listen("127.0.0.1:7400".parse().expect("an address"));
        for host in ["localhost", "localhost:7400", "LOCALHOST:1", "127.0.0.1:7400", "[::1]:7400", "[::1]"] {
            assert!(loopback.allows(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:7400",
            "10.0.0.1",
            "localhost:",
        ] {
            assert!(!loopback.allows(host), "{host}");
        }
        for host in
            ["localhost:x", "localhost:+80", "localhost:99999", "[::1", "[::1]x", "[x]:1", "a b", "::1"]
        {
            assert!(!loopback.allows(host), "{host}");
        }
        assert!(HostList::of_listen("10.0.0.1:7400".parse().expect("an address")).allows("10.0.0.1:7400"));
        assert!(!HostList::of_listen("0.0.0.0:7400".parse().expect("an address")).allows("0.0.0.0:7400"));
    }

    #[test]
    fn configured_hosts_replace_the_default() {
        let list = HostList::new(&texts(&["gw.example.com", "Other.example.com:8443", "c.example.com:443"]));
        let list = list.expect("valid entries");
        for host in ["gw.example.com", "GW.example.com:1", "other.example.com:8443", "c.example.com"] {
            assert!(list.allows(host), "{host}");
        }
        for host in ["localhost", "other.example.com", "other.example.com:8444", "x.gw.example.com"] {
            assert!(!list.allows(host), "{host}");
        }
        let any = HostList::new(&texts(&["*"])).expect("a valid entry");
        assert!(
            any.allows("whatever.example:1") && !any.allows("") && !any.allows("a b") && !any.allows("a:x")
        );
        for entry in ["", "http://a", "a/b", "a:b", "a:99999", "*.example.com", "user@a", "[::1"] {
            assert_eq!(HostList::new(&texts(&[entry])), Err(RuleError::Host), "{entry}");
        }
    }

    #[test]
    fn by_default_only_loopback_pages_are_origins() {
        let list = OriginList::loopback();
        for origin in
            ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:1"]
        {
            assert!(list.allows(origin), "{origin}");
        }
        for origin in
            ["null", "", "http://evil.example", "file://localhost", "http://localhost:3000/x", "localhost"]
        {
            assert!(!list.allows(origin), "{origin}");
        }
    }

    #[test]
    fn configured_origins_replace_the_default() {
        let list = OriginList::new(&texts(&["https://app.example.com", "http://dev.example.com:*"]));
        let list = list.expect("valid entries");
        for origin in [
            "https://app.example.com",
            "https://APP.example.com:443",
            "http://dev.example.com:8080",
            "HTTP://dev.example.com",
        ] {
            assert!(list.allows(origin), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://dev.example.com",
            "http://localhost",
        ] {
            assert!(!list.allows(origin), "{origin}");
        }
        let any = OriginList::new(&texts(&["*"])).expect("a valid entry");
        assert!(any.allows("https://whatever.example") && any.allows("null"));
        let none = OriginList::new(&[]).expect("no entry");
        assert!(!none.allows("http://localhost"));
        for entry in [
            "",
            "null",
            "app.example.com",
            "https://",
            "https://a/",
            "ftp://a",
            "https://a:*:*",
            "https://a:1:*",
        ] {
            assert_eq!(OriginList::new(&texts(&[entry])), Err(RuleError::Origin), "{entry}");
        }
    }
}
