//! What a question means, and how much a tool answers it (BM25 over fields).

use crate::Synonyms;
use crate::limits::{QUERY_BYTES_MAX, QUERY_WORDS_MAX};
use crate::words::words;

/// How soon more of the same word stops to matter.
pub const K1: f64 = 1.2;

/// How much a field counts, how much its length is held against it, and how long it usually is. The length is
/// a constant and not the index's mean: what somebody may not see must not change what he sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// How much a word in it counts.
    pub weight: f64,
    /// From 0, where length does not matter, to 1.
    pub b: f64,
    /// How many words it usually has.
    pub usual: f64,
}

/// The fields of a tool.
pub(crate) const FIELDS: usize = 5;
pub(crate) const NAME: usize = 0;
pub(crate) const TITLE: usize = 1;
pub(crate) const GROUP: usize = 2;
pub(crate) const DESCRIPTION: usize = 3;
pub(crate) const PARAMETERS: usize = 4;

/// Name, title, group, description, parameters.
pub(crate) const WEIGHTS: [Weights; FIELDS] = [
    Weights { weight: 3.0, b: 0.4, usual: 3.0 },
    Weights { weight: 2.0, b: 0.4, usual: 3.0 },
    Weights { weight: 0.5, b: 0.0, usual: 1.0 },
    Weights { weight: 2.0, b: 0.3, usual: 14.0 },
    Weights { weight: 0.2, b: 0.75, usual: 18.0 },
];

/// How much more a tool counts whose server is named in the question.
pub(crate) const SERVER_NAMED: f64 = 1.25;

/// As many tools as a word is compared with, at least. A constant for the same reason.
const TOOLS_USUAL: f64 = 1_000.0;

/// How much a word says, given how many tools that may be seen have it.
pub(crate) fn rarity(tools: usize) -> f64 {
    let with = tools as f64;
    let all = TOOLS_USUAL.max(2.0 * with);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

/// How much a tool is about a word, given how often each field has it and how long each is.
pub(crate) fn aboutness(counts: &[u8; FIELDS], lengths: &[u16; FIELDS]) -> f64 {
    let mut sum = 0.0;
    for (at, Weights { weight, b, usual }) in WEIGHTS.iter().enumerate() {
        if counts[at] > 0 {
            let length = 1.0 - b + b * f64::from(lengths[at]) / usual;
            sum += weight * f64::from(counts[at]) / length;
        }
    }
    sum / (K1 + sum)
}

/// One thing that a question is about, in several wordings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Concept {
    pub(crate) wordings: Vec<Wording>,
}

/// One wording of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wording {
    pub(crate) words: Vec<String>,
    pub(crate) weight: f64,
    /// Whether a tool must have all of its words.
    pub(crate) whole: bool,
}

/// What a question is about.
pub(crate) fn concepts(question: &str, synonyms: &Synonyms) -> Vec<Concept> {
    let mut end = question.len().min(QUERY_BYTES_MAX);
    while !question.is_char_boundary(end) {
        end -= 1;
    }
    let mut words = words(&question[..end]);
    words.truncate(QUERY_WORDS_MAX);
    let mut out: Vec<Concept> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (length, meant) = synonyms.at(&words[at..]).unwrap_or((1, &[]));
        let own = Wording { words: words[at..at + length].to_vec(), weight: 1.0, whole: false };
        let others = meant.iter().map(|(words, weight)| Wording {
            words: words.clone(),
            weight: *weight,
            whole: true,
        });
        let concept = Concept { wordings: std::iter::once(own).chain(others).collect() };
        if !out.contains(&concept) {
            out.push(concept);
        }
        at += length;
    }
    out
}
