//! What the policies are asked about a call.

use catalog::Kind;
use policy::{Action, Circumstances, Question, Target, ToolHints, Who};
use protocol::Raw;

use super::{Asked, listed};
use crate::app::{Exchange, Generation};

/// What is known of what a call is about.
pub(super) struct Facts {
    /// What its upstream lists.
    pub definition: Option<Raw>,
    hints: ToolHints,
    arguments: Option<Raw>,
    upstream: String,
    labels: Vec<String>,
}

impl Facts {
    pub fn of(asked: &Asked<'_>, kind: Kind) -> Self {
        let definition = listed(asked.routed, asked.x, kind, &asked.what());
        let upstream = asked.routed.source.upstream().name().to_string();
        Self {
            hints: definition.as_ref().map(|raw| hints(asked.x, &upstream, raw)).unwrap_or_default(),
            definition,
            arguments: asked.routed.call.params.get("arguments"),
            labels: asked.x.generation.labels.get(&upstream, &asked.what(), asked.x.app.clock.now()),
            upstream,
        }
    }

    /// The question. Without arguments it is whether the thing may be seen at all.
    pub fn question<'a>(
        &'a self,
        x: &'a Exchange,
        action: Action,
        name: &'a str,
        arguments: bool,
    ) -> Question<'a> {
        let text = self.arguments.as_ref().map_or("{}", Raw::as_text);
        Question {
            who: who(x),
            action,
            target: Target {
                endpoint: x.endpoint.name(),
                upstream: &self.upstream,
                name,
                hints: self.hints,
                labels: &self.labels,
            },
            circumstances: Circumstances {
                arguments: arguments.then_some(text),
                address: x.address,
                now: x.app.clock.now(),
                task: x.hosted.is_some(),
            },
        }
    }
}

/// What a server says of its tool (2025-11-25, "ToolAnnotations"), where the operator believes it.
pub(super) fn hints(x: &Exchange, upstream: &str, definition: &Raw) -> ToolHints {
    believed(&x.generation, upstream, definition)
}

/// The same, for whoever only wants to know.
pub(super) fn believed(generation: &Generation, upstream: &str, definition: &Raw) -> ToolHints {
    if !generation.repeatable.get(upstream).is_some_and(|repeatable| repeatable.hints) {
        return ToolHints::default();
    }
    let annotations = definition.get("annotations");
    let says = |name: &str| annotations.as_ref().and_then(|hints| hints.get(name)?.as_bool());
    ToolHints {
        read_only: says("readOnlyHint"),
        destructive: says("destructiveHint"),
        idempotent: says("idempotentHint"),
        open_world: says("openWorldHint"),
    }
}

/// Who asks.
pub(super) fn who(x: &Exchange) -> Who<'_> {
    let who = &*x.who;
    Who {
        tenant: who.principal.tenant(),
        subject: who.principal.subject(),
        kind: match who.kind {
            identity::Kind::Anonymous => "anonymous",
            identity::Kind::Person | identity::Kind::Agent => "user",
            identity::Kind::Workload => "workload",
        },
        groups: &who.groups,
        scopes: &who.scopes,
        client: who.client.as_deref(),
        issuer: who.issuer.as_deref(),
        actors: &who.actors,
        issued: who.issued,
        bound: is_bound(who),
    }
}

/// Whether a caller's proof is bound to a key or a certificate, so that a thief cannot use it.
pub(super) fn is_bound(who: &identity::Caller) -> bool {
    who.key.is_some() || who.bound_certificate.is_some() || who.certificate.is_some()
}
