//! Names of upstreams and endpoints, and how exposed names are made.

use super::Report;
use crate::advice;
use crate::section::Config;
use crate::source::Path;

/// Names that the gateway needs for itself.
const RESERVED: [&str; 8] = ["admin", "all", "healthz", "mcp", "metrics", "readyz", "sse", "well-known"];

/// The longest name of an upstream or endpoint, in characters.
pub(crate) const NAME_MAX: usize = 32;

/// Why `name` cannot be the name of an upstream or endpoint, and what to write.
pub(crate) fn name_fault(name: &str) -> Option<(String, Option<String>)> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        let near: String = name
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(NAME_MAX)
            .collect();
        let near = near.trim_matches('-');
        let hint = (!near.is_empty()).then(|| format!("perhaps {near:?}"));
        return Some((format!("a name has 1 to {NAME_MAX} of a-z, 0-9 and \"-\""), hint));
    }
    RESERVED.contains(&name).then(|| {
        (
            "the gateway needs this name for itself".to_owned(),
            Some(format!("choose another one than {}", advice::one_of(&RESERVED))),
        )
    })
}

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    for section in ["upstreams", "endpoints"] {
        let keys: Vec<_> = report.keys_of(section).collect();
        for name in keys {
            if let Some((message, hint)) = name_fault(name) {
                report.key(&Path::keys([section, name]), message, hint);
            }
        }
    }
    let clashes: Vec<_> = {
        let upstreams: std::collections::HashSet<_> = report.keys_of("upstreams").collect();
        report.keys_of("endpoints").filter(|name| upstreams.contains(name)).collect()
    };
    for name in clashes {
        let line = report.line(&Path::keys(["upstreams", name]));
        report.key(
            &Path::keys(["endpoints", name]),
            format!("the upstream in line {line} has this name, and both would be served at /{name}/mcp"),
            Some("rename one of them".to_owned()),
        );
    }
    check_making(config, report);
}

fn check_making(config: &Config, report: &mut Report<'_>) {
    let names = &config.names;
    let separator = Path::keys(["names", "separator"]);
    if !(1..=4).contains(&names.separator.len()) || !names.separator.bytes().all(|b| matches!(b, b'_' | b'.'))
    {
        report.value(
            &separator,
            "expected one to four of \"_\" and \".\"",
            Some("what upstream names can contain would not show where they end".to_owned()),
        );
    }
    if !(48..=128).contains(&names.max) {
        report.value(&Path::keys(["names", "max"]), "expected a number from 48 to 128", None);
    }
}

/// Checks the new names of a section: each fit for a tool, and none given twice.
pub(super) fn check_aliases(
    aliases: &std::collections::BTreeMap<String, String>,
    path: &Path,
    report: &mut Report<'_>,
) {
    let mut taken: std::collections::HashMap<&str, &str> = std::collections::HashMap::new();
    for (name, alias) in aliases {
        if report.is_full() {
            return;
        }
        let at = path.key(name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if alias.is_empty() || alias.len() > 128 || !alias.bytes().all(plain) {
            report.value(
                &at,
                "the new name must have 1 to 128 of A-Z, a-z, 0-9, \"_\", \"-\" and \".\"",
                None,
            );
        }
        if name.is_empty() {
            report.key(&at, "the name to change is empty", None);
        }
        if let Some(first) = taken.insert(alias, name) {
            let line = report.line(&path.key(first));
            report.value(&at, format!("{first:?} in line {line} has this new name already"), None);
        }
    }
}
