//! What browsers get: the way to whoever issues tokens, and back.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use identity::{Returned, User, Users};
use serde_json::json;

use super::page::{page, redirect};
use super::sealed::{Away, Errand, Ticket};
use super::visit::{QUERY_BYTES_MAX, To, Visit, not_now, over};
use super::{CALLBACK, CLIENT, CONNECT};
use crate::answer::{self, Answer};
use crate::app::{App, Generation};
use crate::{account, agree, broker, door, note};

impl Visit<'_> {
    fn users(&self, ticket: &Ticket) -> Option<&Users> {
        self.generation.users.get(&ticket.upstream).map(|users| &**users)
    }

    /// Whether whoever sits at this browser is who the link was made for. Somebody who was sent another's
    /// link must not give him what is his own.
    fn is_the_user(&self, ticket: &Ticket) -> Option<bool> {
        let Some(issuer) = &ticket.issuer else { return Some(true) };
        let user = self.user()?;
        Some(user.principal == ticket.principal && user.issuer == *issuer)
    }
}

fn somebody_else() -> Answer {
    let text = "You are signed in as somebody else than whom it was made for. If somebody sent it to you, do \
                not follow it: he would use what is yours.";
    page(StatusCode::FORBIDDEN, "This link is for somebody else", text)
}

/// Where a link leads that a user was given: on to whoever issues tokens, by way of his own sign-in.
pub(crate) async fn connect(app: &App, generation: &Generation, uri: &Uri, headers: &HeaderMap) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let query = uri.query().filter(|query| query.len() <= QUERY_BYTES_MAX).unwrap_or_default();
    let sealed = query.split('&').find_map(|pair| pair.strip_prefix("ticket="));
    let Some(ticket) = sealed.and_then(|sealed| Ticket::open(&app.handles, sealed)) else { return over() };
    let Some(users) = visit.users(&ticket) else { return over() };
    let errand = Errand::Connect(ticket.clone());
    match visit.is_the_user(&ticket) {
        Some(true) if !users.are_vouched_for() => visit.send(&errand, To::Consent(users, &ticket)).await,
        Some(false) => somebody_else(),
        // Who is vouched for has only to sign in, whatever he did before.
        Some(true) | None => {
            let name = ticket.issuer.as_deref().unwrap_or_default();
            match generation.sign_ins.get(name) {
                Some(sign_in) => visit.send(&errand, To::SignIn(name, sign_in)).await,
                None => not_now(),
            }
        }
    }
}

/// Where a user comes back.
pub(crate) async fn callback(app: &App, generation: &Generation, uri: &Uri, headers: &HeaderMap) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let query = uri.query().filter(|query| query.len() <= QUERY_BYTES_MAX).unwrap_or_default();
    let returned = Returned::of_query(query);
    let state = returned.state.clone().unwrap_or_default();
    let Some((away, until)) = Away::open(&app.handles, &state) else { return over() };
    if !visit.was_sent(&away) {
        return over();
    }
    if let Err(answer) = visit.once(&state, until).await {
        return answer;
    }
    let mut answer = match (&away.signs_in, &away.errand) {
        (Some(issuer), _) => signed_in(&visit, issuer, &away, &returned).await,
        (None, Errand::Connect(ticket)) => consented(&visit, ticket, &away, &returned).await,
        (None, _) => over(),
    };
    visit.unmark(&mut answer, &away.browser);
    answer
}

async fn signed_in(visit: &Visit<'_>, issuer: &str, away: &Away, returned: &Returned) -> Answer {
    let Some(sign_in) = visit.generation.sign_ins.get(issuer) else { return not_now() };
    let caller = match sign_in.finish(&away.flow, returned).await {
        Ok(caller) => caller,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(issuer, error, "a user could not sign in");
            let mut event = note::own_event(visit.app, "sign_in");
            event.outcome = audit::Outcome::Denied;
            event.details.insert("issuer", issuer.to_owned());
            note::happened(visit.app, event);
            // A client waits for word of it.
            return match &away.errand {
                Errand::Authorize(request) => broker::refused(visit, request),
                _ => not_now(),
            };
        }
    };
    let user = User::of(&caller, visit.app.clock.now());
    tracing::info!(issuer, principal = %user.principal, "a user has signed in");
    let mut event = note::event(visit.app, "sign_in", &user.principal);
    event.details.insert("issuer", issuer.to_owned());
    note::happened(visit.app, event);
    let mut answer = match &away.errand {
        Errand::Connect(ticket) => {
            if user.principal != ticket.principal {
                tracing::warn!(issuer, "a link was followed by somebody else than whom it was made for");
                return somebody_else();
            }
            if visit.users(ticket).is_some_and(Users::are_vouched_for) {
                done(ticket)
            } else {
                let url = format!("{}{CONNECT}?ticket={}", visit.base, ticket.seal(&visit.app.handles));
                redirect(&url).unwrap_or_else(not_now)
            }
        }
        Errand::Authorize(request) => broker::approved(visit, &user, request).await,
        Errand::Agree(id) => {
            let url = format!("{}{}?call={id}", visit.base, agree::AGREE);
            redirect(&url).unwrap_or_else(not_now)
        }
        Errand::Account => redirect(&format!("{}{}", visit.base, account::ACCOUNT)).unwrap_or_else(not_now),
    };
    visit.remember(&mut answer, &user);
    answer
}

async fn consented(visit: &Visit<'_>, ticket: &Ticket, away: &Away, returned: &Returned) -> Answer {
    let Some(users) = visit.users(ticket) else { return over() };
    match visit.is_the_user(ticket) {
        Some(true) => {}
        Some(false) => return somebody_else(),
        None => return over(),
    }
    if let Err(error) = users.finish(&ticket.principal, &away.flow, returned).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(upstream = ticket.upstream, error, "a user's consent came to nothing");
        return not_now();
    }
    let (upstream, principal) = (&ticket.upstream, &ticket.principal);
    tracing::info!(upstream, %principal, "a user has granted the gateway");
    let mut event = note::event(visit.app, "upstream_consent", principal);
    event.upstream = Some(upstream.as_str().into());
    note::happened(visit.app, event);
    done(ticket)
}

fn done(ticket: &Ticket) -> Answer {
    let text = format!("The gateway may use {} for you now. You can close this page.", ticket.upstream);
    page(StatusCode::OK, "Done", &text)
}

/// What the gateway is, for authorization servers that read it at its URL (client id metadata documents).
pub(crate) fn client_document(app: &App, generation: &Generation, headers: &HeaderMap) -> Answer {
    let base = door::base(app, generation, headers);
    if !base.starts_with("https:") {
        return answer::text(
            StatusCode::NOT_FOUND,
            "A client is known by a document at an https URL alone.\n",
        );
    }
    let document = json!({
        "client_id": format!("{base}{CLIENT}"),
        "client_name": NAME,
        "redirect_uris": [format!("{base}{CALLBACK}")],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    });
    let mut answer = answer::json(StatusCode::OK, Bytes::from(document.to_string()));
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    answer
}

/// What people read where the gateway asks for something.
pub(crate) const NAME: &str = "Tidegate";
