//! What replicas share, and how they reach one another.

use std::net::SocketAddr;

use super::Report;
use super::url::{UrlUse, url_fault};
use crate::section::{Config, Keys, Replica, Store};
use crate::source::Path;
use crate::value::{Address, StoreUrl, parse_listen};

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    check_keys(&config.keys, report);
    check_store(&config.store, report);
    check_replica(config, report);
}

fn check_keys(keys: &Keys, report: &mut Report<'_>) {
    let Keys { file, env } = keys;
    let path = Path::keys(["keys"]);
    if file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        report.value(&path.key("file"), "expected the path of a file", None);
    }
    if env.as_ref().is_some_and(|name| name.is_empty() || name.contains(['=', '\0'])) {
        report.value(&path.key("env"), "expected the name of a variable", None);
    }
    if file.is_some() && env.is_some() {
        let (file, env) = (path.key("file"), path.key("env"));
        let later = if report.is_before(&file, &env) { env } else { file };
        report.key(&later, "a ring is in one place: give either \"file\" or \"env\"", None);
    }
}

fn check_store(store: &Store, report: &mut Report<'_>) {
    let Store { url } = store;
    let path = Path::keys(["store", "url"]);
    // What stands elsewhere is checked when it is read.
    let Some(url) = url else { return };
    if let Some(Err(error)) = url.written_out().map(StoreUrl::parse) {
        report.value(&path, error.to_string(), None);
    }
}

fn check_replica(config: &Config, report: &mut Report<'_>) {
    let Replica { listen, url } = &config.replica;
    let path = Path::keys(["replica"]);
    // What stands elsewhere is checked when it is read.
    if let Some((message, hint)) = url.as_ref().and_then(Address::written_out).and_then(url_of_replica_fault)
    {
        report.value(&path.key("url"), message, hint);
    }
    match listen {
        None if url.is_some() => {
            let hint = Some("give \"listen\" too, as in 0.0.0.0:7401".to_owned());
            report.absent(&path, "there is a \"url\" for others and nothing listens there", hint);
        }
        Some(Address::Here(text)) => {
            let fault = match parse_listen(text) {
                Err(error) => Some((error.to_string(), None)),
                Ok(listen) => listen_fault(listen, report.has(&path.key("url")), config.listen),
            };
            if let Some((message, hint)) = fault {
                report.value(&path.key("listen"), message, hint);
            }
        }
        Some(Address::Env(_)) | None => {}
    }
}

/// What is wrong, and what to write.
type Fault = (String, Option<String>);

/// Why other replicas cannot reach one by this URL.
pub(crate) fn url_of_replica_fault(url: &str) -> Option<Fault> {
    let path = || ("expected no path after the port: others add theirs".to_owned(), None);
    url_fault(url, UrlUse::Replica).or_else(|| (!is_origin(url)).then(path))
}

/// Why a replica cannot listen there for others, where clients are served at `clients`.
pub(crate) fn listen_fault(listen: SocketAddr, has_url: bool, clients: SocketAddr) -> Option<Fault> {
    if !has_url && listen.ip().is_unspecified() {
        let hint = Some("give \"url\" too, with the address of this machine".to_owned());
        return Some((format!("others cannot reach {}", listen.ip()), hint));
    }
    let same = listen.port() != 0 && listen == clients;
    same.then(|| ("this is where clients are served".to_owned(), None))
}

/// Whether a URL that was found good has no path, or the root alone, and no query.
fn is_origin(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    !rest.trim_end_matches('/').contains(['/', '?'])
}
