//! The caller's own yes, on a page of the gateway's where he is signed in: no client says it for him.

use policy::{Ask, Decision};
use protocol::{Raw, RpcError};
use serde_json::json;
use store::{Approval, ApprovalOffice, ApprovalState, StoreError, Taken};
use tokio::time::Instant;

use super::confirm::{MARK, QUESTION, Said, before};
use super::refusal::{self, AUTHORIZATION, Remedy};
use super::{Asked, May, approve};
use crate::agree::AGREE;
use crate::app::Exchange;
use crate::{consent, door};

/// A page where the caller can say yes, where there is one.
pub(super) struct Page<'a> {
    office: &'a ApprovalOffice,
    base: String,
    issuer: &'a str,
}

impl<'a> Page<'a> {
    /// The page for whoever calls. Who signs in nowhere has none, nor has one whose yes nobody would keep.
    pub(super) fn of(x: &'a Exchange) -> Option<Self> {
        let issuer = x.who.issuer.as_deref().filter(|issuer| x.generation.sign_ins.contains_key(*issuer))?;
        let base = door::base(&x.app, &x.generation, &x.headers);
        (!base.is_empty()).then_some(Self { office: x.app.approvals.get()?, base, issuer })
    }

    fn url(&self, id: &str) -> String {
        format!("{}{AGREE}?call={id}&issuer={}", self.base, self.issuer)
    }

    /// Whether the caller has said yes to just this; `None` where he has.
    ///
    /// # Errors
    /// Where it cannot be known.
    pub(super) async fn confirm(
        &self,
        asked: &Asked<'_>,
        (ask, decision): (&Ask, &Decision),
        said: Option<Said>,
        bound: &str,
    ) -> Result<Option<May>, RpcError> {
        let x = asked.x;
        let id = Approval::own_id(&approve::name_of(x, bound, None));
        let returns = said.is_some();
        match said.and_then(|said| said.action).as_deref() {
            Some("accept") => self.wait(x, &id).await.map_err(|error| approve::unknown(&error))?,
            Some(_) => return denied(asked).map(Some),
            None => {}
        }
        match self.office.take(&id, bound, false).await.map_err(|error| approve::unknown(&error))? {
            Taken::Yes(approval) => {
                approve::used(x, *approval);
                return Ok(None);
            }
            // Whoever makes the call anew after a no is asked anew.
            Taken::No(_) if returns => return denied(asked).map(Some),
            Taken::No(_) | Taken::Waits(_) | Taken::None => {}
        }
        let new = approve::new(asked, (ask, decision), bound, id);
        match self.office.ask(&new).await {
            Ok(approval) => self.question(asked, ask, &approval).map(Some),
            Err(error) => approve::not_asked(asked, &error).map(Some),
        }
    }

    /// Waits until he has decided, though not for ever.
    async fn wait(&self, x: &Exchange, id: &str) -> Result<(), StoreError> {
        let until = Instant::now() + consent::patience(x);
        loop {
            let found = self.office.find(id).await?;
            let waits = found.is_some_and(|found| {
                found.state == ApprovalState::Pending && !found.is_over(x.app.clock.now())
            });
            if !waits || Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(consent::LOOK).await;
        }
    }

    fn question(&self, asked: &Asked<'_>, ask: &Ask, approval: &Approval) -> Result<May, RpcError> {
        asked.note(audit::Outcome::Deferred);
        let (x, call) = (asked.x, &asked.routed.call);
        let url = self.url(&approval.id);
        let why = ask.message.as_deref().unwrap_or("Let this run?");
        if !(call.method.may_ask() && x.caller.capabilities.elicit_url) {
            let text = format!("{why} Open {url} and sign in to say so, then make the same call again.");
            return refusal::answer(asked.call, Remedy::Undisclosed, &text).map(May::Answered);
        }
        let message = format!("{why}\n\n{} of {}. The page shows it.", asked.what(), approval.upstream);
        let params = json!({"mode": "url", "message": message, "url": url});
        let state = json!({
            "bound": approval.bound,
            "requestState": before(call, "requestState"), "inputResponses": before(call, "inputResponses"),
        });
        let result = json!({
            "resultType": "input_required",
            "inputRequests": {QUESTION: {"method": "elicitation/create", "params": params}},
            "requestState": format!("{MARK}{state}"),
            "_meta": {AUTHORIZATION: {
                "reason": "insufficient_authorization", "remediation": "available",
                "authorizationContextId": approval.id, "remediationHints": [{"type": "url"}],
            }},
        });
        Ok(May::Answered(upstream::Reply::result(Raw::from_value(&result))))
    }
}

fn denied(asked: &Asked<'_>) -> Result<May, RpcError> {
    asked.note(audit::Outcome::Denied);
    refusal::answer(asked.call, Remedy::Unavailable, "The user did not agree.").map(May::Answered)
}
