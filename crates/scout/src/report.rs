//! What a crawl found, for whoever asked for it.

use std::collections::{BTreeMap, BTreeSet};

use discovery::Address;
use discovery::card::{self, Card};
use discovery::contradict::{self, Contradiction, Severity};
use serde::Serialize;

use crate::gist::Told;
use crate::live::{Answered, Standing};
use crate::seed::Seed;

/// Redirects that are followed in a row.
const MOVES_MAX: usize = 5;
/// Entries that are told of one domain.
const ENTRIES_PER_SEED_MAX: usize = 10_000;
/// Entries that are told in all.
const ENTRIES_MAX: usize = 500_000;

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was read.
    Found,
    /// There is none.
    Absent,
    /// It is not taken.
    Refused,
    /// Nobody answered.
    Unreachable,
    /// It was not asked for: there were too many before it.
    NotAsked,
}

impl State {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NotAsked => "not asked",
        }
    }
}

/// What a crawl found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked for, in its order.
    pub seeds: Vec<SeedReport>,
    /// The cards that came, by where they came from.
    pub cards: BTreeMap<String, CardReport>,
    /// Numbers.
    pub summary: Summary,
}

/// One domain or URL.
#[derive(Debug, Clone, Serialize)]
pub struct SeedReport {
    /// As it was written.
    pub seed: String,
    /// What came of its catalog, or of its card.
    pub state: State,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where it was in the end.
    pub url: String,
    /// Its catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogReport>,
    /// Its cards.
    pub entries: Vec<EntryReport>,
}

/// A catalog.
#[derive(Debug, Clone, Serialize)]
pub struct CatalogReport {
    /// What is not as it should be.
    pub faults: Vec<String>,
    /// Entries that are neither a card nor a catalog.
    pub others: usize,
}

/// What leads from a domain to a card.
#[derive(Debug, Clone, Serialize)]
pub struct EntryReport {
    /// The identifier in the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Where it came from in the end, which is its place among the cards.
    pub url: String,
    /// What became of it.
    pub state: State,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// In what the catalog and the card contradict each other.
    pub contradictions: Vec<Contradiction>,
}

/// A card.
#[derive(Debug, Clone, Serialize)]
pub struct CardReport {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is for.
    pub description: String,
    /// What is not as it should be.
    pub faults: Vec<String>,
    /// Where it is reached.
    pub remotes: Vec<RemoteReport>,
    /// In what the card and its servers contradict each other.
    pub contradictions: Vec<Contradiction>,
}

/// Where a server is reached.
#[derive(Debug, Clone, Serialize)]
pub struct RemoteReport {
    /// Its URL, which may be a template.
    pub url: String,
    /// How it speaks.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The revisions that the card promises.
    pub versions: Vec<String>,
    /// What it said itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Answered>,
}

/// Numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Domains and URLs.
    pub seeds: usize,
    /// Those with a catalog or a card.
    pub found: usize,
    /// Those without one.
    pub absent: usize,
    /// Those whose document is not taken.
    pub refused: usize,
    /// Those that did not answer.
    pub unreachable: usize,
    /// Cards.
    pub cards: usize,
    /// Servers that said who they are.
    pub answered: usize,
    /// Contradictions that lead somewhere else.
    pub serious: usize,
    /// Contradictions of age or carelessness.
    pub warnings: usize,
}

/// What there is to make a report of.
pub(crate) struct Maker<'a> {
    pub pages: &'a BTreeMap<String, Told>,
    pub live: &'a BTreeMap<String, Answered>,
    pub auth: bool,
}

impl Maker<'_> {
    pub fn report(&self, seeds: &[Seed], tries: impl Fn(&Seed) -> Vec<Address>) -> Report {
        let mut report = Report { seeds: Vec::new(), cards: BTreeMap::new(), summary: Summary::default() };
        let mut room = ENTRIES_MAX;
        for seed in seeds {
            let one = self.seed(seed, &tries(seed), &mut room, &mut report.cards);
            report.seeds.push(one);
        }
        report.summary = summary(&report);
        report
    }

    /// Where something is in the end.
    fn follow<'s>(&'s self, url: &'s str) -> (&'s str, Option<&'s Told>) {
        let mut at = url;
        for _ in 0..MOVES_MAX {
            match self.pages.get(at) {
                Some(Told::Moved { to }) => at = to,
                told => return (at, told),
            }
        }
        (at, self.pages.get(at))
    }

    fn seed(
        &self,
        seed: &Seed,
        tries: &[Address],
        room: &mut usize,
        cards: &mut BTreeMap<String, CardReport>,
    ) -> SeedReport {
        let tries: Vec<String> = tries.iter().map(Address::normal).collect();
        let all: Vec<_> = tries.iter().map(|url| self.follow(url)).collect();
        let good = |told: &Option<&Told>| matches!(told, Some(Told::Catalog { .. } | Told::Card { .. }));
        let best = all.iter().find(|(_, told)| good(told)).or_else(|| all.last());
        let (url, told) = best.copied().unwrap_or(("", None));
        let (state, why) = standing(told);
        let mut one = SeedReport {
            seed: seed.text.clone(),
            state,
            why,
            url: url.to_owned(),
            catalog: None,
            entries: Vec::new(),
        };
        match told {
            Some(Told::Catalog { faults, others, .. }) => {
                one.catalog = Some(CatalogReport { faults: faults.clone(), others: *others });
                let (mut seen, mut waiting) = (BTreeSet::from([url.to_owned()]), vec![url]);
                while let Some(next) = waiting.pop() {
                    self.entries(
                        next,
                        &mut one.entries,
                        room,
                        cards,
                        &mut |url| {
                            if seen.insert(url.to_owned()) { Some(url) } else { None }
                        },
                        &mut waiting,
                    );
                }
            }
            Some(Told::Card { .. }) => {
                let url = url.to_owned();
                self.card(&url, cards);
                let (identifier, contradictions) = (None, Vec::new());
                one.entries.push(EntryReport { identifier, url, state, why: None, contradictions });
            }
            _ => {}
        }
        one
    }

    /// The cards of a catalog, and the catalogs in it that were not looked at yet.
    fn entries<'s>(
        &'s self,
        catalog: &str,
        entries: &mut Vec<EntryReport>,
        room: &mut usize,
        cards: &mut BTreeMap<String, CardReport>,
        fresh: &mut dyn FnMut(&'s str) -> Option<&'s str>,
        waiting: &mut Vec<&'s str>,
    ) {
        let Some(Told::Catalog { links, .. }) = self.pages.get(catalog) else { return };
        for link in links {
            if *room == 0 || entries.len() >= ENTRIES_PER_SEED_MAX {
                return;
            }
            let (url, told) = self.follow(&link.url);
            if link.catalog {
                waiting.extend(fresh(url));
                if matches!(told, Some(Told::Catalog { .. })) {
                    continue;
                }
            }
            *room -= 1;
            let (state, why) = standing(told);
            let mut contradictions = Vec::new();
            if let Some(card) = self.card(url, cards) {
                let fetched = Address::parse(url).ok();
                let found = link.entry().map(|entry| contradict::entry(&card, &entry, fetched.as_ref()));
                contradictions = found.unwrap_or_default();
            }
            let identifier = Some(link.identifier.clone());
            entries.push(EntryReport { identifier, url: url.to_owned(), state, why, contradictions });
        }
    }

    /// Reads a card and puts it among the others.
    fn card(&self, url: &str, cards: &mut BTreeMap<String, CardReport>) -> Option<Card> {
        let Some(Told::Card { faults, bytes, .. }) = self.pages.get(url) else { return None };
        let card = card::read(bytes, card::Options { auth: self.auth }).ok()?.value;
        if !cards.contains_key(url) {
            cards.insert(url.to_owned(), self.card_report(&card, faults));
        }
        Some(card)
    }

    fn card_report(&self, card: &Card, faults: &[String]) -> CardReport {
        let mut contradictions: Vec<Contradiction> = Vec::new();
        let mut remotes = Vec::new();
        for remote in &card.remotes {
            let url = remote.plain_url();
            let live = url.as_ref().and_then(|url| self.live.get(&url.normal())).cloned();
            if let (Some(url), Some(answered)) = (&url, &live)
                && let Some(live) = answered.live(url)
            {
                let found = contradict::live(card, &live);
                contradictions.extend(
                    found.into_iter().filter(|one| !contradictions.contains(one)).collect::<Vec<_>>(),
                );
            }
            remotes.push(RemoteReport {
                url: remote.url.clone(),
                kind: remote.kind.word(),
                versions: remote.supported_protocol_versions.clone(),
                live,
            });
        }
        CardReport {
            name: card.name.clone(),
            version: card.version.clone(),
            title: card.title.clone(),
            description: card.description.clone(),
            faults: faults.to_vec(),
            remotes,
            contradictions,
        }
    }
}

fn standing(told: Option<&Told>) -> (State, Option<String>) {
    match told {
        Some(Told::Catalog { .. } | Told::Card { .. } | Told::Live(_)) => (State::Found, None),
        Some(Told::Absent { why }) => (State::Absent, Some(why.clone())),
        Some(Told::Refused { faults }) => (State::Refused, Some(faults.join("; "))),
        Some(Told::Unreachable { why }) => (State::Unreachable, Some(why.clone())),
        Some(Told::Moved { .. }) => (State::Refused, Some("it is moved in a circle".to_owned())),
        None => (State::NotAsked, None),
    }
}

fn summary(report: &Report) -> Summary {
    let count = |state: State| report.seeds.iter().filter(|seed| seed.state == state).count();
    let of_entries = report.seeds.iter().flat_map(|seed| &seed.entries).flat_map(|one| &one.contradictions);
    let of_cards = report.cards.values().flat_map(|card| &card.contradictions);
    let severities: Vec<Severity> = of_entries.chain(of_cards).map(|one| one.severity).collect();
    let weigh = |severity: Severity| severities.iter().filter(|one| **one == severity).count();
    let remotes = report.cards.values().flat_map(|card| &card.remotes);
    let answered =
        remotes.filter(|remote| remote.live.as_ref().is_some_and(|live| live.standing == Standing::Answered));
    Summary {
        seeds: report.seeds.len(),
        found: count(State::Found),
        absent: count(State::Absent),
        refused: count(State::Refused),
        unreachable: count(State::Unreachable),
        cards: report.cards.len(),
        answered: answered.count(),
        serious: weigh(Severity::Serious),
        warnings: weigh(Severity::Warning),
    }
}
