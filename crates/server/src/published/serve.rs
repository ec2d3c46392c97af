//! Cards and the catalog, for everybody.

use bytes::Bytes;
use discovery::publish::not_modified;
use discovery::{CARD_MEDIA_TYPE, CATALOG_MEDIA_TYPE};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::told::Document;
use crate::answer::{self, Answer};
use crate::app::{App, Generation};
use crate::door;

/// The card of an endpoint. One that is private or not there is as unknown as an endpoint that is not.
pub(crate) fn card(app: &App, generation: &Generation, endpoint: &str, headers: &HeaderMap) -> Answer {
    let told =
        generation.shown.told(&door::base(app, generation, headers), &generation.gate, app.clock.now());
    document(told.cards.get(endpoint), CARD_MEDIA_TYPE, headers)
}

/// What there is at this place, as far as it is for everybody.
pub(crate) fn catalog(app: &App, generation: &Generation, headers: &HeaderMap) -> Answer {
    let told =
        generation.shown.told(&door::base(app, generation, headers), &generation.gate, app.clock.now());
    document(told.catalog.as_ref(), CATALOG_MEDIA_TYPE, headers)
}

fn document(document: Option<&Document>, kind: &'static str, headers: &HeaderMap) -> Answer {
    let Some(document) = document else {
        return answer::text(StatusCode::NOT_FOUND, "Nothing is published here. See `discovery`.\n");
    };
    let mut known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut answer = if known.any(|value| not_modified(value, &document.etag)) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut answer = answer::json(StatusCode::OK, Bytes::clone(&document.bytes));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        answer
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(ETAG, etag);
    }
    answer
}
