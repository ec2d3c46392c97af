//! Where operators come in.

use std::net::SocketAddr;

use super::url::{UrlUse, url_fault};
use super::{Report, auth};
use crate::advice;
use crate::section::{Admin, AdminRoles, AdminSignIn, Config, Issuer};
use crate::source::Path;
use crate::value::{Address, parse_listen};

/// A token of fewer characters can be guessed.
const TOKEN_CHARS_MIN: usize = 32;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let Admin { listen, url, token, sign_in } = &config.admin;
    let path = Path::keys(["admin"]);
    // What stands elsewhere is checked when it is read.
    if let Some(Address::Here(text)) = listen {
        let fault = match parse_listen(text) {
            Err(error) => Some(error.to_string()),
            Ok(listen) => listen_fault(listen),
        };
        if let Some(fault) = fault {
            report.value(&path.key("listen"), fault, None);
        }
    }
    if let Some(url) = url {
        check_own_url(url, &path.key("url"), report);
    }
    if let Some(fault) = token.as_ref().and_then(|token| token.written_out()).and_then(token_fault) {
        report.value(&path.key("token"), fault, None);
    }
    if let Some(sign_in) = sign_in {
        check_sign_in(sign_in, config, &path.key("sign_in"), report);
    }
    if listen.is_some() && token.is_none() && sign_in.is_none() {
        let hint = "give \"token\", as in {env: TIDEGATE_ADMIN_TOKEN}, or \"sign_in\"".to_owned();
        report.absent(
            &path,
            "operators prove themselves by a token or sign in, and there is neither",
            Some(hint),
        );
    }
    let given = [("token", token.is_some()), ("sign_in", sign_in.is_some()), ("url", url.is_some())];
    if let (None, Some((key, _))) = (listen, given.iter().find(|(_, given)| *given)) {
        let hint = Some("give \"listen\" too, as in 127.0.0.1:7402".to_owned());
        let message = format!("there is a \"{key}\" for operators and nothing listens for them");
        report.absent(&path, message, hint);
    }
}

/// With TLS, but on this machine: a session that travels in the clear is anybody's.
fn check_own_url(url: &str, path: &Path, report: &mut Report<'_>) {
    let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']));
    match url_fault(url, UrlUse::Own) {
        None if has_path => {
            report.value(path, "expected no path, also no \"/\": those of pages are added", None);
        }
        _ => auth::check_issuer_url(url, path, report),
    }
}

fn check_sign_in(sign_in: &AdminSignIn, config: &Config, path: &Path, report: &mut Report<'_>) {
    let AdminSignIn { issuer: name, tenant, roles, session, idle } = sign_in;
    let (at, issuers) = (path.key("issuer"), &config.auth.issuers);
    match issuers.get(name) {
        None if name.is_empty() => {
            let hint = "give \"issuer\", the name of one of \"auth.issuers\"".to_owned();
            report.absent(path, "nothing says where operators sign in", Some(hint));
        }
        None => {
            let hint = advice::nearest(name, issuers.keys().map(String::as_str)).map(advice::did_you_mean);
            report.value(&at, format!("there is no issuer {name:?} under \"auth.issuers\""), hint);
        }
        Some(issuer) => {
            let lacks = |key: &str, what: &str| {
                (format!("{what}: it has no {key:?}"), Some(format!("give auth.issuers.{name}.{key}")))
            };
            let fault = if issuer.sign_in.is_none() {
                Some(lacks("sign_in", "users of this issuer cannot sign in"))
            } else if issuer.groups_claim.is_none() {
                Some(lacks("groups_claim", "users of this issuer are in no groups"))
            } else {
                None
            };
            if let Some((message, hint)) = fault {
                report.value(&at, message, hint);
            }
            check_tenant(issuer, tenant.as_deref(), path, report);
        }
    }
    check_roles(roles, &path.key("roles"), path, report);
    auth::span(*session, (60, 7 * 86_400), "1m to 7d", &path.key("session"), report);
    if idle.duration().as_secs() < 60 || idle > session {
        let text = format!("expected a time: 1m to \"session\", which is {session}");
        report.value(&path.key("idle"), text, None);
    }
}

fn check_tenant(issuer: &Issuer, tenant: Option<&str>, path: &Path, report: &mut Report<'_>) {
    let at = path.key("tenant");
    let theirs = issuer.tenant.as_deref().unwrap_or("default");
    match tenant {
        Some(tenant) if !is_name(tenant) => {
            report.value(&at, "expected a name of 1 to 256 bytes", None);
        }
        Some(tenant) if issuer.tenant_claim.is_none() && tenant != theirs => {
            report.value(&at, format!("all users of this issuer are of the tenant {theirs:?}"), None);
        }
        None if issuer.tenant_claim.is_some() => {
            let hint = Some("give \"tenant\", the one whose groups count".to_owned());
            report.absent(path, "users of this issuer are of several tenants", hint);
        }
        _ => {}
    }
}

fn check_roles(roles: &AdminRoles, at: &Path, path: &Path, report: &mut Report<'_>) {
    let AdminRoles { admin, operator, viewer } = roles;
    for (key, groups) in [("admin", admin), ("operator", operator), ("viewer", viewer)] {
        for (index, _) in groups.iter().enumerate().filter(|(_, group)| !is_name(group)) {
            report.value(&at.key(key).index(index), "expected a name of 1 to 256 bytes", None);
        }
    }
    if admin.is_empty() && operator.is_empty() && viewer.is_empty() {
        let hint = "name groups of operators, as in {viewer: [support], admin: [platform]}".to_owned();
        report.absent(path, "nobody has a role, so nobody could sign in", Some(hint));
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 256
}

/// Why operators cannot come in there.
pub(crate) fn listen_fault(listen: SocketAddr) -> Option<String> {
    let text = "expected an address of the loopback interface, such as 127.0.0.1:7402";
    (!listen.ip().is_loopback()).then(|| text.to_owned())
}

/// Why a token is none.
pub(crate) fn token_fault(token: &str) -> Option<String> {
    let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
    let text = format!("expected at least {TOKEN_CHARS_MIN} characters, of ASCII and without spaces");
    (token.len() < TOKEN_CHARS_MIN || !visible).then_some(text)
}
