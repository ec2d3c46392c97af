//! The stage that says *may*: what the policies decide on a call, and what comes of it.
//!
//! A call is let through, refused, or waits for somebody's yes: that of whoever calls, by a question, or that
//! of somebody else, by a task or by calling again. Denials have the shape of SEP-2643 (a draft): they say
//! that nothing ran. What may not be seen is answered as what does not exist.

mod approve;
mod confirm;
mod duties;
mod known;
mod lists;
mod on_page;
mod question;
mod refusal;

use catalog::{Kind, Routed};
use policy::{Action, Decision, Duties, Effect, Requirement, Whom};
use protocol::{Call, Method, Raw, RpcError};
use upstream::Reply;

use crate::app::Exchange;
use crate::handles::Pass;
use crate::hosted;

pub(crate) use approve::{envelope as approval_envelope, keep as keep_approval};
pub(crate) use duties::{body as body_under, result as result_under};
pub(crate) use lists::Sieve;
pub(crate) use refusal::{AUTHORIZATION, as_unknown};

/// What becomes of a call.
pub(crate) enum May {
    /// It is made, under these duties.
    Go(Duties),
    /// It is not made: this is the answer.
    Answered(Reply),
    /// It waits for somebody else's yes, as a task: this approval.
    Waits(Box<store::Approval>),
}

impl May {
    /// What is answered in place of the call.
    fn answer(self) -> Option<Reply> {
        match self {
            Self::Answered(reply) => Some(reply),
            Self::Go(_) | Self::Waits(_) => None,
        }
    }
}

/// A call that is looked at.
pub(crate) struct Asked<'a> {
    pub x: &'a Exchange,
    /// As the client made it.
    pub call: &'a Call,
    pub routed: &'a Routed,
}

/// What somebody who sees it in a list would want to do with it, and what it is.
fn action(method: &Method) -> Option<(Action, Kind)> {
    match method {
        Method::ToolsCall => Some((Action::CallTool, Kind::Tools)),
        Method::PromptsGet => Some((Action::GetPrompt, Kind::Prompts)),
        Method::ResourcesRead => Some((Action::ReadResource, Kind::Resources)),
        _ => None,
    }
}

/// Decides on a call, and takes back what an earlier round of it left in its state.
///
/// # Errors
/// Where it is refused, or cannot be decided.
pub(crate) async fn may(
    x: &Exchange,
    call: &Call,
    routed: &mut Routed,
    pass: &mut Pass,
) -> Result<May, RpcError> {
    let answer = confirm::resume(routed);
    let Some(engine) = x.generation.policy() else { return Ok(May::Go(Duties::default())) };
    if call.method == Method::Complete {
        return completion(x, call, routed).map(|()| May::Go(Duties::default()));
    }
    let Some((action, kind)) = action(&call.method) else { return Ok(May::Go(Duties::default())) };
    let asked = Asked { x, call, routed };
    let facts = question::Facts::of(&asked, kind);
    let decision = engine.decide(&facts.question(x, action, &asked.what(), true));
    // Whoever is asked sees what will run.
    if let Some(made) = duties::arguments(&routed.call, &decision.duties)? {
        (routed.call, routed.remade) = (made, true);
    }
    let asked = Asked { x, call, routed };
    if let Some(noted) = &x.noted {
        noted.decided(&decision, engine.version());
    }
    if let Some(fault) = &decision.fault {
        tracing::warn!(%fault, "a call is denied, as it cannot be decided on");
    }
    match &decision.effect {
        Effect::Deny => {
            let seen = engine.decide(&facts.question(x, action, &asked.what(), false));
            if seen.effect == Effect::Deny { Err(refusal::unknown(call)) } else { asked.denied(&decision) }
        }
        Effect::Allow => asked.under(decision.duties),
        Effect::Ask(ask) => {
            let bound = approve::bound(&asked, &facts, engine.version());
            if *pass.granted == *bound {
                return asked.under(decision.duties);
            }
            let ask = ask.clone();
            let went = match ask.whom {
                Whom::Caller => confirm::confirm(&asked, (&ask, &decision), answer, &bound).await?,
                Whom::Groups(_) => approve::approve(&asked, &ask, &decision, &bound).await?,
            };
            match went {
                Some(may) => Ok(may),
                None => {
                    pass.granted = bound;
                    asked.under(decision.duties)
                }
            }
        }
    }
}

/// Decides again on a call whose arguments somebody else has changed: it has to be allowed as it is now. What
/// somebody has said yes to was another one. `Some`: it is not made, and this is the answer.
///
/// # Errors
/// Where it is refused, or cannot be decided.
pub(crate) fn still(
    x: &Exchange,
    call: &Call,
    routed: &mut Routed,
    duties: &mut Duties,
) -> Result<Option<Reply>, RpcError> {
    let Some(engine) = x.generation.policy() else { return Ok(None) };
    let Some((action, kind)) = action(&call.method) else { return Ok(None) };
    let asked = Asked { x, call, routed };
    let facts = question::Facts::of(&asked, kind);
    let decision = engine.decide(&facts.question(x, action, &asked.what(), true));
    if let Some(noted) = &x.noted {
        noted.decided(&decision, engine.version());
    }
    match &decision.effect {
        Effect::Allow => {}
        Effect::Deny => return Ok(asked.denied(&decision)?.answer()),
        Effect::Ask(_) => {
            asked.note_denied();
            let text = "It takes somebody's yes, and a check has changed what was said yes to.";
            return refusal::answer(call, refusal::Remedy::Unavailable, text).map(Some);
        }
    }
    if let Some(answer) = asked.under(decision.duties.clone())?.answer() {
        return Ok(Some(answer));
    }
    if let Some(made) = duties::arguments(&routed.call, &decision.duties)? {
        routed.call = made;
    }
    duties.join(&decision.duties);
    Ok(None)
}

/// What may not be used is not completed either, and is what nobody has.
fn completion(x: &Exchange, call: &Call, routed: &Routed) -> Result<(), RpcError> {
    let about = routed.call.params.get("ref");
    let text = |name: &str| Some(about.as_ref()?.get(name)?.as_str()?.into_owned());
    let (kind, member) =
        if text("uri").is_some() { (Kind::Templates, "uri") } else { (Kind::Prompts, "name") };
    let name = text(member).unwrap_or_default();
    let allowed = Sieve::of(x).is_none_or(|sieve| {
        let definition = listed(routed, x, kind, &name);
        sieve.allows(kind, routed.source.upstream().name().as_str(), &name, definition.as_ref())
    });
    if allowed {
        return Ok(());
    }
    if let Some(noted) = &x.noted {
        noted.ends(audit::Outcome::Denied);
    }
    let given = call.params.get("ref").and_then(|about| Some(about.get(member)?.as_str()?.into_owned()));
    let given = given.unwrap_or_default();
    Err(match kind {
        Kind::Prompts => catalog::unknown("prompt", &given),
        _ => catalog::unknown_resource(&given),
    })
}

impl Asked<'_> {
    /// The upstream's own name or URI for it.
    fn what(&self) -> String {
        let member = if self.call.method == Method::ResourcesRead { "uri" } else { "name" };
        self.routed.call.text(member).unwrap_or_default()
    }

    /// Lets it through, where the caller's proof is as it has to be.
    fn under(&self, duties: Duties) -> Result<May, RpcError> {
        let who = &self.x.who;
        let now = self.x.app.clock.now();
        for requirement in &duties.requires {
            let missing = match requirement {
                Requirement::BoundProof if question::is_bound(who) => None,
                Requirement::BoundProof => {
                    Some("It takes a token that is bound to a key (DPoP) or a certificate.".to_owned())
                }
                Requirement::FreshSignIn(age) if who.signed_in.is_some_and(|at| now.since(at) <= *age) => {
                    None
                }
                Requirement::FreshSignIn(age) => {
                    // Of several the first one is told; there is one for each decision.
                    let _ = self.x.stale.set(*age);
                    Some(format!("It takes a sign-in of at most {} seconds ago.", age.as_secs()))
                }
            };
            if let Some(missing) = missing {
                self.note_denied();
                return refusal::answer(self.call, refusal::Remedy::Undisclosed, &missing).map(May::Answered);
            }
        }
        Ok(May::Go(duties))
    }

    fn denied(&self, decision: &Decision) -> Result<May, RpcError> {
        self.note_denied();
        let why = decision.reason.as_deref().unwrap_or("It is not allowed here.");
        refusal::answer(self.call, refusal::Remedy::Unavailable, why).map(May::Answered)
    }

    fn note_denied(&self) {
        self.note(audit::Outcome::Denied);
    }

    fn note(&self, outcome: audit::Outcome) {
        if let Some(noted) = &self.x.noted {
            noted.ends(outcome);
        }
    }
}

/// Whether a task may be seen, answered and cancelled by its caller. One that may not is as one that is not
/// there.
///
/// # Errors
/// Where it may not, or nobody knows of what it is.
pub(crate) async fn may_use_task(x: &Exchange, upstream: &str, id: &str) -> Result<(), RpcError> {
    if x.generation.policy().is_none() {
        return Ok(());
    }
    let (upstream, tool) = match x.app.tasks.get().filter(|_| upstream == hosted::OWN) {
        None => (upstream.to_owned(), String::new()),
        Some(tasks) => {
            let unknown = |_| RpcError::invalid_params("Unknown task");
            let view = tasks.get(id, &hosted::holder(&x.caller.principal, x.endpoint.name())).await;
            task_of(&view.map_err(unknown)?.task.labels)
        }
    };
    if may_use(x, &upstream, &tool) {
        return Ok(());
    }
    if let Some(noted) = &x.noted {
        noted.ends(audit::Outcome::Denied);
    }
    Err(RpcError::invalid_params("Unknown task"))
}

/// The upstream and the tool that a task of the gateway's own calls.
pub(crate) fn task_of(labels: &std::collections::BTreeMap<String, String>) -> (String, String) {
    let of = |name: &str| labels.get(name).cloned().unwrap_or_default();
    (of("upstream"), of("tool"))
}

/// Whether tasks of this tool of an upstream may be used; without a tool: those of an upstream's own.
pub(crate) fn may_use(x: &Exchange, upstream: &str, tool: &str) -> bool {
    let Some(engine) = x.generation.policy() else { return true };
    let decision = engine.decide(&policy::Question {
        who: question::who(x),
        action: Action::UseTask,
        target: policy::Target {
            endpoint: x.endpoint.name(),
            upstream,
            name: tool,
            hints: policy::ToolHints::default(),
            labels: &x.generation.labels.get(upstream, tool, x.app.clock.now()),
        },
        circumstances: policy::Circumstances {
            arguments: Some("{}"),
            address: x.address,
            now: x.app.clock.now(),
            task: true,
        },
    });
    if let Some(noted) = &x.noted {
        noted.decided(&decision, engine.version());
    }
    decision.effect == Effect::Allow
}

/// Whether a resource may be subscribed to by whoever asks: as it may be read.
pub(crate) fn may_watch(x: &Exchange, upstream: &str, uri: &str) -> bool {
    let sieve = Sieve::of(x);
    sieve.is_none_or(|sieve| sieve.allows(Kind::Resources, upstream, uri, None))
}

/// What an upstream lists of this name.
fn listed(routed: &Routed, x: &Exchange, kind: Kind, name: &str) -> Option<Raw> {
    let listing = routed.source.cached(kind, &x.caller)?;
    listing.get(name).map(|item| item.raw.clone())
}
