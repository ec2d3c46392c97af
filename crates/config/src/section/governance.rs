//! Who may decide what of this configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules by which changes of this configuration are proposed, decided on, put in force and taken back.
///
/// With the section, proposals come over the operators' interface as well, and what falls due happens by
/// itself; `tidegate propose` works without it, too. Whoever can write the file can still do so: the page on
/// governance says how files and rules are kept together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Governance {
    /// The ruleset, a file; `tidegate governance check` says what is wrong with one.
    ///
    /// It is under its own rules. By default the ruleset `solo`, which is shipped: an `admin`, or whoever is
    /// at the command line, decides alone, and changes apply at once. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,

    /// Who operators are to the rules: the name of an operator, and the person that the ruleset knows.
    ///
    /// The token of `admin.token` is called `admin.token`, and whoever has signed in by his tenant, issuer
    /// and subject (`default/corp:u-1234`). Who is not named here is the person of the name of his subject,
    /// if there is one. Since 0.1.
    pub operators: BTreeMap<String, String>,
}

impl Governance {
    pub(super) fn anchor(&mut self, folder: &Path) {
        if let Some(rules) = &mut self.rules {
            *rules = folder.join(&*rules);
        }
    }
}
