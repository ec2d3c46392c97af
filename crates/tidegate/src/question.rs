//! One question to policies, from a file of cases, the command line or the operators' interface: all are read
//! here, so that the same question gets the same answer.

use std::net::IpAddr;
use std::sync::Arc;

use admin::{Explained, Explains};
use bytes::Bytes;
use config::{Case, CaseHints};
use model::{Clock as _, Principal, SystemClock, Timestamp};
use policy::{Action, Circumstances, Question, Target, ToolHints, Who};
use protocol::Raw;
use server::App;
use server::policies::Labels;

use crate::exit::{Coded, USAGE};

/// A question with values of its own.
#[derive(Debug)]
pub struct Asked {
    pub case: Case,
    action: Action,
    upstream: String,
    name: String,
    labels: Vec<String>,
    address: Option<IpAddr>,
    now: Timestamp,
    issued: Option<Timestamp>,
}

impl Asked {
    pub fn new(case: Case, labels: &Labels) -> anyhow::Result<Self> {
        let wrong = |what: String| Coded::new(USAGE, format!("use the case {:?}: {what}", case.name));
        let action = Action::parse(&case.action).ok_or_else(|| {
            let known: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
            wrong(format!("there is no action {:?}; there are {}", case.action, known.join(", ")))
        })?;
        let (upstream, name) = match case.target.split_once('/') {
            Some((upstream, name)) => (upstream.to_owned(), name.to_owned()),
            None if action.group() == "govern" => (String::new(), case.target.clone()),
            None => return Err(wrong(format!("write the target {:?} as upstream/name", case.target)).into()),
        };
        let address = case.address.as_deref().map(str::parse).transpose();
        let address = address.map_err(|_| wrong("the address is none".to_owned()))?;
        let time = |text: &String| {
            seal::time_from_text(text)
                .ok_or_else(|| wrong(format!("{text:?} is no time; write 2026-07-28T12:00:00Z")))
        };
        let now = case.at.as_ref().map(time).transpose()?.unwrap_or_else(|| SystemClock.now());
        let issued = case.who.issued.as_ref().map(time).transpose()?;
        let mut all = labels.get(&upstream, &name, now);
        all.extend(case.labels.iter().cloned());
        Ok(Self { action, upstream, name, labels: all, address, now, issued, case })
    }

    /// The question.
    pub fn question(&self) -> Question<'_> {
        let (who, hints) = (&self.case.who, &self.case.hints);
        Question {
            who: Who {
                tenant: &who.tenant,
                subject: &who.subject,
                kind: &who.kind,
                groups: &who.groups,
                scopes: &who.scopes,
                client: who.client.as_deref(),
                issuer: who.issuer.as_deref(),
                actors: &who.actors,
                issued: self.issued,
                bound: who.bound,
            },
            action: self.action,
            target: Target {
                endpoint: &self.case.endpoint,
                upstream: &self.upstream,
                name: &self.name,
                hints: ToolHints {
                    read_only: hints.read_only,
                    destructive: hints.destructive,
                    idempotent: hints.idempotent,
                    open_world: hints.open_world,
                },
                labels: &self.labels,
            },
            circumstances: Circumstances {
                arguments: self.case.arguments.as_deref(),
                address: self.address,
                now: self.now,
                task: self.case.task,
            },
        }
    }

    /// Who asks, what he wants to do, and with what.
    pub fn gist(&self) -> String {
        let who = &self.case.who;
        format!("{}/{} {} {}", who.tenant, who.subject, self.case.action, self.case.target)
    }

    /// What it is about.
    pub fn title(&self) -> String {
        if self.case.name.is_empty() {
            return self.gist();
        }
        self.case.name.clone()
    }
}

/// Answers questions of operators by what is in force in a gateway that runs.
pub struct InForce(pub Arc<App>);

/// What of a case says nothing of a question.
const NO_QUESTION: [&str; 3] = ["name", "expect", "policies"];

/// Reads a question: the members of a case, with the arguments as they would be called with.
fn read(text: Bytes) -> Result<Case, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("this is no question: {error}");
    let raw = Raw::parse(text).map_err(|error| wrong(&error))?;
    let object = raw.object().map_err(|error| wrong(&error))?;
    let object = object.ok_or_else(|| wrong(&"expected an object"))?;
    if let Some(name) = NO_QUESTION.iter().find(|name| object.has(name)) {
        return Err(wrong(&format!("unknown field `{name}`")));
    }
    // As text, with whatever is odd about them: that is decided on, too.
    let object = match object.get("arguments") {
        Some(arguments) => object.edit().set("arguments", Raw::string(arguments.as_text())).finish(),
        None => raw,
    };
    serde_json::from_slice(object.as_bytes()).map_err(|error| wrong(&error))
}

#[async_trait::async_trait]
impl Explains for InForce {
    async fn explain(&self, question: Bytes) -> Result<Explained, String> {
        let mut case = read(question)?;
        let generation = self.0.generation();
        // What nobody says of the tool is as its server says it.
        if case.hints == CaseHints::default()
            && case.action == Action::CallTool.name()
            && let Some(target) = case.target.split_once('/')
        {
            let principal = Principal::new(&case.who.tenant, &case.who.subject);
            let ToolHints { read_only, destructive, idempotent, open_world } =
                generation.hints_of(&case.endpoint, &principal, target).await;
            case.hints = CaseHints { read_only, destructive, idempotent, open_world };
        }
        let asked = Asked::new(case, &generation.labels).map_err(|error| error.to_string())?;
        let found = generation.policy.explain(&asked.question());
        let decision = found.decision["effect"].as_str().unwrap_or_default().to_owned();
        let report = serde_json::to_value(&found).map_err(|error| error.to_string())?;
        Ok(Explained { report, gist: asked.gist(), decision })
    }
}
