//! What a user has granted, for himself to see and to take back.

use std::collections::HashMap;
use std::fmt::Write as _;

use http::{HeaderMap, StatusCode, Uri};
use identity::{Place, User, Vault as _};

use crate::answer::Answer;
use crate::app::{App, Generation};
use crate::consent::{
    Errand, QUERY_BYTES_MAX, Sheet, To, Visit, escaped, framed, moved, not_now, over, page,
};

/// Where it is.
pub(crate) const ACCOUNT: &str = "/oauth/account";
/// Records of one user that are looked at.
const RECORDS_MAX: usize = 1_000;
/// What begins the names of grants of users at servers.
const GRANT: &str = "user/";

/// `GET /oauth/account`
pub(crate) async fn shown(app: &App, generation: &Generation, uri: &Uri, headers: &HeaderMap) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let Some(user) = visit.user() else {
        let query = uri.query().filter(|query| query.len() <= QUERY_BYTES_MAX).unwrap_or_default();
        let chosen = query.split('&').find_map(|pair| pair.strip_prefix("issuer="));
        return sign_in(&visit, chosen).await;
    };
    match table(&visit, &user).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "what a user has granted cannot be shown");
            not_now()
        }
    }
}

/// Lets somebody say who he is.
async fn sign_in(visit: &Visit<'_>, chosen: Option<&str>) -> Answer {
    let mut names: Vec<&String> = visit.generation.sign_ins.keys().collect();
    names.sort();
    let name = match (chosen, names.as_slice()) {
        (Some(chosen), _) => names.iter().find(|name| **name == chosen).copied(),
        (None, [only]) => Some(*only),
        (None, []) => {
            let text = "The operator has not said how users sign in.";
            return page(StatusCode::NOT_FOUND, "Nobody can sign in here", text);
        }
        (None, _) => None,
    };
    if let Some((name, sign_in)) = name.and_then(|name| visit.generation.sign_ins.get_key_value(name)) {
        return visit.send(&Errand::Account, To::SignIn(name, sign_in)).await;
    }
    let mut markup = "<ul>".to_owned();
    for name in names {
        let name = escaped(name);
        // A string takes whatever is written.
        let _ = write!(markup, "<li><a href=\"{ACCOUNT}?issuer={name}\">{name}</a></li>");
    }
    markup.push_str("</ul>");
    framed(StatusCode::OK, "Where do you sign in?", &markup, false)
}

async fn table(visit: &Visit<'_>, user: &User) -> Result<Answer, identity::VaultError> {
    let all = visit.app.vault.all(&user.principal, RECORDS_MAX).await?;
    let servers: Vec<_> = all.iter().filter(|found| found.name.starts_with(GRANT)).collect();
    let clients = match &visit.generation.broker {
        Some(broker) => broker.approved(&user.principal).await?,
        None => Vec::new(),
    };
    let browser = visit.random();
    let sheet = Sheet { user: user.clone(), browser };
    let sealed = sheet.seal(&visit.app.handles);
    let button =
        |record: &str| format!("<button name=\"record\" value=\"{}\">Take back</button>", escaped(record));
    let mut markup = format!("<p>You are {}.</p>", escaped(user.principal.subject()));
    let _ = write!(
        markup,
        "<form method=\"post\" action=\"{ACCOUNT}\"><input type=\"hidden\" name=\"sheet\" value=\"{}\">",
        escaped(&sealed)
    );
    markup.push_str("<h2>Servers that the gateway uses for you</h2><table>");
    for found in &servers {
        let _ =
            write!(markup, "<tr><td>{}</td><td>{}</td></tr>", escaped(&found.upstream), button(&found.name));
    }
    markup.push_str(if servers.is_empty() { "<tr><td>None.</td></tr></table>" } else { "</table>" });
    markup.push_str("<h2>Programs that act for you</h2><table>");
    for client in &clients {
        let name = if client.name.is_empty() { &client.client } else { &client.name };
        let _ = write!(
            markup,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(name),
            escaped(&client.resource),
            button(&client.record)
        );
    }
    markup.push_str(if clients.is_empty() { "<tr><td>None.</td></tr></table>" } else { "</table>" });
    markup.push_str("<button name=\"leave\" value=\"yes\">Sign out</button></form>");
    let mut answer = framed(StatusCode::OK, "What you have granted", &markup, true);
    visit.mark(&mut answer, &sheet.browser);
    Ok(answer)
}

/// `POST /oauth/account`: something is taken back.
pub(crate) async fn changed(app: &App, generation: &Generation, form: &str, headers: &HeaderMap) -> Answer {
    let visit = Visit::new(app, generation, headers);
    let fields: HashMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let sealed = fields.get("sheet").map(String::as_str).unwrap_or_default();
    let Some(sheet) = Sheet::open(&app.handles, sealed) else { return over() };
    // Another page cannot send it, and what was shown to one is not done for another.
    if !visit.is_marked(&sheet.browser) || visit.user().as_ref() != Some(&sheet.user) {
        return over();
    }
    let principal = &sheet.user.principal;
    if fields.contains_key("leave") {
        let mut answer =
            page(StatusCode::OK, "You are signed out", "This browser is nobody's any more here.");
        visit.forget(&mut answer);
        return answer;
    }
    let record = fields.get("record").map(String::as_str).unwrap_or_default();
    let done = async {
        if record.starts_with(GRANT) {
            let all = app.vault.all(principal, RECORDS_MAX).await?;
            let Some(found) = all.iter().find(|found| found.name == record) else { return Ok(false) };
            let place = Place { principal, upstream: &found.upstream, name: record };
            app.vault.remove(place).await?;
            return Ok(true);
        }
        match &generation.broker {
            Some(broker) => broker.take_back(principal, record).await,
            None => Ok(false),
        }
    };
    let mut answer = match done.await {
        Ok(taken) => {
            tracing::info!(%principal, record, taken, "a user has taken back a grant");
            moved(&format!("{}{ACCOUNT}", visit.base))
        }
        Err(error) => {
            tracing::warn!(%error, "a user cannot take back a grant");
            not_now()
        }
    };
    visit.unmark(&mut answer, &sheet.browser);
    answer
}
