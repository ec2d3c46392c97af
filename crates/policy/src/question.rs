//! What is asked: who wants to do what with what, and in which circumstances.

use model::Timestamp;

/// Who asks, as far as that was proved.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// His tenant.
    pub tenant: &'a str,
    /// His id inside the tenant.
    pub subject: &'a str,
    /// What he is: `anonymous`, `user`, `workload` or `operator`.
    pub kind: &'a str,
    /// Groups and roles, as the issuer names them.
    pub groups: &'a [String],
    /// What his client was granted.
    pub scopes: &'a [String],
    /// His client.
    pub client: Option<&'a str>,
    /// Who vouches for him.
    pub issuer: Option<&'a str>,
    /// Who acts for him, the nearest first.
    pub actors: &'a [String],
    /// When he proved himself.
    pub issued: Option<Timestamp>,
    /// Whether his proof is bound to a key or a certificate.
    pub bound: bool,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Calls a tool. Without arguments: sees it in a list.
    CallTool,
    /// Gets a prompt.
    GetPrompt,
    /// Reads a resource, or subscribes to it.
    ReadResource,
    /// Sees, answers or cancels a task.
    UseTask,
    /// Reads what operators see.
    View,
    /// Does what operators do.
    Operate,
    /// Changes who may do what.
    Administer,
    /// Decides over another's call.
    Approve,
    /// Asks what is decided over another's questions, and by which policies.
    Explain,
}

/// What a server says of its tool. A hint, unless the operator trusts the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ToolHints {
    /// Changes nothing.
    pub read_only: Option<bool>,
    /// May destroy something.
    pub destructive: Option<bool>,
    /// Twice is as once.
    pub idempotent: Option<bool>,
    /// Reaches into an open world.
    pub open_world: Option<bool>,
}

/// With what.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The endpoint that is asked.
    pub endpoint: &'a str,
    /// The upstream; empty where it is none of any.
    pub upstream: &'a str,
    /// Its own name for the tool or the prompt, the URI of the resource, the operators' word for what is
    /// theirs.
    pub name: &'a str,
    /// What its server says of it.
    pub hints: ToolHints,
    /// What the operator says of it.
    pub labels: &'a [String],
}

/// What else counts.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The arguments, as JSON text. `None`: nothing is to be done yet, it is to be seen in a list.
    pub arguments: Option<&'a str>,
    /// Where the request came from; `None`: not over a network.
    pub address: Option<std::net::IpAddr>,
    /// Now.
    pub now: Timestamp,
    /// Whether it becomes a task.
    pub task: bool,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub who: Who<'a>,
    /// Wants to do what.
    pub action: Action,
    /// With what.
    pub target: Target<'a>,
    /// In which circumstances.
    pub circumstances: Circumstances<'a>,
}
