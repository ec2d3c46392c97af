//! People are asked whether a client may use the gateway for them, before anybody else hears of it (MCP
//! security best practices, "Confused Deputy Problem").

use std::collections::HashMap;
use std::fmt::Write as _;

use http::{HeaderMap, StatusCode, Uri};
use identity::{AuthRequest, Broker, ClientSource, SignIn, Unasked, User};

use crate::answer::Answer;
use crate::app::{App, Generation};
use crate::consent::{
    Errand, QUERY_BYTES_MAX, Question, To, Visit, escaped, framed, moved, not_now, over, page, redirect,
};

/// What a client sent a browser with that it cannot use.
fn unusable(text: &str) -> Answer {
    let text = format!("Whoever sent you here made a mistake, and you are sent nowhere: {text}.");
    page(StatusCode::BAD_REQUEST, "This cannot be asked of you", &text)
}

fn sent(to: &str) -> Answer {
    redirect(to).unwrap_or_else(not_now)
}

/// `GET /oauth/authorize`: a client sends a browser.
pub(crate) async fn asked(
    app: &App,
    generation: &Generation,
    broker: &Broker,
    uri: &Uri,
    headers: &HeaderMap,
) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let query = uri.query().unwrap_or_default();
    if query.len() > QUERY_BYTES_MAX {
        return unusable("it is too long");
    }
    let request = match broker.request(&visit.base, query).await {
        Ok(request) => request,
        Err(Unasked::Told(text)) => return unusable(&text),
        Err(Unasked::Sent(url)) => return sent(&url),
    };
    let issuers = sign_ins(generation);
    let user = visit.user().filter(|user| issuers.iter().any(|(name, _)| *name == user.issuer));
    if let Some(user) = user.as_ref().filter(|_| !request.ask) {
        match broker.has_approved(user, &request).await {
            Ok(true) => return sent(&broker.answer(&visit.base, user, &request)),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "nobody knows what a user has granted");
                return sent(&back(&visit, &request, "temporarily_unavailable"));
            }
        }
    }
    if request.silent {
        let why = if user.is_some() { "consent_required" } else { "login_required" };
        return sent(&back(&visit, &request, why));
    }
    if issuers.is_empty() && user.is_none() {
        tracing::warn!("nobody can sign in: give auth.broker.sign_in");
        return sent(&back(&visit, &request, "access_denied"));
    }
    let question = Question { browser: visit.random(), request };
    let mut answer = question_page(&visit, &question, user.as_ref(), &issuers);
    visit.mark(&mut answer, &question.browser);
    answer
}

/// Where people sign in, in the operator's order.
fn sign_ins(generation: &Generation) -> Vec<(&str, &SignIn)> {
    let names = generation.broker_sign_ins.iter().map(String::as_str);
    names.filter_map(|name| generation.sign_ins.get(name).map(|sign_in| (name, sign_in))).collect()
}

fn back(visit: &Visit<'_>, request: &AuthRequest, error: &str) -> String {
    request.back(&visit.base, &[("error", error)])
}

/// The page that asks.
fn question_page(
    visit: &Visit<'_>,
    question: &Question,
    user: Option<&User>,
    issuers: &[(&str, &SignIn)],
) -> Answer {
    let request = &question.request;
    let name = if request.name.is_empty() { "A program without a name" } else { request.name.as_str() };
    let mut markup = format!(
        "<p><strong>{}</strong> wants to use MCP servers through this gateway for you.</p><dl>",
        escaped(name)
    );
    let mut row = |what: &str, value: &str| {
        // A string takes whatever is written.
        let _ = write!(markup, "<dt>{what}</dt><dd>{}</dd>", escaped(value));
    };
    row("What it wants to use", &request.resource);
    if !request.scopes.is_empty() {
        row("What it wants to do there", &request.scopes.join(", "));
    }
    row("Where you are sent back to", &request.destination());
    if request.source == ClientSource::Document {
        row("Where it says who it is", &request.client);
    }
    if let Some(user) = user {
        row("Who you are here", user.principal.subject());
    }
    markup.push_str("</dl>");
    if request.is_local() {
        markup.push_str(
            "<p class=\"warn\">It says that it runs on your own machine, and any program there could say so. \
             Go on only if you have just begun this yourself.</p>",
        );
    } else if request.source == ClientSource::Registration {
        markup.push_str(
            "<p class=\"warn\">Nobody has checked its name. Go on only if you know the place that you are \
             sent back to.</p>",
        );
    }
    let sealed = question.seal(&visit.app.handles);
    let _ = write!(
        markup,
        "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"question\" value=\"{}\">",
        identity::AUTHORIZE_PATH,
        escaped(&sealed)
    );
    if user.is_none() && issuers.len() > 1 {
        markup.push_str("<p>Where do you sign in?</p>");
        for (index, (name, _)) in issuers.iter().enumerate() {
            let checked = if index == 0 { " checked" } else { "" };
            let name = escaped(name);
            let input = format!("<input type=\"radio\" name=\"issuer\" value=\"{name}\"{checked}>");
            let _ = write!(markup, "<p><label>{input} {name}</label></p>");
        }
    }
    markup.push_str(
        "<button class=\"yes\" name=\"decision\" value=\"allow\">Allow</button>\
         <button name=\"decision\" value=\"deny\">Do not allow</button></form>",
    );
    framed(StatusCode::OK, "May this program act for you?", &markup, true)
}

/// `POST /oauth/authorize`: somebody has decided.
pub(crate) async fn decided(
    app: &App,
    generation: &Generation,
    broker: &Broker,
    form: &str,
    headers: &HeaderMap,
) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let fields: HashMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let sealed = fields.get("question").map(String::as_str).unwrap_or_default();
    let Some((question, until)) = Question::open(&app.handles, sealed) else { return over() };
    // Another page cannot send it: this browser was given it, and no other one has the cookie.
    if !visit.is_marked(&question.browser) {
        return over();
    }
    if let Err(answer) = visit.once(sealed, until).await {
        return answer;
    }
    let request = &question.request;
    let mut answer = if fields.get("decision").map(String::as_str) == Some("allow") {
        let issuers = sign_ins(generation);
        match visit.user().filter(|user| issuers.iter().any(|(name, _)| *name == user.issuer)) {
            Some(user) => match broker.approve(&visit.base, &user, request).await {
                Ok(url) => moved(&url),
                Err(error) => {
                    tracing::warn!(%error, "what a user has granted cannot be kept");
                    moved(&back(&visit, request, "temporarily_unavailable"))
                }
            },
            None => sign_in(&visit, request, fields.get("issuer").map(String::as_str), &issuers).await,
        }
    } else {
        tracing::info!(client = request.client, "a user has not let a client act for him");
        moved(&back(&visit, request, "access_denied"))
    };
    visit.unmark(&mut answer, &question.browser);
    answer
}

/// Sends somebody on who has said yes, to say who he is.
async fn sign_in(
    visit: &Visit<'_>,
    request: &AuthRequest,
    chosen: Option<&str>,
    issuers: &[(&str, &SignIn)],
) -> Answer {
    let found = match chosen {
        Some(chosen) => issuers.iter().find(|(name, _)| *name == chosen),
        None => issuers.first(),
    };
    let Some((name, sign_in)) = found else { return over() };
    let errand = Errand::Authorize(Box::new(request.clone()));
    let answer = visit.send(&errand, To::SignIn(name, sign_in)).await;
    let Some(to) = answer.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok()) else {
        return answer;
    };
    let mut page = moved(to);
    for cookie in answer.headers().get_all(http::header::SET_COOKIE) {
        page.headers_mut().append(http::header::SET_COOKIE, cookie.clone());
    }
    page
}

/// Somebody is back who has let a client act for him, and has said who he is.
pub(crate) async fn approved(visit: &Visit<'_>, user: &User, request: &AuthRequest) -> Answer {
    let Some(broker) = &visit.generation.broker else { return over() };
    match broker.approve(&visit.base, user, request).await {
        Ok(url) => sent(&url),
        Err(error) => {
            tracing::warn!(%error, "what a user has granted cannot be kept");
            sent(&back(visit, request, "temporarily_unavailable"))
        }
    }
}

/// Somebody is back who could not say who he is.
pub(crate) fn refused(visit: &Visit<'_>, request: &AuthRequest) -> Answer {
    sent(&back(visit, request, "access_denied"))
}
