//! Questions, made short.

use model::Timestamp;
use policy::{
    Action, Circumstances, Decision, Engine, Options, PolicyFile, Question, Target, ToolHints, Who,
};

/// Tuesday the 28th of July 2026, 12:00 UTC.
pub const NOON: Timestamp = Timestamp(1_785_240_000_000);

/// A question with values of its own.
#[derive(Debug, Clone)]
pub struct Asked {
    pub tenant: String,
    pub subject: String,
    pub kind: &'static str,
    pub groups: Vec<String>,
    pub scopes: Vec<String>,
    pub client: Option<String>,
    pub bound: bool,
    pub issued: Option<Timestamp>,
    pub action: Action,
    pub endpoint: String,
    pub upstream: String,
    pub name: String,
    pub hints: ToolHints,
    pub labels: Vec<String>,
    pub arguments: Option<String>,
    pub address: Option<std::net::IpAddr>,
    pub now: Timestamp,
    pub task: bool,
}

impl Default for Asked {
    /// Ann of acme calls `crm/lookup`.
    fn default() -> Self {
        Self {
            tenant: "acme".to_owned(),
            subject: "ann".to_owned(),
            kind: "user",
            groups: Vec::new(),
            scopes: Vec::new(),
            client: None,
            bound: false,
            issued: None,
            action: Action::CallTool,
            endpoint: "mcp".to_owned(),
            upstream: "crm".to_owned(),
            name: "lookup".to_owned(),
            hints: ToolHints::default(),
            labels: Vec::new(),
            arguments: Some("{}".to_owned()),
            address: None,
            now: NOON,
            task: false,
        }
    }
}

impl Asked {
    /// The question.
    pub fn question(&self) -> Question<'_> {
        Question {
            who: Who {
                tenant: &self.tenant,
                subject: &self.subject,
                kind: self.kind,
                groups: &self.groups,
                scopes: &self.scopes,
                client: self.client.as_deref(),
                issuer: None,
                actors: &[],
                issued: self.issued,
                bound: self.bound,
            },
            action: self.action,
            target: Target {
                endpoint: &self.endpoint,
                upstream: &self.upstream,
                name: &self.name,
                hints: self.hints,
                labels: &self.labels,
            },
            circumstances: Circumstances {
                arguments: self.arguments.as_deref(),
                address: self.address,
                now: self.now,
                task: self.task,
            },
        }
    }

    /// What is decided.
    pub fn of(&self, engine: &Engine) -> Decision {
        engine.decide(&self.question())
    }
}

/// An engine of one file.
pub fn engine(text: &str) -> Engine {
    with(text, Options::default())
}

/// An engine of one file, with options.
pub fn with(text: &str, options: Options) -> Engine {
    let file = PolicyFile { name: "team.cedar".to_owned(), text: text.to_owned() };
    Engine::load(vec![file], options).unwrap_or_else(|faults| panic!("{faults:#?}"))
}
