//! What has no meaning, before anybody asks how it behaves.

use super::Fault;
use super::grants::grants;
use super::names::Faults;
use crate::limits::{HOLIDAYS_MAX, LIST_MAX, PEOPLE_MAX};
use crate::ruleset::{Deadline, Entry, Gate, Ruleset, Then, Track, VoteRule, Weight};
use crate::time::{Span, month_and_day};

/// Finds what has no meaning.
///
/// # Errors
/// All of it.
pub(crate) fn structure(rules: &Ruleset) -> Result<(), Vec<Fault>> {
    let mut faults = Faults { rules, found: Vec::new() };
    sizes(&mut faults);
    if !faults.found.is_empty() {
        return Err(faults.found);
    }
    names(&mut faults);
    calendar(&mut faults);
    people(&mut faults);
    domains(&mut faults);
    oversight(&mut faults);
    escalation(&mut faults);
    emergency(&mut faults);
    priorities(&mut faults);
    for track in &rules.tracks {
        self::track(&mut faults, track);
    }
    grants(&mut faults);
    if faults.found.is_empty() { Ok(()) } else { Err(faults.found) }
}

fn sizes(faults: &mut Faults<'_>) {
    let rules = faults.rules;
    let lists = [
        ("roles", rules.roles.len(), LIST_MAX),
        ("people", rules.people.len(), PEOPLE_MAX),
        ("groups", rules.groups.len(), LIST_MAX),
        ("domains", rules.domains.len(), LIST_MAX),
        ("delegation.grants", rules.delegation.grants.len(), LIST_MAX),
        ("priorities.areas", rules.priorities.areas.len(), LIST_MAX),
        ("tracks", rules.tracks.len(), LIST_MAX),
        ("calendar.holidays", rules.calendar.holidays.len(), HOLIDAYS_MAX),
        ("calendar.holidays_yearly", rules.calendar.holidays_yearly.len(), 366),
    ];
    for (place, len, max) in lists {
        if len > max {
            faults.add(place, format!("there are {len}, and there may be {max}"));
        }
    }
    if rules.people.is_empty() {
        faults.add("people", "there is nobody");
    }
    if rules.tracks.is_empty() {
        faults.add("tracks", "there is no way for a proposal to go");
    }
}

fn names(faults: &mut Faults<'_>) {
    let rules = faults.rules;
    faults.unique("name", [&rules.name].into_iter());
    faults.unique("roles", rules.roles.iter().map(|role| &role.name));
    faults.unique("people", rules.people.iter().map(|person| &person.name));
    faults.unique("groups", rules.groups.iter().map(|group| &group.name));
    faults.unique("domains", rules.domains.iter().map(|domain| &domain.name));
    faults.unique("tracks", rules.tracks.iter().map(|track| &track.name));
    faults.unique("priorities.areas", rules.priorities.areas.iter().map(|area| &area.name));
}

fn calendar(faults: &mut Faults<'_>) {
    let calendar = &faults.rules.calendar;
    for text in &calendar.holidays_yearly {
        if month_and_day(text).is_none() {
            let message = format!("{text:?} is no day of every year: write it as \"12-25\"");
            faults.add("calendar.holidays_yearly", message);
        }
    }
    if calendar.utc_offset_minutes.abs() > 14 * 60 {
        faults.add("calendar.utc_offset_minutes", "no place is further than 840 minutes from UTC");
    }
    if !calendar.has_business_days() {
        faults.add("calendar", "nobody ever works, so that nothing would ever be due");
    }
}

fn people(faults: &mut Faults<'_>) {
    let rules = faults.rules;
    for person in &rules.people {
        if let Some(role) = &person.role {
            faults.role(&format!("people.{}.role", person.name), role);
        }
    }
    for group in &rules.groups {
        let place = format!("groups.{}", group.name);
        faults.unique(&place, group.members.iter());
        for member in &group.members {
            faults.person(&place, member);
        }
    }
    faults.body("membership.removed_by", &rules.membership.removed_by, false);
    faults.body("membership.returned_by", &rules.membership.returned_by, false);
    for role in &rules.roles {
        if let Some(entry) = &role.entry {
            self::entry(faults, &format!("roles.{}.entry", role.name), entry);
        }
    }
}

fn entry(faults: &mut Faults<'_>, place: &str, entry: &Entry) {
    faults.body(place, &entry.nominate, false);
    if let Some(after) = &entry.after {
        faults.role(place, after);
    }
    if entry.votes.is_empty() {
        faults.add(place, "nobody has to agree, so that whoever is nominated has the role");
    }
    for rule in &entry.votes {
        vote(faults, place, rule, false);
        if rule.apart.is_some() {
            faults.add(place, "apart keeps people from judging a proposal; a nomination has no authors");
        }
    }
    if let Some(objection) = &entry.objection {
        faults.body(place, &objection.by, false);
    }
}

fn domains(faults: &mut Faults<'_>) {
    let rules = faults.rules;
    for (index, domain) in rules.domains.iter().enumerate() {
        let place = format!("domains.{}", domain.name);
        faults.group(&place, &domain.owners);
        if domain.records.is_empty() || domain.records.len() > LIST_MAX {
            faults.add(&place, format!("it has 1 to {LIST_MAX} patterns of records"));
        }
        for glob in &domain.records {
            let hidden = rules.domains[..index].iter().find(|before| before.records.contains(glob));
            if let Some(before) = hidden {
                faults.add(&place, format!("{glob} is of domain {} already, which comes first", before.name));
            }
            if !glob.as_str().contains(':') {
                faults.add(&place, format!("{glob} has no kind: write \"upstream:{glob}\" or \"*:{glob}\""));
            }
        }
    }
}

fn oversight(faults: &mut Faults<'_>) {
    let oversight = &faults.rules.oversight;
    if let Some(group) = &oversight.group {
        faults.group("oversight.group", group);
    }
    faults.body("oversight.rollback", &oversight.rollback, true);
    faults.body("oversight.revoke", &oversight.revoke, false);
    if let Some(veto) = &oversight.veto {
        somebody(faults, "oversight.veto.by", &veto.by);
        faults.body("oversight.veto.of_domains", &veto.of_domains, true);
    }
    if let Some(sample) = &oversight.sample {
        somebody(faults, "oversight.sample.by", &sample.by);
        if sample.percent > 100 {
            faults.add("oversight.sample.percent", "a sample is at most 100 of a hundred");
        }
    }
}

fn escalation(faults: &mut Faults<'_>) {
    let Some(escalation) = &faults.rules.escalation else { return };
    faults.body("escalation.by", &escalation.by, true);
    if escalation.levels.is_empty() || escalation.levels.len() > LIST_MAX {
        faults.add("escalation.levels", format!("there are 1 to {LIST_MAX} levels"));
    }
    for level in &escalation.levels {
        somebody(faults, "escalation.levels.to", &level.to);
    }
}

fn emergency(faults: &mut Faults<'_>) {
    let Some(emergency) = &faults.rules.emergency else { return };
    somebody(faults, "emergency.by", &emergency.by);
    vote(faults, "emergency.review", &emergency.review, true);
    if emergency.hands == 0 {
        faults.add("emergency.hands", "somebody has to apply it: at least 1");
    }
    if emergency.review.open_for.is_some() {
        faults.add("emergency.review.open_for", "review_within says how long a review may take");
    }
}

fn priorities(faults: &mut Faults<'_>) {
    let priorities = &faults.rules.priorities;
    let areas = priorities.areas.iter().map(|area| (format!("priorities.areas.{}", area.name), &area.weight));
    let others = priorities.others.iter().map(|weight| ("priorities.others".to_owned(), weight));
    let all: Vec<(String, &Weight)> = areas.chain(others).collect();
    for (place, weight) in all {
        if weight.reason.trim().is_empty() {
            faults.add(&place, "a reason is shown to those who have to wait, so there is one");
        }
        if !(1..=1_000).contains(&weight.clock_percent) || weight.votes.abs() > 100 {
            faults.add(&place, "clock_percent is from 1 to 1000, and votes from -100 to 100");
        }
    }
}

fn track(faults: &mut Faults<'_>, track: &Track) {
    let place = format!("tracks.{}", track.name);
    if track.kinds.is_empty() || track.kinds.len() > LIST_MAX {
        faults.add(&place, format!("it takes 1 to {LIST_MAX} kinds of change"));
    }
    somebody(faults, &format!("{place}.propose"), &track.propose);
    let gates = [
        ("draft", Some(&track.draft)),
        ("review", Some(&track.review)),
        ("acceptance", Some(&track.acceptance)),
        ("delegated", track.delegated.as_ref()),
        ("final", track.completion.as_ref()),
    ];
    for (name, gate) in gates {
        if let Some(gate) = gate {
            self::gate(faults, &format!("{place}.{name}"), gate);
        }
    }
    if track.deadlines.len() > LIST_MAX {
        faults.add(&place, format!("it has at most {LIST_MAX} deadlines"));
    }
    for deadline in &track.deadlines {
        self::deadline(faults, &format!("{place}.deadlines"), deadline);
    }
}

fn gate(faults: &mut Faults<'_>, place: &str, gate: &Gate) {
    if let Some(sponsors) = &gate.sponsors {
        somebody(faults, &format!("{place}.sponsors"), &sponsors.from);
    }
    for rule in &gate.votes {
        vote(faults, &format!("{place}.votes"), rule, true);
    }
    if let Some(lazy) = &gate.lazy {
        let place = format!("{place}.lazy");
        somebody(faults, &place, &lazy.blocks);
        if lazy.silence.is_zero() {
            faults.add(&place, "nobody can block in no time");
        }
        if let Some(rule) = &lazy.on_block {
            vote(faults, &place, rule, true);
            if rule.open_for.is_some() {
                faults.add(&place, "a vote over a block is counted at once: leave open_for out");
            }
        }
    }
    for rule in &gate.evidence {
        faults.unique(&format!("{place}.evidence"), [&rule.kind].into_iter());
        somebody(faults, &format!("{place}.evidence.{}", rule.kind), &rule.from);
    }
    if let Some(decision) = &gate.decision {
        somebody(faults, &format!("{place}.decision"), &decision.by);
    }
}

fn vote(faults: &mut Faults<'_>, place: &str, rule: &VoteRule, proposal: bool) {
    faults.body(place, &rule.from, proposal);
    if rule.count.is_none() && rule.share.is_none() {
        faults.add(place, "a vote needs a count or a share, or else nobody has to say yes");
    }
    if rule.count == Some(0) || rule.distinct.is_some_and(|distinct| distinct.count == 0) {
        faults.add(place, "a number of votes or sides is at least 1");
    }
    if rule.share.is_some_and(|share| share.of == 0) && rule.count.is_none() {
        faults.add(place, "\"more than 0\" is one voice: write count: 1");
    }
}

fn deadline(faults: &mut Faults<'_>, place: &str, deadline: &Deadline) {
    faults.body(place, &deadline.whom, true);
    let state = deadline.state.as_str();
    let open = deadline.state.is_pending() || deadline.state == crate::state::Status::Accepted;
    if !open {
        faults.add(place, format!("nothing is waited for in {state}"));
    }
    if deadline.state == crate::state::Status::Accepted
        && matches!(deadline.then, Then::Reject | Then::Escalate)
    {
        faults.add(place, "what is accepted is neither rejected nor escalated");
    }
    if deadline.every.is_some_and(Span::is_zero) || (deadline.after.is_zero() && deadline.then == Then::Ping)
    {
        faults.add(place, format!("in {state}: no time at all is no deadline"));
    }
    if deadline.then == Then::Escalate && faults.rules.escalation.is_none() {
        faults.add(place, "there is no level to which it could escalate");
    }
}

/// That a body names somebody, and those who are there.
fn somebody(faults: &mut Faults<'_>, place: &str, body: &crate::ruleset::Body) {
    if body.is_empty() {
        faults.add(place, "it names nobody");
    }
    faults.body(place, body, true);
}
