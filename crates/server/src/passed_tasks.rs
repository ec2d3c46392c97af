//! Tasks that an upstream hosts: passed through to upstreams of the client's era, with their ids under our
//! seal.

use model::UpstreamName;
use protocol::json::{Object, array};
use protocol::{Call, Era, Method, Raw, RpcError, code};
use upstream::{Body, CallContext, CallErrorKind, Outcome, Reply, Watched};

use crate::app::Exchange;
use crate::checks;
use crate::hosted;
use crate::line;
use crate::may;
use crate::modern::tasks_needed;

/// Where a legacy result names the task that it belongs to (2025-11-25, "Tasks").
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Serves a method on tasks.
pub(crate) async fn serve(x: &Exchange, call: &Call) -> Result<Reply, RpcError> {
    if x.revision.era() == Era::Modern && !x.caller.capabilities.tasks {
        let text = format!("{} needs the Tasks extension", call.method);
        return Err(RpcError::new(code::MISSING_CAPABILITY, text).with(tasks_needed()));
    }
    let (upstream, own) = if call.method == Method::TasksList {
        if hosted::legacy_capability(x).is_some() {
            return hosted::list(x, call).await;
        }
        let [only] = x.endpoint.parts() else { return Err(RpcError::method_not_found("tasks/list")) };
        (only.source.upstream().name().to_string(), call.clone())
    } else {
        let Some(sealed) = call.text("taskId") else {
            return Err(RpcError::invalid_params("Invalid params: \"taskId\" must be a string"));
        };
        let (upstream, id) = x.app.handles.open_task(x.holder(), &sealed)?;
        may::may_use_task(x, &upstream, &id).await?;
        if upstream == hosted::OWN {
            return hosted::serve(x, call, &id, &sealed).await;
        }
        (upstream, call.with("taskId", Some(Raw::string(&id))))
    };
    let Some(source) = x.endpoint.source(&upstream, &x.caller.principal) else {
        return Err(RpcError::invalid_params("Unknown task"));
    };
    let spoken = source.upstream().discovery().await.map_err(|error| error.to_rpc())?.revision;
    if spoken.era() != x.revision.era() {
        let text = "this task belongs to a server of another era, whose tasks have another form";
        return Err(RpcError::new(code::NOT_TRANSLATABLE, text));
    }
    let own = checks::to_task(x, &upstream, own).await?;
    let principal = x.caller.principal.clone();
    let headers = x.forwarded(&upstream);
    let watched = Watched { parent: x.caller.trace.clone(), tool: None };
    let cx = CallContext {
        principal,
        headers,
        rules: None,
        polls: false,
        watched,
        line: line::of_tasks(x, source.upstream()).await?,
        alone: x.app.replicas.is_alone(),
        script: None,
        waits_until: None,
        again: upstream::Again::Unsent,
    };
    let reply = source.upstream().call(&cx, &own).await.map_err(|error| match error.kind {
        CallErrorKind::SessionGone => line::gone(source.upstream().name()),
        _ => error.to_rpc(),
    })?;
    let outcome = match reply.outcome().await.map_err(|error| error.to_rpc())? {
        Some(outcome) => Some(checks::of_task(x, (&upstream, &call.method), outcome).await),
        None => None,
    };
    match outcome {
        Some(Outcome::Result(Body::Whole(result))) => {
            let ids = TaskIds { x, upstream: source.upstream().name() };
            Ok(Reply::result(match result.object() {
                Ok(Some(object)) => ids.seal_everywhere(&object),
                _ => result,
            }))
        }
        Some(other) => Ok(Reply::Ready(other)),
        None => Err(RpcError::new(code::UPSTREAM_BROKE, "The upstream broke off")),
    }
}

/// Seals the task ids in what an upstream sent.
pub(crate) struct TaskIds<'a> {
    pub x: &'a Exchange,
    pub upstream: &'a UpstreamName,
}

impl TaskIds<'_> {
    /// The object with its own `taskId` sealed.
    pub fn seal_in(&self, object: &Object) -> Raw {
        let Some(id) = object.get("taskId") else { return object.raw() };
        let Some(id) = id.as_str() else { return object.raw() };
        let sealed = self.x.app.handles.seal_task(self.x.holder(), self.upstream.as_str(), &id);
        object.edit().set("taskId", Raw::string(&sealed)).finish()
    }

    /// The same in all the places where a result of either dialect names tasks.
    pub fn seal_everywhere(&self, object: &Object) -> Raw {
        let inner = |raw: Option<Raw>| raw.and_then(|r| r.object().ok().flatten());
        let outer = self.seal_in(object);
        let Ok(Some(outer)) = outer.object() else { return outer };
        let mut edit = outer.edit();
        if let Some(task) = inner(outer.get("task")) {
            edit = edit.set("task", self.seal_in(&task));
        }
        if let Some(tasks) = outer.get("tasks").and_then(|t| t.items()) {
            let sealed: Vec<Raw> =
                tasks.into_iter().map(|t| inner(Some(t.clone())).map_or(t, |o| self.seal_in(&o))).collect();
            edit = edit.set("tasks", array(&sealed));
        }
        let entries = inner(outer.get("_meta"));
        if let Some((entries, related)) = entries.and_then(|e| Some((e.clone(), inner(e.get(RELATED))?))) {
            edit = edit.set("_meta", entries.edit().set(RELATED, self.seal_in(&related)).finish());
        }
        edit.finish()
    }
}
