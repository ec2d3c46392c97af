//! Delegation: what goes in a circle, comes from nowhere, or hands on more than it has.

use super::names::Faults;
use super::{Fault, Witness, WitnessStep};
use crate::engine::grant_name;
use crate::ruleset::{Grant, Ruleset};
use crate::state::USES_MAX;

/// Finds what is wrong with grants.
pub(super) fn grants(faults: &mut Faults<'_>) {
    let rules = faults.rules;
    let all = &rules.delegation.grants;
    let names: Vec<String> = all.iter().map(grant_name).collect();
    for (index, grant) in all.iter().enumerate() {
        let place = format!("delegation.grants.{}", names[index]);
        let domains = rules.domains.iter().map(|domain| domain.name.as_str()).collect();
        faults.known(&place, "domain", &grant.domain, domains);
        faults.group(&place, &grant.by);
        faults.group(&place, &grant.to);
        if names[..index].contains(&names[index]) {
            faults.add(&place, "it is there twice");
        }
        if grant.at_most.is_some_and(|limit| limit.count as usize >= USES_MAX || limit.per.is_zero()) {
            faults.add(&place, format!("at_most counts less than {USES_MAX}, in some time"));
        }
        chain(faults, &place, grant);
    }
}

/// Follows a grant to where it comes from.
fn chain(faults: &mut Faults<'_>, place: &str, grant: &Grant) {
    let rules = faults.rules;
    let mut links = vec![grant];
    loop {
        let last = links[links.len() - 1];
        if rules.oversight.group.as_ref() == Some(&last.by) {
            break;
        }
        let above = |above: &&Grant| above.domain == grant.domain && above.to == last.by;
        let Some(next) = rules.delegation.grants.iter().find(above) else {
            let core = rules.oversight.group.as_deref().unwrap_or("the oversight.group, which is not named");
            let message = format!(
                "{} has nothing of {} that it could give; every grant comes from {core}",
                last.by, grant.domain
            );
            faults.add(place, message);
            return;
        };
        if let Some(from) = links.iter().position(|link| std::ptr::eq(*link, next)) {
            faults.found.push(circle(place, &links[from..]));
            return;
        }
        links.push(next);
    }
    if let Some(above) = links.get(1) {
        narrower(faults, place, grant, above);
    }
    if let Some(fault) = unseen(rules, place, grant) {
        faults.found.push(fault);
    }
}

fn circle(place: &str, links: &[&Grant]) -> Fault {
    let gives = |link: &Grant| {
        let does = format!("gives the domain {} to {}", link.domain, link.to);
        WitnessStep { day: 0, who: Some(link.by.clone()), does }
    };
    let steps = links.iter().rev().map(|link| gives(link)).collect();
    let end = "each has it from another, and none from the core".to_owned();
    Fault::new(place, "the delegation goes in a circle").shown(Witness { steps, end })
}

/// Nobody hands on more than he has.
fn narrower(faults: &mut Faults<'_>, place: &str, grant: &Grant, above: &Grant) {
    if grant.risk_at_most > above.risk_at_most {
        let (risk, most) = (grant.risk_at_most.as_str(), above.risk_at_most.as_str());
        faults.add(place, format!("{} hands on risk {risk}, and has {most} itself", grant.by));
    }
    let later = match (grant.until, above.until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(until), Some(above)) => until > above,
    };
    if later {
        faults.add(place, format!("{} hands it on for longer than it has it", grant.by));
    }
}

/// Whoever oversees a group is not the group itself.
fn unseen(rules: &Ruleset, place: &str, grant: &Grant) -> Option<Fault> {
    let members = |name: &str| rules.groups.iter().find(|group| group.name == name).map(|g| &g.members);
    let (core, group) = (members(rules.oversight.group.as_deref()?)?, members(&grant.to)?);
    if core.iter().any(|person| !group.contains(person)) || rules.solo {
        return None;
    }
    let step = |who: &String| {
        let does = format!("accepts a change of {} for {}, and oversees it", grant.domain, grant.to);
        WitnessStep { day: 0, who: Some(who.clone()), does }
    };
    let steps = core.iter().take(3).map(step).collect();
    let end = format!("nobody of the core is outside {}, so that nobody oversees it", grant.to);
    Some(Fault::new(place, "those who oversee are those who decide").shown(Witness { steps, end }))
}
