//! What a change does to the life of its records: as its files say, and as its author says where they say
//! nothing.

use governance::{Effect, Engine, Stage, State};
use model::Timestamp;

use crate::desk::Look;

/// What a change does to the life of its records.
///
/// # Errors
/// Why not, in words: its author says something else than the files, or something would be removed by itself
/// before the rules allow it.
pub fn effect_of(
    engine: &Engine,
    state: &State,
    look: &Look,
    said: Option<Effect>,
    now: Timestamp,
) -> Result<Effect, String> {
    let stage = |record: &String| state.records.get(record).map_or(Stage::Active, |known| known.stage);
    let found = match &look.effect {
        // Nobody decided here that they are deprecated, so that there is nothing to take back.
        Effect::Restore
            if !look.records.keys().all(|r| matches!(stage(r), Stage::Deprecated | Stage::Removed)) =>
        {
            Effect::Change
        }
        found => found.clone(),
    };
    let effect = agreed(said, found)?;
    in_time(engine, state, look, &effect, now)?;
    Ok(effect)
}

fn agreed(said: Option<Effect>, found: Effect) -> Result<Effect, String> {
    let refused = |text: &str| Err(text.to_owned());
    let Some(said) = said else { return Ok(found) };
    match (said, found) {
        (Effect::Remove, Effect::Remove) => Ok(Effect::Remove),
        (_, Effect::Remove) => refused("something goes by this change, so that its effect is a removal"),
        (Effect::Remove, _) => refused("nothing goes by this change, so that it is no removal"),
        (Effect::Deprecate { replacement, expedited }, Effect::Deprecate { replacement: named, .. }) => {
            if replacement.is_some() && named.is_some() && replacement != named {
                return refused("the files name something else that takes the place");
            }
            Ok(Effect::Deprecate { replacement: replacement.or(named), expedited })
        }
        (_, Effect::Deprecate { .. }) => {
            refused("something is to go by this change, so that its effect is a deprecation")
        }
        (Effect::Restore, Effect::Restore) => Ok(Effect::Restore),
        (_, Effect::Restore) => {
            refused("something stays after all by this change: its effect is to restore it")
        }
        (
            Effect::Introduce { stage: Stage::Experimental },
            Effect::Introduce { stage: Stage::Experimental },
        ) => Ok(Effect::Introduce { stage: Stage::Experimental }),
        (_, Effect::Introduce { stage: Stage::Experimental }) => {
            refused("what comes in by this change is experimental, as its files say")
        }
        (said, Effect::Change | Effect::Introduce { .. }) => Ok(said),
    }
}

/// That nothing goes by itself, on a day that stands in the files, before it was deprecated for its time.
fn in_time(
    engine: &Engine,
    state: &State,
    look: &Look,
    effect: &Effect,
    now: Timestamp,
) -> Result<(), String> {
    let (rules, calendar) = (&engine.rules().lifecycle, &engine.rules().calendar);
    let expedited = matches!(effect, Effect::Deprecate { expedited: true, .. });
    let Some(window) = rules.expedited.filter(|_| expedited).or(rules.window) else { return Ok(()) };
    for (record, goes) in &look.goes {
        let known = state.records.get(record).filter(|known| known.stage == Stage::Deprecated);
        let known = known.and_then(|known| known.removable);
        let earliest = known.unwrap_or_else(|| calendar.due(goes.from.unwrap_or(now).max(now), window));
        if goes.at < earliest {
            return Err(format!(
                "{record} would be removed by itself on {}, and by the rules not before {}",
                calendar.date(goes.at),
                calendar.date(earliest)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use governance::{Record, Ruleset, preset};

    use super::*;
    use crate::Goes;

    const DAY: u64 = 24 * 3_600_000;

    /// Three months lie between a deprecation and a removal, two weeks where it is expedited.
    fn engine() -> Engine {
        let text = preset("enterprise").unwrap().text;
        Engine::new(Ruleset::from_yaml(text).unwrap()).unwrap()
    }

    fn look(effect: Effect, goes_in: Option<u64>, from: Option<u64>) -> Look {
        let at = |days: u64| Timestamp(days * DAY);
        let goes = goes_in.map(|days| ("upstream:a".to_owned(), Goes { from: from.map(at), at: at(days) }));
        let records = BTreeMap::from([("upstream:a".to_owned(), "h".to_owned())]);
        Look { effect, records, goes: goes.into_iter().collect(), ..Look::default() }
    }

    fn deprecate(replacement: Option<&str>, expedited: bool) -> Effect {
        Effect::Deprecate { replacement: replacement.map(str::to_owned), expedited }
    }

    #[test]
    fn what_the_files_say_of_a_life_counts_more_than_what_an_author_says() {
        let (engine, state) = (engine(), State::default());
        let of = |said: Option<Effect>, found: Effect| {
            effect_of(&engine, &state, &look(found, None, None), said, Timestamp(0))
        };
        let trial = || Effect::Introduce { stage: Stage::Experimental };
        let active = || Effect::Introduce { stage: Stage::Active };
        let to = || deprecate(Some("upstream:b"), false);
        for (said, found, expected) in [
            (None, to(), Some(to())),
            (Some(deprecate(None, true)), to(), Some(deprecate(Some("upstream:b"), true))),
            (Some(deprecate(Some("upstream:c"), false)), to(), None),
            (Some(Effect::Change), to(), None),
            (Some(Effect::Change), Effect::Remove, None),
            (Some(Effect::Remove), Effect::Remove, Some(Effect::Remove)),
            (Some(Effect::Remove), Effect::Change, None),
            (Some(active()), trial(), None),
            (Some(trial()), active(), Some(trial())),
            (Some(to()), Effect::Change, Some(to())),
            // Nobody deprecated it by these rules, so that there is nothing to take back.
            (None, Effect::Restore, Some(Effect::Change)),
        ] {
            assert_eq!(of(said.clone(), found.clone()).ok(), expected, "{said:?} of {found:?}");
        }
    }

    #[test]
    fn nothing_goes_by_itself_before_it_was_deprecated_for_its_time() {
        let engine = engine();
        let of = |state: &State, days: u64, from: Option<u64>, expedited: bool| {
            let look = look(deprecate(None, false), Some(days), from);
            effect_of(&engine, state, &look, Some(deprecate(None, expedited)), Timestamp(0))
        };
        let none = State::default();
        assert!(of(&none, 95, None, false).is_ok());
        let refused = of(&none, 60, None, false).unwrap_err();
        assert!(refused.contains("upstream:a would be removed by itself on "), "{refused}");
        assert!(of(&none, 60, None, true).is_ok() && of(&none, 10, None, true).is_err());
        assert!(of(&none, 95, Some(30), false).is_err(), "the time begins when it is deprecated");
        // One that is deprecated already may go when it may be removed.
        let (stage, removable) = (Stage::Deprecated, Some(Timestamp(20 * DAY)));
        let record = Record { stage, since: Timestamp(0), removable, replacement: None };
        let records = BTreeMap::from([("upstream:a".to_owned(), record)]);
        let known = State { records, ..State::default() };
        assert!(of(&known, 20, None, false).is_ok() && of(&known, 19, None, false).is_err());
    }
}
