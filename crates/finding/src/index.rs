//! The index: which words stand in which tools.

use std::collections::{BTreeMap, HashMap, HashSet};

use protocol::Raw;

use crate::limits::{FIELD_WORDS_MAX, FOUND_MAX, READINGS_MAX, TYPOS_MAX};
use crate::query::{
    Concept, DESCRIPTION, FIELDS, GROUP, NAME, PARAMETERS, SERVER_NAMED, TITLE, Wording, aboutness, concepts,
    rarity,
};
use crate::words::words as words_of;
use crate::{Entry, Limits, Synonyms};

/// An index over the tools of several servers.
#[derive(Debug, Default)]
pub struct Index {
    limits: Limits,
    synonyms: Synonyms,
    /// The tools; places of those that are gone are used again.
    tools: Vec<Option<Indexed>>,
    free: Vec<u32>,
    by_name: HashMap<String, u32>,
    words: HashMap<String, Vec<Posting>>,
    bytes: usize,
}

#[derive(Debug)]
struct Indexed {
    entry: Entry,
    group: String,
    group_words: Vec<String>,
    lengths: [u16; FIELDS],
    words: Vec<String>,
    bytes: usize,
}

/// How often each field of a tool has a word.
#[derive(Debug, Clone, Copy)]
struct Posting {
    tool: u32,
    counts: [u8; FIELDS],
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Tools that were not there before.
    pub added: Vec<String>,
    /// Tools whose entry is another one: whoever looks after pins wants to know.
    pub changed: Vec<String>,
    /// Tools that are there no more.
    pub removed: Vec<String>,
    /// How many are as before, and were not read again.
    pub same: usize,
    /// Tools for which there is no room, or whose name another server has.
    pub left_out: Vec<String>,
}

/// A tool that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<'a> {
    /// The tool.
    pub entry: &'a Entry,
    /// The server that it belongs to.
    pub group: &'a str,
    /// How well it fits. Scores of one question compare with one another and with nothing else.
    pub score: f64,
}

/// What may be seen, asked for at most once for each tool.
struct Sight<'a> {
    index: &'a Index,
    may: &'a dyn Fn(&str, &Entry) -> bool,
    group: Option<&'a str>,
    known: Vec<Option<bool>>,
}

impl Sight<'_> {
    fn sees(&mut self, tool: u32) -> bool {
        let at = tool as usize;
        if let Some(seen) = self.known[at] {
            return seen;
        }
        let seen = self.index.tools[at].as_ref().is_some_and(|tool| {
            self.group.is_none_or(|group| group == tool.group) && (self.may)(&tool.group, &tool.entry)
        });
        self.known[at] = Some(seen);
        seen
    }
}

impl Index {
    /// An index with nothing in it.
    #[must_use]
    pub fn new(limits: Limits, synonyms: Synonyms) -> Self {
        Self { limits, synonyms, ..Self::default() }
    }

    /// How many tools there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many different words it knows.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// The servers of which somebody may see a tool, by name, with how many.
    #[must_use]
    pub fn groups(&self, may: &dyn Fn(&str, &Entry) -> bool) -> BTreeMap<&str, usize> {
        let mut out = BTreeMap::new();
        for tool in self.tools.iter().flatten().filter(|tool| may(&tool.group, &tool.entry)) {
            *out.entry(tool.group.as_str()).or_default() += 1;
        }
        out
    }

    /// How many bytes it holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes these the tools of a server. What is as it was is not read again.
    pub fn update(&mut self, group: &str, entries: Vec<Entry>) -> Changes {
        let mut changes = Changes::default();
        let mut names = HashSet::new();
        for entry in entries {
            if !names.insert(entry.name.clone()) {
                changes.left_out.push(entry.name);
                continue;
            }
            let old = self.by_name.get(&entry.name).and_then(|at| self.tools[*at as usize].as_ref());
            match old.map(|old| (old.group == group, old.entry.hash == entry.hash)) {
                Some((false, _)) => changes.left_out.push(entry.name),
                Some((true, true)) => changes.same += 1,
                Some((true, false)) => {
                    let name = entry.name.clone();
                    self.remove(&name);
                    let into =
                        if self.add(group, entry) { &mut changes.changed } else { &mut changes.left_out };
                    into.push(name);
                }
                None => {
                    let name = entry.name.clone();
                    let into =
                        if self.add(group, entry) { &mut changes.added } else { &mut changes.left_out };
                    into.push(name);
                }
            }
        }
        let of_group = self.tools.iter().flatten().filter(|tool| tool.group == group);
        let gone = of_group.map(|tool| &tool.entry.name).filter(|name| !names.contains(*name));
        changes.removed = gone.cloned().collect();
        changes.removed.sort();
        for name in &changes.removed {
            self.remove(name);
        }
        changes
    }

    fn add(&mut self, group: &str, entry: Entry) -> bool {
        let Entry { name, title, description, parameters, definition, .. } = &entry;
        let mut counts: BTreeMap<String, [u8; FIELDS]> = BTreeMap::new();
        let mut lengths = [0; FIELDS];
        let texts = [
            (NAME, name.as_str()),
            (TITLE, title),
            (GROUP, group),
            (DESCRIPTION, description),
            (PARAMETERS, parameters),
        ];
        for (field, text) in texts {
            for word in words_of(text).into_iter().take(FIELD_WORDS_MAX) {
                let count = &mut counts.entry(word).or_default()[field];
                *count = count.saturating_add(1);
                lengths[field] += 1;
            }
        }
        let texts = name.len() * 2 + title.len() + description.len() + parameters.len() + group.len();
        let words: usize = counts.keys().map(|word| word.len() + 64).sum();
        let bytes = definition.as_bytes().len() + texts + words + 256;
        if self.len() >= self.limits.tools_max || self.bytes + bytes > self.limits.bytes_max {
            return false;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.tools.push(None);
            u32::try_from(self.tools.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_name.insert(name.clone(), place);
        let words: Vec<String> = counts.keys().cloned().collect();
        for (word, counts) in counts {
            self.words.entry(word).or_default().push(Posting { tool: place, counts });
        }
        self.bytes += bytes;
        let (group, group_words) = (group.to_owned(), words_of(group));
        self.tools[place as usize] = Some(Indexed { group, group_words, entry, lengths, words, bytes });
        true
    }

    fn remove(&mut self, name: &str) {
        let Some(place) = self.by_name.remove(name) else { return };
        let Some(tool) = self.tools[place as usize].take() else { return };
        for word in tool.words {
            if let Some(postings) = self.words.get_mut(&word) {
                postings.retain(|posting| posting.tool != place);
                if postings.is_empty() {
                    self.words.remove(&word);
                }
            }
        }
        self.bytes -= tool.bytes;
        self.free.push(place);
    }

    /// The tools that answer a question best, among those that `may` lets see and, where it is given, of one
    /// server. At most `limit`, and never more than 50.
    #[must_use]
    pub fn search(
        &self,
        question: &str,
        limit: usize,
        group: Option<&str>,
        may: &dyn Fn(&str, &Entry) -> bool,
    ) -> Vec<Hit<'_>> {
        let mut sight = Sight { index: self, may, group, known: vec![None; self.tools.len()] };
        let mut asked = concepts(question, &self.synonyms);
        self.read_typos(&mut asked, &mut sight);
        let mut sums: HashMap<u32, (f64, f64)> = HashMap::new();
        let mut most = 0.0;
        for concept in &asked {
            let (scores, best) = self.concept(concept, &mut sight);
            most += best;
            for (tool, score) in scores {
                let sum = sums.entry(tool).or_default();
                sum.0 += score;
                // A tool that has a little of everything that was asked for beats one that has much of one.
                sum.1 += best;
            }
        }
        let exact = question.trim();
        let said: HashSet<&String> =
            asked.iter().filter_map(|concept| concept.wordings.first()).flat_map(|own| &own.words).collect();
        let mut hits: Vec<Hit<'_>> = sums
            .into_iter()
            .filter_map(|(tool, (score, covered))| {
                let Indexed { entry, group, group_words, .. } = self.tools[tool as usize].as_ref()?;
                let share = if most > 0.0 { covered / most } else { 0.0 };
                let server = group_words.iter().all(|word| said.contains(word));
                let score = score * share * if server { SERVER_NAMED } else { 1.0 };
                let named = if entry.name == exact { 1_000.0 } else { 0.0 };
                Some(Hit { entry, group, score: score + named })
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entry.name.cmp(&b.entry.name)));
        hits.truncate(limit.min(FOUND_MAX));
        hits
    }

    /// The tools of these names, in their order, that may be seen.
    pub fn describe<'a>(
        &'a self,
        names: impl IntoIterator<Item = &'a str>,
        may: &'a dyn Fn(&str, &Entry) -> bool,
    ) -> impl Iterator<Item = &'a Raw> {
        names.into_iter().filter_map(move |name| {
            let tool = self.by_name.get(name).and_then(|at| self.tools[*at as usize].as_ref())?;
            may(&tool.group, &tool.entry).then_some(&tool.entry.definition)
        })
    }

    /// How well each tool fits one thing that was asked for, and how well one could.
    fn concept(&self, concept: &Concept, sight: &mut Sight<'_>) -> (HashMap<u32, f64>, f64) {
        let mut scores: HashMap<u32, f64> = HashMap::new();
        let mut best = 0.0_f64;
        for Wording { words, weight, whole } in &concept.wordings {
            let mut here: HashMap<u32, (f64, usize)> = HashMap::new();
            let mut rarities = 0.0;
            for word in words {
                let seen = self.seen(word, sight);
                let rarity = rarity(seen.len());
                rarities += if seen.is_empty() { 0.0 } else { rarity };
                for posting in seen {
                    let Some(tool) = &self.tools[posting.tool as usize] else { continue };
                    let sum = here.entry(posting.tool).or_default();
                    sum.0 += rarity * aboutness(&posting.counts, &tool.lengths);
                    sum.1 += 1;
                }
            }
            best = best.max(weight * rarities);
            for (tool, (score, found)) in here {
                if *whole && found < words.len() {
                    continue;
                }
                let slot = scores.entry(tool).or_default();
                *slot = slot.max(weight * score);
            }
        }
        (scores, best)
    }

    /// Where a word stands, as far as may be seen.
    fn seen<'a>(&'a self, word: &str, sight: &mut Sight<'_>) -> Vec<&'a Posting> {
        let postings = self.words.get(word).into_iter().flatten();
        postings.filter(|posting| sight.sees(posting.tool)).collect()
    }

    /// Words that nothing has are read as beginnings of others, or as others with a typing error.
    fn read_typos(&self, asked: &mut [Concept], sight: &mut Sight<'_>) {
        let mut left = TYPOS_MAX;
        for concept in asked {
            let known = |words: &[String], sight: &mut Sight<'_>| {
                words.iter().any(|word| !self.seen(word, sight).is_empty())
            };
            let Some(own) = concept.wordings.first().filter(|own| own.words.len() == 1).cloned() else {
                continue;
            };
            if left == 0 || known(&own.words, sight) {
                continue;
            }
            left -= 1;
            for (word, weight) in self.readings(&own.words[0], sight) {
                let meant = self.synonyms.at(std::slice::from_ref(&word)).map_or(&[][..], |(_, meant)| meant);
                let others = meant.iter().map(|(words, much)| Wording {
                    words: words.clone(),
                    weight: weight * much,
                    whole: true,
                });
                concept.wordings.extend(others);
                concept.wordings.push(Wording { words: vec![word], weight, whole: true });
            }
        }
    }

    /// What a word that nothing has may be, with how much it counts.
    fn readings(&self, word: &str, sight: &mut Sight<'_>) -> Vec<(String, f64)> {
        let length = word.chars().count();
        let errors = match length {
            0..=3 => 0,
            4..=7 => 1,
            _ => 2,
        };
        let first = word.chars().next();
        let mut near: Vec<(usize, &String)> = Vec::new();
        for other in self.words.keys().filter(|other| other.chars().next() == first) {
            if length >= 4 && other.starts_with(word) {
                near.push((0, other));
            } else if errors > 0 && other.chars().count().abs_diff(length) <= errors {
                let distance = strsim::osa_distance(word, other);
                if distance <= errors {
                    near.push((distance, other));
                }
            }
        }
        near.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.len().cmp(&b.1.len())).then_with(|| a.1.cmp(b.1)));
        let seen = near.into_iter().filter(|(_, other)| !self.seen(other, sight).is_empty());
        seen.take(READINGS_MAX)
            .map(|(distance, other)| (other.clone(), 0.7 / (1.0 + distance as f64)))
            .collect()
    }
}
