//! What replicas share, and how they reach one another.

use super::Report;
use super::url::{UrlUse, url_fault};
use crate::section::{Config, Keys, Replica, Store};
use crate::source::Path;
use crate::value::StoreUrl;

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
    if let Some(url) = url {
        let fault = url_fault(url, UrlUse::Replica);
        let (message, hint) = match fault {
            Some(fault) => fault,
            None if !is_origin(url) => {
                ("expected no path after the port: others add theirs".to_owned(), None)
            }
            None => (String::new(), None),
        };
        if !message.is_empty() {
            report.value(&path.key("url"), message, hint);
        }
    }
    match listen {
        None if url.is_some() => {
            let hint = Some("give \"listen\" too, as in 0.0.0.0:7401".to_owned());
            report.absent(&path, "there is a \"url\" for others and nothing listens there", hint);
        }
        Some(listen) if url.is_none() && listen.ip().is_unspecified() => {
            let hint = Some("give \"url\" too, with the address of this machine".to_owned());
            report.value(&path.key("listen"), format!("others cannot reach {}", listen.ip()), hint);
        }
        Some(listen) if listen.port() != 0 && *listen == config.listen => {
            report.value(&path.key("listen"), "this is where clients are served", None);
        }
        _ => {}
    }
}

/// Whether a URL that was found good has no path, or the root alone, and no query.
fn is_origin(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    !rest.trim_end_matches('/').contains(['/', '?'])
}
