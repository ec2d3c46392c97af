//! What is known of a tool, for questions that are only asked and of which nothing is done.

use catalog::{Caller, Kind};
use model::Principal;
use policy::ToolHints;
use protocol::{Capabilities, Raw};

use super::question::believed;
use crate::app::Generation;

impl Generation {
    /// What an upstream says of its tool, where the operator believes it, to this caller of an endpoint. It
    /// is asked if it was not before.
    pub async fn hints_of(
        &self,
        endpoint: &str,
        principal: &Principal,
        (upstream, tool): (&str, &str),
    ) -> ToolHints {
        if !self.repeatable.get(upstream).is_some_and(|repeatable| repeatable.hints) {
            return ToolHints::default();
        }
        let source = self.endpoints.get(endpoint).and_then(|found| found.source(upstream, principal));
        let Some(source) = source else { return ToolHints::default() };
        let (principal, client_info) = (principal.clone(), Raw::literal("{}"));
        let caller = Caller { principal, capabilities: Capabilities::none(), client_info, trace: None };
        let listing = source.known(Kind::Tools, &caller).await.ok();
        let definition = listing.and_then(|listing| Some(listing.get(tool)?.raw.clone()));
        definition.map(|raw| believed(self, upstream, &raw)).unwrap_or_default()
    }
}
