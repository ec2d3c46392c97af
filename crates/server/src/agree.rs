//! The page where whoever calls says yes or no to a call of his own, as it will run.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use http::{HeaderMap, StatusCode, Uri};
use identity::User;
use store::{Approval, ApprovalError, ApprovalState};

use crate::answer::Answer;
use crate::app::{App, Generation};
use crate::consent::{Errand, QUERY_BYTES_MAX, Sheet, To, Visit, escaped, framed, not_now, over, page};
use crate::note;

/// Where it is.
pub(crate) const AGREE: &str = "/oauth/agree";
/// The longest id of a call that waits.
const ID_BYTES_MAX: usize = 64;

fn none() -> Answer {
    let text = "It was decided, its time is over, or it is a call of somebody else's. If somebody sent you \
                the link, there is nothing to do.";
    page(StatusCode::NOT_FOUND, "No call waits here for your yes", text)
}

/// The call that waits for this user.
async fn waiting(app: &App, user: &User, id: &str) -> Result<Option<Approval>, store::StoreError> {
    let Some(office) = app.approvals.get() else { return Ok(None) };
    let found = office.find(id).await?;
    Ok(found.filter(|found| {
        let whose = (found.tenant.as_str(), found.subject.as_str());
        let own = found.is_own() && whose == (user.principal.tenant(), user.principal.subject());
        own && found.state == ApprovalState::Pending && !found.is_over(app.clock.now())
    }))
}

/// `GET /oauth/agree`
pub(crate) async fn shown(app: &App, generation: &Generation, uri: &Uri, headers: &HeaderMap) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let query = uri.query().filter(|query| query.len() <= QUERY_BYTES_MAX).unwrap_or_default();
    let fields: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let id = fields.get("call").filter(|id| id.len() <= ID_BYTES_MAX).cloned().unwrap_or_default();
    let Some(user) = visit.user() else {
        let name = fields.get("issuer").map(String::as_str).unwrap_or_default();
        let Some((name, sign_in)) = generation.sign_ins.get_key_value(name) else { return none() };
        return visit.send(&Errand::Agree(id), To::SignIn(name, sign_in)).await;
    };
    match waiting(app, &user, &id).await {
        Ok(Some(approval)) => sheet(&visit, user, &approval),
        Ok(None) => none(),
        Err(error) => {
            tracing::warn!(%error, "a call that waits for its user's yes cannot be shown");
            not_now()
        }
    }
}

fn sheet(visit: &Visit<'_>, user: User, approval: &Approval) -> Answer {
    let why = approval.message.as_deref().unwrap_or("Let this run?");
    let mut markup = format!("<p>{}</p><dl>", escaped(why));
    let client = approval.client.as_deref().unwrap_or("a program that acts for you");
    let facts = [
        ("What", approval.tool.as_str()),
        ("Of", approval.upstream.as_str()),
        ("Asked for by", client),
        // Characters that nobody sees are spelled out: what is shown is what will run.
        ("With", &policy::pins::visible(&approval.arguments)),
    ];
    for (name, value) in facts {
        // A string takes whatever is written.
        let _ = write!(markup, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let sheet = Sheet { user, browser: visit.random() };
    let _ = write!(
        markup,
        "</dl><form method=\"post\" action=\"{AGREE}\">\
         <input type=\"hidden\" name=\"sheet\" value=\"{}\">\
         <input type=\"hidden\" name=\"call\" value=\"{}\">\
         <button class=\"yes\" name=\"answer\" value=\"yes\">Let it run, once</button>\
         <button name=\"answer\" value=\"no\">Do not</button></form>",
        escaped(&sheet.seal(&visit.app.handles)),
        escaped(&approval.id)
    );
    let mut answer = framed(StatusCode::OK, "Do you agree?", &markup, true);
    visit.mark(&mut answer, &sheet.browser);
    answer
}

/// `POST /oauth/agree`: he has said yes or no.
pub(crate) async fn said(
    (app, generation): (&App, &Generation),
    form: &str,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let fields: HashMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let sheet = Sheet::open(&app.handles, field("sheet"));
    // Another page cannot send it, and what was shown to one is not done for another.
    let sheet =
        sheet.filter(|sheet| visit.is_marked(&sheet.browser) && visit.user().as_ref() == Some(&sheet.user));
    let Some(sheet) = sheet else {
        let mut event = note::own_event(app, "own_approval");
        event.address = address;
        return note::answered(app, event, over()).await;
    };
    let principal = &sheet.user.principal;
    let mut event = note::event(app, "own_approval", principal);
    event.address = address;
    event.details.insert("approval", field("call").chars().take(ID_BYTES_MAX).collect());
    let mut answer = match field("answer") {
        "yes" | "no" => {
            event.details.insert("answer", field("answer").to_owned());
            decided(app, &sheet.user, field("call"), field("answer") == "yes").await
        }
        _ => over(),
    };
    visit.unmark(&mut answer, &sheet.browser);
    note::answered(app, event, answer).await
}

async fn decided(app: &App, user: &User, id: &str, yes: bool) -> Answer {
    let Some(office) = app.approvals.get() else { return none() };
    let caller = (user.principal.tenant(), user.principal.subject());
    match office.decide_own(id, caller, yes).await {
        Ok(_) if yes => page(StatusCode::OK, "It may run", "Once, as you saw it. You can close this page."),
        Ok(_) => page(StatusCode::OK, "It does not run", "You can close this page."),
        Err(ApprovalError::Store(error)) => {
            tracing::warn!(%error, "what a user said to a call of his own is not kept");
            not_now()
        }
        Err(_) => none(),
    }
}
