//! Secrets among the words of a command, and in texts that have such in them.

use serde_json::Value;

use super::DEPTH_MAX;
use super::look::{in_header_value, in_url, known, scheme};
use super::name::{is_harmless, names_secret};

/// The secrets among the words of a command, each with the number of its word. A word may be a command
/// itself: `sh -c "API_KEY=x server"`.
#[must_use]
pub fn in_words<'a>(words: &[&'a str]) -> Vec<(usize, &'a str)> {
    words_at(words, DEPTH_MAX)
}

/// What the word after an option is.
enum Awaited<'a> {
    /// Nothing is known of it.
    Nothing,
    /// The value of an option.
    Value(&'a str),
    /// `Name: value`
    Header,
    /// `NAME=value`
    Variable,
}

fn awaited(option: &str) -> Awaited<'_> {
    match option {
        _ if !option.starts_with('-') || option.contains('=') => Awaited::Nothing,
        "-H" | "--header" | "--headers" => Awaited::Header,
        "-e" | "--env" | "--environment" | "--build-arg" => Awaited::Variable,
        _ => Awaited::Value(option),
    }
}

fn words_at<'a>(words: &[&'a str], depth: usize) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut next = Awaited::Nothing;
    for (index, word) in words.iter().copied().enumerate() {
        let spans = match next {
            Awaited::Header => header(word, depth),
            Awaited::Variable => assignment(word, depth),
            Awaited::Value(option) if !word.starts_with('-') => in_value(option, word, depth),
            Awaited::Value(_) | Awaited::Nothing => option(word, depth),
        };
        found.extend(spans.into_iter().map(|span| (index, span)));
        next = awaited(word);
    }
    found
}

/// A word that may be an option with its value: `--token=x`, `-eNAME=x`, `-H"Name: x"`.
fn option(word: &str, depth: usize) -> Vec<&str> {
    if !word.starts_with('-') {
        return assignment(word, depth);
    }
    if let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.contains([' ', ':'])) {
        match awaited(name) {
            Awaited::Header => return header(unquoted(value), depth),
            Awaited::Variable => return assignment(unquoted(value), depth),
            _ => {}
        }
        if let Some(variable) = word.strip_prefix("-e").filter(|_| !word.starts_with("--")) {
            return assignment(variable, depth);
        }
        return in_value(name, unquoted(value), depth);
    }
    match word.strip_prefix("-H") {
        Some(text) => header(unquoted(text), depth),
        None => in_value("", word, depth),
    }
}

/// `Name: value`
fn header(text: &str, depth: usize) -> Vec<&str> {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    match text.split_once([':', '=']).filter(|(name, _)| is_name(name)) {
        Some((name, value)) => in_value(name, unquoted(value.trim()), depth),
        None => in_value("", text, depth),
    }
}

/// `NAME=value`
fn assignment(text: &str, depth: usize) -> Vec<&str> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match text.split_once('=').filter(|(name, _)| is_name(name)) {
        Some((name, value)) => in_value(name, unquoted(value), depth),
        None => in_value("", text, depth),
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

/// The secrets in a value.
pub(super) fn in_value<'a>(name: &str, text: &'a str, depth: usize) -> Vec<&'a str> {
    let token = scheme(text).map_or(text.trim(), |(_, token)| token);
    // A URL is as secret as what is in it, unless it is called otherwise.
    if names_secret(name) && !is_harmless(name, token) && !is_harmless(name, text) {
        return vec![token];
    }
    let mut found = known(text);
    found.extend(in_header_value(text));
    found.extend(in_url(text));
    if let Some(depth) = depth.checked_sub(1) {
        match json(text) {
            Some(value) => found.extend(inside(text, &value)),
            None => found.extend(split(text, depth)),
        }
    }
    found
}

/// A text that is a map or a list of JSON.
fn json(text: &str) -> Option<Value> {
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok())?
}

/// Where secrets of a value stand in its text. Where that cannot be told, for it is written with escapes, all
/// of the text is secret.
fn inside<'a>(text: &'a str, value: &Value) -> Vec<&'a str> {
    let secrets = super::in_tree(value);
    let at = |secret: &String| text.find(secret.as_str()).map_or(text, |at| &text[at..at + secret.len()]);
    secrets.iter().map(at).collect()
}

/// The words of a text, as a shell has them, where it has several.
fn split(text: &str, depth: usize) -> Vec<&str> {
    let words = shell_words(text);
    match words.as_slice() {
        [] => Vec::new(),
        [one] if *one == text => Vec::new(),
        [one] => option(one, depth),
        all => words_at(all, depth).into_iter().map(|(_, span)| span).collect(),
    }
}

/// Words between spaces and what ends a command; what is in quotes is one.
fn shell_words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() || ";|&".contains(c) => {
                words.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            None => {}
        }
    }
    words.push(&text[start..]);
    words.into_iter().map(unquoted).filter(|word| !word.is_empty()).collect()
}
