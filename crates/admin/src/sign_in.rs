//! Operators sign in with a browser, and out.

use std::time::Duration;

use http::{HeaderMap, StatusCode, Uri};
use identity::{Flow, Returned};
use model::Timestamp;
use serde_json::{Value, json};

use crate::admit::{Operator, SESSION, has};
use crate::listener::Own;
use crate::page::{Site, onward, page, redirect};
use crate::problem::{Answer, Problem, document};
use crate::session::{Sessions, unknown};
use crate::text::{hex, random, same};

/// How long somebody may be away (OAuth 2.1; MCP security best practices: at most ten minutes).
const TIME: Duration = Duration::from_secs(600);
/// What begins the name of the cookie of somebody who is away.
const AWAY: &str = "tidegate-operator-away-";
/// What the seal of somebody who is away is for. No issuer has such a name.
const PLACE: &str = "away";
/// Where operators come back.
pub const CALLBACK: &str = "/callback";

/// What is known of somebody who is away.
struct Away {
    flow: Flow,
    /// What his browser has and no other one.
    browser: String,
    /// The session that the new one takes the place of.
    before: Option<String>,
}

impl Away {
    fn seal(&self, sessions: &Sessions) -> String {
        let value = json!({"flow": self.flow.to_value(), "browser": self.browser, "before": self.before});
        sessions.seal_as(PLACE, sessions.clock.now().plus(TIME), &value)
    }

    /// Who is back, and until when he could be.
    fn open(sessions: &Sessions, sealed: &str) -> Option<(Self, Timestamp)> {
        let (members, until) = sessions.open_as(PLACE, sealed)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let flow = Flow::of_value(members.get("flow")?)?;
        Some((Self { flow, browser: text("browser")?, before: text("before") }, until))
    }
}

/// A browser may be on several ways at once.
fn away_name(browser: &str) -> String {
    format!("{AWAY}{}", &hex(&seal::sha256(browser.as_bytes()))[..12])
}

fn sessions(own: &Own) -> Result<&Sessions, Problem> {
    own.sessions.as_deref().ok_or_else(Problem::not_found)
}

/// `GET /sign-in`
pub async fn begin(own: &Own, who: Option<&Operator>, headers: &HeaderMap) -> Result<Answer, Problem> {
    let sessions = sessions(own)?;
    let now = own.clock.now();
    if let Some(wait) = own.sign_ins.wait(now) {
        return Err(Problem::too_many(wait));
    }
    // Whoever never comes back costs as much as whoever fails.
    own.sign_ins.failed(now);
    let Some(at) = (sessions.place.at)() else { return Ok(not_now()) };
    let browser = random(&*sessions.rng);
    let before = who.and_then(|who| who.session.as_ref()).map(|session| session.id.clone());
    let seal = |flow: &Flow| {
        Away { flow: flow.clone(), browser: browser.clone(), before: before.clone() }.seal(sessions)
    };
    let url = at.begin(&format!("{}{CALLBACK}", own.origin(headers)), &seal).await;
    let mut answer = match url.as_ref().map(|url| redirect(&url.to_string())) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(not_now()),
        Err(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "an operator cannot be sent to sign in");
            return Ok(not_now());
        }
    };
    own.cookies(headers).set(&mut answer, &away_name(&browser), (&browser, TIME), Site::Lax);
    Ok(answer)
}

/// `GET /callback`
pub async fn back(own: &Own, uri: &Uri, headers: &HeaderMap) -> Result<Answer, Problem> {
    let sessions = sessions(own)?;
    let now = own.clock.now();
    if let Some(wait) = own.sign_ins.wait(now) {
        return Err(Problem::too_many(wait));
    }
    let returned = Returned::of_query(uri.query().unwrap_or_default());
    let state = returned.state.clone().unwrap_or_default();
    let found = Away::open(sessions, &state).filter(|(away, _)| {
        let redirect = format!("{}{CALLBACK}", own.origin(headers));
        has(own.cookies(headers), headers, &away_name(&away.browser), &away.browser)
            && same(&away.flow.redirect, &redirect)
    });
    let Some((away, until)) = found else {
        own.sign_ins.failed(now);
        tracing::warn!("somebody came back from a sign-in that is old, or that his browser did not begin");
        return Ok(over());
    };
    let first = sessions.ledger.first(&hex(&seal::sha256(state.as_bytes())), until).await;
    let mut answer = match first.map_err(|error| unknown(&error))? {
        true => signed_in(own, sessions, headers, (&away, &returned)).await?,
        false => {
            tracing::warn!("somebody came back twice from a sign-in");
            over()
        }
    };
    let name = away_name(&away.browser);
    own.cookies(headers).set(&mut answer, &name, ("", Duration::ZERO), Site::Lax);
    Ok(answer)
}

async fn signed_in(
    own: &Own,
    sessions: &Sessions,
    headers: &HeaderMap,
    (away, returned): (&Away, &Returned),
) -> Result<Answer, Problem> {
    let Some(at) = (sessions.place.at)() else { return Ok(not_now()) };
    let caller = match at.finish(&away.flow, returned).await {
        Ok(caller) => caller,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an operator could not sign in");
            return Ok(not_now());
        }
    };
    own.sign_ins.succeeded();
    let operator = &caller.principal;
    let Some((session, role)) = sessions.begin(&caller) else {
        tracing::warn!(%operator, "somebody who has no role signed in, and was not let in");
        return Ok(no_role());
    };
    let Some((cookie, time)) = sessions.seal(&session) else { return Ok(not_now()) };
    if let Some(before) = &away.before {
        sessions.end_named(before).await?;
    }
    tracing::info!(%operator, role = role.word(), "an operator has signed in");
    let mut answer = onward("You are signed in", "If this page does not lead on by itself, go on here.");
    own.cookies(headers).set(&mut answer, SESSION, (&cookie, time), Site::Strict);
    Ok(answer)
}

/// `POST /sign-out`
pub async fn out(own: &Own, who: &Operator, headers: &HeaderMap) -> Result<Answer, Problem> {
    let sessions = sessions(own)?;
    let Some(session) = &who.session else {
        let text = "nobody has signed in here: a token is good until it is changed";
        return Err(Problem::new(StatusCode::CONFLICT, text));
    };
    sessions.end(session).await?;
    tracing::info!(operator = who.name, "an operator has signed out");
    let mut answer = redirect("/").ok_or_else(Problem::not_found)?;
    own.cookies(headers).set(&mut answer, SESSION, ("", Duration::ZERO), Site::Strict);
    Ok(answer)
}

/// `GET /v1/session`
pub fn show(own: &Own, who: &Operator) -> Answer {
    let role = who.role.word();
    let told = match (&own.sessions, &who.session) {
        (Some(sessions), Some(session)) => json!({
            "tenant": session.principal.tenant(), "subject": session.principal.subject(), "role": role,
            "csrf": sessions.csrf(session), "expires": seal::time_to_text(sessions.end_of(session)),
            "idleUntil": seal::time_to_text(sessions.until(session)),
        }),
        _ => json!({
            "tenant": null, "subject": who.name, "role": role, "csrf": null, "expires": null,
            "idleUntil": null,
        }),
    };
    document(StatusCode::OK, &told)
}

fn over() -> Answer {
    let text = "It was used already, it is older than ten minutes, or it was begun in another browser.";
    page(StatusCode::BAD_REQUEST, "This sign-in is of no use any more", text, AGAIN)
}

fn not_now() -> Answer {
    let text = "Whoever signs operators in did not do so. The reason is in the gateway's log.";
    page(StatusCode::BAD_GATEWAY, "That did not work", text, AGAIN)
}

fn no_role() -> Answer {
    let text = "You have signed in, and none of your groups has a role here. See `admin.sign_in.roles`.";
    page(StatusCode::FORBIDDEN, "You are not let in", text, AGAIN)
}

const AGAIN: &str = "<p><a href=\"/sign-in\">Sign in</a></p>";
