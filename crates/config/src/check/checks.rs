//! Rules for contents: named, each once, and looking for something.

use std::collections::HashSet;

use super::Report;
use crate::section::CheckRule;
use crate::source::Path;

/// How many rules there may be. Each content goes through all that fit.
const RULES_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;

pub(super) fn check(rules: &[CheckRule], report: &mut Report<'_>) {
    let path = Path::keys(["checks"]);
    if rules.len() > RULES_MAX {
        let message = format!("there are {} rules, and there may be {RULES_MAX}", rules.len());
        return report.key(&path, message, None);
    }
    let mut names = HashSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let at = path.index(index);
        if rule.name.is_empty() || rule.name.chars().count() > NAME_CHARS_MAX {
            report.key(&at, "give the rule a name of 1 to 64 characters", None);
        } else if !names.insert(&rule.name) {
            report.value(&at.key("name"), "another rule is called so", None);
        }
        if rule.detectors.is_empty() {
            let hint = "write some of secrets, pii, injection, hidden".to_owned();
            report.key(&at, "the rule looks for nothing: it has no \"detectors\"", Some(hint));
        }
        if rule.on.is_empty() {
            report.value(&at.key("on"), "the rule looks at nothing", None);
        }
    }
}
