//! Which path is what.

use http::{Method, Uri};

use crate::listener::Own;
use crate::problem::{Answer, Problem};
use crate::tasks_api;

/// Does what a request asks for.
pub async fn serve(own: &Own, method: &Method, uri: &Uri) -> Result<Answer, Problem> {
    let path = uri.path().strip_prefix("/v1/").ok_or_else(Problem::not_found)?;
    let parts: Vec<&str> = path.split('/').collect();
    match (parts.as_slice(), method) {
        (["tasks"], &Method::GET) => tasks_api::list(own, uri.query()).await,
        (["tasks", id], &Method::GET) => tasks_api::show(own, id).await,
        (["tasks", id, "cancel"], &Method::POST) => tasks_api::cancel(own, id).await,
        (["tasks", id, "retry"], &Method::POST) => tasks_api::retry(own, id).await,
        (["tasks"] | ["tasks", _], _) => Err(Problem::method("GET")),
        (["tasks", _, "cancel" | "retry"], _) => Err(Problem::method("POST")),
        _ => Err(Problem::not_found()),
    }
}
