//! Texts that talk to a model rather than to whoever reads them. These are heuristics: they find what is
//! written as such texts usually are, in English, and somebody who knows them writes around them. What they
//! find is a reason to look, and what they do not find is not proved harmless.

use std::sync::LazyLock;

use regex::Regex;

use super::{Hit, spent};

static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let patterns = [
        (
            "override",
            concat!(
                r"(?:ignore|disregard|forget|override)\s{1,4}(?:[a-z]{1,12}\s{1,4}){0,3}",
                r"(?:previous|prior|above|earlier|preceding|existing|system)\s{1,4}",
                r"(?:[a-z]{1,12}\s{1,4}){0,2}",
                r"(?:instruction|prompt|rule|message|guideline|direction)s?",
            ),
        ),
        (
            "conceal",
            concat!(
                r"(?:do not|don't|never|without)\s{1,4}",
                r"(?:tell|inform|mention|notify|reveal|show|alert)(?:ing)?",
                r"\s{1,4}(?:[a-z]{1,12}\s{1,4}){0,5}(?:user|human|person|anyone|anybody)",
            ),
        ),
        ("pseudo-tag", r"</?(?:important|system|instructions?|secret|assistant|admin|hidden)\s{0,4}>"),
        ("pseudo-tag", r"<\|(?:im_start|im_end|system|assistant|user|endoftext)\|>"),
        ("role", r"you are (?:now|no longer)\s{1,4}(?:a|an|in|the|bound)\b"),
        (
            "extraction",
            concat!(
                r"(?:reveal|print|repeat|output|show|leak|disclose)\s{1,4}(?:[a-z]{1,12}\s{1,4}){0,4}",
                r"(?:system prompt|developer message|hidden instructions|initial instructions)",
            ),
        ),
        (
            "exfiltration",
            concat!(
                r"(?:send|forward|post|upload|exfiltrate|transmit|email|bcc)\s{1,4}[ -~]{0,80}?",
                r"\b(?:to|at)\s{1,4}(?:https?://|[0-9a-z._%+-]{1,64}@[0-9a-z-]{1,63}\.)",
            ),
        ),
        (
            "preamble",
            concat!(
                r"before\s{1,4}(?:using|calling|invoking|running)\s{1,4}(?:this|any|the|other)\s{1,4}",
                r"(?:[a-z_]{1,40}\s{1,4}){0,3}(?:tool|function|server)s?,?\s{1,4}",
                r"(?:you must|always|first|read|call|use)",
            ),
        ),
        ("image-link", r"!\[[ -\\^-~]{0,60}\]\(https?://[!-(*-~]{1,120}[?&][!-(*-~]{1,60}="),
    ];
    let made = patterns
        .map(|(kind, pattern)| (kind, Regex::new(&format!("(?i-u){pattern}")).expect("it is tested")));
    made.to_vec()
});

/// Finds them in what a string says.
pub(super) fn find(text: &str, hits: &mut Vec<Hit>) {
    spent(PATTERNS.len() * text.len());
    for (kind, pattern) in PATTERNS.iter() {
        let found = pattern.find_iter(text);
        hits.extend(found.map(|found| Hit { detector: "injection", kind, range: found.range() }));
    }
}
