//! A remote becomes a URL with headers.

use std::collections::BTreeMap;

use super::asker::{Asker, Question};
use super::{Answers, Draft, Place, RemotePlan, Rules};
use crate::address::{Address, Reach, is_dots};
use crate::fault::{By, shown};
use crate::remote::{Remote, header_fault};
use crate::template::{Piece, Template, Value};

/// What would be done with a remote.
#[must_use]
pub fn remote(remote: &Remote, at: &str, answers: &Answers, rules: &Rules) -> Draft<RemotePlan> {
    let mut asker = Asker::new(answers, rules);
    let url = url(&mut asker, remote, at);
    let headers = headers(&mut asker, remote, at);
    let plan = url.map(|url| {
        let reach = url.reach();
        RemotePlan { transport: remote.kind, url, reach, headers }
    });
    Draft::new(asker, plan)
}

fn url(asker: &mut Asker<'_>, remote: &Remote, at: &str) -> Option<Address> {
    let url_at = format!("{at}/url");
    let template = Template::parse(&remote.url, |name| remote.variables.contains_key(name));
    let mut text = String::new();
    let pieces = template.pieces();
    for (n, piece) in pieces.iter().enumerate() {
        let name = match piece {
            Piece::Text(plain) => {
                text.push_str(plain);
                continue;
            }
            Piece::Name(name) => name,
        };
        let value = asker.variable(name, Place::Url, at, &remote.variables[name])?;
        let value = value.as_text()?.to_owned();
        // Whether more of the same part follows.
        let followed = match pieces.get(n + 1) {
            Some(Piece::Text(next)) => !next.starts_with(['/', '?', ':']),
            Some(Piece::Name(_)) => true,
            None => false,
        };
        if chooses_host(&text, followed) {
            asker.risk(format!("{name} decides which host is connected to"));
        }
        match put(&text, &value, followed) {
            Ok(put) => text.push_str(&put),
            Err(what) => {
                asker.refuse(By::Operator, &url_at, format!("{name} is {}: {what}", shown(&value)));
                return None;
            }
        }
    }
    // A value may have completed what stood around it to a way back.
    let url = match Address::parse(&text) {
        Ok(url) => url,
        Err(error) => {
            asker.refuse(By::Publisher, &url_at, error.to_string());
            return None;
        }
    };
    check_reach(asker, &url_at, &url)?;
    Some(url)
}

fn check_reach(asker: &mut Asker<'_>, at: &str, url: &Address) -> Option<()> {
    match url.reach() {
        Reach::Loopback if !asker.rules.loopback => {
            asker.refuse(By::Publisher, at, format!("{} is this machine", url.host()));
            return None;
        }
        Reach::Loopback => return Some(()),
        Reach::Private => asker.risk(format!("{} is no host of the internet", url.host())),
        Reach::Public => {}
    }
    if !url.is_https() {
        asker.refuse(By::Publisher, at, "a remote that is not reached over https");
        return None;
    }
    Some(())
}

/// Where in a URL something is put.
#[derive(PartialEq, Eq)]
enum Spot {
    Whole,
    Host,
    Path,
    Query,
}

fn spot(before: &str) -> Spot {
    match before.split_once("://") {
        None => Spot::Whole,
        Some((_, rest)) if rest.contains('?') => Spot::Query,
        Some((_, rest)) if rest.contains('/') => Spot::Path,
        Some(_) => Spot::Host,
    }
}

fn chooses_host(before: &str, followed: bool) -> bool {
    matches!(spot(before), Spot::Whole) || (spot(before) == Spot::Host && !followed)
}

/// A value as it may stand in its place, where it can change nothing around it.
fn put(before: &str, value: &str, followed: bool) -> Result<String, &'static str> {
    if value.is_empty() {
        return Err("nothing");
    }
    match spot(before) {
        Spot::Whole => {
            let url = Address::parse(value).map_err(|_| "no plain URL")?;
            if value.contains('?') {
                return Err("a URL with a query, to which more would be added");
            }
            Ok(url.as_str().trim_end_matches('/').to_owned())
        }
        Spot::Host => {
            let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let plain = value.bytes().all(|byte| label(byte) || (!followed && b".:".contains(&byte)));
            if plain { Ok(value.to_owned()) } else { Err("no part of a host's name") }
        }
        Spot::Path => {
            if value.contains(['/', '\\', '?', '#', '%', ';']) || is_dots(value) || value.contains("..") {
                return Err("a way out of its place in the path");
            }
            Ok(escaped(value))
        }
        Spot::Query => Ok(escaped(value)),
    }
}

/// Everything but letters, digits and `-._~` escaped.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn headers(asker: &mut Asker<'_>, remote: &Remote, at: &str) -> BTreeMap<String, Value> {
    let mut headers = BTreeMap::new();
    for (n, header) in remote.headers.iter().enumerate() {
        let at = format!("{at}/headers/{n}");
        if let Some(what) = header_fault(&header.name) {
            asker.refuse(By::Publisher, &at, format!("{}: {what}", shown(&header.name)));
            continue;
        }
        let question = Question {
            key: &header.name,
            place: Place::Header,
            at: &at,
            input: &header.input,
            variables: &header.variables,
            repeated: false,
        };
        let Some(value) = asker.values(&question).and_then(|mut values| values.pop()) else { continue };
        // Control characters were refused before; what is beyond ASCII, intermediaries read differently.
        if !value.to_string().is_ascii() {
            asker.refuse(By::Operator, &at, "a header that is not of ASCII");
        }
        headers.insert(header.name.clone(), value);
    }
    headers
}
