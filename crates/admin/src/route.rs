//! Which path is what, and who may have it.

use http::{HeaderMap, Method, Request, Uri};
use hyper::body::Incoming;
use policy::Action;

use crate::admit::{Operator, SESSION, Unread};
use crate::home;
use crate::listener::Own;
use crate::note::Noted;
use crate::page::Site;
use crate::problem::{Answer, Problem};
use crate::role::Role;
use crate::{
    approvals_api, config_api, pins_api, policy_api, proposals_api, sign_in, tasks_api, upstreams_api,
    users_api,
};

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Home,
    SignIn,
    Callback,
    SignOut,
    Session,
    Tasks,
    Task,
    CancelTask,
    Config,
    RetryTask,
    Barred,
    DisableUser,
    EnableUser,
    Explain,
    SignOutUser,
    Grants,
    RevokeGrant,
    Approvals,
    Approve,
    ApprovePin,
    DenyPin,
    PinDiff,
    Pins,
    ActOnProposal,
    Proposal,
    ProposalDiff,
    ProposalHistory,
    Proposals,
    Propose,
    Refuse,
    ReviseProposal,
    RollBackPin,
    Upstreams,
}

/// What somebody must be who asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Anybody: it is the way in, and there only where operators can sign in.
    Nothing,
    /// Somebody with this role or a higher one.
    Role(Role),
}

struct Row {
    method: &'static str,
    /// In which `*` stands for a name.
    path: &'static str,
    needs: Needs,
    route: Route,
}

const fn get(path: &'static str, needs: Needs, route: Route) -> Row {
    Row { method: "GET", path, needs, route }
}

const fn post(path: &'static str, role: Role, route: Route) -> Row {
    // Nothing changes for nobody.
    Row { method: "POST", path, needs: Needs::Role(role), route }
}

const VIEWER: Needs = Needs::Role(Role::Viewer);

/// Every route, with what it needs.
const TABLE: [Row; 33] = [
    get("/", Needs::Nothing, Route::Home),
    get("/sign-in", Needs::Nothing, Route::SignIn),
    get(sign_in::CALLBACK, Needs::Nothing, Route::Callback),
    post("/sign-out", Role::Viewer, Route::SignOut),
    get("/v1/session", VIEWER, Route::Session),
    get("/v1/tasks", VIEWER, Route::Tasks),
    get("/v1/tasks/*", VIEWER, Route::Task),
    post("/v1/tasks/*/cancel", Role::Operator, Route::CancelTask),
    post("/v1/tasks/*/retry", Role::Operator, Route::RetryTask),
    get("/v1/users/barred", VIEWER, Route::Barred),
    post("/v1/users/disable", Role::Admin, Route::DisableUser),
    post("/v1/users/enable", Role::Admin, Route::EnableUser),
    post("/v1/users/sign-out", Role::Operator, Route::SignOutUser),
    get("/v1/grants", VIEWER, Route::Grants),
    post("/v1/grants/*/revoke", Role::Operator, Route::RevokeGrant),
    get("/v1/approvals", VIEWER, Route::Approvals),
    post("/v1/approvals/*/approve", Role::Operator, Route::Approve),
    post("/v1/approvals/*/refuse", Role::Operator, Route::Refuse),
    get("/v1/pins", VIEWER, Route::Pins),
    get("/v1/pins/diff", VIEWER, Route::PinDiff),
    post("/v1/pins/approve", Role::Operator, Route::ApprovePin),
    post("/v1/pins/roll-back", Role::Operator, Route::RollBackPin),
    post("/v1/pins/deny", Role::Operator, Route::DenyPin),
    post("/v1/policy/explain", Role::Operator, Route::Explain),
    get("/v1/proposals", VIEWER, Route::Proposals),
    post("/v1/proposals", Role::Operator, Route::Propose),
    get("/v1/proposals/*", VIEWER, Route::Proposal),
    // Around what changes stands what the files say.
    get("/v1/proposals/*/diff", Needs::Role(Role::Operator), Route::ProposalDiff),
    get("/v1/proposals/*/history", VIEWER, Route::ProposalHistory),
    post("/v1/proposals/*/revise", Role::Operator, Route::ReviseProposal),
    post("/v1/proposals/*/act", Role::Operator, Route::ActOnProposal),
    get("/v1/upstreams", VIEWER, Route::Upstreams),
    get("/v1/config", Needs::Role(Role::Operator), Route::Config),
];

impl Row {
    /// What policies call it, which may forbid it to an operator. `None`: it is a way in.
    fn action(&self) -> Option<Action> {
        match (self.needs, self.route) {
            (Needs::Nothing, _) => None,
            (Needs::Role(_), Route::Explain) => Some(Action::Explain),
            (Needs::Role(Role::Viewer), _) => Some(Action::View),
            (Needs::Role(Role::Operator), _) => Some(Action::Operate),
            (Needs::Role(Role::Admin), _) => Some(Action::Administer),
        }
    }

    /// Whether it is recorded: what changes something, who comes in, and what is asked about others. What is
    /// only looked at is not.
    fn is_recorded(&self) -> bool {
        self.method != "GET" || matches!(self.route, Route::Callback)
    }
}

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// The method.
    pub method: &'static str,
    /// The path, in which `*` stands for a name.
    pub path: &'static str,
    /// The least role; `None`: it is a way in, for anybody.
    pub role: Option<Role>,
    /// What policies call it.
    pub action: Option<Action>,
    /// Whether it is recorded.
    pub recorded: bool,
}

/// Every route, with what it needs.
pub fn rights() -> impl Iterator<Item = Right> {
    TABLE.iter().map(|row| {
        let role = match row.needs {
            Needs::Nothing => None,
            Needs::Role(role) => Some(role),
        };
        let Row { method, path, .. } = *row;
        Right { method, path, role, action: row.action(), recorded: row.is_recorded() }
    })
}

/// Every route: its method, and its path, in which `*` stands for a name.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|row| (row.method, row.path))
}

/// The same, with what it needs.
pub fn table() -> impl Iterator<Item = (&'static str, &'static str, Needs)> {
    TABLE.iter().map(|row| (row.method, row.path, row.needs))
}

/// The name in a path that is as this pattern says; empty where it has none.
fn fits<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.split_once('*') {
        None => (pattern == path).then_some(""),
        Some((before, after)) => {
            let name = path.strip_prefix(before)?.strip_suffix(after)?;
            (!name.is_empty() && !name.contains('/')).then_some(name)
        }
    }
}

/// What a request asks for, and the name in its path.
fn find<'a>(own: &Own, method: &Method, path: &'a str) -> Result<(&'static Row, &'a str), Problem> {
    let mut allowed = None;
    for row in &TABLE {
        let Some(name) = fits(row.path, path) else { continue };
        if row.needs == Needs::Nothing && own.sessions.is_none() {
            continue;
        }
        if method.as_str() == row.method {
            return Ok((row, name));
        }
        allowed = Some(row.method);
    }
    Err(allowed.map_or_else(Problem::not_found, Problem::method))
}

/// Does what a request asks for, if whoever comes may ask for it.
pub async fn serve(own: &Own, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    let (method, headers) = (&head.method, &head.headers);
    own.guard(headers)?;
    let who = own.who(headers).await?;
    let (row, name) = match find(own, method, head.uri.path()) {
        Ok(found) => found,
        // Nobody learns what there is.
        Err(_) if who.is_none() => return Err(own.nobody()),
        Err(problem) => return Err(problem),
    };
    let mut body = Some(body);
    let mut noted =
        row.is_recorded().then(|| Noted::begin(own, who.as_ref(), (row.method, row.path), name)).flatten();
    let allowed = own.allow(row.needs, who.as_ref(), (method, headers), &mut body).await;
    let allowed = allowed.and_then(|()| own.permit(row.action(), who.as_ref(), row.path));
    if let Err(problem) = allowed {
        return Err(Noted::refused(noted, problem).await);
    }
    if let Some(noted) = &mut noted {
        noted.started().await?;
    }
    let done = answer(own, row.route, (who.as_ref(), name), (&head.uri, headers), body).await;
    let mut answer = done.unwrap_or_else(Answer::from);
    if let Some(noted) = noted {
        let said = answer.extensions_mut().remove();
        noted.completed(answer.status(), said).await?;
    }
    if let Some(who) = &who {
        told_anew(own, who, headers, &mut answer);
    }
    Ok(answer)
}

async fn answer(
    own: &Own,
    route: Route,
    (who, name): (Option<&Operator>, &str),
    (uri, headers): (&Uri, &HeaderMap),
    body: Unread,
) -> Result<Answer, Problem> {
    let known = || who.ok_or_else(|| own.nobody());
    match route {
        Route::Home => home::home(own, who),
        Route::SignIn => sign_in::begin(own, who, headers).await,
        Route::Callback => sign_in::back(own, uri, headers).await,
        Route::SignOut => sign_in::out(own, known()?, headers).await,
        Route::Session => Ok(sign_in::show(own, known()?)),
        Route::Tasks => tasks_api::list(own, uri.query()).await,
        Route::Task => tasks_api::show(own, name).await,
        Route::CancelTask => tasks_api::cancel(own, known()?, name).await,
        Route::RetryTask => tasks_api::retry(own, known()?, name).await,
        Route::Barred => users_api::barred(own, uri.query()).await,
        Route::DisableUser => users_api::disable(own, uri.query()).await,
        Route::EnableUser => users_api::enable(own, uri.query()).await,
        Route::SignOutUser => users_api::sign_out(own, uri.query()).await,
        Route::Grants => users_api::grants(own, uri.query()).await,
        Route::RevokeGrant => users_api::revoke(own, name).await,
        Route::Approvals => approvals_api::list(own, known()?, uri.query()).await,
        Route::Approve => approvals_api::decide(own, known()?, (name, true), uri.query()).await,
        Route::Refuse => approvals_api::decide(own, known()?, (name, false), uri.query()).await,
        Route::Pins => pins_api::list(own, uri.query()).await,
        Route::PinDiff => pins_api::show(own, uri.query()).await,
        Route::ApprovePin => pins_api::approve(own, known()?, uri.query()).await,
        Route::RollBackPin => pins_api::roll_back(own, known()?, uri.query()).await,
        Route::DenyPin => pins_api::deny(own, known()?, uri.query()).await,
        Route::Explain => policy_api::explain(own, body).await,
        Route::Proposals => proposals_api::list(own, uri.query()).await,
        Route::Proposal => proposals_api::show(own, name).await,
        Route::ProposalDiff => proposals_api::diff(own, name).await,
        Route::ProposalHistory => proposals_api::history(own, name, uri.query()).await,
        Route::Propose => proposals_api::propose(own, known()?, body).await,
        Route::ReviseProposal => proposals_api::revise(own, known()?, name, body).await,
        Route::ActOnProposal => proposals_api::act(own, known()?, name, body).await,
        Route::Upstreams => upstreams_api::list(own, uri.query()),
        Route::Config => config_api::show(own, uri.query()),
    }
}

/// Whoever does something stays signed in. An answer that says something of a session says enough.
fn told_anew(own: &Own, who: &Operator, headers: &HeaderMap, answer: &mut Answer) {
    let (Some(sessions), Some(session)) = (&own.sessions, &who.session) else { return };
    if answer.headers().contains_key(http::header::SET_COOKIE) {
        return;
    }
    let sealed = sessions.seen(session).and_then(|session| sessions.seal(&session));
    if let Some((cookie, time)) = sealed {
        own.cookies(headers).set(answer, SESSION, (&cookie, time), Site::Strict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_changes_anything_who_has_no_role_and_no_viewer_but_his_own_session() {
        for row in &TABLE {
            match (row.method, row.needs) {
                ("GET", Needs::Nothing) => {
                    assert!(!row.path.starts_with("/v1/"), "{}: anybody could read it", row.path);
                }
                ("GET", Needs::Role(_)) => {}
                (_, Needs::Role(Role::Viewer)) => assert_eq!(row.path, "/sign-out"),
                (_, Needs::Role(_)) => {}
                (method, Needs::Nothing) => panic!("{method} {} needs nothing", row.path),
            }
        }
    }

    #[test]
    fn no_route_is_there_twice() {
        let mut all: Vec<_> = routes().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), TABLE.len());
    }
}
