//! Secrets in whole texts and trees, and the same without them.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use serde_json::Value;

use super::{in_value, in_words};
use crate::value::HIDDEN;

/// A secret that is shorter is taken for one only where it stands alone: `x` is in many words.
const ALONE_MAX: usize = 5;

/// All secrets in a tree, by the names of its members and their looks. What is a list of texts is taken for
/// the words of a command.
#[must_use]
pub fn in_tree(value: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    tree(Some(""), &mut value.clone(), &mut |_, spans| {
        found.extend(spans.iter().map(|span| (*span).to_owned()));
    });
    found.into_iter().collect()
}

/// Puts `[secret]` in the place of every secret in a tree that is called `name`.
pub fn mask_tree(name: &str, value: &mut Value) {
    tree(Some(name), value, &mut put_in);
}

/// The same for a tree in which what is named a secret is hidden already: looks, URLs and words of commands
/// decide.
pub fn mask_shown(value: &mut Value) {
    tree(None, value, &mut put_in);
}

fn put_in(text: &mut String, spans: &[&str]) {
    let spans: Vec<String> = spans.iter().map(|span| (*span).to_owned()).collect();
    if !spans.is_empty() {
        *text = mask(text, &spans);
    }
}

/// What is called with a text of a tree, and the secrets in it.
type Found<'a> = dyn FnMut(&mut String, &[&str]) + 'a;

/// `name`: what it is called; `None`: names say nothing.
fn tree(name: Option<&str>, value: &mut Value, found: &mut Found<'_>) {
    match value {
        Value::String(text) => {
            let copy = text.clone();
            found(text, &in_value(name.unwrap_or_default(), &copy));
        }
        Value::Number(number) => {
            let mut text = number.to_string();
            let copy = text.clone();
            found(&mut text, &in_value(name.unwrap_or_default(), &copy));
            if text != copy {
                *value = Value::String(text);
            }
        }
        Value::Array(items) => list(name, items, found),
        Value::Object(map) => {
            // `{name: Authorization, value: …}`, as lists of headers and variables have it.
            let said = ["name", "key"].iter().find_map(|key| map.get(*key)?.as_str().map(str::to_owned));
            for (key, inner) in map {
                let own = said.as_deref().filter(|_| key == "value").unwrap_or(key);
                tree(name.map(|_| own), inner, found);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn list(name: Option<&str>, items: &mut [Value], found: &mut Found<'_>) {
    let copies: Vec<String> = items.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect();
    let words: Vec<&str> = copies.iter().map(String::as_str).collect();
    let among = in_words(&words);
    for (index, item) in items.iter_mut().enumerate() {
        match item {
            Value::String(text) => {
                let of_word = among.iter().filter(|(at, _)| *at == index).map(|(_, span)| *span);
                let mut spans: Vec<&str> = of_word.collect();
                spans.extend(
                    words.get(index).into_iter().flat_map(|word| in_value(name.unwrap_or_default(), word)),
                );
                found(text, &spans);
            }
            other => tree(name, other, found),
        }
    }
}

/// A text with `[secret]` in the place of each of these, also where they are written as JSON.
#[must_use]
pub fn mask(text: &str, secrets: &[String]) -> String {
    let escaped = secrets.iter().map(|secret| {
        let json = Value::from(secret.as_str()).to_string();
        json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned()
    });
    // Of several lines, each is one.
    let mut all: BTreeSet<String> = secrets.iter().cloned().chain(escaped).collect();
    let lines = secrets.iter().flat_map(|secret| secret.lines().map(str::trim)).filter(|line| line.len() > 8);
    all.extend(lines.map(str::to_owned));
    all.retain(|secret| !secret.trim().is_empty() && secret != HIDDEN);
    let Ok(search) = AhoCorasick::new(&all) else {
        // More of them than can be looked for: none of it is shown.
        return HIDDEN.to_owned();
    };
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let alone = |start: usize, end: usize| {
        !is_part(text[..start].chars().next_back()) && !is_part(text[end..].chars().next())
    };
    // Once through the text, however many there are. Those that share a part are hidden as one.
    let mut places: Vec<(usize, usize)> = Vec::new();
    for found in search.find_overlapping_iter(text) {
        let (mut start, end) = (found.start(), found.end());
        if end - start <= ALONE_MAX && !alone(start, end) {
            continue;
        }
        while let Some((before, _)) = places.pop_if(|(_, last)| *last > start) {
            start = start.min(before);
        }
        places.push((start, end));
    }
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for (start, end) in places {
        out.push_str(&text[done..start]);
        out.push_str(HIDDEN);
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

/// A text without what is a secret by its own line alone: for what cannot be read as a tree.
#[must_use]
pub fn mask_lines(text: &str) -> String {
    text.split_inclusive('\n').map(mask_line).collect()
}

fn mask_line(line: &str) -> String {
    let bare = line.trim_start_matches(['+', '-']).trim().trim_end_matches(',');
    let pair = bare.find([':', '=']).map(|at| (bare[..at].trim(), bare[at + 1..].trim()));
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let quotes = ['"', '\''];
    let spans = match pair.map(|(name, value)| (name.trim_matches(quotes), value)) {
        Some((name, value)) if is_name(name) && !value.starts_with(['{', '[', '|', '>', '&', '*']) => {
            in_value(name, value.trim_matches(quotes))
        }
        _ => in_value("", bare),
    };
    let spans: Vec<String> = spans.into_iter().map(str::to_owned).collect();
    if spans.is_empty() { line.to_owned() } else { mask(line, &spans) }
}
