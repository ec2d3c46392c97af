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
fn hide(format: &dyn Format, texts: &[&str], shown: String) -> String {
    // First by all of the text, so that a part of one secret is not taken for another: also what is in a
    // command or a URL, and in what this format does not know.
    let mut shown = portable::hide(&shown, texts);
    for text in texts {
        let Ok(read) = format.import(text, &Origin::default()) else { continue };
        let mut deployment = read.deployment;
        let moved = portable::move_inline(&mut deployment, &mut |_| Some(String::new()));
        // A short one is hidden above where it stands alone: it is a part of many words.
        for secret in moved.iter().map(|moved| moved.value.expose()).filter(|secret| secret.len() > 5) {
            let escaped = serde_json::to_string(secret).unwrap_or_default();
            shown = shown.replace(escaped.trim_matches('"'), "[secret]").replace(secret, "[secret]");
        }
    }
    shown
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
        assert_eq!(hide(format, &[], token), "+ \"[secret]\"\n");
    }

    #[test]
    fn a_secret_that_begins_as_another_one_is_hidden_whole() {
        let format = super::super::format("cursor").expect("a format");
        let old = "{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [\"--token\", \"hunter2-long\"], \
                   \"env\": {\"API_KEY\": \"hunter2\"}}}}\n";
        let text = hide(format, &[old], format!("-{old}"));
        assert!(text.contains("\"--token\", \"[secret]\""), "{text}");
    }

    #[test]
    fn a_secret_in_a_url_or_a_command_is_not_shown() {
        let format = super::super::format("cursor").expect("a format");
        for entry in [
            r#""url": "https://h/mcp?api_key=hunter2""#,
            r#""url": "https://h/mcp?a=b&token=hunter2""#,
            r#""url": "https://u:hunter2@h/mcp""#,
            r#""command": "x", "args": ["--header", "Authorization: Bearer hunter2"]"#,
            r#""command": "x", "args": ["--token=hunter2", "-e", "API_KEY=hunter2"]"#,
        ] {
            let old = format!("{{\"mcpServers\": {{\"a\": {{{entry}}}}}}}\n");
            let text = hide(format, &[&old], format!("-{old}"));
            assert!(!text.contains("hunter2") && text.contains("[secret]"), "{text}");
        }
    }
}
