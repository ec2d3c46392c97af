//! Rules as policies in this gateway's Cedar.

use std::collections::BTreeSet;

use super::names::Names;
use crate::model::{Deployment, Effect, Endpoint, Rule, Who};
use crate::report::Report;

/// What there is that a policy can name.
struct Here<'a> {
    names: &'a Names,
    served: &'a BTreeSet<String>,
    endpoints: &'a [String],
}

/// Writes the rules of a deployment as a file of policies. `None`: there are none, and nobody decides.
pub(super) fn write(deployment: &mut Deployment, names: &Names, report: &mut Report) -> Option<String> {
    // A policy that names what is not there is refused as a whole.
    let served: BTreeSet<String> = deployment.servers.keys().cloned().collect();
    let offers =
        |endpoint: &Endpoint| endpoint.enabled && endpoint.servers.iter().any(|name| served.contains(name));
    let endpoints: Vec<String> = deployment
        .gateway
        .endpoints
        .iter()
        .filter(|(_, one)| offers(one))
        .map(|(name, _)| name.clone())
        .collect();
    let here = Here { names, served: &served, endpoints: &endpoints };
    let rules = std::mem::take(&mut deployment.gateway.rules);
    if rules.is_empty() {
        return None;
    }
    let mut text = String::from("// Made of another gateway's rules. What no policy permits is denied.\n");
    let allows = |rule: &&Rule| rule.effect == Effect::Allow;
    if !rules.iter().any(|rule| allows(&rule)) {
        text.push_str("\n@id(\"everyone\")\npermit(principal, action in Action::\"use\", resource);\n");
    }
    // Where rules are about some endpoints, the others have none.
    let everywhere = rules.iter().filter(allows).any(|rule| rule.endpoints.is_none());
    let ruled: Vec<&String> = rules.iter().flat_map(|rule| rule.endpoints.iter().flatten()).collect();
    let free = endpoints.iter().filter(|name| !everywhere && !ruled.contains(name));
    for name in free {
        let resource = format!("resource in Endpoint::{}", quoted(name));
        text.push_str(&format!(
            "\n@id(\"endpoint-{name}\")\npermit(principal, action in Action::\"use\", {resource});\n"
        ));
    }
    for (index, rule) in rules.iter().enumerate() {
        one(rule, index, &here, &mut text, report);
    }
    Some(text)
}

fn one(rule: &Rule, index: usize, here: &Here<'_>, text: &mut String, report: &mut Report) {
    let path = format!("gateway.rules[{index}]");
    let number = index + 1;
    if let Some(code) = &rule.when {
        text.push_str(&format!("\n// Rule {number} was written in {}:\n", code.language));
        code.text.lines().for_each(|line| text.push_str(&format!("//   {line}\n")));
    }
    let word = match rule.effect {
        Effect::Allow => "permit",
        Effect::Deny | Effect::Ask => "forbid",
    };
    let mut parts = Vec::new();
    let mut exact = rule.when.is_none() && rule.effect != Effect::Ask;
    for who in &rule.who {
        match condition(who) {
            Some(part) => parts.push(part),
            // Nobody is permitted what cannot be said, and everybody forbidden.
            None if rule.effect == Effect::Allow => {
                exact = false;
                parts.push("false".to_owned());
            }
            None => exact = false,
        }
    }
    if rule.when.is_some() && rule.effect == Effect::Allow {
        text.push_str("// It permits nothing until it is written here.\n");
        report.approximated(
            path,
            true,
            "what is written in another language permits nothing: write it in Cedar",
        );
        return;
    }
    if parts.iter().any(|part| part == "false") {
        text.push_str(&format!("\n// Rule {number} is about callers that this gateway does not know.\n"));
        report.approximated(
            path,
            true,
            "it is about callers that are not known here: nobody is permitted by it",
        );
        return;
    }
    parts.extend(endpoints(rule, here));
    parts.extend(resources(rule, here));
    if parts.iter().any(|part| part == "false") {
        text.push_str(&format!("\n// Rule {number} is about nothing that is here.\n"));
        report.kept(path, true);
        return;
    }
    let parts: Vec<String> = parts.into_iter().filter(|part| part != "true").collect();
    let action = match rule.tools {
        None => "action in Action::\"use\"",
        Some(_) => "action == Action::\"call_tool\"",
    };
    let conditions = match parts.is_empty() {
        true => String::new(),
        false => format!("\nwhen {{ {} }}", parts.join(" && ")),
    };
    text.push_str(&format!("\n@id(\"rule-{number}\")\n{word}(principal, {action}, resource){conditions};\n"));
    match exact {
        true => report.kept(path, true),
        false => report.approximated(path, true, "what it forbids under a condition is forbidden without it"),
    }
}

fn condition(who: &Who) -> Option<String> {
    Some(match who {
        Who::Anybody => "true".to_owned(),
        Who::Authenticated => "!(principal is Anonymous)".to_owned(),
        Who::User(user) => format!("principal.subject == {}", quoted(user)),
        Who::Group(group) | Who::Role(group) => format!("principal.groups.contains({})", quoted(group)),
        Who::Scope(scope) => format!("principal.scopes.contains({})", quoted(scope)),
        Who::Claim { name, value } if matches!(name.as_str(), "groups" | "roles") => {
            format!("principal.groups.contains({})", quoted(value))
        }
        Who::Claim { name, value } if name == "sub" => format!("principal.subject == {}", quoted(value)),
        Who::Claim { .. } | Who::Key(_) => return None,
    })
}

fn endpoints(rule: &Rule, here: &Here<'_>) -> Option<String> {
    let known = |name: &&String| here.endpoints.contains(name);
    let each = rule.endpoints.as_ref()?.iter().filter(known);
    any(each.map(|name| format!("resource in Endpoint::{}", quoted(name))).collect())
}

/// What a rule is about: servers, or tools of servers.
fn resources(rule: &Rule, here: &Here<'_>) -> Option<String> {
    let servers = rule.servers.as_ref().map(|servers| {
        let all = servers.iter().map(|server| here.names.server(server));
        all.filter(|name| here.served.contains(name)).collect::<Vec<_>>()
    });
    let Some(tools) = &rule.tools else {
        let each = servers?.into_iter().map(|server| format!("resource in Upstream::{}", quoted(&server)));
        return any(each.collect());
    };
    let all = servers.unwrap_or_else(|| here.served.iter().cloned().collect());
    let mut each = Vec::new();
    for server in &all {
        for tool in tools {
            each.push(match tool.contains('*') {
                false => format!("resource == Tool::{}", quoted(&format!("{server}/{tool}"))),
                true => format!(
                    "(resource in Upstream::{} && resource.name like {})",
                    quoted(server),
                    quoted(tool)
                ),
            });
        }
    }
    any(each)
}

/// One of several; none of none.
fn any(each: Vec<String>) -> Option<String> {
    Some(match each.as_slice() {
        [] => "false".to_owned(),
        [one] => one.clone(),
        several => format!("({})", several.join(" || ")),
    })
}

/// A text of Cedar's.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
