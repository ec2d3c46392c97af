//! A year under rules, with delegation and without.

use governance::simulate::{Figures, Habits, Parameters, plot, simulate, stream};
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

/// The plot and the figures of the documents are those of the code: `UPDATE_DOCS=1` writes them anew.
#[test]
fn the_documented_year_is_the_one_that_the_code_gives() {
    let mut told = Vec::new();
    for (name, per_month) in [("usual", 10), ("crowded", 20)] {
        let parameters = Parameters { per_month, ..Parameters::default() };
        let (off, on) = (year("mcp-2026", false, &parameters), year("mcp-2026", true, &parameters));
        let lines = [off.summary("without delegation"), on.summary("with delegation")].join("\n");
        let table = format!("{}\n{lines}\n", Figures::HEADING);
        let title = format!("A {name} year under mcp-2026: {} proposals", off.rows.len());
        let drawn = plot(&title, [("without delegation", &off), ("with delegation", &on)]);
        told.push((name, table, drawn));
    }
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = docs.join("governance.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        for (name, table, drawn) in &told {
            std::fs::write(docs.join(format!("governance-{name}.svg")), drawn).expect("written");
            let text = std::fs::read_to_string(&page).unwrap_or_default();
            let (begin, end) = (format!("<!-- year {name} -->\n"), "<!-- end -->");
            let Some((before, rest)) = text.split_once(&begin) else { continue };
            let (_, after) = rest.split_once(end).expect("an end");
            std::fs::write(&page, format!("{before}{begin}{table}{end}{after}")).expect("written");
        }
    }
    let text = std::fs::read_to_string(&page).expect("docs/governance.md");
    for (name, table, drawn) in told {
        assert!(text.contains(&table), "docs/governance.md is of another year than:\n{table}");
        let kept = std::fs::read_to_string(docs.join(format!("governance-{name}.svg"))).expect("a plot");
        assert!(kept == drawn, "docs/governance-{name}.svg is of another year: run with UPDATE_DOCS=1");
    }
}
