//! Where a client may go: the guard against server-side request forgery.
//!
//! A target that an operator wrote may be anything. A target that came from outside (a card, a webhook, a
//! metadata document) must be on the public internet, and what was checked is what is dialled: the check runs
//! on the addresses after resolution, and the connection goes to those addresses and not to the name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::error::{EgressError, Refusal};

/// Who wrote the targets of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// An operator, in the configuration: any address, loopback and private networks included.
    Operator,
    /// Somebody outside: `http` and `https` only, no user name in the URL, public addresses only.
    Public,
}

/// A URL that may be dialled once its addresses are known to be allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) host: Host<'a>,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// The host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl Guard {
    /// Checks what the URL alone can tell, without resolving anything and without allocating.
    pub(crate) fn check_url<'a>(self, uri: &'a Uri) -> Result<Target<'a>, EgressError> {
        let bad = |reason| EgressError::BadUrl { reason };
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) if self == Self::Public => return Err(EgressError::Refused { what: Refusal::Scheme }),
            Some(_) => return Err(bad("the scheme is neither http nor https")),
            None => return Err(bad("it is not absolute")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(match self {
                Self::Public => EgressError::Refused { what: Refusal::Userinfo },
                Self::Operator => bad("it carries a user name; credentials belong in a header"),
            });
        }
        let text = authority.host();
        let port = match authority.as_str().get(text.len()..) {
            Some("") if tls => 443,
            Some("") => 80,
            // `Authority::port_u16` reads a port that is none as absent, which would dial another service.
            Some(rest) if rest.starts_with(':') => {
                authority.port_u16().filter(|port| *port != 0).ok_or_else(|| bad("its port is not one"))?
            }
            Some(_) | None => return Err(bad("its host is not one")),
        };
        let host = host(text).map_err(bad)?;
        if let Host::Address(ip) = host {
            self.check_address(ip)?;
        }
        Ok(Target { host, port, tls })
    }

    /// Checks one address that is about to be dialled.
    pub(crate) fn check_address(self, ip: IpAddr) -> Result<(), EgressError> {
        match self {
            Self::Operator => Ok(()),
            Self::Public if address_is_public(ip) => Ok(()),
            Self::Public => Err(EgressError::Refused { what: Refusal::Address(ip) }),
        }
    }
}

/// Reads a host as an address where it is one in any spelling, else as a name.
fn host(text: &str) -> Result<Host<'_>, &'static str> {
    if let Some(inner) = text.strip_prefix('[') {
        let ip = inner.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.map(|ip| Host::Address(ip.into())).ok_or("what stands in brackets is not an IPv6 address");
    }
    let labels = text.strip_suffix('.').unwrap_or(text);
    if labels.is_empty() {
        return Err("it has no host");
    }
    if !ends_in_a_number(labels) {
        return Ok(Host::Name(text));
    }
    let ip = read_ipv4(labels).ok_or("its host looks like an address but is none")?;
    Ok(Host::Address(ip.into()))
}

/// Whether a host is an IPv4 address or nothing ("ends in a number", WHATWG URL, section 3.5).
fn ends_in_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
        || (is_hex(last) && last[2..].bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Reads `127.0.0.1`, `127.1`, `2130706433`, `0x7f.1`, `0177.0.0.01` and their like, as browsers and the C
/// library do (the IPv4 parser of WHATWG URL, section 3.5).
fn read_ipv4(host: &str) -> Option<Ipv4Addr> {
    let mut value = 0_u64;
    let mut labels = host.split('.').peekable();
    for place in 0..4 {
        let number = read_number(labels.next()?)?;
        if labels.peek().is_none() {
            // The last number fills all the bytes that are left.
            let rest = 8 * (4 - place);
            if number >> rest != 0 {
                return None;
            }
            return u32::try_from((value << rest) | number).ok().map(Ipv4Addr::from);
        }
        if number > 0xff {
            return None;
        }
        value = (value << 8) | number;
    }
    None
}

/// A number in decimal, octal (leading 0) or hexadecimal (leading 0x) that fits 32 bits.
fn read_number(text: &str) -> Option<u64> {
    let (digits, radix) = if is_hex(text) {
        (&text[2..], 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (&text[1..], 8)
    } else {
        (text, 10)
    };
    if digits.is_empty() {
        // `0x` alone counts as zero, an empty label does not.
        return (radix == 16).then_some(0);
    }
    // `from_str_radix` would accept a sign.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().map(u64::from)
}

fn is_hex(text: &str) -> bool {
    text.starts_with("0x") || text.starts_with("0X")
}

/// Whether an address is a host on the public internet.
///
/// Everything in the IANA special-purpose registries (RFC 6890 and its updates) is not: loopback, private,
/// link-local, shared (CGNAT), unique local, multicast, unspecified, documentation, benchmarking, reserved.
/// Addresses that embed an IPv4 address are judged by it (IPv4-mapped, NAT64); tunnels (6to4, Teredo) and
/// translations for local use are refused whatever they embed. Azure's metadata service, which lives on an
/// otherwise public address, is refused too.
#[must_use]
pub fn address_is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => v4_is_public(ip),
        IpAddr::V6(ip) => v6_is_public(ip),
    }
}

fn v4_is_public(ip: Ipv4Addr) -> bool {
    /// Network and prefix length of what is not public.
    const REFUSED: [(Ipv4Addr, u32); 16] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),        // "this network"
        (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),    // shared address space of carriers
        (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
        (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's platform and metadata service
        (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, and most clouds' metadata service
        (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays, deprecated
        (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
        (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, and broadcast
    ];
    let ip = u32::from(ip);
    REFUSED.iter().all(|(network, prefix)| (ip ^ u32::from(*network)) >> (32 - prefix) != 0)
}

fn v6_is_public(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let embedded = || {
        let [.., high, low] = segments;
        v4_is_public(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
    };
    match segments {
        // IPv4-mapped (RFC 4291): the kernel connects to the IPv4 address.
        [0, 0, 0, 0, 0, 0xffff, _, _] => embedded(),
        // NAT64's well-known prefix (RFC 6052): the translator connects to the IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => embedded(),
        // Protocol assignments, with Teredo, ORCHID and benchmarking (RFC 2928): no web server lives there.
        [0x2001, second, ..] if second < 0x0200 => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0db8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // 6to4 (RFC 7526: no longer in use).
        [0x2002, ..] => false,
        // Of the rest, only global unicast (RFC 4291, section 2.4) is public.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the guard makes of a host before anything is resolved.
    #[derive(Debug, PartialEq)]
    enum Verdict {
        /// `http::Uri` does not take it.
        NotAUrl,
        /// The guard says that it is no host.
        BadUrl,
        /// An address that is not public.
        Refused,
        /// An address that is.
        Public,
        /// A name: judged by the addresses that the resolver gives.
        Name,
    }

    fn verdict(host: &str) -> Verdict {
        let Ok(uri) = format!("http://{host}:8080/x").parse::<Uri>() else { return Verdict::NotAUrl };
        match Guard::Public.check_url(&uri) {
            Ok(Target { host: Host::Address(_), .. }) => Verdict::Public,
            Ok(Target { host: Host::Name(_), .. }) => Verdict::Name,
            Err(EgressError::Refused { .. }) => Verdict::Refused,
            Err(EgressError::BadUrl { .. }) => Verdict::BadUrl,
            Err(other) => panic!("{host}: {other:?}"),
        }
    }

    /// Hosts that are addresses which are not public, in all the ways to write them.
    const REFUSED: &str = "
        127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 127.000.000.001 0177.0.0.1 0177.0.0.01
        00000177.1
        0x7f.0.0.1 0x7F.0.0.0x1 0x7f.1 0x7f000001 0X7F000001 2130706433 2130706433. 017700000001
        0x0000007f000001
        127.0x1 127.0.0x0.01 0x7f.0377.65535
        0 0.0.0.0 0x0 0x 00 0.1 0.255.255.255
        10.0.0.1 10.1 0xa000001 012.0.0.1 167772161 172.16.0.1 172.31.255.255 0xac.0x10.1
        192.168.0.1 192.168.257
        3232235521 0300.0250.1 100.64.0.1 100.127.255.255 100.100.100.200
        169.254.169.254 169.254.43518 2852039166 0xa9fea9fe 0251.0376.0251.0376 168.63.129.16
        192.0.0.192
        192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9
        224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 4294967295 0xffffffff
        [::1] [0:0:0:0:0:0:0:1] [0000:0000::0001] [::] [fe80::1] [febf::1] [fec0::1] [fc00::1]
        [fd00:ec2::254]
        [ff02::1] [2001:db8::1] [3fff::1] [3fff:fff::1] [100::1] [5f00::1] [4000::1] [2001:2::1]
        [2001:10::1]
        [2001:1ff::1]
        [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:10.0.0.1] [0:0:0:0:0:ffff:a9fe:a9fe]
        [::127.0.0.1] [::8.8.8.8]
        [::ffff:0:127.0.0.1] [::ffff:0:8.8.8.8] [64:ff9b::127.0.0.1] [64:ff9b::a00:1]
        [64:ff9b::169.254.169.254]
        [64:ff9b:1::8.8.8.8] [2002:7f00:1::] [2002:a00:1::1] [2002:808:808::]
        [2001:0:4136:e378:8000:63bf:3fff:fdd2]";

    /// Hosts that look like addresses and are none, or that no URL may have.
    const NO_HOST: &str = "
        256.1.1.1 127.0.0.256 127.0.0.1.1 1.2.3.4.5 4294967296 0x100000000
        0xfffffffffffffffff7f000001 08.0.0.1
        127..1 foo.1 foo.0x1 .1 . [::1.2.3] [1::2::3] [::1 [v1.fe] 127.0.0.1:80 [::1]x []
        [::1%25eth0]
        [fe80::1%25eth0] [fe80::1%eth0] 127.0.0.1%00 %31%32%37.0.0.1 １２７.0.0.1 127。0。0。1 ①.1
        127.0.0.1\\";

    const PUBLIC: &str =
        "8.8.8.8 1.1 1.2.3.0x 0x08080808 134744072 [2606:4700::1111] [::ffff:8.8.8.8] [64:ff9b::8.8.8.8]";

    const NAMES: &str = "localhost LOCALHOST. 127.0.0.1.example 0x7f.0.0.g a.0xg x1 0xx 127.0.0.1..";

    #[test]
    fn every_spelling_of_an_address_is_judged_as_the_address() {
        for host in REFUSED.split_whitespace() {
            assert_eq!(verdict(host), Verdict::Refused, "{host}");
        }
        for host in NO_HOST.split_whitespace().chain([""]) {
            let verdict = verdict(host);
            assert!(matches!(verdict, Verdict::BadUrl | Verdict::NotAUrl), "{host}: {verdict:?}");
        }
        for host in PUBLIC.split_whitespace() {
            assert_eq!(verdict(host), Verdict::Public, "{host}");
        }
        for host in NAMES.split_whitespace() {
            assert_eq!(verdict(host), Verdict::Name, "{host}");
        }
        assert!(REFUSED.split_whitespace().count() >= 60, "the table has lost rows");
    }

    /// The first and last neighbours of the networks that are not public.
    const OUTSIDE: &str = "
        1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
        168.63.129.15
        168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255
        192.0.1.0 192.0.3.0
        192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
        198.51.99.255 198.51.101.0
        203.0.112.255 203.0.114.0 223.255.255.255
        2000:: 2001:200:: 2001:db7:ffff:: 2001:db9:: 2003:: 3ffe:ffff:: 3fff:1000:: 64:ff9b::808:808";

    /// The last addresses in them.
    const INSIDE: &str = "
        0.255.255.255 10.255.255.255 127.255.255.255 172.31.255.255 192.0.0.255 192.0.2.255
        192.168.255.255
        198.19.255.255 198.51.100.255 203.0.113.255
        1fff:ffff:: 4000:: fbff:: fdff:: 64:ff9b:0:1::808:808 64:ff9b::7f00:1 ::fffe:808:808";

    #[test]
    fn the_edges_of_each_network_are_where_the_registry_says() {
        for ip in OUTSIDE.split_whitespace() {
            assert!(address_is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in INSIDE.split_whitespace() {
            assert!(!address_is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_operator_may_name_any_address_but_not_a_url_that_means_something_else() {
        let check = |url: &str| {
            let uri: Uri = url.parse().unwrap();
            Guard::Operator
                .check_url(&uri)
                .map(|t| (t.authority().into_string(), t.tls))
                .map_err(|e| e.to_string())
        };
        assert_eq!(check("http://127.0.0.1/x"), Ok(("127.0.0.1:80".to_owned(), false)));
        assert_eq!(check("https://[::1]"), Ok(("[::1]:443".to_owned(), true)));
        assert_eq!(check("http://0x7f.1:81"), Ok(("127.0.0.1:81".to_owned(), false)));
        assert_eq!(check("http://crm.internal:9100/mcp"), Ok(("crm.internal:9100".to_owned(), false)));
        assert_eq!(check("http://a:99999/").unwrap_err(), "use the URL: its port is not one");
        assert_eq!(check("http://a:0/").unwrap_err(), "use the URL: its port is not one");
        assert_eq!(check("http://a:/").unwrap_err(), "use the URL: its port is not one");
        assert_eq!(check("ftp://a/").unwrap_err(), "use the URL: the scheme is neither http nor https");
        assert_eq!(check("/mcp").unwrap_err(), "use the URL: it is not absolute");
        assert!(check("http://u:p@a/").unwrap_err().contains("credentials belong in a header"));
    }

    #[test]
    fn a_public_target_has_neither_a_user_name_nor_another_scheme() {
        let what = |url: &str| match Guard::Public.check_url(&url.parse().unwrap()) {
            Err(EgressError::Refused { what }) => what,
            other => panic!("{url}: {other:?}"),
        };
        assert_eq!(what("http://example.com@127.0.0.1/"), Refusal::Userinfo);
        assert_eq!(what("http://127.0.0.1:80@example.com/"), Refusal::Userinfo);
        assert_eq!(what("https://user:secret@example.com/"), Refusal::Userinfo);
        assert_eq!(what("ftp://example.com/"), Refusal::Scheme);
        assert_eq!(what("gopher://127.0.0.1:6379/_x"), Refusal::Scheme);
        assert_eq!(what("HTTP://127.0.0.1/"), Refusal::Address(Ipv4Addr::LOCALHOST.into()));
    }
}
