//! The gateway as an authorization server.

use std::collections::HashSet;

use super::Report;
use super::auth::{check_issuer_url, check_scopes, span};
use crate::advice;
use crate::section::{Broker, BrokerClient, Config};
use crate::source::Path;
use crate::value::Secret;

pub(super) fn check(broker: &Broker, config: &Config, path: &Path, report: &mut Report<'_>) {
    let Broker {
        sign_in,
        token_ttl,
        refresh_ttl,
        registration: _,
        client_documents: _,
        client_hosts,
        clients,
        enterprise,
        scope_groups,
    } = broker;
    check_issuers(sign_in, config, &path.key("sign_in"), report);
    for (index, name) in sign_in.iter().enumerate() {
        if config.auth.issuers.get(name).is_some_and(|issuer| issuer.sign_in.is_none()) {
            let hint = format!("give auth.issuers.{name}.sign_in");
            report.value(&path.key("sign_in").index(index), "nobody can sign in there", Some(hint));
        }
    }
    check_issuers(enterprise, config, &path.key("enterprise"), report);
    span(*token_ttl, (30, 3_600), "30s to 1h", &path.key("token_ttl"), report);
    span(*refresh_ttl, (60, 365 * 86_400), "1m to 365d", &path.key("refresh_ttl"), report);
    for (index, host) in client_hosts.iter().enumerate() {
        if host.is_empty() || host.contains(['/', '*', '@']) {
            report.value(&path.key("client_hosts").index(index), "expected the name of a host", None);
        }
    }
    let mut ids = HashSet::new();
    for (index, client) in clients.iter().enumerate() {
        let at = path.key("clients").index(index);
        check_client(client, &at, report);
        if !ids.insert(&client.client_id) {
            report.value(&at.key("client_id"), "another client is called that", None);
        }
    }
    let scopes: Vec<String> = scope_groups.keys().cloned().collect();
    check_scopes(&scopes, &path.key("scope_groups"), report);
}

fn check_issuers(names: &[String], config: &Config, path: &Path, report: &mut Report<'_>) {
    for (index, name) in names.iter().enumerate() {
        if !config.auth.issuers.contains_key(name) {
            let hint = advice::nearest(name, config.auth.issuers.keys().map(String::as_str));
            let message = format!("there is no issuer {name:?} under \"auth.issuers\"");
            report.value(&path.index(index), message, hint.map(advice::did_you_mean));
        }
    }
}

fn check_client(client: &BrokerClient, path: &Path, report: &mut Report<'_>) {
    let BrokerClient { client_id, client_secret, jwks_uri, name: _, redirect_uris } = client;
    if client_id.is_empty() {
        report.absent(path, "the client is called nothing; give \"client_id\"", None);
    }
    if client_id.contains("://") {
        let message = "a client that is a URL is known by the document that is there";
        report.value(&path.key("client_id"), message, None);
    }
    if client_secret.as_ref().and_then(Secret::written_out).is_some_and(str::is_empty) {
        report.value(&path.key("client_secret"), "a secret cannot be empty", None);
    }
    if let Some(url) = jwks_uri {
        check_issuer_url(url, &path.key("jwks_uri"), report);
        if client_secret.is_some() {
            report.key(&path.key("jwks_uri"), "give either \"client_secret\" or \"jwks_uri\"", None);
        }
    }
    for (index, uri) in redirect_uris.iter().enumerate() {
        if !uri.contains(':') || uri.contains(['#', ' ', '*']) {
            let message = "expected a whole address, without \"#\" and \"*\"";
            report.value(&path.key("redirect_uris").index(index), message, None);
        }
    }
}
