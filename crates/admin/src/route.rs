//! Which path is what.

use http::{Method, Uri};

use crate::listener::Own;
use crate::problem::{Answer, Problem};
use crate::{tasks_api, users_api};

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Tasks,
    Task,
    CancelTask,
    RetryTask,
    Barred,
    DisableUser,
    EnableUser,
    SignOutUser,
    Grants,
    RevokeGrant,
}

/// Every route; `*` stands for a name.
const TABLE: [(&str, &str, Route); 10] = [
    ("GET", "/v1/tasks", Route::Tasks),
    ("GET", "/v1/tasks/*", Route::Task),
    ("POST", "/v1/tasks/*/cancel", Route::CancelTask),
    ("POST", "/v1/tasks/*/retry", Route::RetryTask),
    ("GET", "/v1/users/barred", Route::Barred),
    ("POST", "/v1/users/disable", Route::DisableUser),
    ("POST", "/v1/users/enable", Route::EnableUser),
    ("POST", "/v1/users/sign-out", Route::SignOutUser),
    ("GET", "/v1/grants", Route::Grants),
    ("POST", "/v1/grants/*/revoke", Route::RevokeGrant),
];

/// Every route: its method, and its path, in which `*` stands for a name.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|(method, path, _)| (*method, *path))
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

/// Does what a request asks for.
pub async fn serve(own: &Own, method: &Method, uri: &Uri) -> Result<Answer, Problem> {
    let mut allowed = None;
    for (wanted, pattern, route) in TABLE {
        let Some(name) = fits(pattern, uri.path()) else { continue };
        if method.as_str() != wanted {
            allowed = Some(wanted);
            continue;
        }
        return match route {
            Route::Tasks => tasks_api::list(own, uri.query()).await,
            Route::Task => tasks_api::show(own, name).await,
            Route::CancelTask => tasks_api::cancel(own, name).await,
            Route::RetryTask => tasks_api::retry(own, name).await,
            Route::Barred => users_api::barred(own, uri.query()).await,
            Route::DisableUser => users_api::disable(own, uri.query()).await,
            Route::EnableUser => users_api::enable(own, uri.query()).await,
            Route::SignOutUser => users_api::sign_out(own, uri.query()).await,
            Route::Grants => users_api::grants(own, uri.query()).await,
            Route::RevokeGrant => users_api::revoke(own, name).await,
        };
    }
    Err(allowed.map_or_else(Problem::not_found, Problem::method))
}
