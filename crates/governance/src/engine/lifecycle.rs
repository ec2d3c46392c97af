//! The life of records: what is deprecated stays for a while.

use model::Timestamp;

use super::Engine;
use super::demand::Demand;
use super::work::Work;
use crate::command::Rule;
use crate::state::{Effect, Proposal, Record, Stage, State, What};

impl Engine {
    /// What the life of its records demands of a proposal.
    pub(crate) fn lifecycle(&self, state: &State, proposal: &Proposal, now: Timestamp) -> Vec<Demand> {
        let rules = &self.rules.lifecycle;
        let stage = |record: &String| state.records.get(record).map_or(Stage::Active, |known| known.stage);
        let records = &proposal.new.records;
        match &proposal.new.effect {
            Effect::Change | Effect::Introduce { .. } => Vec::new(),
            Effect::Deprecate { replacement, expedited } => {
                let mut demands = Vec::new();
                if rules.replacement {
                    let known = replacement.as_ref().and_then(|name| state.records.get(name));
                    let met = known.is_some_and(|known| known.stage == Stage::Active);
                    let have = replacement.clone().unwrap_or_else(|| "none is named".to_owned());
                    let demand = "an active record takes its place".to_owned();
                    demands.push(Demand::of(Rule::Lifecycle, demand, &have, met));
                }
                if *expedited {
                    let met = rules.expedited.is_some();
                    let demand = "the rules know an expedited deprecation".to_owned();
                    demands.push(Demand::of(Rule::Lifecycle, demand, if met { "yes" } else { "no" }, met));
                }
                demands
            }
            Effect::Restore => {
                let met = records.iter().all(|r| matches!(stage(r), Stage::Deprecated | Stage::Removed));
                let demand = "its records are deprecated or removed".to_owned();
                vec![Demand::of(Rule::Lifecycle, demand, if met { "they are" } else { "they are not" }, met)]
            }
            Effect::Remove => records.iter().filter_map(|r| self.removable(state, r, now)).collect(),
        }
    }

    /// What a removal of one record waits for. Without a window nothing stays.
    fn removable(&self, state: &State, record: &str, now: Timestamp) -> Option<Demand> {
        let window = self.rules.lifecycle.window?;
        let known = state.records.get(record).filter(|known| known.stage == Stage::Deprecated);
        let from = known.and_then(|known| known.removable);
        let met = from.is_some_and(|from| now >= from);
        let have = match from {
            Some(from) => format!("it may go from {}", self.rules.calendar.date(from)),
            None => "it is not deprecated".to_owned(),
        };
        let demand = format!("{record} was deprecated for its time, {window} as a rule");
        Some(Demand { next: from.filter(|_| !met), ..Demand::of(Rule::Lifecycle, demand, &have, met) })
    }

    fn after(&self, effect: &Effect, now: Timestamp) -> Option<Record> {
        let plain = |stage| Record { stage, since: now, removable: None, replacement: None };
        match effect {
            Effect::Change => None,
            Effect::Introduce { stage } => Some(plain(*stage)),
            Effect::Restore => Some(plain(Stage::Active)),
            Effect::Remove => Some(plain(Stage::Removed)),
            Effect::Deprecate { replacement, expedited } => {
                let rules = &self.rules.lifecycle;
                let window = rules.expedited.filter(|_| *expedited).or(rules.window);
                let removable = window.map_or(now, |window| self.rules.calendar.due(now, window));
                let (removable, replacement) = (Some(removable), replacement.clone());
                Some(Record { stage: Stage::Deprecated, since: now, removable, replacement })
            }
        }
    }
}

impl Work<'_> {
    /// What its records become when a proposal is applied.
    pub(super) fn change_records(&mut self) {
        let Some(to) = self.engine.after(&self.proposal.new.effect, self.now) else { return };
        let id = self.id();
        for record in self.proposal.new.records.clone() {
            self.emit(What::RecordChanged { id, record, to: Some(to.clone()) });
        }
    }
}
