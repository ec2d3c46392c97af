//! What operators do, for the audit log: one event before something is changed, and one after.
//!
//! It is done where the routes are served and not by each of them, so that none is forgotten.

use std::sync::Arc;

use audit::{Event, Outcome, Phase, Recorder};
use http::StatusCode;
use policy::{Action, Circumstances, Effect, Question, Target, ToolHints, Who};

use crate::admit::Operator;
use crate::listener::Own;
use crate::problem::Problem;

/// The tenant of what belongs to none.
const EVERYBODY: &str = "default";

/// What an answer says to the log alone.
#[derive(Debug, Clone)]
pub struct Said(pub Vec<(&'static str, String)>);

/// Something that is being done.
pub struct Noted {
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn model::Clock>,
    event: Event,
}

impl Noted {
    /// `None`: nothing is recorded.
    pub fn begin(
        own: &Own,
        who: Option<&Operator>,
        (method, path): (&'static str, &'static str),
        name: &str,
    ) -> Option<Self> {
        let recorder = Arc::clone(own.recorder.as_ref()?);
        let session = who.and_then(|who| who.session.as_ref());
        let tenant = session.map_or(EVERYBODY, |session| session.principal.tenant());
        let subject = match (session, who) {
            (Some(session), _) => session.principal.subject().to_owned(),
            (None, Some(who)) => format!("operator:{}", who.name),
            (None, None) => "operator:unknown".to_owned(),
        };
        let kind = if method == "GET" { "operator_sign_in" } else { "admin_action" };
        let mut event = Event::new(kind, own.clock.now(), tenant, &subject);
        let mut random = [0; 12];
        own.rng.fill(&mut random);
        event.operation = audit::hex(&random).into();
        event.target = Some(Arc::from(model::cut(name, 512))).filter(|name: &Arc<str>| !name.is_empty());
        event.details.insert("route", format!("{method} {path}"));
        if let Some(who) = who {
            event.details.insert("role", who.role.word().to_owned());
        }
        Some(Self { recorder, clock: Arc::clone(&own.clock), event })
    }

    /// Writes that it begins.
    ///
    /// # Errors
    /// Where nothing may be done without a record, and there is none.
    pub async fn started(&mut self) -> Result<(), Problem> {
        self.event.phase = Phase::Completed;
        self.write(Event { phase: Phase::Started, ..self.event.clone() }).await
    }

    /// Writes how it ended.
    ///
    /// # Errors
    /// Where nothing may be answered without a record, and there is none.
    pub async fn completed(mut self, status: StatusCode, said: Option<Said>) -> Result<(), Problem> {
        self.event.details.extend(said.into_iter().flat_map(|Said(all)| all));
        self.event.at = self.clock.now();
        self.event.outcome = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Denied,
            status if status.is_client_error() || status.is_server_error() => Outcome::Error,
            _ => Outcome::Allowed,
        };
        self.event.details.insert("status", status.as_u16().to_string());
        let event = self.event.clone();
        self.write(event).await
    }

    /// Writes that it was refused, and gives why.
    pub async fn refused(noted: Option<Self>, problem: Problem) -> Problem {
        let Some(noted) = noted else { return problem };
        match noted.completed(problem.status, None).await {
            Ok(()) => problem,
            Err(unrecorded) => unrecorded,
        }
    }

    async fn write(&self, event: Event) -> Result<(), Problem> {
        if !self.recorder.is_strict() {
            self.recorder.note(event);
            return Ok(());
        }
        self.recorder.record(event).await.map(drop).map_err(|error| {
            tracing::error!(%error, "an operator is refused: nothing is done without its record");
            let text = "the audit log takes no record, and nothing is done without one";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
        })
    }
}

impl Own {
    /// Whether the policies forbid an operator something that his role allows. They allow nothing that his
    /// role does not.
    ///
    /// # Errors
    /// Where they do, or cannot say.
    pub fn permit(&self, action: Option<Action>, who: Option<&Operator>, path: &str) -> Result<(), Problem> {
        let (Some(action), Some(who)) = (action, who) else { return Ok(()) };
        let target =
            Target { endpoint: "", upstream: "", name: path, hints: ToolHints::default(), labels: &[] };
        self.forbids(who, action, target)
    }

    /// Whether the policies forbid an operator to do this with that.
    ///
    /// # Errors
    /// Where they do, or cannot say.
    pub fn forbids(&self, who: &Operator, action: Action, target: Target<'_>) -> Result<(), Problem> {
        let Some(engine) = (self.policy)() else { return Ok(()) };
        let session = who.session.as_ref();
        let groups: Vec<String> = session.map(|session| session.groups().to_vec()).unwrap_or_default();
        let decision = engine.decide(&Question {
            who: Who {
                tenant: session.map_or(EVERYBODY, |session| session.principal.tenant()),
                subject: session.map_or(who.name.as_str(), |session| session.principal.subject()),
                kind: "operator",
                groups: &groups,
                scopes: &[],
                client: None,
                issuer: None,
                actors: &[],
                issued: None,
                bound: false,
            },
            action,
            target,
            circumstances: Circumstances {
                arguments: None,
                address: None,
                now: self.clock.now(),
                task: false,
            },
        });
        let forbidden = decision.fault.is_some() || !decision.policies.is_empty();
        if decision.effect == Effect::Deny && forbidden {
            let why = decision.reason.as_deref().unwrap_or("a policy forbids it");
            return Err(Problem::new(StatusCode::FORBIDDEN, why));
        }
        Ok(())
    }
}
