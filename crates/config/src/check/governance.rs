//! Rules of who may decide what: a file, and people who have names.

use super::Report;
use crate::section::Governance;
use crate::source::Path;

/// How many operators may be named.
const OPERATORS_MAX: usize = 1_000;

pub(super) fn check(governance: Option<&Governance>, report: &mut Report<'_>) {
    let path = Path::keys(["governance"]);
    let Some(Governance { rules, operators }) = governance else { return };
    if rules.as_ref().is_some_and(|rules| rules.as_os_str().is_empty()) {
        let hint = "name a file, or leave the key out for the ruleset `solo`";
        report.value(&path.key("rules"), "the path is empty", Some(hint.to_owned()));
    }
    let path = path.key("operators");
    if operators.len() > OPERATORS_MAX {
        let message = format!("there are {} of them, and there may be {OPERATORS_MAX}", operators.len());
        return report.key(&path, message, None);
    }
    for (operator, person) in operators {
        if operator.is_empty() || person.is_empty() {
            let hint = "write an operator's name, and the person that the ruleset knows";
            report.key(&path.key(operator), "a name is empty", Some(hint.to_owned()));
        }
    }
}
