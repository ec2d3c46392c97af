//! The page that somebody with a browser finds first.

use std::fmt::Write as _;

use http::StatusCode;

use crate::admit::Operator;
use crate::listener::Own;
use crate::page::{escaped, page};
use crate::problem::{Answer, Problem};
use crate::route::{self, Needs};

/// `GET /`
pub fn home(own: &Own, who: Option<&Operator>) -> Result<Answer, Problem> {
    let sessions = own.sessions.as_ref().ok_or_else(Problem::not_found)?;
    let Some(who) = who else {
        let link = format!("<p><a href=\"/sign-in\">Sign in with {}</a></p>", escaped(&sessions.place.name));
        return Ok(page(StatusCode::OK, "Tidegate, for operators", "You are not signed in.", &link));
    };
    let mut markup = String::new();
    if let Some(session) = &who.session {
        let _ = write!(
            markup,
            "<form method=\"post\" action=\"/sign-out\"><input type=\"hidden\" name=\"csrf\" value=\"{}\">\
             <button>Sign out</button></form>",
            escaped(&sessions.csrf(session)),
        );
    }
    markup.push_str("<p>What is served to you:</p><ul>");
    for (method, path, needs) in route::table() {
        let Needs::Role(role) = needs else { continue };
        if role > who.role {
            continue;
        }
        let _ = match method {
            "GET" if !path.contains('*') => write!(markup, "<li>GET <a href=\"{path}\">{path}</a></li>"),
            _ => write!(markup, "<li>{method} {}</li>", path.replace('*', "ID")),
        };
    }
    markup.push_str("</ul>");
    let until = who.session.as_ref().map(|session| seal::time_to_text(sessions.until(session)));
    let until = until.map(|until| format!(", until {until} if you do nothing")).unwrap_or_default();
    let text = format!("You are {}, with the role {}{until}.", who.name, who.role.word());
    Ok(page(StatusCode::OK, "Tidegate, for operators", &text, &markup))
}
