//! The rules of agentgateway that can be said without its language: a tool, a target, a user, a claim, and
//! several of those together. Everything else stays as it is written, and permits nothing.

use crate::model::{Code, Effect, Rule, Who};

/// The word for the language.
pub(super) const LANGUAGE: &str = "cel";

/// A rule. `Err`: it is kept as code.
pub(super) fn rule(effect: Effect, text: &str) -> Result<Rule, Box<Rule>> {
    let mut rule = Rule::new(effect);
    if text.trim() == "true" {
        return Ok(rule);
    }
    if parts(text).is_some_and(|parts| parts.into_iter().all(|part| add(&mut rule, part.trim()).is_some())) {
        return Ok(rule);
    }
    let code = Code { language: LANGUAGE.to_owned(), text: text.to_owned() };
    Err(Box::new(Rule { when: Some(code), ..Rule::new(effect) }))
}

/// The text of a rule that has no code. `None`: it has no words for something in it.
pub(super) fn write(rule: &Rule) -> Option<String> {
    if let Some(code) = &rule.when {
        let alone = rule.who.is_empty() && rule.servers.is_none() && rule.tools.is_none();
        return (code.language == LANGUAGE && alone).then(|| code.text.clone());
    }
    let mut parts = Vec::new();
    let any = |name: &str, values: &[String]| {
        let each: Option<Vec<String>> = values.iter().map(|value| one(name, value)).collect();
        let each = each?;
        Some(match each.as_slice() {
            [one] => one.clone(),
            several => format!("({})", several.join(" || ")),
        })
    };
    for (name, values) in [("mcp.tool.target", &rule.servers), ("mcp.tool.name", &rule.tools)] {
        match values.as_deref() {
            None => {}
            Some([]) => parts.push("false".to_owned()),
            Some(values) => parts.push(any(name, values)?),
        }
    }
    for who in &rule.who {
        parts.push(match who {
            Who::Anybody => continue,
            Who::Authenticated => "has(jwt.sub)".to_owned(),
            Who::User(user) => one("jwt.sub", user).filter(|part| part.contains("=="))?,
            Who::Group(group) => format!("{} in jwt.groups", quoted(group)?),
            Who::Claim { name, value } if is_path(name) => format!("jwt.{name} == {}", quoted(value)?),
            Who::Role(_) | Who::Scope(_) | Who::Key(_) | Who::Claim { .. } => return None,
        });
    }
    if parts.is_empty() {
        parts.push("true".to_owned());
    }
    Some(parts.join(" && "))
}

/// A comparison with a name, or with the beginning of one.
fn one(name: &str, value: &str) -> Option<String> {
    match value.strip_suffix('*') {
        Some(start) if !start.contains(['*', '?']) => Some(format!("{name}.startsWith({})", quoted(start)?)),
        None if !value.contains('?') => Some(format!("{name} == {}", quoted(value)?)),
        _ => None,
    }
}

fn quoted(text: &str) -> Option<String> {
    (!text.contains(['"', '\\', '\n', '\r', '*'])).then(|| format!("\"{text}\""))
}

/// The parts between `&&`. `None`: what is in quotes has no end, or there is something of another kind.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if open == *byte => quote = None,
            (Some(_), b'\\') => return None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'&') if bytes.get(index + 1) == Some(&b'&') => {
                parts.push(text.get(start..index)?);
                start = index + 2;
            }
            (None, b'|' | b'!' | b'?' | b';') => return None,
            (None, _) => {}
        }
    }
    parts.push(text.get(start..)?);
    quote.is_none().then_some(parts)
}

fn add(rule: &mut Rule, part: &str) -> Option<()> {
    if let Some((value, list)) = part.split_once(" in ")
        && let Some(value) = literal(value)
    {
        return match list.trim() {
            "jwt.groups" => put(&mut rule.who, Who::Group(value.to_owned())),
            _ => None,
        };
    }
    if let Some((name, list)) = part.split_once(" in ") {
        let list = list.trim().strip_prefix('[')?.strip_suffix(']')?;
        // A comma in quotes makes pieces that are no texts: nothing is taken then.
        let values: Option<Vec<String>> = list.split(',').map(|one| literal(one).and_then(exact)).collect();
        return names(rule, name.trim(), values?);
    }
    if let Some((name, start)) = part.split_once(".startsWith(") {
        let start = exact(literal(start.strip_suffix(')')?)?)?;
        return names(rule, name.trim(), vec![format!("{start}*")]);
    }
    let (name, value) = part.split_once("==")?;
    let (name, value) = (name.trim(), literal(value)?);
    match name.strip_prefix("jwt.") {
        Some("sub") => put(&mut rule.who, Who::User(value.to_owned())),
        Some(claim) if is_path(claim) => {
            put(&mut rule.who, Who::Claim { name: claim.to_owned(), value: value.to_owned() })
        }
        Some(_) => None,
        None => names(rule, name, vec![exact(value)?]),
    }
}

fn put(who: &mut Vec<Who>, one: Who) -> Option<()> {
    who.push(one);
    Some(())
}

fn names(rule: &mut Rule, name: &str, values: Vec<String>) -> Option<()> {
    let place = match name {
        "mcp.tool.name" => &mut rule.tools,
        "mcp.tool.target" => &mut rule.servers,
        _ => return None,
    };
    // A second one of the same would have to be true as well.
    place.is_none().then(|| *place = Some(values))
}

fn literal(text: &str) -> Option<&str> {
    let text = text.trim();
    let inside =
        |quote| text.strip_prefix(quote)?.strip_suffix(quote).filter(|text: &&str| !text.contains(quote));
    inside('"').or_else(|| inside('\''))
}

/// A name that is no pattern.
fn exact(text: &str) -> Option<String> {
    (!text.contains(['*', '?'])).then(|| text.to_owned())
}

fn is_path(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_rules_are_understood_and_written_as_the_same() {
        for text in [
            r#"mcp.tool.name == "echo""#,
            r#"jwt.sub == "lead" && mcp.tool.name == "close""#,
            r#"mcp.tool.target == "crm" && mcp.tool.name.startsWith("find_") && "sales" in jwt.groups"#,
            r#"jwt.nested.key == 'v' && mcp.tool.name in ["a", "b c"]"#,
        ] {
            let rule = rule(Effect::Allow, text).unwrap_or_else(|rule| panic!("{text}: {rule:?}"));
            let again = super::rule(
                Effect::Allow,
                &write(&rule).unwrap_or_default().replace(
                    "(mcp.tool.name == \"a\" || mcp.tool.name == \"b c\")",
                    "mcp.tool.name in [\"a\", \"b c\"]",
                ),
            );
            assert_eq!(again.as_ref(), Ok(&rule), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_stays_code_whole() {
        for text in [
            "size(jwt.groups) > 2",
            r#"mcp.tool.name == "a" && size(jwt.groups) > 2"#,
            r#"mcp.tool.name == "a" || mcp.tool.name == "b""#,
            r#"!(mcp.tool.name == "a")"#,
            r#"mcp.tool.name == "a" && mcp.tool.name == "b""#,
            r#"mcp.tool.name == "a"#,
            r#"mcp.tool.name == "a*""#,
            r#"mcp.tool.name == "a\"b""#,
            r#"mcp.prompt.name == "a""#,
            "",
        ] {
            let rule = rule(Effect::Allow, text).expect_err(text);
            assert_eq!(rule.when.as_ref().map(|code| code.text.as_str()), Some(text));
            assert!(rule.tools.is_none() && rule.who.is_empty(), "nothing of it is taken alone: {rule:?}");
            assert_eq!(write(&rule).as_deref(), Some(text));
        }
    }
}
