//! Entries of one map of a YAML text, changed by whole lines: all other lines stay as they are.

use super::Source;
use crate::format::Fault;

/// An entry: its key and its lines, the first of which is the key's, without indentation.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) lines: Vec<String>,
}

/// The text with entries of the map `section` at the top set, and those of `remove` taken out. Whoever asks
/// has to read the result and to look whether it means what was meant.
///
/// # Errors
/// Where the map is not written in lines of its own.
pub(crate) fn edit(
    source: &Source<'_>,
    section: &str,
    entries: &[Entry],
    remove: &[String],
) -> Result<String, Fault> {
    let text = source.text;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let head = lines.iter().position(|line| is_key(line, section));
    let Some(head) = head else {
        if !entries.is_empty() {
            if lines.last().is_some_and(|line| !line.trim().is_empty()) {
                lines.push(String::new());
            }
            lines.push(format!("{section}:"));
            lines.extend(entries.iter().flat_map(|entry| indented(entry, "  ")));
        }
        return Ok(joined(&lines, end));
    };
    let line = lines.get(head).cloned().unwrap_or_default();
    let rest = line.split_once(':').map_or("", |(_, rest)| rest.trim());
    let value = rest.split_once(" #").map_or(rest, |(value, _)| value.trim());
    match value {
        "{}" => lines[head] = line.replacen("{}", "", 1).trim_end().to_owned(),
        value if value.is_empty() || value.starts_with('#') => {}
        _ => {
            let message = "it does not stand in lines of its own; write it so, or add the entry by hand";
            return Err(source.fault(0, section, message));
        }
    }
    let body_end = head + 1 + lines.iter().skip(head + 1).take_while(|line| !starts_top(line)).count();
    let mut body: Vec<String> = lines.splice(head + 1..body_end, []).collect();
    let indent = body.iter().find(|line| is_content(line)).map_or("  ", |line| indent_of(line)).to_owned();
    for name in remove.iter().filter(|name| !entries.iter().any(|entry| entry.name == **name)) {
        replace(&mut body, &indent, name, Vec::new());
    }
    for entry in entries {
        let new: Vec<String> = indented(entry, &indent).collect();
        if !replace(&mut body, &indent, &entry.name, new.clone()) {
            // Remarks and blanks at the end belong to what comes next.
            let last = body.iter().rposition(|line| is_content(line)).map_or(0, |at| at + 1);
            body.splice(last..last, new);
        }
    }
    if !body.iter().any(|line| is_content(line)) {
        lines[head] = format!("{} {{}}", lines[head].trim_end());
    }
    lines.splice(head + 1..head + 1, body);
    Ok(joined(&lines, end))
}

fn joined(lines: &[String], end: &str) -> String {
    lines.iter().flat_map(|line| [line.as_str(), end]).collect()
}

fn indented<'a>(entry: &'a Entry, indent: &'a str) -> impl Iterator<Item = String> + 'a {
    entry.lines.iter().map(move |line| format!("{indent}{line}"))
}

/// The entries of a body: their names, and from which line to which they go.
fn spans(body: &[String], indent: &str) -> Vec<(String, usize, usize)> {
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    for (at, line) in body.iter().enumerate() {
        let is_deeper = line.starts_with([' ', '\t']) && indent_of(line).len() > indent.len();
        let is_own = is_content(line) && indent_of(line) == indent;
        if is_own && let Some(name) = key_of(line.trim_start()) {
            found.push((name, at, at + 1));
        } else if is_content(line)
            && (is_deeper || is_own)
            && let Some(last) = found.last_mut()
        {
            last.2 = at + 1;
        }
    }
    found
}

fn replace(body: &mut Vec<String>, indent: &str, name: &str, new: Vec<String>) -> bool {
    let Some((_, from, to)) = spans(body, indent).into_iter().find(|span| span.0 == name) else {
        return false;
    };
    body.splice(from..to, new);
    true
}

/// The key that a line begins with.
fn key_of(line: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = line.strip_prefix(quote) {
            let (key, rest) = rest.split_once(quote)?;
            return (rest.trim_start().starts_with(':') && !key.contains('\\')).then(|| key.to_owned());
        }
    }
    let (key, rest) = line.split_once(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| key.trim_end().to_owned())
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
}

fn starts_top(line: &str) -> bool {
    !line.is_empty() && !line.starts_with([' ', '\t', '#'])
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, names: &[&str], remove: &[&str]) -> Result<String, String> {
        let entry = |name: &&str| Entry {
            name: (*name).to_owned(),
            lines: vec![format!("{name}:"), "  new: 1".to_owned()],
        };
        let source = Source::new(text, "f").map_err(|fault| fault.to_string())?;
        let entries: Vec<Entry> = names.iter().map(entry).collect();
        let remove: Vec<String> = remove.iter().map(|name| (*name).to_owned()).collect();
        edit(&source, "s", &entries, &remove).map_err(|fault| fault.to_string())
    }

    #[test]
    fn entries_are_set_and_all_other_lines_stay() {
        let old = "# ours\nk: 1\ns:\n  # the first\n  a:\n    x: 1\n\n  b: {y: 2} # here\n\n# next\nz: 2\n";
        assert_eq!(
            change(old, &["a", "c"], &[]).expect("changed"),
            "# ours\nk: 1\ns:\n  # the first\n  a:\n    new: 1\n\n  b: {y: 2} # here\n  c:\n    new: 1\n\n\
             # next\nz: 2\n"
        );
        assert_eq!(
            change(old, &[], &["a", "b"]).expect("changed"),
            "# ours\nk: 1\ns: {}\n  # the first\n\n\n# next\nz: 2\n"
        );
        assert_eq!(
            change("k: 1\r\n", &["a"], &["b"]).expect("made"),
            "k: 1\r\n\r\ns:\r\n  a:\r\n    new: 1\r\n"
        );
        assert_eq!(change("s: {}\n", &["a"], &["b"]).expect("made"), "s:\n  a:\n    new: 1\n");
        assert!(change("s: {a: {x: 1}}\n", &["a"], &["b"]).is_err());
    }
}
