//! The registry's interface (v0.1), for reading.

use std::collections::HashSet;
use std::sync::Arc;

use discovery::registry::{Entry, Query, query, write_error, write_page, write_response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, VARY};
use http::{HeaderValue, StatusCode};
use protocol::Raw;

use super::Told;
use crate::answer::{self, Answer};
use crate::app::{App, Generation};
use crate::door::{self, Knock};

/// Endpoints that are asked before others have a turn.
const ASKED_AT_ONCE: usize = 16;

/// Answers a question. What the one who asks may not see is as if it did not exist.
pub(crate) async fn registry(app: &App, generation: &Generation, rest: &str, knock: &Knock<'_>) -> Answer {
    let base = door::base(app, generation, knock.headers);
    let told = generation.shown.told(&base, &generation.gate, app.clock.now());
    if generation.shown.is_empty() {
        return error(StatusCode::NOT_FOUND, "nothing is published here");
    }
    let proves = knock.headers.contains_key(AUTHORIZATION) || knock.certificate.is_some();
    let admitted = if proves { admitted(app, generation, &told, knock).await } else { HashSet::new() };
    let see = |entry: &Entry| {
        told.public.contains(&entry.server.name) || admitted.contains(entry.server.name.as_str())
    };
    let mut answer = asked(&told, rest, knock.uri.query().unwrap_or_default(), see);
    let headers = answer.headers_mut();
    let kept = if proves { "private, no-store" } else { "public, max-age=60" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    answer
}

/// The names of private endpoints that somebody would be let in at, by what he shows.
async fn admitted<'a>(
    app: &App,
    generation: &Generation,
    told: &'a Arc<Told>,
    knock: &Knock<'_>,
) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    // Nobody closes it.
    let Ok(_turn) = generation.shown.proving.acquire().await else { return names };
    for (at, (name, endpoint)) in told.private.iter().enumerate() {
        if at % ASKED_AT_ONCE == ASKED_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let own = Knock { endpoint, ..*knock };
        if door::would_admit(app, generation, &own).await {
            names.insert(name.as_str());
        }
    }
    names
}

fn asked(told: &Told, rest: &str, text: &str, see: impl Fn(&Entry) -> bool) -> Answer {
    let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
    let query = match query(pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))) {
        Ok(query) => query,
        Err(wrong) => return error(StatusCode::BAD_REQUEST, &wrong.to_string()),
    };
    let mut steps = rest.split('/');
    let found = match [(); 4].map(|()| steps.next()) {
        [Some("servers"), None, ..] => Some(list(told, &query, see)),
        [Some("servers"), Some(name), Some("versions"), None] => versions(told, name, &query, see),
        [Some("servers"), Some(name), Some("versions"), Some(version)] if steps.next().is_none() => {
            one(told, (name, version), &query, see)
        }
        _ => None,
    };
    match found {
        Some(raw) => answer::json(StatusCode::OK, raw.bytes()),
        None => error(StatusCode::NOT_FOUND, "there is no such server here"),
    }
}

fn list(told: &Told, query: &Query, see: impl Fn(&Entry) -> bool) -> Raw {
    let (page, cursor) = told.shelf.list(query, see);
    write_page(page, cursor.as_deref())
}

fn versions(told: &Told, name: &str, query: &Query, see: impl Fn(&Entry) -> bool) -> Option<Raw> {
    let all = told.shelf.versions(&plain(name)?, query.include_deleted, see);
    (!all.is_empty()).then(|| write_page(all, None))
}

fn one(
    told: &Told,
    (name, version): (&str, &str),
    query: &Query,
    see: impl Fn(&Entry) -> bool,
) -> Option<Raw> {
    let entry = told.shelf.version(&plain(name)?, &plain(version)?, query.include_deleted, see)?;
    Some(write_response(entry))
}

/// A segment of a path as it is meant: names have a slash, which is escaped there.
fn plain(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn error(status: StatusCode, text: &str) -> Answer {
    answer::json(status, write_error(text).bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_as_it_is_meant_or_not_at_all() {
        for (segment, meant) in [
            ("com.acme%2Fcrm", Some("com.acme/crm")),
            ("com.acme%2fcrm", Some("com.acme/crm")),
            ("1.0.0+build", Some("1.0.0+build")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+2", None),
            ("%ff", None),
        ] {
            assert_eq!(plain(segment).as_deref(), meant, "{segment}");
        }
    }
}
