//! What clients are told of tasks before they call anything.

use protocol::json::{Object, array};
use protocol::latest::TASKS_EXTENSION;
use protocol::{Era, Raw};

use super::rules::makes_tasks;
use crate::app::Exchange;

/// What the gateway offers to clients of 2025-11-25 ("Tasks", capabilities).
const LEGACY: &str = r#"{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#;

/// Whether the gateway hosts tasks by rule here.
pub(super) fn hosts(x: &Exchange) -> bool {
    x.app.tasks.get().is_some() && x.generation.hosting.hosts(x.endpoint.name())
}

/// Whether a server of this endpoint may run tools as tasks alone, in the form of 2025-11-25: the gateway
/// makes tasks of those for clients of the other form.
async fn needs_hosting(x: &Exchange) -> bool {
    if x.app.tasks.get().is_none() {
        return false;
    }
    let asked = x.endpoint.offering().map(|part| part.source.upstream().discovery());
    let found = futures_util::future::join_all(asked).await;
    // One that cannot be asked now is none.
    found.into_iter().flatten().any(|found| found.revision.era() == Era::Legacy && found.tasks.is_some())
}

/// The answer to `server/discover` with the Tasks extension, where the gateway hosts tasks here.
pub(crate) async fn advertise(x: &Exchange, discover: Raw) -> Raw {
    if !hosts(x) && !needs_hosting(x).await {
        return discover;
    }
    let inner =
        |raw: Option<Raw>| raw.and_then(|raw| raw.object().ok().flatten()).unwrap_or_else(Object::empty);
    let Ok(Some(object)) = discover.object() else { return discover };
    let capabilities = inner(object.get("capabilities"));
    let capabilities = if x.generation.hosting.takes_draft_keys() {
        let tools = inner(capabilities.get("tools")).edit().set("idempotency", Raw::literal("{}")).finish();
        inner(Some(capabilities.edit().set("tools", tools).finish()))
    } else {
        capabilities
    };
    let extensions = inner(capabilities.get("extensions"));
    if extensions.has(TASKS_EXTENSION) {
        return discover;
    }
    let extensions = extensions.edit().set(TASKS_EXTENSION, Raw::literal("{}")).finish();
    let capabilities = capabilities.edit().set("extensions", extensions).finish();
    object.edit().set("capabilities", capabilities).finish()
}

/// The capability of the form of 2025-11-25; `None`: tasks of that form are not the gateway's here.
pub(crate) fn legacy_capability(x: &Exchange) -> Option<Raw> {
    hosts(x).then(|| Raw::literal(LEGACY))
}

/// A list of tools that says which of them may run as a task of the gateway, for clients that choose
/// (2025-11-25, `execution.taskSupport`).
pub(crate) fn mark_tools(x: &Exchange, list: Raw) -> Raw {
    if x.revision.era() != Era::Legacy || !x.revision.features().tasks || !hosts(x) {
        return list;
    }
    let Ok(Some(object)) = list.object() else { return list };
    let Some(tools) = object.get("tools").and_then(|tools| tools.items()) else { return list };
    let tools: Vec<Raw> = tools.into_iter().map(|tool| marked(x, tool)).collect();
    object.edit().set("tools", array(&tools)).finish()
}

fn marked(x: &Exchange, tool: Raw) -> Raw {
    let Ok(Some(object)) = tool.object() else { return tool };
    let Some(name) = object.get("name").and_then(|name| name.as_str().map(|name| name.into_owned())) else {
        return tool;
    };
    let (hosting, endpoint) = (&x.generation.hosting, x.endpoint.name());
    if !makes_tasks(hosting.when(endpoint, &name)) {
        return tool;
    }
    let support = if hosting.requires(endpoint, &name) { "\"required\"" } else { "\"optional\"" };
    let execution = object.get("execution").and_then(|raw| raw.object().ok().flatten());
    let execution = execution.unwrap_or_else(Object::empty);
    let execution = execution.edit().set("taskSupport", Raw::literal(support)).finish();
    object.edit().set("execution", execution).finish()
}
