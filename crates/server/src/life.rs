//! Where endpoints are in their life, as it is told over HTTP: headers for whoever reads them, and an answer
//! where nothing is served any more.

use std::time::Duration;

use catalog::Endpoint;
use config::{LifeStage, Lifecycle};
use http::header::LINK;
use http::{HeaderName, HeaderValue, StatusCode};
use model::Timestamp;

use crate::answer::{self, Answer};
use crate::published;

/// Since when or from when it is deprecated (RFC 9745).
pub(crate) const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// From when it is not served any more (RFC 8594).
pub(crate) const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// The answer at the place of an endpoint that is not served. `None`: it is.
pub(crate) fn refusal(endpoint: &Endpoint, now: Timestamp) -> Option<Answer> {
    if endpoint.is_served(now) {
        return None;
    }
    // What is only proposed, or is offered elsewhere for trial, is not here. What was here is gone.
    if endpoint.stage(now) != LifeStage::Removed {
        return Some(answer::text(StatusCode::NOT_FOUND, "There is no endpoint of that name.\n"));
    }
    let instead = endpoint.lifecycle().replacement.as_deref().map(published::path);
    let text = match instead {
        Some(path) => format!("This endpoint was removed. Use {path}\n"),
        None => "This endpoint was removed.\n".to_owned(),
    };
    let mut answer = answer::text(StatusCode::GONE, text);
    announce(endpoint, &mut answer);
    Some(answer)
}

/// Says with an answer of an endpoint that it is deprecated, or will be, and when it goes.
pub(crate) fn announce(endpoint: &Endpoint, answer: &mut Answer) {
    let Lifecycle { state: _, deprecated_on, removed_on, replacement } = endpoint.lifecycle();
    if deprecated_on.is_none() && removed_on.is_none() {
        return;
    }
    let headers = answer.headers_mut();
    if let Some(day) = deprecated_on
        && let Ok(value) = HeaderValue::from_str(&format!("@{}", day.begins().0 / 1_000))
    {
        headers.insert(DEPRECATION, value);
    }
    if let Some(day) = removed_on {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(day.begins().0);
        if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(at)) {
            headers.insert(SUNSET, value);
        }
    }
    // RFC 5829: what this was replaced by.
    if let Some(name) = replacement
        && let Ok(value) =
            HeaderValue::from_str(&format!("<{}>; rel=\"successor-version\"", published::path(name)))
    {
        headers.insert(LINK, value);
    }
}
