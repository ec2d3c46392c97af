//! Where a request goes that is about a process of another replica.

use model::ReplicaId;
use protocol::{Call, Method, Raw, Request};

use super::{handle, lives_elsewhere};
use crate::app::Exchange;
use crate::find;

/// The replica whose process a call is about, if that is another one and this request may still go there.
pub(crate) async fn owner(x: &Exchange, method: &Method, params: Option<&Raw>) -> Option<ReplicaId> {
    if x.forwarded {
        return None;
    }
    // What is called through `call` lives where the tool inside does.
    let inner = find::inner_params(x, method, params);
    let params = inner.as_ref().or(params);
    if *method == Method::ToolsCall && x.endpoint.has_handles() {
        let arguments = params?.get("arguments").and_then(|raw| raw.object().ok().flatten());
        let mut handles = arguments.iter().flat_map(handle::candidates);
        let owner = handles.find_map(|handle| lives_elsewhere(x, &handle::read(x, &handle)?.1));
        if owner.is_some() {
            return owner;
        }
    }
    let lines = x.lines.as_ref().filter(|lines| lines.any_elsewhere(x))?;
    match method {
        Method::ToolsCall
        | Method::PromptsGet
        | Method::ResourcesRead
        | Method::Complete
        | Method::Other(_) => {
            let call = Call::read(method.clone(), params).ok()?;
            let routed = x.endpoint.route(&x.caller, &call).await.ok()?;
            lines.elsewhere(x, routed.source.upstream().name().as_str())
        }
        // Legacy tasks are those of an endpoint's only upstream.
        Method::TasksGet | Method::TasksResult | Method::TasksList | Method::TasksCancel => {
            match x.endpoint.parts() {
                [only] => lines.elsewhere(x, only.source.upstream().name().as_str()),
                _ => None,
            }
        }
        // What goes nowhere is answered here.
        _ => None,
    }
}

/// The same for several requests in one body, which can only stay together.
pub(crate) async fn owner_of_batch(x: &Exchange, requests: &[&Request]) -> Option<ReplicaId> {
    for request in requests {
        if let Some(owner) = owner(x, &request.method, request.params.as_ref()).await {
            return Some(owner);
        }
    }
    None
}
