//! ToolHive's policies: Cedar, with its own entities. The simple ones are understood; the others stay as they
//! are written, and permit nothing.

use crate::model::{Code, Effect, Rule, Who};

/// The word for the language with ToolHive's entities.
pub(super) const LANGUAGE: &str = "cedar-toolhive";

/// A policy as a rule. `Err`: it is kept as code.
pub(super) fn rule(text: &str) -> Result<Rule, Box<Rule>> {
    let effect = if text.trim_start().starts_with("forbid") { Effect::Deny } else { Effect::Allow };
    let code = || {
        let when = Some(Code { language: LANGUAGE.to_owned(), text: text.to_owned() });
        Box::new(Rule { when, ..Rule::new(effect) })
    };
    understood(text, effect).ok_or_else(code)
}

fn understood(text: &str, effect: Effect) -> Option<Rule> {
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.contains("//") || flat.contains('@') {
        return None;
    }
    let rest = flat.strip_prefix("permit").or_else(|| flat.strip_prefix("forbid"))?;
    let (scope, after) = rest.trim_start().strip_prefix('(')?.split_once(')')?;
    let mut rule = Rule::new(effect);
    let mut parts = scope.split(',').map(str::trim);
    (parts.next()? == "principal").then_some(())?;
    let action = parts.next()?;
    (action == "action == Action::\"call_tool\"" || action == "action == Action::\"tools/call\"")
        .then_some(())?;
    match parts.next()? {
        "resource" => {}
        resource => rule.tools = Some(vec![entity(resource.strip_prefix("resource == ")?, "Tool")?]),
    }
    parts.next().is_none().then_some(())?;
    match after.trim().strip_suffix(';')?.trim() {
        "" => {}
        condition => {
            let inside = condition.strip_prefix("when")?.trim().strip_prefix('{')?.strip_suffix('}')?;
            rule.who.push(who(inside.trim())?);
        }
    }
    Some(rule)
}

/// `Tool::"x"`
fn entity(text: &str, kind: &str) -> Option<String> {
    quoted(text.strip_prefix(kind)?.strip_prefix("::")?)
}

fn quoted(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!inside.is_empty() && !inside.contains(['"', '\\', '*', '?'])).then(|| inside.to_owned())
}

/// A condition on one claim of the caller's.
fn who(text: &str) -> Option<Who> {
    let claim = text.strip_prefix("principal.claim_")?;
    if let Some((name, value)) = claim.split_once(".contains(") {
        let value = quoted(value.strip_suffix(')')?)?;
        return match name {
            "groups" => Some(Who::Group(value)),
            "roles" => Some(Who::Role(value)),
            name => word(name).map(|name| Who::Claim { name, value }),
        };
    }
    let (name, value) = claim.split_once("==")?;
    match (name.trim(), quoted(value)?) {
        ("sub", value) => Some(Who::User(value)),
        (name, value) => word(name).map(|name| Who::Claim { name, value }),
    }
}

fn word(name: &str) -> Option<String> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    good.then(|| name.to_owned())
}

/// The text of a rule. `None`: there are no words for something in it.
pub(super) fn write(rule: &Rule) -> Option<Vec<String>> {
    if let Some(code) = &rule.when {
        let alone = rule.who.is_empty() && rule.tools.is_none() && rule.servers.is_none();
        return (code.language == LANGUAGE && alone).then(|| vec![code.text.clone()]);
    }
    let word = match rule.effect {
        Effect::Allow => "permit",
        Effect::Deny => "forbid",
        Effect::Ask => return None,
    };
    let condition = match rule.who.as_slice() {
        [] | [Who::Anybody] => String::new(),
        [who] => {
            let good = |value: &str| quoted(&format!("\"{value}\"")).map(|value| format!("\"{value}\""));
            let text = match who {
                Who::User(user) => format!("principal.claim_sub == {}", good(user)?),
                Who::Group(group) => format!("principal.claim_groups.contains({})", good(group)?),
                Who::Role(role) => format!("principal.claim_roles.contains({})", good(role)?),
                Who::Claim { name, value } => {
                    format!("principal.claim_{} == {}", self::word(name)?, good(value)?)
                }
                Who::Anybody | Who::Authenticated | Who::Scope(_) | Who::Key(_) => return None,
            };
            format!(" when {{ {text} }}")
        }
        _ => return None,
    };
    let policy = |resource: &str| {
        format!("{word}(principal, action == Action::\"call_tool\", {resource}){condition};")
    };
    match &rule.tools {
        None => Some(vec![policy("resource")]),
        Some(tools) => {
            let each = tools.iter().map(|tool| {
                let tool = quoted(&format!("\"{tool}\""))?;
                Some(policy(&format!("resource == Tool::\"{tool}\"")))
            });
            each.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"permit(principal, action == Action::"call_tool", resource)"#;

    #[test]
    fn simple_policies_are_understood_and_written_as_the_same() {
        for text in [
            r#"permit(principal, action == Action::"call_tool", resource == Tool::"weather");"#,
            r#"forbid(principal, action == Action::"call_tool", resource);"#,
            &format!(r#"{CALL} when {{ principal.claim_roles.contains("a") }};"#),
            &format!(r#"{CALL} when {{ principal.claim_sub == "ann" }};"#),
        ] {
            let rule = rule(text).unwrap_or_else(|rule| panic!("{text}: {rule:?}"));
            assert_eq!(write(&rule), Some(vec![text.to_owned()]));
        }
    }

    #[test]
    fn what_is_not_understood_stays_code_whole() {
        for text in [
            r#"permit(principal, action, resource);"#,
            r#"permit(principal, action == Action::"get_prompt", resource == Prompt::"greeting");"#,
            r#"permit(principal == Client::"a", action == Action::"call_tool", resource);"#,
            &format!(r#"{CALL} unless {{ principal.claim_sub == "a" }};"#),
            &format!(r#"{CALL} when {{ principal.claim_sub == "a" || true }};"#),
            r#"forbid(principal, action == Action::"call_tool", resource) when { context.arg_x > 3 };"#,
            "",
        ] {
            let rule = rule(text).expect_err(text);
            assert_eq!(rule.when.as_ref().map(|code| code.text.as_str()), Some(text));
            assert_eq!(rule.effect == Effect::Deny, text.starts_with("forbid"));
        }
    }
}
