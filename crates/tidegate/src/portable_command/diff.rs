//! What would change in a file, without the secrets that are in it.

use portable::{Format, Origin};
use similar::TextDiff;

use crate::out;

/// How many lines around a change are shown.
const AROUND: usize = 2;

/// Lines that go and come.
pub fn show(format: &dyn Format, file: &str, old: &str, new: &str) {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(AROUND).header(file, file).to_string();
    let text = hide(format, &[old, new], text);
    text.lines().for_each(|line| out::line(out::plain(line)));
}

/// Puts `[secret]` in the place of every secret that stands in one of the texts.
fn hide(format: &dyn Format, texts: &[&str], mut shown: String) -> String {
    for text in texts {
        let Ok(read) = format.import(text, &Origin::default()) else { continue };
        let mut deployment = read.deployment;
        let moved = portable::move_inline(&mut deployment, &mut |_| Some(String::new()));
        for secret in moved.iter().map(|moved| moved.value.expose()).filter(|secret| !secret.is_empty()) {
            let escaped = serde_json::to_string(secret).unwrap_or_default();
            shown = shown.replace(escaped.trim_matches('"'), "[secret]").replace(secret, "[secret]");
        }
    }
    let lines = shown.split_inclusive('\n').map(|line| {
        // In a command or a URL, where they cannot be told from the rest.
        if portable::looks_secret(line) { "[a line with a secret]\n" } else { line }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_is_not_shown() {
        let format = super::super::format("cursor").expect("a format");
        let old = "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"API_KEY\": \"hunter2\"}}}}\n";
        let text = hide(format, &[old], format!("-{old}"));
        assert_eq!(
            text,
            "-{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"API_KEY\": \"[secret]\"}}}}\n"
        );
        let token = format!("+ \"ghp_{}\"\n", "a".repeat(30));
        assert_eq!(hide(format, &[], token), "[a line with a secret]\n");
    }
}
