//! Characters that a person does not see and a model reads.

use std::ops::Range;

use super::{Hit, spent};

/// What begins a flag that is spelled with tags: those are shown.
const BLACK_FLAG: char = '\u{1F3F4}';
const TAG_END: char = '\u{E007F}';
/// Letters and digits of a flag, at most.
const FLAG_TAGS_MAX: usize = 6;

/// Finds them in what a string says; characters of one kind that follow each other are one finding.
pub(super) fn find(text: &str, hits: &mut Vec<Hit>) {
    spent(text.len());
    if text.is_ascii() {
        return;
    }
    let (mut chars, mut before) = (text.char_indices().peekable(), None);
    while let Some((at, char)) = chars.next() {
        let Some(kind) = kind_of(char) else {
            before = Some(char);
            continue;
        };
        let (mut end, mut count) = (at + char.len_utf8(), 1);
        while let Some((next, more)) = chars.peek().copied() {
            if kind_of(more) != Some(kind) {
                break;
            }
            (end, count) = (next + more.len_utf8(), count + 1);
            chars.next();
        }
        let after = chars.peek().map(|(_, after)| *after);
        if !is_shown(kind, before, (&text[at..end], count), after) {
            hits.push(hit(kind, at..end));
        }
        before = None;
    }
}

fn hit(kind: &'static str, range: Range<usize>) -> Hit {
    Hit { detector: "hidden", kind, range }
}

fn kind_of(char: char) -> Option<&'static str> {
    match char {
        // Embeddings, overrides and isolates. Plain marks (200E, 200F, 061C) belong to ordinary texts.
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => Some("bidi"),
        '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{180E}' | '\u{3164}' => {
            Some("zero-width")
        }
        '\u{E0000}'..='\u{E007F}' => Some("tag"),
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' => Some("variation"),
        _ => None,
    }
}

/// Whether these characters do what they are for: they change how their neighbours look.
fn is_shown(kind: &str, before: Option<char>, run: (&str, usize), after: Option<char>) -> bool {
    let (text, count) = run;
    let letter = |char: Option<char>| char.is_some_and(|char| !char.is_ascii() && kind_of(char).is_none());
    match kind {
        // Joiners between letters that join, and in pictures made of several. A selector may stand between.
        "zero-width" => {
            let joiner = matches!(text, "\u{200C}" | "\u{200D}");
            let joined = before.is_none() || letter(before);
            joiner && joined && letter(after)
        }
        "tag" => {
            let flag = before == Some(BLACK_FLAG) && text.ends_with(TAG_END) && count <= FLAG_TAGS_MAX + 1;
            flag && text.chars().filter(|tag| *tag == TAG_END).count() == 1
        }
        // One of them says how the character before it looks; more say something else.
        "variation" => count == 1 && before.is_some_and(|before| !before.is_ascii_alphabetic()),
        _ => false,
    }
}
