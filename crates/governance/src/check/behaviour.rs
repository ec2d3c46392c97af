//! How a ruleset behaves: whether anything can be accepted, and whether anybody can do it alone.

use std::collections::BTreeMap;

use super::Fault;
use super::run::{Others, Run, Trial};
use crate::engine::Engine;
use crate::limits::RUNS_MAX;
use crate::ruleset::{Body, Glob, Part, Risk, Then, Track};
use crate::state::NewProposal;

/// Tries each track with each domain, risk and kind of area.
///
/// # Errors
/// Tracks on which nobody can be successful, and those on which somebody is alone.
pub(crate) fn behaviour(engine: &Engine) -> Result<(), Vec<Fault>> {
    // A grant that has run out is no reason to refuse the rules, so it is tried as if it had not; and a
    // reminder changes nothing.
    let mut rules = engine.rules().clone();
    for grant in &mut rules.delegation.grants {
        grant.until = None;
    }
    for track in &mut rules.tracks {
        track.deadlines.retain(|deadline| deadline.then != Then::Ping);
    }
    let engine = &Engine::unchecked(rules);
    let (proposers, single) = (proposers(engine, true), proposers(engine, false));
    let mut faults = Vec::new();
    let mut runs = 0;
    for track in &engine.rules().tracks {
        let trials = trials(engine, track);
        if trials.is_empty() {
            let place = format!("tracks.{}", track.name);
            faults.push(Fault::new(&place, "tracks before it take everything that it would take"));
        }
        for (what, trial) in trials {
            runs += proposers.len() + 2 * single.len();
            if runs > RUNS_MAX {
                let message =
                    format!("there are more than {RUNS_MAX} cases to try: name fewer tracks or domains");
                faults.push(Fault::new("tracks", message));
                return Err(faults);
            }
            let place = format!("tracks.{}{what}", track.name);
            // One example of each track is enough to see what is wrong.
            let found = deadlock(engine, &place, &trial, &proposers)
                .or_else(|| alone(engine, &place, &trial, &single));
            if let Some(fault) = found {
                faults.push(fault);
                break;
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// One person for each set of qualities that a rule could ask for. `sides`: organizations and teams too,
/// which say nothing where only one person does anything.
fn proposers(engine: &Engine, sides: bool) -> Vec<String> {
    let rules = engine.rules();
    let mut of = BTreeMap::new();
    for person in &rules.people {
        let groups: Vec<&String> =
            rules.groups.iter().filter(|g| g.members.contains(&person.name)).map(|g| &g.name).collect();
        let own = named(engine, &person.name).then_some(&person.name);
        let sides = sides.then_some((&person.organization, &person.team));
        of.entry((&person.role, groups, sides, own)).or_insert_with(|| person.name.clone());
    }
    of.into_values().collect()
}

/// Whether a track asks for this very person. Others who do (a veto, a level) do not propose by it.
fn named(engine: &Engine, name: &str) -> bool {
    let asks = |body: &Body| body.0.iter().any(|part| matches!(part, Part::Person(person) if person == name));
    engine.rules().tracks.iter().any(|track| {
        let gates = track.gates();
        let votes = gates.iter().flat_map(|gate| &gate.votes).map(|rule| &rule.from);
        let decisions = gates.iter().filter_map(|gate| gate.decision.as_ref()).map(|rule| &rule.by);
        let evidence = gates.iter().flat_map(|gate| &gate.evidence).map(|rule| &rule.from);
        let blocks = gates.iter().filter_map(|gate| gate.lazy.as_ref()).map(|lazy| &lazy.blocks);
        [&track.propose].into_iter().chain(votes).chain(decisions).chain(evidence).chain(blocks).any(asks)
    })
}

/// What is tried on a track, with words for it.
fn trials(engine: &Engine, track: &Track) -> Vec<(String, Trial)> {
    let rules = engine.rules();
    let risks: Vec<Risk> = if track.risks.is_empty() { Risk::ALL.to_vec() } else { track.risks.clone() };
    let domains = rules.domains.iter().filter_map(|domain| {
        let mut examples = domain.records.iter().map(|glob| vec![glob.example()]);
        let own = |records: &Vec<String>| engine.domain_of(records).is_some_and(|d| d.name == domain.name);
        Some((format!(", domain {}", domain.name), examples.find(own)?))
    });
    let mut places = vec![(String::new(), Vec::new())];
    places.extend(domains.filter(|_| track.delegated.is_some() && rules.delegation.enabled));
    let mut trials = Vec::new();
    for risk in risks {
        // Beyond the choice of the track nothing asks for a kind.
        let Some(kind) = track.kinds.iter().map(Glob::example).find(|kind| takes(engine, track, kind, risk))
        else {
            continue;
        };
        for (place, records) in &places {
            for area in areas(engine) {
                for emergency in [false, true] {
                    if emergency && engine.emergency_for(risk).is_none() {
                        continue;
                    }
                    let (kind, records, area) = (kind.clone(), records.clone(), area.clone());
                    let trial = Trial { proposer: String::new(), kind, records, risk, area, emergency };
                    trials.push((words(place, &trial), trial));
                }
            }
        }
    }
    trials
}

fn words(place: &str, trial: &Trial) -> String {
    let area = trial.area.as_ref().map_or(String::new(), |area| format!(", area {area}"));
    let path = if trial.emergency { ", emergency" } else { "" };
    format!("{place}, risk {}{area}{path}", trial.risk.as_str())
}

/// Whether a kind of change and a risk go by this track, and by none before it.
fn takes(engine: &Engine, track: &Track, kind: &str, risk: Risk) -> bool {
    let new = NewProposal { kind: kind.to_owned(), risk, ..NewProposal::default() };
    engine.track_for(&new).is_some_and(|taken| taken.name == track.name)
}

/// No area, and those that ask for the fewest and the most votes.
fn areas(engine: &Engine) -> Vec<Option<String>> {
    let areas = &engine.rules().priorities.areas;
    let usual = engine.rules().priorities.others.as_ref().map_or(0, |weight| weight.votes);
    let fewest = areas.iter().min_by_key(|area| area.weight.votes).filter(|area| area.weight.votes < usual);
    let most = areas.iter().max_by_key(|area| area.weight.votes).filter(|area| area.weight.votes > usual);
    let declared = [fewest, most].into_iter().flatten().map(|area| Some(area.name.clone()));
    [None].into_iter().chain(declared).collect()
}

/// Nobody is successful, although everybody helps.
fn deadlock(engine: &Engine, place: &str, trial: &Trial, proposers: &[String]) -> Option<Fault> {
    let mut stuck = None;
    for proposer in proposers {
        let trial = Trial { proposer: proposer.clone(), ..trial.clone() };
        let Some(run) = Run::of(engine, &trial, Others::Help) else { continue };
        if run.stands() {
            return None;
        }
        stuck = stuck.or(Some(run.witness(None)));
    }
    let message = match &stuck {
        Some(_) => "nobody can have anything accepted, even if everybody agrees",
        None => "nobody may propose anything",
    };
    let fault = Fault::new(place, message);
    Some(match stuck {
        Some(witness) => fault.shown(witness),
        None => fault,
    })
}

/// Somebody is successful without anybody else, although the rules do not say so openly.
fn alone(engine: &Engine, place: &str, trial: &Trial, proposers: &[String]) -> Option<Fault> {
    if engine.rules().solo {
        return None;
    }
    for proposer in proposers {
        let trial = Trial { proposer: proposer.clone(), ..trial.clone() };
        let silent = Run::of(engine, &trial, Others::Silent)
            .filter(|run| run.accepted() && (!run.proposal().hands.is_empty() || !asks_silence(engine, run)));
        let against = || Run::of(engine, &trial, Others::Object).filter(Run::accepted);
        if let Some(run) = silent.or_else(against) {
            let end = format!("{proposer} alone had it accepted; where that is meant, say solo: true");
            let message = "one person can have something accepted without anybody else";
            return Some(Fault::new(place, message).shown(run.witness(Some(&end))));
        }
    }
    None
}

/// Whether the track openly takes silence for consent. Whether anybody can break it is then tried.
fn asks_silence(engine: &Engine, run: &Run<'_>) -> bool {
    engine.track(run.proposal()).is_some_and(|track| {
        [Some(&track.acceptance), track.delegated.as_ref()]
            .into_iter()
            .flatten()
            .any(|gate| gate.lazy.is_some())
    })
}
