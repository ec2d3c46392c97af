//! The same decision, told step by step.

use serde_json::{Value, json};

use crate::caller::Caller;

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was checked.
    pub what: &'static str,
    /// What was found; of the token nothing but what it says openly.
    pub found: String,
    /// Whether it is as it must be.
    pub passed: bool,
}

/// All checks of a request, up to the first that it does not pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The checks.
    pub steps: Vec<Step>,
    /// Who it is; `None`: nobody is let in by this.
    pub caller: Option<Caller>,
}

impl Explanation {
    /// As a document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| json!({"check": step.what, "found": step.found, "passed": step.passed}))
            .collect();
        let caller = self.caller.as_ref().map(|caller| {
            json!({
                "tenant": caller.principal.tenant(),
                "subject": caller.principal.subject(),
                "kind": caller.kind.as_str(),
                "actors": caller.actors,
                "groups": caller.groups,
                "scopes": caller.scopes,
                "client": caller.client,
                "issuer": caller.issuer,
                "expires": caller.expires.map(seal::time_to_text),
                "boundTo": caller.key,
                "boundToCertificate": caller.bound_certificate,
            })
        });
        json!({"admitted": self.caller.is_some(), "caller": caller, "steps": steps})
    }
}

/// Who is told of each check; nobody on the way of a call.
#[derive(Default)]
pub(crate) struct Told(Option<Vec<Step>>);

/// What else than a request holds for an explanation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Whether the issuer may be asked about a token that says nothing itself: it is sent there.
    pub ask: bool,
}

impl Told {
    /// Somebody is.
    pub fn all() -> Self {
        Self(Some(Vec::new()))
    }

    /// Whether somebody is.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// A check that was passed.
    pub fn passed(&mut self, what: &'static str, found: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.0 {
            steps.push(Step { what, found: found(), passed: true });
        }
    }

    /// The check at which it ended.
    pub fn failed(&mut self, what: &'static str, found: &str) {
        if let Some(steps) = &mut self.0 {
            steps.push(Step { what, found: found.to_owned(), passed: false });
        }
    }

    pub fn steps(self) -> Vec<Step> {
        self.0.unwrap_or_default()
    }
}
