//! `tidegate governance` with rulesets in files.

use serde_json::{Value, json};

use crate::program::Folder;

#[tokio::test(flavor = "multi_thread")]
async fn a_ruleset_that_lets_one_person_decide_is_refused_with_an_example() {
    let folder = Folder::new();
    let said = folder.run(&["governance", "check", "enterprise"]).await.good();
    assert_eq!(said, "enterprise is good: 16 people, 3 tracks, 2 domains, 2 grants in force\n");
    let said = folder.run(&["governance", "check", "solo"]).await.good();
    assert_eq!(
        said,
        "solo is good: 1 person, 1 track, 0 domains, 0 grants in force; one person decides alone\n"
    );
    let alone = governance::preset("solo").unwrap().text.replace("solo: true\n", "");
    folder.write("rules.yaml", &alone);
    let said = folder.run(&["governance", "check", "rules.yaml"]).await.bad(3);
    assert!(said.contains("one person can have something accepted") && said.contains("  so: "), "{said}");
    let ran = folder.run(&["governance", "check", "rules.yaml", "--output", "json"]).await;
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &report["good"]), (3, &json!(false)));
    assert!(report["faults"][0]["witness"]["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
    folder.write("rules.yaml", "name: x\ntrack: []\n");
    let said = folder.run(&["governance", "check", "rules.yaml"]).await.bad(3);
    assert!(said.contains("line 2"), "{said}");
    let said = folder.run(&["governance", "check", "none.yaml"]).await.bad(1);
    assert!(said.contains("read none.yaml"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_is_lived_with_delegation_and_without() {
    let folder = Folder::new();
    let run = async |words: &[&str]| {
        folder.run(&[&["governance", "simulate", "enterprise", "--days", "60"], words].concat()).await.good()
    };
    let table = run(&["--plot", "year.svg"]).await;
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows.len() == 4 && rows[2].starts_with("| without delegation | 20 |"), "{table}");
    assert!(rows[2].ends_with("| 0% |") && !rows[3].ends_with("| 0% |"), "{table}");
    assert!(folder.read("year.svg").starts_with("<svg"));
    let report: Value = serde_json::from_str(&run(&["--output", "json"]).await).unwrap();
    assert_eq!(report["with"]["proposals"].as_array().map(Vec::len), Some(20));
    assert_eq!(report["without"]["byDomainPercent"], 0);
    assert_ne!(run(&["--seed", "3"]).await, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_commands_is_played_and_each_proposal_says_what_it_needs() {
    let folder = Folder::new();
    let new = json!({
        "title": "Payments in the EU", "kind": "upstream", "records": ["upstream:pay-eu"], "risk": "medium",
        "area": "customer-facing", "authors": [], "effect": "change", "supersedes": null, "hash": "r1",
    });
    let scan =
        json!({"attach": {"hash": "r1", "kind": "security-scan", "outcome": "passed", "about": "scan 7"}});
    let vote = json!({"vote": {"hash": "r0", "ballot": "yes"}});
    let lines = [
        json!({"at": "2026-12-01T09:00:00Z", "command": {"propose": {"by": "pia", "new": new}}}),
        json!({"at": "2026-12-01T10:00:00Z", "command": {"on": {"id": 1, "by": "fay", "act": scan}}}),
        json!({"at": "2026-12-01T11:00:00Z", "command": {"on": {"id": 1, "by": "hana", "act": vote}}}),
    ];
    folder.write("acts", &lines.map(|line| line.to_string()).join("\n"));
    let run = async |words: &[&str]| {
        folder.run(&[&["governance", "explain", "enterprise", "acts"], words].concat()).await
    };
    let ran = run(&[]).await;
    assert!(ran.stderr.contains("acts:3: refused, rule revision:"), "{ran:?}");
    let said = ran.stdout;
    assert!(said.starts_with("proposal 1 (Payments in the EU) is in_review, then accepted"), "{said}");
    assert!(said.contains("accepted by payments/payments:") && said.contains("needs count: "), "{said}");
    let at = run(&["--at", "2026-12-10T09:00:00Z", "--output", "json"]).await;
    let why: Value = serde_json::from_str(&at.stdout).unwrap();
    let comment =
        why[0]["demands"].as_array().unwrap().iter().find(|demand| demand["rule"] == "comment_period");
    assert_eq!(comment.unwrap()["met"], true, "{why}");
    assert!(run(&["--id", "7"]).await.bad(1).contains("find proposal 7"));
}
