//! One upstream more in the text of a configuration, with all else as it stands.

use config::Config;
use serde_json::Value;

/// A key of an upstream and its value, which is JSON and so YAML as well.
pub type Line = (String, Value);

/// Why a text cannot be changed here. The text completes "failed to …".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// `upstreams` is written in a way in which nothing can be added to it by whole lines.
    #[error("add to `upstreams`: it does not stand in lines of its own; add what is shown above by hand")]
    Form,
    /// The result is another configuration than what was meant.
    #[error("add to the configuration: it would mean something else than what is shown; add it by hand")]
    Other,
    /// The result is no configuration.
    #[error("use what would be written:\n{0}")]
    Faults(String),
}

/// The lines of an upstream, without indentation.
pub fn block(name: &str, remark: &str, lines: &[Line]) -> Vec<String> {
    let mut block = vec![format!("{name}:"), format!("  # {remark}")];
    for (key, value) in lines {
        match value {
            Value::Object(members) => {
                block.push(format!("  {key}:"));
                block.extend(members.iter().map(|(name, value)| format!("    {}: {value}", plain_key(name))));
            }
            value => block.push(format!("  {key}: {value}")),
        }
    }
    block
}

/// A name as a key: as it is where nobody can take it for something else.
fn plain_key(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && !words.contains(&name.to_ascii_lowercase().as_str()) {
        name.to_owned()
    } else {
        Value::String(name.to_owned()).to_string()
    }
}

/// Reads a text as the configuration that it is, with all that is laid over it; or what is wrong with it.
pub type Read<'a> = &'a dyn Fn(&str) -> Result<Config, String>;

/// The text with an upstream more. It is read again, and has to mean what it meant and that one upstream.
///
/// # Errors
/// [`EditError`]
pub fn added(old: &str, read: Read<'_>, name: &str, block: &[String]) -> Result<(String, Config), EditError> {
    let before = read(old).map_err(EditError::Faults)?;
    let new = put(old, block).ok_or(EditError::Form)?;
    let after = read(&new).map_err(EditError::Faults)?;
    let mut meant = before;
    let Some(upstream) = after.upstreams.get(name) else { return Err(EditError::Other) };
    if meant.upstreams.insert(name.to_owned(), upstream.clone()).is_some() || meant != after {
        return Err(EditError::Other);
    }
    Ok((new, after))
}

fn put(old: &str, block: &[String]) -> Option<String> {
    let lines: Vec<&str> = old.lines().collect();
    let end = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let indented = |indent: &str| block.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>();
    let at = lines.iter().position(|line| is_key(line, "upstreams"));
    let mut new: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    match at {
        None => {
            if !new.is_empty() && new.last().is_some_and(|line| !line.trim().is_empty()) {
                new.push(String::new());
            }
            new.push("upstreams:".to_owned());
            new.extend(indented("  "));
        }
        Some(at) => {
            let rest = lines[at].split_once(':')?.1.trim();
            let rest = rest.split_once(" #").map_or(rest, |(value, _)| value.trim());
            if rest == "{}" {
                new[at] = lines[at].replacen("{}", "", 1).trim_end().to_owned();
            } else if !rest.is_empty() && !rest.starts_with('#') {
                return None;
            }
            let inner = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
            let own = lines[at + 1..].iter().take_while(|line| !starts_top(line));
            let indent = own.clone().find(inner).map_or("  ", |line| indent_of(line));
            // Remarks and blanks at the end belong to what comes next.
            let last = own.clone().enumerate().filter(|(_, line)| inner(line)).last();
            let place = at + 1 + last.map_or(0, |(n, _)| n + 1);
            new.splice(place..place, indented(indent));
        }
    }
    Some(new.join(end) + end)
}

/// Whether a line is a key at the top.
fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
}

/// Whether a line begins something new at the top.
fn starts_top(line: &str) -> bool {
    !line.is_empty() && !line.starts_with([' ', '\t', '#'])
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Vec<String> {
        let env = json!({"KEY": {"env": "KEY"}, "on": "x"});
        let lines = [("command".to_owned(), json!(["npx", "a: #b"])), ("env".to_owned(), env)];
        block("new", "a remark", &lines)
    }

    fn add(old: &str) -> Result<String, EditError> {
        let read = |text: &str| config::load_str(text, "f").map_err(|faults| faults.to_string());
        added(old, &read, "new", &sample()).map(|(text, _)| text)
    }

    #[test]
    fn an_upstream_is_added_and_nothing_else_is_touched() {
        let block = "  new:\n    # a remark\n    command: [\"npx\",\"a: #b\"]\n    env:\n      KEY: \
                     {\"env\":\"KEY\"}\n      \"on\": \"x\"\n";
        assert_eq!(add("").as_deref(), Ok(&*format!("upstreams:\n{block}")));
        let old = "# ours\nlisten: 127.0.0.1:0 # here\n";
        assert_eq!(add(old), Ok(format!("{old}\nupstreams:\n{block}")));
        assert_eq!(add("upstreams: {}  # none yet\n"), Ok(format!("upstreams:   # none yet\n{block}")));
        let one = "upstreams:\n  # the first\n  a: {url: 'http://localhost:1/mcp'}\n";
        let rest = "\n# what comes next\nlimits: {}\n";
        assert_eq!(add(&format!("{one}{rest}")), Ok(format!("{one}{block}{rest}")));
    }

    #[test]
    fn it_stands_as_deep_as_the_others() {
        let old = "upstreams:\n    a:\n        url: http://localhost:1/mcp\nlimits: {}\n";
        let new = add(old).expect("a configuration");
        assert!(new.contains("mcp\n    new:\n      # a remark\n      command:"), "{new}");
    }

    #[test]
    fn what_cannot_be_added_to_is_left_as_it_is() {
        let flow = "upstreams: {a: {url: 'http://localhost:1/mcp'}}\n";
        assert_eq!(add(flow), Err(EditError::Form));
        assert_eq!(add("upstreams: &a\n  a: {url: 'http://localhost:1/mcp'}\n"), Err(EditError::Form));
        assert!(matches!(add("nothing: 1\n"), Err(EditError::Faults(_))));
        let twice = "upstreams:\n  new: {url: 'http://localhost:1/mcp'}\n";
        assert!(matches!(add(twice), Err(EditError::Faults(_) | EditError::Other)));
        let quoted = "\"upstreams\":\n  a: {url: 'http://localhost:1/mcp'}\n";
        assert!(add(quoted).is_err(), "the key would stand twice");
    }
}
