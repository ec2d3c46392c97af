//! Questions to policies and what is expected of them: the file of `tidegate policy test` and `diff`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostics;
use crate::load::{shown, utf8};
use crate::source;

/// How many cases a file may have.
const CASES_MAX: usize = 10_000;

/// A file of cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cases {
    /// They, in their order.
    pub cases: Vec<Case>,
}

/// A question, and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Case {
    /// What it is about, in words.
    pub name: String,
    /// Who asks.
    pub who: CaseWho,
    /// What he wants to do, as policies name it.
    pub action: String,
    /// The endpoint that is asked.
    pub endpoint: String,
    /// With what: `upstream/name`.
    pub target: String,
    /// What the operator says of it, beside the labels of the configuration.
    pub labels: Vec<String>,
    /// What its server says of it, as far as that is believed.
    pub hints: CaseHints,
    /// The arguments, as JSON. By default it is asked whether it is seen in a list.
    pub arguments: Option<String>,
    /// Where the request comes from.
    pub address: Option<String>,
    /// When, as in `2026-07-28T12:00:00Z`. By default now.
    pub at: Option<String>,
    /// Whether it becomes a task.
    pub task: bool,
    /// What is expected.
    pub expect: Expected,
    /// The policies that are expected to decide; by default it may be any.
    pub policies: Option<Vec<String>>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            name: String::new(),
            who: CaseWho::default(),
            action: "call_tool".to_owned(),
            endpoint: "mcp".to_owned(),
            target: String::new(),
            labels: Vec::new(),
            hints: CaseHints::default(),
            arguments: None,
            address: None,
            at: None,
            task: false,
            expect: Expected::default(),
            policies: None,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaseWho {
    /// His tenant.
    pub tenant: String,
    /// His id inside the tenant.
    pub subject: String,
    /// What he is: `user`, `workload`, `operator` or `anonymous`.
    pub kind: String,
    /// His groups, without the tenant.
    pub groups: Vec<String>,
    /// What his client was granted.
    pub scopes: Vec<String>,
    /// His client.
    pub client: Option<String>,
    /// Whether his proof is bound to a key or a certificate.
    pub bound: bool,
    /// Who vouches for him, by the name that `auth.issuers` has for it.
    pub issuer: Option<String>,
    /// Who acts for him, the nearest first.
    pub actors: Vec<String>,
    /// When he proved himself, as in `2026-07-28T12:00:00Z`.
    pub issued: Option<String>,
}

impl Default for CaseWho {
    fn default() -> Self {
        Self {
            tenant: "default".to_owned(),
            subject: "anonymous".to_owned(),
            kind: "user".to_owned(),
            groups: Vec::new(),
            scopes: Vec::new(),
            client: None,
            bound: false,
            issuer: None,
            actors: Vec::new(),
            issued: None,
        }
    }
}

/// What a server says of its tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaseHints {
    /// Changes nothing.
    pub read_only: Option<bool>,
    /// May destroy something.
    pub destructive: Option<bool>,
    /// Twice is as once.
    pub idempotent: Option<bool>,
    /// Reaches into an open world.
    pub open_world: Option<bool>,
}

/// What is expected of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// It may be done.
    Allow,
    /// It may not.
    #[default]
    Deny,
    /// Somebody has to say yes.
    Ask,
}

impl Expected {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

impl Cases {
    /// Reads a file of cases in YAML. `file_name` is only for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, with positions.
    pub fn load_slice(bytes: &[u8], file_name: &str) -> Result<Self, Diagnostics> {
        let text = utf8(bytes, file_name)?;
        let mut faults = Vec::new();
        let root = source::parse(text, &mut faults).map_err(|fault| shown(vec![fault], &[file_name]))?;
        let cases: Option<Self> = source::read(&root, &mut faults);
        match cases {
            Some(cases) if faults.is_empty() && cases.cases.len() <= CASES_MAX => Ok(cases),
            Some(_) if faults.is_empty() => {
                let message = format!("there are more than {CASES_MAX} cases");
                let problem = source::Problem::other(message, None);
                let path = source::Path::keys(["cases"]);
                Err(shown(vec![source::Fault { at: root.key_at(&path), path, problem }], &[file_name]))
            }
            _ => Err(shown(faults, &[file_name])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_with_defaults_and_faults_have_a_place() {
        let text = "cases:\n- name: a\n  target: crm/x\n  who: {groups: [sales]}\n  expect: allow\n";
        let cases = Cases::load_slice(text.as_bytes(), "cases.yaml").expect("good cases").cases;
        assert_eq!((cases[0].expect, cases[0].action.as_str()), (Expected::Allow, "call_tool"));
        assert_eq!(cases[0].who.groups, ["sales"]);
        let wrong = "cases:\n- targt: crm/x\n  expect: perhaps\n";
        let said = Cases::load_slice(wrong.as_bytes(), "cases.yaml").expect_err("two faults").to_string();
        assert!(said.contains("cases.yaml:2:3: cases[0].targt: unknown key"), "{said}");
        assert!(said.contains("cases.yaml:3:11: cases[0].expect"), "{said}");
    }
}
