//! URLs as only one reader can take them.
//!
//! Readers of URLs differ on backslashes, white space, user names, numbers for hosts and much else, and what
//! one checks another one dials. So a URL is either of the plain kind that is read here or refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::fault::shown;

/// The longest URL.
pub const URL_BYTES_MAX: usize = 2_048;

/// A plain URL: `https://host:port/path?query`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    https: bool,
    host_end: usize,
    host_start: usize,
    port: Option<u16>,
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {url}")]
pub struct AddressError {
    what: &'static str,
    /// As it may be shown.
    url: String,
}

/// Who can be behind a host's name, as far as the name tells. What it resolves to is judged where it is
/// dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Nothing says that it is not public.
    Public,
    /// This machine.
    Loopback,
    /// A network of somebody's own, or an address that means no host of the internet.
    Private,
}

impl Address {
    /// Reads an `http:` or `https:` URL.
    ///
    /// # Errors
    /// [`AddressError`]
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = |what| AddressError { what, url: shown(text) };
        if text.len() > URL_BYTES_MAX {
            return Err(error("a URL that is too long"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte)) {
            return Err(error("a URL with a character that may not stand in one"));
        }
        let (https, start) = match text.split_once("://") {
            Some(("https", _)) => (true, 8),
            Some(("http", _)) => (false, 7),
            _ => return Err(error("no URL that begins with https:// or http://")),
        };
        if text.contains('#') {
            return Err(error("a URL with a fragment"));
        }
        let end = text[start..].find(['/', '?']).map_or(text.len(), |at| start + at);
        let authority = &text[start..end];
        if authority.contains('@') {
            return Err(error("a URL with a user name"));
        }
        let host_len = if authority.starts_with('[') {
            authority
                .find(']')
                .map(|at| at + 1)
                .ok_or_else(|| error("a URL without an end of its address"))?
        } else {
            authority.find(':').unwrap_or(authority.len())
        };
        let port = match authority[host_len..].strip_prefix(':') {
            None if authority.len() == host_len => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0') => {
                Some(port.parse().map_err(|_| error("a URL with a port that there is not"))?)
            }
            _ => return Err(error("a URL with a port that there is not")),
        };
        check_host(&authority[..host_len]).map_err(error)?;
        check_path(&text[end..]).map_err(error)?;
        Ok(Self { text: text.to_owned(), https, host_start: start, host_end: start + host_len, port })
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https:`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, in lower case; an IPv6 address with its brackets.
    #[must_use]
    pub fn host(&self) -> String {
        self.text[self.host_start..self.host_end].to_ascii_lowercase()
    }

    /// The port, also where it is the usual one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// Scheme, host and port in one spelling.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let usual = if self.https { 443 } else { 80 };
        match self.port {
            Some(port) if port != usual => format!("{scheme}://{}:{port}", self.host()),
            _ => format!("{scheme}://{}", self.host()),
        }
    }

    /// The path, at least `/`, with its query.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        let after = self.text[self.host_end..].trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
        if after.starts_with('/') { after.to_owned() } else { format!("/{after}") }
    }

    /// The same place in one spelling.
    #[must_use]
    pub fn normal(&self) -> String {
        format!("{}{}", self.origin(), self.path_and_query())
    }

    /// Who can be behind the host.
    #[must_use]
    pub fn reach(&self) -> Reach {
        reach(&self.host())
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').unwrap_or_default();
        return inner.parse::<Ipv6Addr>().map(|_| ()).map_err(|_| "a URL with an address that there is not");
    }
    let labels = host.strip_suffix('.').unwrap_or(host);
    let plain = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.len() > 253 || !labels.split('.').all(plain) {
        return Err("a URL with a host that there is not");
    }
    // `127.1`, `0x7f000001` and `2130706433` are addresses for some readers and names for others.
    let last = labels.rsplit('.').next().unwrap_or_default();
    let number =
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x");
    if number && (labels != host || labels.parse::<Ipv4Addr>().is_err()) {
        return Err("a URL with a number that some take for an address");
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let hex = rest.as_bytes().get(at + 1..at + 3);
        let Some(hex) = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit)) else {
            return Err("a URL with a percent sign that escapes nothing");
        };
        if hex == b"00" {
            return Err("a URL with a zero byte");
        }
        rest = &rest[at + 3..];
    }
    let way = path.split('?').next().unwrap_or_default();
    if way.split('/').any(is_dots) {
        return Err("a URL with a way back in its path");
    }
    Ok(())
}

/// Whether a segment of a path means this one or the one before.
pub(crate) fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// Who can be behind a host.
fn reach(host: &str) -> Reach {
    let name = host.trim_end_matches('.');
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = literal.parse::<IpAddr>() {
        return reach_of(ip);
    }
    let ends = |tail: &str| name == tail || name.ends_with(&format!(".{tail}"));
    if ends("localhost") {
        Reach::Loopback
    } else if !name.contains('.')
        || ["local", "internal", "lan", "home.arpa", "intranet", "corp", "home", "test", "invalid", "onion"]
            .iter()
            .any(|tail| ends(tail))
    {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_of(ip: IpAddr) -> Reach {
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return Reach::Loopback;
    }
    let private = match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            ip.is_private()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 224
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b))
        }
        // Only what is given out to hosts of the internet; what carries an IPv4 address is judged by that.
        IpAddr::V6(ip) => {
            let s = ip.segments();
            let inner = match s {
                [0x2002, a, b, ..] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => {
                    let [[a, b], [c, d]] = [a.to_be_bytes(), b.to_be_bytes()];
                    Some(Ipv4Addr::new(a, b, c, d))
                }
                _ => None,
            };
            match inner {
                Some(inner) => reach_of(IpAddr::V4(inner)) != Reach::Public,
                None => s[0] & 0xe000 != 0x2000 || (s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8)),
            }
        }
    };
    if private { Reach::Private } else { Reach::Public }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_two_readers_can_take_for_two_things_is_refused() {
        for url in [
            "",
            "https://",
            "https:///path",
            "https:/example.com",
            "HTTPS://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "//example.com/",
            "https://good.example\\@evil.example/",
            "https://good.example@evil.example/",
            "https://user:secret@example.com/",
            "https://example.com/#fragment",
            "https://example.com:99999/",
            "https://example.com:/",
            "https://example.com:080/",
            "https://example.com:80:90/",
            "https://exa mple.com/",
            "https://example.com/\r\nHost: x",
            "https://example.com/\u{e9}",
            "https://ex\u{e4}mple.com/",
            "https://.example.com/",
            "https://example..com/",
            "https://-x.example/",
            "https://2130706433/",
            "https://127.1/",
            "https://0x7f.0.0.1/",
            "https://0x7f000001/",
            "https://1.2.3.4.5/",
            "https://127.0.0.1./",
            "https://010.0.0.1/",
            "https://[::1/",
            "https://[fe80::1%25eth0]/",
            "https://[zz]/",
            "https://example.com/a/../b",
            "https://example.com/a/%2E%2e/b",
            "https://example.com/./b",
            "https://example.com/%zz",
            "https://example.com/%00",
            "https://example.com/{tenant}",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
        assert!(Address::parse(&format!("https://example.com/{}", "a".repeat(3_000))).is_err());
    }

    #[test]
    fn a_plain_url_has_one_spelling_and_parts() {
        let url = Address::parse("https://Gw.Example:443/eu/mcp?x=1").expect("plain");
        assert_eq!(url.host(), "gw.example");
        assert_eq!(url.port(), 443);
        assert_eq!(url.normal(), "https://gw.example/eu/mcp?x=1");
        let url = Address::parse("http://[::1]:8080").expect("plain");
        assert_eq!((url.normal().as_str(), url.reach()), ("http://[::1]:8080/", Reach::Loopback));
        let url = Address::parse("https://example.com?a=/../b").expect("dots in a query are no path");
        assert_eq!(url.normal(), "https://example.com/?a=/../b");
    }

    #[test]
    fn hosts_that_are_not_of_the_internet_are_named() {
        for (host, reach) in [
            ("example.com", Reach::Public),
            ("8.8.8.8", Reach::Public),
            ("[2606:4700::1]", Reach::Public),
            ("localhost", Reach::Loopback),
            ("a.localhost", Reach::Loopback),
            ("127.8.8.8", Reach::Loopback),
            ("[::1]", Reach::Loopback),
            ("[::ffff:127.0.0.1]", Reach::Loopback),
            ("intranet", Reach::Private),
            ("db.internal", Reach::Private),
            ("printer.local.", Reach::Private),
            ("10.0.0.1", Reach::Private),
            ("169.254.169.254", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("198.18.0.1", Reach::Private),
            ("0.0.0.0", Reach::Private),
            ("255.255.255.255", Reach::Private),
            ("[fd00::1]", Reach::Private),
            ("[fe80::1]", Reach::Private),
            ("[::]", Reach::Private),
            ("[64:ff9b::a00:1]", Reach::Private),
            ("[2002:a00:1::]", Reach::Private),
            ("[2001:db8::1]", Reach::Private),
        ] {
            let url = Address::parse(&format!("https://{host}/")).unwrap_or_else(|e| panic!("{host}: {e}"));
            assert_eq!(url.reach(), reach, "{host}");
        }
    }
}
