//! Where what an upstream offers is in its life, and how that is told.

use std::sync::Arc;

use config::{LifeStage, Lifecycle, LifecycleRule};
use model::Timestamp;
use protocol::Raw;
use protocol::json::Object;
use serde_json::json;

/// Where something is in its life. A key of ours in the `_meta` of a list's entries and of what an endpoint
/// says of itself; see `docs/extensions/lifecycle.md`.
pub const LIFECYCLE: &str = "io.tidegate/lifecycle";

/// Where an upstream and what it offers is in its life.
#[derive(Debug, Clone, Default)]
pub struct Life {
    own: Lifecycle,
    rules: Arc<[LifecycleRule]>,
    turns: Turns,
}

/// Moments at which something may come to be elsewhere in its life, in order.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<[Timestamp]>);

impl Turns {
    /// Those of all of these.
    pub fn of<'a>(lives: impl IntoIterator<Item = &'a Lifecycle>) -> Self {
        Self::sorted(lives.into_iter().flat_map(Lifecycle::turns).collect())
    }

    fn sorted(mut turns: Vec<Timestamp>) -> Self {
        turns.sort_unstable();
        turns.dedup();
        Self(turns.into())
    }

    /// Those of several, and of one more.
    pub(crate) fn merged<'a>(all: impl IntoIterator<Item = &'a Self>, more: &Lifecycle) -> Self {
        let mut turns: Vec<_> = all.into_iter().flat_map(|turns| turns.0.iter().copied()).collect();
        turns.extend(more.turns());
        Self::sorted(turns)
    }

    /// How many have passed: as long as that is the same, nothing is elsewhere.
    #[must_use]
    pub fn passed(&self, now: Timestamp) -> usize {
        self.0.partition_point(|turn| *turn <= now)
    }

    /// The one that is next.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.get(self.passed(now)).copied()
    }
}

impl Life {
    /// As the operator has it.
    #[must_use]
    pub fn of(section: &config::Upstream) -> Self {
        let own = section.lifecycle.clone().unwrap_or_default();
        let rules: Arc<[LifecycleRule]> = section.lifecycles.clone().into();
        let turns = Turns::of(rules.iter().map(|rule| &rule.lifecycle).chain([&own]));
        Self { own, rules, turns }
    }

    /// Whether everything of it is active and stays so.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.own.is_plain() && self.rules.is_empty()
    }

    /// When it may be elsewhere.
    #[must_use]
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Where the upstream itself is.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> LifeStage {
        self.own.at(now)
    }

    fn rule(&self, own: &str) -> Option<&LifecycleRule> {
        self.rules.iter().find(|rule| rule.names.iter().any(|names| names.matches(own)))
    }

    /// The life of what the upstream calls `own`.
    #[must_use]
    pub fn of_entry(&self, own: &str) -> &Lifecycle {
        self.rule(own).map_or(&self.own, |rule| &rule.lifecycle)
    }

    /// Whether the upstream may be offered at a place, whatever of it is.
    #[must_use]
    pub fn is_offered(&self, now: Timestamp, experimental: bool) -> bool {
        self.stage(now).is_offered(experimental)
    }

    /// Whether what the upstream calls `own` is offered at a place.
    #[must_use]
    pub fn offers(&self, own: &str, now: Timestamp, experimental: bool) -> bool {
        self.is_offered(now, experimental) && self.of_entry(own).at(now).is_offered(experimental)
    }

    /// What is told of what the upstream calls `own`; `None`: there is nothing to say. `named` gives the name
    /// of a replacement as clients know it.
    #[must_use]
    pub fn told(&self, own: &str, now: Timestamp, named: impl FnOnce(&str) -> String) -> Option<Raw> {
        // What takes the place of an upstream takes that of no entry by itself.
        let Some(LifecycleRule { lifecycle, .. }) = self.rule(own) else { return told(&self.own, now, None) };
        let replacement = lifecycle.replacement.as_deref().map(named);
        told(lifecycle, now, replacement.as_deref())
    }
}

/// What is told of a life; `None`: there is nothing to say.
#[must_use]
pub fn told(life: &Lifecycle, now: Timestamp, replacement: Option<&str>) -> Option<Raw> {
    if life.is_plain() {
        return None;
    }
    let mut told = json!({"state": life.at(now).as_str()});
    for (member, day) in [("deprecatedOn", life.deprecated_on), ("removedOn", life.removed_on)] {
        if let Some(day) = day {
            told[member] = json!(day.to_string());
        }
    }
    if let Some(replacement) = replacement {
        told["replacement"] = json!(replacement);
    }
    Some(Raw::from_value(&told))
}

/// The same object, whose `_meta` says so besides all that it said.
pub(crate) fn with_told(object: &Object, told: Raw) -> Raw {
    with_meta(object, LIFECYCLE, told)
}

/// The same with one more entry in its `_meta`.
pub(crate) fn with_meta(object: &Object, key: &'static str, value: Raw) -> Raw {
    let meta =
        object.get("_meta").and_then(|meta| meta.object().ok().flatten()).unwrap_or_else(Object::empty);
    object.edit().set("_meta", meta.edit().set(key, value).finish()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(yaml: &str) -> Life {
        let text = format!("upstreams: {{crm: {{url: 'http://a', {yaml}}}}}");
        let config = config::load_str(&text, "f").unwrap_or_else(|faults| panic!("{faults}"));
        Life::of(&config.upstreams["crm"])
    }

    fn at(day: &str) -> Timestamp {
        day.parse::<config::Day>().expect("a day").begins()
    }

    #[test]
    fn a_day_that_comes_moves_what_it_is_about_and_nothing_else() {
        let life = life(
            "lifecycles: [{names: ['old_*'], lifecycle: {deprecated_on: 2026-12-01, removed_on: 2027-12-01, \
             replacement: new}}, {names: ['old_x'], lifecycle: {state: removed}}]",
        );
        let stage = |day: &str| life.of_entry("old_x").at(at(day));
        assert_eq!(stage("2026-11-30"), LifeStage::Active);
        assert_eq!(life.of_entry("old_x").at(Timestamp(at("2026-12-01").0 - 1)), LifeStage::Active);
        assert_eq!(stage("2026-12-01"), LifeStage::Deprecated);
        assert_eq!(stage("2027-12-01"), LifeStage::Removed, "the first rule that fits is the one");
        assert!(
            life.offers("old_x", at("2027-11-30"), false) && !life.offers("old_x", at("2027-12-01"), true)
        );
        assert!(life.offers("other", at("2030-01-01"), false));
        let told = life.told("old_x", at("2026-12-24"), |own| format!("crm_{own}")).expect("it is to go");
        let expected = json!({
            "state": "deprecated", "deprecatedOn": "2026-12-01", "removedOn": "2027-12-01",
            "replacement": "crm_new",
        });
        assert_eq!(told.to_value(), expected);
        assert!(life.told("other", at("2026-12-24"), str::to_owned).is_none());
        let turns = life.turns();
        assert_eq!((turns.passed(at("2026-11-30")), turns.passed(at("2026-12-01"))), (0, 1));
        assert_eq!(turns.next(at("2026-12-01")), Some(at("2027-12-01")));
        assert_eq!(turns.next(at("2027-12-01")), None);
    }

    #[test]
    fn what_is_experimental_is_offered_where_it_is_wanted_and_what_is_proposed_nowhere() {
        let now = at("2026-12-01");
        let trial = life(
            "lifecycle: {state: experimental}, lifecycles: [{names: [p], lifecycle: {state: proposed}}]",
        );
        assert!(
            trial.offers("a", now, true) && !trial.offers("a", now, false) && !trial.offers("p", now, true)
        );
        let gone = life("lifecycle: {state: removed}, lifecycles: [{names: [a], lifecycle: {}}]");
        assert!(!gone.offers("a", now, true), "nothing outlives its upstream");
        let plain = life("description: x");
        assert!(
            plain.is_plain()
                && plain.offers("a", now, false)
                && plain.told("a", now, str::to_owned).is_none()
        );
    }
}
