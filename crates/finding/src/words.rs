//! Texts as words that compare: small letters, without marks, without endings.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::limits::WORD_CHARS_MAX;

/// Words that say nothing about a tool.
const EMPTY: [&str; 76] = [
    "a", "about", "all", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "could", "did",
    "do", "does", "each", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it",
    "its", "let", "many", "may", "me", "mine", "much", "must", "my", "need", "not", "of", "on", "one", "or",
    "our", "please", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there",
    "these", "this", "those", "to", "us", "use", "used", "want", "was", "we", "what", "when", "where",
    "which", "why", "will", "with", "you",
];

/// The longest word of two that are written as one.
const JOINED_BYTES_MAX: usize = 16;

fn is_wide(c: char) -> bool {
    matches!(
        c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
    )
}

/// The words of a text, in their order, with those that say nothing left away.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for word in split(text) {
        let wide: Vec<char> = word.chars().filter(|c| is_wide(*c)).collect();
        match wide.len() {
            0 if EMPTY.contains(&word.as_str()) => {}
            0 => out.push(stem(&word)),
            1 => out.push(wide.iter().collect()),
            // Nothing says where words of these end; two characters in a row compare well.
            _ => out.extend(wide.windows(2).map(|pair| pair.iter().collect::<String>())),
        }
    }
    out
}

/// Words in small letters, split where letters and digits meet, where case changes, and at everything else.
fn split(text: &str) -> Vec<String> {
    let folded: Vec<char> = text.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    // What was split for its capitals alone: `GitHub` is a word as well.
    let mut joined = String::new();
    let mut parts = 0;
    for (at, &c) in folded.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| folded.get(at)).copied().unwrap_or(' ');
        let after = folded.get(at + 1).copied().unwrap_or(' ');
        let begins = (c.is_uppercase()
            && (before.is_lowercase() || before.is_uppercase() && after.is_lowercase()))
            || is_wide(c) != is_wide(before);
        if (begins || !c.is_alphanumeric()) && !word.is_empty() {
            joined.push_str(&word);
            parts += 1;
            out.push(std::mem::take(&mut word));
        }
        if !c.is_alphanumeric() || is_wide(c) {
            if parts == 2 && joined.len() <= JOINED_BYTES_MAX {
                out.push(std::mem::take(&mut joined));
            }
            joined.clear();
            parts = 0;
        }
        if c.is_alphanumeric() && word.chars().count() < WORD_CHARS_MAX {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        joined.push_str(&word);
        parts += 1;
        out.push(word);
    }
    if parts == 2 && joined.len() <= JOINED_BYTES_MAX {
        out.push(joined);
    }
    out
}

/// A word without the endings of English plurals, tenses and nouns of action, so that `creating`, `created`,
/// `creates` and `creation` are one. Words of other languages mostly stay as they are.
pub(crate) fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 || word.bytes().any(|b| b.is_ascii_digit()) {
        return word.to_owned();
    }
    let mut out = singular(word);
    if let Some(base) = out.strip_suffix("ification") {
        out = format!("{base}ify");
    } else if let Some(base) = out.strip_suffix("ion").filter(|base| base.ends_with(['s', 't']))
        && base.len() >= 4
    {
        out = base.to_owned();
    }
    for ending in ["ing", "ed"] {
        if let Some(base) = out.strip_suffix(ending)
            && base.len() >= 3
            && base.contains(['a', 'e', 'i', 'o', 'u', 'y'])
        {
            out = undoubled(base).to_owned();
            break;
        }
    }
    let bare = out.strip_suffix('e').filter(|base| base.len() >= 3).unwrap_or(&out);
    // `install` and `installation`, and `validate` and `validation` with them.
    let bare = bare.strip_suffix("at").filter(|base| base.len() >= 5).unwrap_or(bare);
    match bare.strip_suffix('y').filter(|base| base.len() >= 2) {
        Some(base) => format!("{base}i"),
        None => bare.to_owned(),
    }
}

fn singular(word: &str) -> String {
    if let Some(base) = word.strip_suffix("ies").filter(|base| base.len() >= 2) {
        return format!("{base}y");
    }
    for ending in ["sses", "shes", "ches", "xes", "zzes"] {
        if word.ends_with(ending) {
            return word[..word.len() - 2].to_owned();
        }
    }
    match word.strip_suffix('s') {
        Some(base) if !base.ends_with(['s', 'u', 'i']) => base.to_owned(),
        _ => word.to_owned(),
    }
}

/// `runn` as `run`, but `call` as it is.
fn undoubled(word: &str) -> &str {
    let bytes = word.as_bytes();
    match bytes {
        [.., a, b] if a == b && !b"lsz".contains(b) && word.len() > 3 => &word[..word.len() - 1],
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_however_they_are_written() {
        for name in ["createPullRequest", "create_pull_request", "Create-Pull.Request", "CREATE pull/request"]
        {
            assert_eq!(split(name), ["create", "pull", "request"], "{name}");
        }
        assert_eq!(split("getHTTPResponse2"), ["get", "http", "response2"]);
        assert_eq!(split("GitHub or PromQL"), ["git", "hub", "github", "or", "prom", "ql", "promql"]);
        assert_eq!(split("Größe é"), ["große", "e"]);
        assert_eq!(words("検索ツール tool"), ["検索", "索ツ", "ツー", "ール", "tool"]);
    }

    #[test]
    fn forms_of_a_word_are_one() {
        for family in [
            &["create", "creates", "created", "creating", "creation", "creations"][..],
            &["install", "installed", "installation"],
            &["validate", "validating", "validation"],
            &["delete", "deletes", "deleted", "deleting", "deletion"],
            &["query", "queries"],
            &["branch", "branches"],
            &["notify", "notifies", "notification", "notifications"],
            &["run", "runs", "running"],
            &["schedule", "scheduled", "scheduling", "schedules"],
            &["search", "searches", "searching"],
            &["list", "lists", "listing", "listed"],
        ] {
            let stems: Vec<String> = family.iter().map(|word| stem(word)).collect();
            assert!(stems.iter().all(|s| *s == stems[0]), "{family:?}: {stems:?}");
        }
        for (one, other) in [("status", "state"), ("issue", "issuer"), ("process", "procedure")] {
            assert_ne!(stem(one), stem(other));
        }
    }

    #[test]
    fn words_that_say_nothing_are_left_away() {
        assert_eq!(words("How do I list all of the files?"), ["list", "fil"]);
    }
}
