//! What browsers get: the way to whoever issues tokens, and back.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use identity::{Flow, Returned, SignIn, Users, Vault as _};
use serde_json::json;

use super::page::{Cookies, page, redirect};
use super::sealed::{Away, SIGNED_IN, TIME, Ticket, open_signed_in, seal_signed_in};
use super::{CALLBACK, CLIENT, CONNECT};
use crate::answer::{self, Answer};
use crate::app::{App, Generation};
use crate::door;

/// The cookie of somebody who has signed in.
const SIGNED: &str = "tidegate-signed-in";
/// What begins the name of the cookie of somebody who is away.
const AWAY: &str = "tidegate-away-";
/// The longest query that is looked at, in bytes.
const QUERY_BYTES_MAX: usize = 16 * 1024;

/// A request of a browser.
pub(crate) struct Visit<'a> {
    app: &'a App,
    generation: &'a Generation,
    headers: &'a HeaderMap,
    base: String,
    cookies: Cookies,
}

impl<'a> Visit<'a> {
    fn new(app: &'a App, generation: &'a Generation, headers: &'a HeaderMap) -> Self {
        let base = door::base(app, generation, headers);
        let cookies = Cookies { tls: base.starts_with("https:") };
        Self { app, generation, headers, base, cookies }
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.base)
    }

    fn users(&self, ticket: &Ticket) -> Option<&'a Users> {
        self.generation.users.get(&ticket.upstream).map(|users| &**users)
    }

    /// Whether whoever sits at this browser is who the link was made for. Somebody who was sent another's
    /// link must not give him what is his own.
    fn is_the_user(&self, ticket: &Ticket) -> Option<bool> {
        let Some(issuer) = &ticket.issuer else { return Some(true) };
        let (principal, at) = open_signed_in(&self.app.handles, &self.cookies.get(self.headers, SIGNED)?)?;
        Some(principal == ticket.principal && at == *issuer)
    }

    /// Sends him on, and remembers by a cookie that it was this browser.
    async fn send(&self, ticket: &Ticket, to: To<'_>) -> Answer {
        let mut random = [0; 32];
        self.app.rng.fill(&mut random);
        let browser: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let signs_in = matches!(to, To::SignIn(_));
        let seal = |flow: &Flow| {
            let (ticket, flow, browser) = (ticket.clone(), flow.clone(), browser.clone());
            Away { ticket, flow, signs_in, browser }.seal(&self.app.handles)
        };
        let redirect_uri = self.redirect_uri();
        let url = match to {
            To::SignIn(sign_in) => sign_in.begin(&redirect_uri, &seal).await,
            To::Consent(users) => users.begin(&ticket.principal, &ticket.wanted, &redirect_uri, &seal).await,
        };
        let sent = match url {
            Ok(url) => redirect(&url.to_string()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(upstream = ticket.upstream, error, "a user cannot be sent on");
                None
            }
        };
        let Some(mut answer) = sent else { return not_now(ticket) };
        self.cookies.set(&mut answer, &away_name(&browser), &browser, TIME);
        answer
    }

    /// Whether this browser is the one that was sent away.
    fn was_sent(&self, away: &Away) -> bool {
        let found = self.cookies.get(self.headers, &away_name(&away.browser));
        found.is_some_and(|found| found == away.browser)
    }
}

/// Where somebody is sent.
enum To<'a> {
    SignIn(&'a SignIn),
    Consent(&'a Users),
}

/// A browser may be on several ways at once.
fn away_name(browser: &str) -> String {
    let hash = seal::sha256(browser.as_bytes());
    let short: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{AWAY}{short}")
}

fn over() -> Answer {
    let text = "It was used already, it is older than ten minutes, or it was begun in another browser. Call \
                the tool again for a new link.";
    page(StatusCode::BAD_REQUEST, "This link is of no use any more", text)
}

fn not_now(ticket: &Ticket) -> Answer {
    let text = format!(
        "The gateway could not get the permission to use {} for you. Nothing was changed. The operator finds \
         the reason in the gateway's log.",
        ticket.upstream
    );
    page(StatusCode::BAD_GATEWAY, "That did not work", &text)
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
    match visit.is_the_user(&ticket) {
        Some(true) if !users.are_vouched_for() => visit.send(&ticket, To::Consent(users)).await,
        Some(false) => somebody_else(),
        // Who is vouched for has only to sign in, whatever he did before.
        Some(true) | None => {
            let sign_in = ticket.issuer.as_ref().and_then(|issuer| generation.sign_ins.get(issuer));
            match sign_in {
                Some(sign_in) => visit.send(&ticket, To::SignIn(sign_in)).await,
                None => not_now(&ticket),
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
    if !visit.was_sent(&away) || away.flow.redirect != visit.redirect_uri() {
        return over();
    }
    let hash: String = seal::sha256(state.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    match app.vault.once(&hash, until).await {
        Ok(true) => {}
        Ok(false) => return over(),
        Err(error) => {
            tracing::warn!(%error, "nobody knows whether a link was used before");
            return not_now(&away.ticket);
        }
    }
    let mut answer = match away.signs_in {
        true => signed_in(&visit, &away, &returned).await,
        false => consented(&visit, &away, &returned).await,
    };
    visit.cookies.set(&mut answer, &away_name(&away.browser), "", std::time::Duration::ZERO);
    answer
}

async fn signed_in(visit: &Visit<'_>, away: &Away, returned: &Returned) -> Answer {
    let ticket = &away.ticket;
    let issuer = ticket.issuer.clone().unwrap_or_default();
    let Some(sign_in) = visit.generation.sign_ins.get(&issuer) else { return not_now(ticket) };
    let caller = match sign_in.finish(&away.flow, returned).await {
        Ok(caller) => caller,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(issuer, error, "a user could not sign in");
            return not_now(ticket);
        }
    };
    if caller.principal != ticket.principal {
        tracing::warn!(issuer, "a link was followed by somebody else than whom it was made for");
        return somebody_else();
    }
    let handles = &visit.app.handles;
    let cookie = seal_signed_in(handles, &caller.principal, &issuer);
    if visit.users(ticket).is_some_and(Users::are_vouched_for) {
        let mut answer = done(ticket);
        visit.cookies.set(&mut answer, SIGNED, &cookie, SIGNED_IN);
        return answer;
    }
    let Some(mut answer) = redirect(&format!("{}{CONNECT}?ticket={}", visit.base, ticket.seal(handles)))
    else {
        return not_now(ticket);
    };
    visit.cookies.set(&mut answer, SIGNED, &cookie, SIGNED_IN);
    answer
}

async fn consented(visit: &Visit<'_>, away: &Away, returned: &Returned) -> Answer {
    let ticket = &away.ticket;
    let Some(users) = visit.users(ticket) else { return over() };
    match visit.is_the_user(ticket) {
        Some(true) => {}
        Some(false) => return somebody_else(),
        None => return over(),
    }
    if let Err(error) = users.finish(&ticket.principal, &away.flow, returned).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(upstream = ticket.upstream, error, "a user's consent came to nothing");
        return not_now(ticket);
    }
    let (upstream, principal) = (&ticket.upstream, &ticket.principal);
    tracing::info!(upstream, %principal, "a user has granted the gateway");
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
