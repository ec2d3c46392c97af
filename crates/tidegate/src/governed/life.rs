//! What a change of a configuration does to the life of its upstreams and endpoints.

use std::collections::BTreeMap;

use config::{Config, Day, LifeStage, Lifecycle};
use governance::{Effect, Stage};
use governor::Goes;
use model::Timestamp;

/// What it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lives {
    pub effect: Effect,
    /// What goes by itself one day, where that day is new.
    pub goes: BTreeMap<String, Goes>,
    /// The same in words.
    pub summary: Vec<String>,
}

fn lives(config: &Config) -> BTreeMap<String, Lifecycle> {
    let upstreams = config.upstreams.iter().map(|(name, one)| (format!("upstream:{name}"), &one.lifecycle));
    let endpoints = config.endpoints.iter().map(|(name, one)| (format!("endpoint:{name}"), &one.lifecycle));
    upstreams.chain(endpoints).map(|(record, life)| (record, life.clone().unwrap_or_default())).collect()
}

/// The record of what takes the place of another one.
fn record(config: &Config, name: &str) -> String {
    let kind = if config.endpoints.contains_key(name) { "endpoint" } else { "upstream" };
    format!("{kind}:{name}")
}

/// Whether it was decided that it is to go: it is deprecated, or will be by a day that is known.
fn is_to_go(life: &Lifecycle, now: Timestamp) -> bool {
    life.at(now) == LifeStage::Deprecated || life.deprecated_on.is_some() || life.removed_on.is_some()
}

/// What becomes of one that was there before.
fn turn(before: &Lifecycle, after: &Lifecycle, config: &Config, now: Timestamp) -> Effect {
    let (was, is) = (before.at(now), after.at(now));
    match (is_to_go(before, now), is_to_go(after, now)) {
        _ if is == LifeStage::Removed && was != LifeStage::Removed => Effect::Remove,
        _ if is == LifeStage::Removed => Effect::Change,
        _ if was == LifeStage::Removed => Effect::Restore,
        (false, true) => {
            let replacement = after.replacement.as_deref().map(|name| record(config, name));
            Effect::Deprecate { replacement, expedited: false }
        }
        (true, false) => Effect::Restore,
        _ => match (was, is) {
            (LifeStage::Proposed, LifeStage::Experimental) => {
                Effect::Introduce { stage: Stage::Experimental }
            }
            (LifeStage::Proposed | LifeStage::Experimental, LifeStage::Active) => {
                Effect::Introduce { stage: Stage::Active }
            }
            _ => Effect::Change,
        },
    }
}

/// What a change does, of which nothing but what stands in `touched` is a part.
///
/// # Errors
/// Where it does several things at once, of which each would count for all that is touched.
pub fn of<'a>(
    before: &Config,
    after: &Config,
    touched: impl Iterator<Item = &'a String>,
    now: Timestamp,
) -> Result<Lives, String> {
    let (old, new) = (lives(before), lives(after));
    let mut found = Lives::default();
    let mut effects: Vec<(&str, Effect)> = Vec::new();
    for record in touched {
        let effect = match (old.get(record), new.get(record)) {
            (Some(_), None) => Effect::Remove,
            (None, Some(life)) if life.at(now) == LifeStage::Experimental => {
                Effect::Introduce { stage: Stage::Experimental }
            }
            (None, Some(life)) if life.at(now).is_offered(false) => {
                Effect::Introduce { stage: Stage::Active }
            }
            (Some(before), Some(life)) => turn(before, life, after, now),
            _ => Effect::Change,
        };
        let (was, is) = (old.get(record).cloned().unwrap_or_default(), new.get(record));
        if let Some(is) = is.filter(|is| **is != was) {
            found.say(record, &was, is, now);
        }
        effects.push((record.as_str(), effect));
    }
    found.effect = one_of(&effects)?;
    Ok(found)
}

/// What the whole change counts as.
fn one_of(effects: &[(&str, Effect)]) -> Result<Effect, String> {
    let first = |fits: &dyn Fn(&Effect) -> bool| effects.iter().find(|(_, effect)| fits(effect));
    if first(&|effect| *effect == Effect::Remove).is_some() {
        return Ok(Effect::Remove);
    }
    // What is said of the whole change would be written down of each record.
    let alone = |effect: &Effect| matches!(effect, Effect::Deprecate { .. } | Effect::Restore);
    if let Some((record, effect)) = first(&alone) {
        return match effects.iter().find(|(_, other)| other != effect) {
            None => Ok(effect.clone()),
            Some((other, _)) => Err(format!(
                "something else becomes of {other} than of {record}, whose end this is about: \
                 propose it apart"
            )),
        };
    }
    let trial = Effect::Introduce { stage: Stage::Experimental };
    let all_on_trial = !effects.is_empty() && effects.iter().all(|(_, effect)| *effect == trial);
    let introduces = first(&|effect| matches!(effect, Effect::Introduce { .. })).is_some();
    Ok(match (all_on_trial, introduces) {
        (true, _) => trial,
        (false, true) => Effect::Introduce { stage: Stage::Active },
        (false, false) => Effect::Change,
    })
}

impl Lives {
    fn say(&mut self, record: &str, was: &Lifecycle, is: &Lifecycle, now: Timestamp) {
        if was.at(now) != is.at(now) {
            self.summary.push(format!("{record} becomes {}", is.at(now).as_str()));
        }
        if let Some(day) =
            is.deprecated_on.filter(|day| day.begins() > now && was.deprecated_on != Some(*day))
        {
            self.summary.push(format!("{record} becomes deprecated by itself on {day}"));
        }
        let Some(day) = is.removed_on.filter(|day| was.removed_on != Some(*day)) else { return };
        if day.begins() > now {
            self.summary.push(format!("{record} becomes removed by itself on {day}"));
        }
        // One that goes now is a removal, and one that goes later than it would have takes nothing away.
        if day.begins() > now && was.removed_on.is_none_or(|before| day < before) {
            let from = is.deprecated_on.map(Day::begins);
            self.goes.insert(record.to_owned(), Goes { from, at: day.begins() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-12-01".parse::<Day>().unwrap().begins()
    }

    fn found(before: &str, after: &str) -> Result<Lives, String> {
        let config = |upstreams: &str| {
            let text = format!("upstreams:\n  b: {{url: 'http://b'}}\n{upstreams}");
            config::load_str(&text, "f").unwrap_or_else(|faults| panic!("{faults}"))
        };
        let (before, after) = (config(before), config(after));
        let (old, new) = (lives(&before), lives(&after));
        let differs = |record: &&String| {
            let name = record.split_once(':').unwrap().1;
            before.upstreams.get(name) != after.upstreams.get(name)
        };
        let all: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).filter(differs).collect();
        of(&before, &after, all.into_iter(), now())
    }

    fn a(lifecycle: &str) -> String {
        format!("  a: {{url: 'http://a', lifecycle: {{{lifecycle}}}}}\n")
    }

    #[test]
    fn each_turn_of_a_life_is_an_effect() {
        let deprecate = Effect::Deprecate { replacement: Some("upstream:b".to_owned()), expedited: false };
        let introduce = |stage| Effect::Introduce { stage };
        for (before, after, effect) in [
            ("", "state: removed", Effect::Remove),
            ("removed_on: 2027-01-01", "removed_on: 2026-12-01", Effect::Remove),
            ("", "deprecated_on: 2027-01-01, replacement: b", deprecate.clone()),
            ("", "state: deprecated, deprecated_on: 2026-12-01, replacement: b", deprecate),
            ("state: deprecated, deprecated_on: 2026-11-01", "", Effect::Restore),
            ("state: removed", "state: deprecated, deprecated_on: 2026-11-01", Effect::Restore),
            ("state: removed", "", Effect::Restore),
            ("state: proposed", "state: experimental", introduce(Stage::Experimental)),
            ("state: experimental", "", introduce(Stage::Active)),
            ("state: proposed", "state: removed", Effect::Remove),
        ] {
            let found = found(&a(before), &a(after)).map(|found| found.effect);
            assert_eq!(found, Ok(effect), "{before} -> {after}");
        }
        assert_eq!(found("", &a("state: experimental")).unwrap().effect, introduce(Stage::Experimental));
        assert_eq!(found("", &a("state: proposed")).unwrap().effect, Effect::Change);
        assert_eq!(found(&a(""), "").unwrap().effect, Effect::Remove);
    }

    #[test]
    fn a_day_on_which_it_goes_is_told_where_it_is_sooner_than_before() {
        let found_goes = |before: &str, after: &str| found(&a(before), &a(after)).unwrap().goes;
        let day = |text: &str| text.parse::<Day>().unwrap().begins();
        let goes = found_goes("", "deprecated_on: 2027-01-01, removed_on: 2028-01-01");
        let expected = Goes { from: Some(day("2027-01-01")), at: day("2028-01-01") };
        assert_eq!(goes, BTreeMap::from([("upstream:a".to_owned(), expected)]));
        assert!(found_goes("removed_on: 2028-01-01", "removed_on: 2029-01-01").is_empty());
        assert_eq!(found_goes("removed_on: 2028-01-01", "removed_on: 2027-12-31").len(), 1);
        let said = found(&a(""), &a("deprecated_on: 2027-01-01, removed_on: 2028-01-01")).unwrap().summary;
        let expected = [
            "upstream:a becomes deprecated by itself on 2027-01-01",
            "upstream:a becomes removed by itself on 2028-01-01",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_deprecates_one_thing_changes_no_other() {
        let two = "  a: {url: 'http://a'}\n  c: {url: 'http://c'}\n";
        let other =
            "  a: {url: 'http://a', lifecycle: {deprecated_on: 2026-12-01}}\n  c: {url: 'http://x'}\n";
        let refused = found(two, other).unwrap_err();
        assert!(refused.contains("upstream:c") && refused.contains("upstream:a"), "{refused}");
    }
}
