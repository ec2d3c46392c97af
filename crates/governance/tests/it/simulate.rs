//! A year under rules, with delegation and without.

use governance::simulate::{Figures, Habits, Parameters, simulate, stream};
use governance::{Engine, Status, preset};

fn year(name: &str, delegation: bool, parameters: &Parameters) -> Figures {
    let mut rules = preset(name).expect("a preset").ruleset().expect("a ruleset");
    rules.delegation.enabled = delegation;
    let arrivals = stream(&rules, parameters);
    let engine = Engine::new(rules).expect("it makes sense");
    simulate(&engine, &arrivals, &Habits::default())
}

fn quarter() -> Parameters {
    Parameters { days: 90, ..Parameters::default() }
}

#[test]
fn the_same_seed_gives_the_same_year_and_another_one_another() {
    let rules = preset("mcp-2026").expect("a preset").ruleset().expect("a ruleset");
    let of = |seed| stream(&rules, &Parameters { seed, ..quarter() });
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert_eq!(of(1).len(), 30);
    let short = Parameters { days: 30, ..Parameters::default() };
    assert_eq!(year("mcp-2026", true, &short), year("mcp-2026", true, &short));
}

#[test]
fn delegation_takes_work_from_the_core_and_days_from_those_who_wait() {
    let (off, on) = (year("mcp-2026", false, &quarter()), year("mcp-2026", true, &quarter()));
    assert_eq!(off.by_domain_percent(), 0);
    assert!(on.by_domain_percent() > 20, "{}", on.by_domain_percent());
    assert!(on.core_acts() < off.core_acts(), "{} {}", on.core_acts(), off.core_acts());
    assert!(on.accepted() >= off.accepted(), "{} {}", on.accepted(), off.accepted());
    assert!(on.waiting().p90 <= off.waiting().p90, "{:?} {:?}", on.waiting(), off.waiting());
    assert_eq!(off.rows.len(), on.rows.len());
    assert!(on.csv().lines().count() == on.rows.len() + 1);
    assert!(on.rows.iter().all(|row| row.status != Status::InReview), "half a year later all is decided");
}
