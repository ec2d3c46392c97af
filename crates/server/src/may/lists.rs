//! What of a list somebody may see: by the same decisions as calls.

use catalog::Kind;
use policy::{Action, Circumstances, Effect, Engine, Question, Target, ToolHints};
use protocol::Raw;

use super::question::{hints, labels, who};
use crate::app::Exchange;

/// Lets through what the policies do.
pub(crate) struct Sieve<'a> {
    x: &'a Exchange,
    engine: &'a Engine,
}

impl<'a> Sieve<'a> {
    /// `None`: everything may be seen.
    pub fn of(x: &'a Exchange) -> Option<Self> {
        Some(Self { x, engine: x.generation.policy.as_deref()? })
    }

    /// Whether this may be seen: whether it might be used, with some arguments.
    pub fn allows(&self, kind: Kind, upstream: &str, own: &str, definition: Option<&Raw>) -> bool {
        let x = self.x;
        let (action, hints) = match kind {
            Kind::Tools => (Action::CallTool, definition.map(hints).unwrap_or_default()),
            Kind::Prompts => (Action::GetPrompt, ToolHints::default()),
            Kind::Resources | Kind::Templates => (Action::ReadResource, ToolHints::default()),
        };
        let labels = labels(x, upstream, own);
        let target = Target { endpoint: x.endpoint.name(), upstream, name: own, hints, labels };
        let now = x.app.clock.now();
        let circumstances = Circumstances { arguments: None, address: x.address, now, task: false };
        let decision = self.engine.decide(&Question { who: who(x), action, target, circumstances });
        decision.effect != Effect::Deny
    }
}

impl catalog::Sieve for Sieve<'_> {
    fn allows(&self, kind: Kind, upstream: &str, own: &str, definition: &Raw) -> bool {
        Sieve::allows(self, kind, upstream, own, Some(definition))
    }
}
