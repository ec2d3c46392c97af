//! What looks like a secret whatever it is called.

use super::name::{is_harmless, is_placeholder, is_random, names_secret};

/// What well-known secrets begin with, and how long they are at least.
const BEGINNINGS: [(&str, usize); 43] = [
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("glsa_", 20),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxc-", 10),
    ("xoxd-", 10),
    ("xoxe-", 10),
    ("xoxe.", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("hf_", 20),
    ("eyJ", 40),
    ("ntn_", 20),
    ("lin_api_", 20),
    ("figd_", 20),
    ("shpat_", 20),
    ("dop_v1_", 20),
    ("gsk_", 20),
    ("tvly-", 20),
    ("sbp_", 20),
    ("pplx-", 20),
    ("ATATT", 20),
    ("fc-", 30),
    ("AGE-SECRET-KEY-", 20),
];

/// What stands before a token in a header.
pub(super) const SCHEMES: [&str; 4] = ["bearer", "basic", "token", "apikey"];

/// A word of a path that is as long and as mixed as this opens what it names.
const SEGMENT_MIN: usize = 32;

/// Whether a text has the form of a well-known kind of secret.
#[must_use]
pub fn looks_secret(text: &str) -> bool {
    !known(text).is_empty()
}

/// The well-known secrets in a text.
pub(super) fn known(text: &str) -> Vec<&str> {
    if let Some(at) = text.find("-----BEGIN") {
        return vec![&text[at..]];
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
    text.split(|c: char| !is_word(c))
        .filter(|word| BEGINNINGS.iter().any(|(start, len)| word.len() >= *len && word.starts_with(start)))
        .collect()
}

/// Takes the word before a token off: `Bearer abc` is `Bearer ` and `abc`.
pub(super) fn scheme(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    let is_one = !token.is_empty() && !token.contains(char::is_whitespace);
    (SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) && is_one).then_some((scheme, token))
}

/// The token of a header's value, whatever it is called.
pub(super) fn in_header_value(text: &str) -> Option<&str> {
    let (scheme, token) = scheme(text)?;
    let mixed = token.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase() || c == '=');
    let is_word = ["token", "tokens", "auth", "authentication", "authorization"]
        .iter()
        .any(|word| token.trim_end_matches(['.', ',', ':']).eq_ignore_ascii_case(word));
    let is_token = !is_word && !is_placeholder(token);
    let is_secret = is_token && (scheme.eq_ignore_ascii_case("bearer") || (mixed && token.len() >= 8));
    is_secret.then_some(token)
}

/// The secrets in the URLs of a text: a user's password, a value of the query that is named or looks like a
/// secret, a word of the path that is a secret.
#[must_use]
pub fn in_url(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let scheme = rest[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next();
        let is_web = scheme.is_some_and(|scheme| {
            ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        });
        rest = &rest[at + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>|,".contains(c)).unwrap_or(rest.len());
        // A placeholder belongs to the URL: `https://u:<password>@h`.
        let end = if rest[end..].starts_with('<') { closed(rest, end) } else { end };
        one_url(&rest[..end], is_web, &mut found);
    }
    found
}

fn closed(rest: &str, from: usize) -> usize {
    rest.find(char::is_whitespace).filter(|at| *at > from).unwrap_or(rest.len())
}

/// One URL without its scheme.
fn one_url<'a>(url: &'a str, is_web: bool, found: &mut Vec<&'a str>) {
    let cut = url.find(['?', '#']).unwrap_or(url.len());
    let (place, query) = url.split_at(cut);
    let slash = place.find('/').unwrap_or(place.len());
    // Passwords of databases have all kinds of characters, also those that end a host.
    let user = match (place[..slash].rsplit_once('@'), is_web) {
        (Some((user, _)), _) => Some(user),
        (None, false) => place.rsplit_once('@').map(|(user, _)| user),
        (None, true) => None,
    };
    if let Some(user) = user {
        match user.split_once(':') {
            Some((_, password)) if !password.is_empty() && !is_placeholder(password) => found.push(password),
            None if is_random(user) => found.push(user),
            _ => {}
        }
    }
    for pair in query.split(['?', '&', '#', ';']) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let named = names_secret(name) || (name.eq_ignore_ascii_case("code") && value.len() >= 16);
        if named && !is_harmless(name, value) {
            found.push(value);
        }
    }
    let is_secret = |word: &&str| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-=".contains(c);
        word.len() >= SEGMENT_MIN && is_random(word) && word.chars().all(is_name)
    };
    if is_web {
        found.extend(place.split('/').skip(1).filter(is_secret));
    }
}
