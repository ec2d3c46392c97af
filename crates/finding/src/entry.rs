//! A tool, as far as it can be asked for.

use bytes::Bytes;
use protocol::Raw;

use crate::limits::{PARAMETERS_DEPTH_MAX, PARAMETERS_MAX, TEXT_BYTES_MAX};

/// A tool to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as it is called.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// What its parameters are called and what they are for.
    pub parameters: String,
    /// Its entry in a list, whole.
    pub definition: Raw,
    /// The SHA-256 of the entry.
    pub hash: [u8; 32],
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn member(of: &Raw, name: &str) -> String {
    of.get(name).as_ref().and_then(Raw::as_str).map(|text| cut(&text).to_owned()).unwrap_or_default()
}

impl Entry {
    /// Reads an entry of a list. `None`: it has no name, or cannot be read.
    #[must_use]
    pub fn read(entry: &Raw) -> Option<Self> {
        entry.object().ok().flatten()?;
        let name = member(entry, "name");
        if name.is_empty() {
            return None;
        }
        let mut title = member(entry, "title");
        if let (true, Some(annotations)) = (title.is_empty(), entry.get("annotations")) {
            title = member(&annotations, "title");
        }
        let mut parameters = String::new();
        if let Some(schema) = entry.get("inputSchema") {
            let mut count = 0;
            add_parameters(&schema, 0, &mut count, &mut parameters);
        }
        Some(Self {
            name,
            title,
            description: member(entry, "description"),
            parameters: cut(&parameters).to_owned(),
            // A copy, because a slice keeps the whole page of the list alive.
            definition: Raw::trusted(Bytes::copy_from_slice(entry.as_bytes())),
            hash: seal::sha256(entry.as_bytes()),
        })
    }

    /// The first sentence of the description, at most 200 characters.
    #[must_use]
    pub fn summary(&self) -> String {
        let text = self.description.trim();
        let line = text.lines().next().unwrap_or_default();
        let end = line.match_indices(". ").map(|(at, _)| at + 1).find(|end| *end > 12).unwrap_or(line.len());
        let sentence = &line[..end];
        match sentence.char_indices().nth(200) {
            Some((at, _)) => format!("{}…", sentence[..at].trim_end()),
            None => sentence.to_owned(),
        }
    }
}

/// The names and descriptions of properties, and of properties in them.
fn add_parameters(schema: &Raw, depth: usize, count: &mut usize, out: &mut String) {
    let properties = schema.get("properties").and_then(|properties| properties.object().ok().flatten());
    let Some(properties) = properties else { return };
    for (name, property) in properties.iter() {
        *count += 1;
        if *count > PARAMETERS_MAX || out.len() > TEXT_BYTES_MAX {
            return;
        }
        out.push_str(&name);
        out.push(' ');
        out.push_str(&member(&property, "description"));
        out.push('\n');
        if depth + 1 < PARAMETERS_DEPTH_MAX {
            add_parameters(&property, depth + 1, count, out);
        }
    }
}
