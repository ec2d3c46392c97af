//! What is said of extensions names some, and says something.

use super::Report;
use crate::section::{Config, Extension, ExtensionState, Extensions};
use crate::source::Path;

/// The longest identifier.
const NAME_BYTES_MAX: usize = 256;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let Extensions { others: _, named } = &config.extensions;
    let path = Path::keys(["extensions", "named"]);
    for (name, extension) in named {
        let at = path.key(name);
        if !is_identifier(name) {
            let hint = "write \"com.example/name\"".to_owned();
            report.key(&at, "no identifier of an extension: a prefix, a slash, a name", Some(hint));
        }
        let Extension { state, settings, methods } = extension;
        if *state == ExtensionState::Allowed && !methods.is_empty() {
            let message = "methods are named for an extension that may not pass, and this one is allowed";
            report.value(&at.key("methods"), message, Some("leave them out".to_owned()));
        }
        if *state == ExtensionState::Refused && settings.is_some() {
            report.value(&at.key("settings"), "nobody is told of an extension that is refused", None);
        }
    }
}

/// A prefix of labels with dots, a slash, and a name (general, "_meta": the same form).
fn is_identifier(name: &str) -> bool {
    let label = |text: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(text.chars().next())
            && edge(text.chars().last())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let part = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(inner)
    };
    name.len() <= NAME_BYTES_MAX
        && name.split_once('/').is_some_and(|(prefix, name)| prefix.split('.').all(label) && part(name))
}
