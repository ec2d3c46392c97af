//! What is shown with a request, of all that a document would take.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use openapi::{Place, Requirement, Scheme, Tool};

use super::ApiOptions;

/// What is shown with the requests of one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The schemes for which a credential is given.
    pub schemes: Vec<String>,
    /// A token of `auth`.
    pub proof: bool,
    /// Something that stands in `headers`.
    pub header: bool,
}

impl Shown {
    /// Whether nobody can tell who asks.
    pub fn is_nothing(&self) -> bool {
        self.schemes.is_empty() && !self.proof && !self.header
    }
}

/// By what a scheme is met.
enum Means {
    Key,
    Proof,
    Header,
}

/// How many names of operations a message has.
const NAMED_MAX: usize = 3;

/// What each tool shows.
///
/// # Errors
/// Which credentials are missing, or are for nothing.
pub(super) fn shown(
    tools: &[Tool],
    schemes: &BTreeMap<String, Scheme>,
    options: &ApiOptions,
) -> Result<Vec<Shown>, String> {
    if let Some(name) = options.keys.keys().find(|name| !schemes.contains_key(*name)) {
        let known: Vec<_> = schemes.keys().take(8).map(|name| format!("{name:?}")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!(
            "\"openapi.credentials\" has something for the scheme {name:?}, and the document has {known}"
        ));
    }
    let anybody = tools.iter().all(|tool| tool.requirements.is_empty());
    let mut unmet: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut out = Vec::with_capacity(tools.len());
    for tool in tools {
        match choose(&tool.requirements, schemes, options) {
            Ok(mut shown) => {
                // A document that says nothing of it at all has forgotten to.
                shown.proof |= anybody && options.proves;
                out.push(shown);
            }
            Err(missing) => missing.iter().for_each(|name| unmet.entry(name).or_default().push(&tool.name)),
        }
    }
    match unmet.is_empty() {
        true => Ok(out),
        false => Err(told(&unmet, schemes)),
    }
}

/// The first demand that can be met, else what is missing for the first one.
fn choose<'t>(
    requirements: &'t [Requirement],
    schemes: &BTreeMap<String, Scheme>,
    options: &ApiOptions,
) -> Result<Shown, Vec<&'t str>> {
    let mut missing: Option<Vec<&str>> = None;
    for requirement in requirements.iter().filter(|all| !all.is_empty()) {
        let mut shown = Shown::default();
        let mut lacks = Vec::new();
        for need in requirement {
            match schemes.get(&need.scheme).and_then(|scheme| means(&need.scheme, scheme, options)) {
                Some(Means::Key) => shown.schemes.push(need.scheme.clone()),
                Some(Means::Proof) => shown.proof = true,
                Some(Means::Header) => shown.header = true,
                None => lacks.push(need.scheme.as_str()),
            }
        }
        if lacks.is_empty() {
            return Ok(shown);
        }
        missing.get_or_insert(lacks);
    }
    match missing {
        // Somebody whom nobody knows will do as well.
        _ if requirements.iter().any(Vec::is_empty) => Ok(Shown::default()),
        None => Ok(Shown::default()),
        Some(missing) => Err(missing),
    }
}

fn means(name: &str, scheme: &Scheme, options: &ApiOptions) -> Option<Means> {
    let header = match scheme {
        Scheme::ApiKey { place: Place::Header, name } => Some(name.as_str()),
        Scheme::ApiKey { place: Place::Cookie, .. } => Some("cookie"),
        Scheme::ApiKey { .. } | Scheme::MutualTls | Scheme::Unknown => None,
        Scheme::Basic | Scheme::Bearer | Scheme::Http(_) => Some("authorization"),
        Scheme::OAuth2 { .. } | Scheme::OpenIdConnect { .. } => Some("authorization"),
    };
    let fixed = || {
        options.headers.iter().any(|(own, _)| header.is_some_and(|h| own.as_str().eq_ignore_ascii_case(h)))
    };
    let sent = !matches!(scheme, Scheme::Http(_) | Scheme::MutualTls | Scheme::Unknown);
    let token = matches!(scheme, Scheme::Bearer | Scheme::OAuth2 { .. } | Scheme::OpenIdConnect { .. });
    match options.keys.contains_key(name) {
        true if sent => Some(Means::Key),
        _ if token && options.proves => Some(Means::Proof),
        _ if fixed() => Some(Means::Header),
        _ => None,
    }
}

/// What a credential of this scheme is, and where it is given.
fn words(name: &str, scheme: Option<&Scheme>) -> (String, String) {
    let here = format!("\"openapi.credentials.{name}\"");
    match scheme {
        Some(Scheme::ApiKey { place, name }) => (format!("a key in the {} {name:?}", at(*place)), here),
        Some(Scheme::Basic) => ("a name and a password".to_owned(), here),
        Some(Scheme::Bearer) => ("a bearer token".to_owned(), format!("{here} or \"auth\"")),
        Some(Scheme::OAuth2 { .. }) => ("a token of OAuth 2.0".to_owned(), format!("{here} or \"auth\"")),
        Some(Scheme::OpenIdConnect { .. }) => {
            ("a token of OpenID Connect".to_owned(), format!("{here} or \"auth\""))
        }
        Some(Scheme::Http(word)) => {
            (format!("the HTTP scheme {word:?}"), "\"Authorization\" in \"headers\"".to_owned())
        }
        Some(Scheme::MutualTls) => ("a certificate of the gateway's".to_owned(), String::new()),
        Some(Scheme::Unknown) | None => ("which is not described".to_owned(), String::new()),
    }
}

fn at(place: Place) -> &'static str {
    match place {
        Place::Query => "query parameter",
        other => other.word(),
    }
}

fn told(unmet: &BTreeMap<&str, Vec<&str>>, schemes: &BTreeMap<String, Scheme>) -> String {
    let mut out = String::new();
    for (name, tools) in unmet.iter().take(NAMED_MAX) {
        if !out.is_empty() {
            out.push_str("; ");
        }
        let (what, give) = words(name, schemes.get(*name));
        let named: Vec<_> = tools.iter().take(NAMED_MAX).copied().collect();
        let (count, more) = (tools.len(), if tools.len() > NAMED_MAX { ", …" } else { "" });
        let give = match give.is_empty() {
            true => "the gateway cannot show it".to_owned(),
            false => format!("give {give}"),
        };
        let _ = write!(
            out,
            "a credential is missing: {count} of its operations ({}{more}) demand {name:?} ({what}): \
             {give}, or leave them out with \"openapi.exclude\"",
            named.join(", ")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::HeaderName;
    use openapi::{Document, Limits, Options};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::DocumentAt;

    fn options(keys: &[(&str, &str)], proves: bool) -> ApiOptions {
        ApiOptions {
            document: DocumentAt::File("x".into()),
            server: None,
            select: Arc::new(|_| true),
            outputs: true,
            refresh: Duration::from_secs(1),
            headers: Vec::new(),
            keys: keys.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            proves,
        }
    }

    fn of(security: Value, options: &ApiOptions) -> Result<Vec<Shown>, String> {
        let document = json!({
            "openapi": "3.1.0", "info": {"title": "t", "version": "1"},
            "paths": {"/a": {"get": {"operationId": "a", "security": security, "responses": {}}}},
            "components": {"securitySchemes": {
                "key": {"type": "apiKey", "in": "query", "name": "k"},
                "head": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "basic": {"type": "http", "scheme": "basic"},
                "digest": {"type": "http", "scheme": "digest"},
                "oauth": {"type": "oauth2", "flows": {}},
                "tls": {"type": "mutualTLS"},
            }},
        });
        let document = Document::read(document.to_string().as_bytes(), &Limits::default()).expect("read");
        let tools = document.tools(&Options::default()).expect("tools");
        // They come in the order of the document, which is that of a map here.
        let mut shown = shown(&tools.tools, &document.schemes, options)?;
        shown.iter_mut().for_each(|shown| shown.schemes.sort_unstable());
        Ok(shown)
    }

    fn by(schemes: &[&str]) -> Shown {
        Shown { schemes: schemes.iter().map(|s| (*s).to_owned()).collect(), ..Shown::default() }
    }

    #[test]
    fn the_first_demand_that_can_be_met_is_and_nobody_is_enough_only_where_none_can() {
        let both = options(&[("key", "1"), ("basic", "a:b")], false);
        assert_eq!(of(json!([{"oauth": []}, {"basic": []}]), &both), Ok(vec![by(&["basic"])]));
        assert_eq!(of(json!([{"key": [], "basic": []}]), &both), Ok(vec![by(&["basic", "key"])]));
        assert_eq!(of(json!([{}, {"key": []}]), &both), Ok(vec![by(&["key"])]));
        assert_eq!(of(json!([{}, {"oauth": []}]), &both), Ok(vec![by(&[])]));
        assert_eq!(of(json!([]), &both), Ok(vec![by(&[])]));
    }

    #[test]
    fn a_token_of_the_gateways_own_meets_what_takes_tokens_and_all_that_says_nothing() {
        let proves = options(&[], true);
        let proof = Shown { proof: true, ..Shown::default() };
        assert_eq!(of(json!([{"oauth": []}]), &proves), Ok(vec![proof.clone()]));
        assert_eq!(of(json!([]), &proves), Ok(vec![proof]));
        assert!(of(json!([{"basic": []}]), &proves).is_err());
    }

    #[test]
    fn a_header_of_the_operators_meets_the_scheme_that_it_shows() {
        let mut own = options(&[], false);
        own.headers.push((HeaderName::from_static("x-key"), http::HeaderValue::from_static("1")));
        let header = Shown { header: true, ..Shown::default() };
        assert_eq!(of(json!([{"head": []}]), &own), Ok(vec![header]));
        assert!(of(json!([{"digest": []}]), &own).is_err());
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_write() {
        let told = |security| of(security, &options(&[], false)).expect_err("nothing is given");
        assert_eq!(
            told(json!([{"key": []}])),
            "a credential is missing: 1 of its operations (a) demand \"key\" (a key in the query parameter \
             \"k\"): give \"openapi.credentials.key\", or leave them out with \"openapi.exclude\""
        );
        assert!(told(json!([{"oauth": []}])).contains("\"openapi.credentials.oauth\" or \"auth\""));
        assert!(told(json!([{"tls": []}])).contains("the gateway cannot show it"));
        assert!(told(json!([{"unknown": []}])).contains("not described"));
        let wrong = of(json!([]), &options(&[("kay", "hunter2")], false)).expect_err("no such scheme");
        assert!(wrong.contains("\"kay\"") && wrong.contains("\"basic\"") && !wrong.contains("hunter2"));
    }
}
