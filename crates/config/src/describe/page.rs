//! The page of all keys.

use std::fmt::Write;

use super::keys::{Key, keys};
use super::schema::plain_schema;

const INTRODUCTION: &str = "\
# Configuration keys

Generated from the types in `crates/config`; do not edit by hand. `tidegate config explain KEY` says the same
for one key, and `tidegate config schema` prints the JSON Schema for editors.

The file is YAML. Every key has a default, an unknown key is an error, and so is a key that is given twice or
has no value. `*` in a key stands for a name of your choice, and `[]` for any item of a list. A relative path
starts at the folder of the file.

| Value | Is written as |
| --- | --- |
| duration | a whole number and a unit: `250ms`, `5s`, `10m`, `1h`, `1d` |
| size | a number of bytes, or with a unit: `512KiB`, `4MiB`, `1GiB` |
| secret | the value itself, or where it is: `{env: NAME}`, `{file: PATH}`, \
`{credential: NAME}` or `{command: [PROGRAM, …]}` ([environments](../environments.md)), with \
`prefix: \"Bearer \"` for what stands before it; never shown |
| address | an address or a URL itself, or the variable that has it: `{env: NAME}` |
| pattern | a name in which `*` is any text and `?` any one character |
| word | one of the words that the key lists |
| choice | one of what the key lists: a word or a number, or a map of one key |
";

/// A Markdown page of all keys: what each takes, its default and its meaning.
#[must_use]
pub fn reference() -> String {
    let keys = keys(&plain_schema());
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "Top", "", &keys, "");
    for key in &keys {
        if let Some(path) = &key.section {
            section(&mut page, &format!("`{path}`"), &key.text, &keys, path);
        }
    }
    page
}

/// Writes a heading and the keys of the section at `path`.
fn section(page: &mut String, heading: &str, text: &str, keys: &[Key], path: &str) {
    let _ = write!(page, "\n## {heading}\n");
    if !text.is_empty() {
        let _ = write!(page, "\n{text}\n");
    }
    page.push_str("\n| Key | Takes | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for key in keys {
        let Some(name) = key.name_in(path) else { continue };
        let default = key.default.as_ref().map(|text| format!("`{text}`")).unwrap_or_default();
        let _ = writeln!(page, "| `{name}` | {} | {default} | {} |", takes(key), cell(&key.text));
    }
}

fn takes(key: &Key) -> String {
    if key.words.is_empty() {
        return key.kind.clone();
    }
    let words: Vec<_> = key.words.iter().map(|(word, _)| format!("`{word}`")).collect();
    let list = if key.kind.starts_with("list of ") { "list of " } else { "" };
    format!("{list}{}", words.join(", "))
}

/// A text in one line of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_paths;

    #[test]
    fn the_page_has_a_row_for_every_key() {
        let page = reference();
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let paths = key_paths();
        assert_eq!(rows.len(), paths.len(), "one row for each key");
        for path in paths {
            let name = path.rsplit('.').next().expect("a path has a last key");
            assert!(rows.iter().any(|row| row.starts_with(&format!("| `{name}` | "))), "{path}");
        }
        for row in rows {
            assert_eq!(row.matches(" | ").count(), 3, "{row}");
        }
    }

    #[test]
    fn each_section_has_a_heading() {
        let page = reference();
        for heading in ["Top", "`upstreams.*`", "`upstreams.*.stdio`", "`endpoints.*`", "`limits`", "`tls`"] {
            assert!(page.contains(&format!("\n## {heading}\n")), "{heading}");
        }
    }
}
