//! Proposals of a synthetic year.

use model::{Rng, SeededRng};
use serde::{Deserialize, Serialize};

use crate::ruleset::{Risk, Ruleset};

/// What the synthetic year is like. The defaults are documented with their grounds in `docs/governance.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Everything else follows from it.
    pub seed: u64,
    /// How many days proposals come.
    pub days: u32,
    /// How many come in thirty days.
    pub per_month: u32,
    /// So many of a hundred are of one domain; the others touch several, or none.
    pub in_domain_percent: u32,
    /// So many of a hundred have a high risk: a breaking change.
    pub high_risk_percent: u32,
    /// So many of a hundred are of a declared area.
    pub priority_percent: u32,
    /// So many of a hundred are contested: people say no, or block.
    pub contested_percent: u32,
    /// So many of a hundred go by the first track; the others by those after it that their author may use.
    pub first_track_percent: u32,
    /// The least and the most days of work until a draft can be reviewed, and again until it is complete.
    pub work_days: (u32, u32),
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            seed: 2026,
            days: 360,
            per_month: 10,
            in_domain_percent: 70,
            high_risk_percent: 20,
            priority_percent: 40,
            contested_percent: 15,
            first_track_percent: 85,
            work_days: (5, 60),
        }
    }
}

/// A proposal that comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// On which day of the year, from 0.
    pub day: u32,
    /// Who proposes, as a number that is taken among those who may.
    pub author: u64,
    /// Of which kind.
    pub kind: String,
    /// What it changes.
    pub records: Vec<String>,
    /// How much harm it can do.
    pub risk: Risk,
    /// To which declared area it belongs.
    pub area: Option<String>,
    /// Whether people say no, or block.
    pub contested: bool,
    /// Days of work until it can be reviewed.
    pub work_days: u32,
    /// Days of work from its acceptance until it is complete.
    pub completion_days: u32,
}

/// Chance with a bound.
pub(super) struct Chance(SeededRng);

impl Chance {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }

    /// From 0 to below `bound`; 0 where that is 0.
    pub fn below(&self, bound: usize) -> usize {
        let bound = (bound as u64).max(1);
        usize::try_from(self.0.next_u64() % bound).unwrap_or(0)
    }

    /// True so many times of a hundred.
    pub fn percent(&self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        self.0.next_u64()
    }
}

/// The proposals of a synthetic year, for the domains, tracks and areas of a ruleset.
#[must_use]
pub fn stream(rules: &Ruleset, parameters: &Parameters) -> Vec<Arrival> {
    let chance = Chance::new(parameters.seed);
    let count = u64::from(parameters.days) * u64::from(parameters.per_month) / 30;
    let count = usize::try_from(count).unwrap_or(0).min(crate::limits::OPEN_MAX);
    let mut days: Vec<u32> = (0..count).map(|_| day(&chance, parameters.days)).collect();
    days.sort_unstable();
    days.into_iter().map(|day| arrival(rules, parameters, &chance, day)).collect()
}

fn day(chance: &Chance, days: u32) -> u32 {
    u32::try_from(chance.below(days as usize)).unwrap_or(0)
}

fn arrival(rules: &Ruleset, parameters: &Parameters, chance: &Chance, day: u32) -> Arrival {
    let risk = if chance.percent(parameters.high_risk_percent) { Risk::High } else { Risk::Medium };
    let track =
        if chance.percent(parameters.first_track_percent) { 0 } else { chance.below(rules.tracks.len()) };
    // The first track from there that takes the risk.
    let from = rules.tracks.iter().cycle().skip(track).take(rules.tracks.len());
    let takes = from.into_iter().find(|track| track.risks.is_empty() || track.risks.contains(&risk));
    let kind = takes.and_then(|track| track.kinds.first()).map_or_else(String::new, |kind| kind.example());
    let domain = |chance: &Chance| {
        let domain = rules.domains.get(chance.below(rules.domains.len()))?;
        domain.records.first().map(|glob| glob.example())
    };
    let own = chance.percent(parameters.in_domain_percent);
    let (one, another) = (domain(chance), domain(chance));
    let records = match own {
        true => one.into_iter().collect(),
        false => one.into_iter().chain(another).chain(["other:shared".to_owned()]).collect(),
    };
    let areas = &rules.priorities.areas;
    let area = areas.get(chance.below(areas.len())).filter(|_| chance.percent(parameters.priority_percent));
    let (least, most) = parameters.work_days;
    let work = |chance: &Chance| {
        least + u32::try_from(chance.below(most.saturating_sub(least) as usize + 1)).unwrap_or(0)
    };
    Arrival {
        day,
        author: chance.number(),
        kind,
        records,
        risk,
        area: area.map(|area| area.name.clone()),
        contested: chance.percent(parameters.contested_percent),
        work_days: work(chance),
        completion_days: work(chance),
    }
}
