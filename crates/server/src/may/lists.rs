//! What of a list somebody may see: by the same decisions as calls.

use catalog::Kind;
use policy::{Action, Circumstances, Effect, Engine, Lens, Target, ToolHints};
use protocol::Raw;

use super::question::{hints, who};
use crate::app::Exchange;

/// Lets through what the policies do.
pub(crate) struct Sieve<'a> {
    x: &'a Exchange,
    engine: &'a Engine,
}

impl<'a> Sieve<'a> {
    /// `None`: everything may be seen.
    pub fn of(x: &'a Exchange) -> Option<Self> {
        Some(Self { x, engine: x.generation.policy()? })
    }

    /// Whether this may be seen: whether it might be used, with some arguments.
    pub fn allows(&self, kind: Kind, upstream: &str, own: &str, definition: Option<&Raw>) -> bool {
        self.asks(&self.engine.lens(who(self.x)), kind, upstream, own, definition)
    }

    fn asks(&self, lens: &Lens<'_>, kind: Kind, upstream: &str, own: &str, definition: Option<&Raw>) -> bool {
        let x = self.x;
        let (action, hints) = match kind {
            Kind::Tools => {
                (Action::CallTool, definition.map(|raw| hints(x, upstream, raw)).unwrap_or_default())
            }
            Kind::Prompts => (Action::GetPrompt, ToolHints::default()),
            Kind::Resources | Kind::Templates => (Action::ReadResource, ToolHints::default()),
        };
        let now = x.app.clock.now();
        let labels = x.generation.labels.get(upstream, own, now);
        let target = Target { endpoint: x.endpoint.name(), upstream, name: own, hints, labels: &labels };
        let circumstances = Circumstances { arguments: None, address: x.address, now, task: false };
        lens.decide(action, target, circumstances).effect != Effect::Deny
    }
}

impl catalog::Sieve for Sieve<'_> {
    fn open<'s>(&'s self) -> Box<catalog::Allows<'s>> {
        let lens = self.engine.lens(who(self.x));
        Box::new(move |kind, upstream, own, definition| {
            self.asks(&lens, kind, upstream, own, Some(definition))
        })
    }
}
