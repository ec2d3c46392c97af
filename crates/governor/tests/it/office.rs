use governance::{Act, Ballot, EvidenceOutcome, Status};
use governor::{Actor, DoneWhat, Files, GovernError, Office, Via};
use serde_json::Value;

use crate::desk::{FILE, World, draft, who};

async fn status(office: &Office, id: u64) -> Status {
    office.standing(id).await.unwrap().0
}

async fn hash(office: &Office, id: u64) -> String {
    office.standing(id).await.unwrap().1
}

async fn vote(office: &Office, id: u64, by: &str, ballot: Ballot) -> Result<(), GovernError> {
    let hash = hash(office, id).await;
    office.act(&who(by), id, Act::Vote { hash, ballot }).await
}

fn refused(done: Result<(), GovernError>) -> String {
    done.expect_err("a refusal").to_string()
}

#[tokio::test(start_paused = true)]
async fn one_who_decides_alone_changes_files_at_once_and_takes_it_back_with_one_command() {
    let world = World::under("solo");
    assert_eq!(world.office.alone(), Some("owner"));
    let before = world.text();
    let id = world.office.propose(&who("owner"), draft("b"), &world.with("= a", "= b")).await.unwrap();
    assert_eq!(
        (status(&world.office, id).await, world.text()),
        (Status::Accepted, before.replace("= a", "= b"))
    );
    world.office.act(&who("owner"), id, Act::Rollback { reason: "it broke".to_owned() }).await.unwrap();
    assert_eq!((status(&world.office, id).await, world.text()), (Status::RolledBack, before));
    let history = world.office.history(Some(id), 0, 100).await.unwrap();
    let files: Vec<_> = history.iter().filter_map(|entry| entry["files"]["what"].as_str()).collect();
    assert_eq!(files, ["applied", "taken_back"]);
    assert!(matches!(
        world.office.propose(&who("owner"), draft("c"), &world.office.files().unwrap()).await,
        Err(GovernError::Nothing)
    ));
    let said =
        refused(world.office.propose(&who("eve"), draft("c"), &world.with("= a", "= c")).await.map(drop));
    assert!(said.contains("eve is nobody that the ruleset knows"), "{said}");
    assert!(matches!(world.office.show(7).await, Err(GovernError::Unknown(7))));
}

#[tokio::test(start_paused = true)]
async fn silence_puts_a_change_in_force_by_itself_and_a_revision_voids_a_block() {
    let world = World::under("team");
    let change = world.with("upstream:crm = a", "upstream:crm = a\nupstream:geo = wide");
    let new = governor::Draft { risk: Some(governance::Risk::Low), ..draft("geo") };
    let id = world.office.propose(&who("dan"), new, &change).await.unwrap();
    let first = hash(&world.office, id).await;
    world.days(1);
    let block = |hash: &str| Act::Block {
        hash: hash.to_owned(),
        objection: "it asks for more than it needs".to_owned(),
        alternative: "ask for less".to_owned(),
    };
    world.office.act(&who("eve"), id, block(&first)).await.unwrap();
    world.days(7);
    assert_eq!(world.office.tick().await.unwrap(), 1, "people are reminded");
    assert_eq!(status(&world.office, id).await, Status::InReview, "a block holds it");
    let narrow = world.with("upstream:crm = a", "upstream:crm = a\nupstream:geo = narrow");
    world.office.revise(&who("dan"), id, &narrow).await.unwrap();
    let said = refused(world.office.act(&who("eve"), id, block(&first)).await);
    assert!(said.contains("rule revision"), "{said}");
    assert!(!world.text().contains("geo"));
    world.days(7);
    assert!(world.office.tick().await.unwrap() > 0);
    assert_eq!(status(&world.office, id).await, Status::Accepted);
    assert!(world.text().contains("upstream:geo = narrow"), "{}", world.text());
    let history = world.office.history(Some(id), 0, 100).await.unwrap();
    let last = history.iter().rev().find(|entry| entry["files"].is_null()).unwrap();
    assert_eq!((&last["by"], &last["via"]), (&Value::from("(by itself)"), &Value::from("clock")));
    let other = world.with("upstream:crm = a", "upstream:crm = z");
    let said = refused(world.office.revise(&who("dan"), id, &other).await);
    assert!(said.contains("propose it as another one"), "{said}");
}

async fn delegated(world: &World, line: &str) -> u64 {
    let change = world.with("\n\nlimits", &format!("\n{line}\n\nlimits"));
    let new = governor::Draft { area: Some("customer-facing".to_owned()), ..draft(line) };
    let office = &world.office;
    let id = office.propose(&who("pia"), new, &change).await.unwrap();
    let hash = hash(office, id).await;
    let shown = |kind: &str| Act::Attach {
        hash: hash.clone(),
        kind: kind.to_owned(),
        outcome: EvidenceOutcome::Passed,
        about: "report 7".to_owned(),
    };
    office.act(&who("fay"), id, shown("security-scan")).await.unwrap();
    vote(office, id, "hana", Ballot::Yes).await.unwrap();
    vote(office, id, "ivo", Ballot::Yes).await.unwrap();
    office.act(&who("jana"), id, shown("owner-on-call")).await.unwrap();
    assert_eq!(status(office, id).await, Status::InReview, "the day for comments is not over");
    world.days(1);
    office.tick().await.unwrap();
    assert_eq!(status(office, id).await, Status::Accepted);
    id
}

#[tokio::test(start_paused = true)]
async fn a_domain_accepts_its_own_change_and_security_stops_it() {
    let world = World::under("enterprise");
    let id = delegated(&world, "upstream:pay-eu = x").await;
    assert!(world.text().contains("pay-eu"));
    let shown = world.office.show(id).await.unwrap();
    assert_eq!(shown["needs"]["acceptedBy"], "payments/payments", "{shown}");
    assert!(shown["needs"]["vetoUntil"].is_string() && shown["votes"][0]["by"] == "hana", "{shown}");
    let said = refused(world.office.act(&who("hana"), id, Act::Veto { reason: "x".to_owned() }).await);
    assert!(said.contains("rule membership"), "{said}");
    world.office.act(&who("bea"), id, Act::Veto { reason: "it leaks".to_owned() }).await.unwrap();
    assert_eq!(status(&world.office, id).await, Status::Vetoed);
    assert!(!world.text().contains("pay-eu"));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_longer_fits_is_told_and_is_put_in_once_it_does() {
    let world = World::under("solo");
    let base = world.text();
    let stale = world.other(governance::preset("team").unwrap().text);
    // What is accepted meanwhile by others is not in what somebody wrote before.
    let mine = world.with("= a", "= mine");
    let new = governor::Draft { risk: Some(governance::Risk::Low), ..draft("mine") };
    let id = stale.propose(&who("dan"), new, &mine).await.unwrap();
    world.office.propose(&who("owner"), draft("theirs"), &world.with("= a", "= theirs")).await.unwrap();
    world.days(7);
    stale.tick().await.unwrap();
    assert_eq!(status(&stale, id).await, Status::Accepted);
    let shown = stale.show(id).await.unwrap();
    let error = shown["files"]["error"].as_str().unwrap();
    assert!(error.contains("gateway.txt is no longer as it was"), "{error}");
    assert!(world.text().contains("= theirs"));
    assert_eq!(stale.tick().await.unwrap(), 0);
    let tries = stale.history(Some(id), 0, 100).await.unwrap();
    assert_eq!(tries.iter().filter(|entry| !entry["files"].is_null()).count(), 1, "it is told once");
    world.papers.0.lock().unwrap().insert(FILE.to_owned(), base);
    stale.tick().await.unwrap();
    assert!(world.text().contains("= mine") && stale.show(id).await.unwrap()["files"]["error"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_written_before_a_crash_is_found_to_be_there() {
    let world = World::under("solo");
    let id = world.office.propose(&who("owner"), draft("b"), &world.with("= a", "= b")).await.unwrap();
    // The file has it already, and the log does not know: it is asked for once more.
    let after = world.text();
    world.office.act(&who("owner"), id, Act::Rollback { reason: "x".to_owned() }).await.unwrap();
    let before = world.text();
    world.papers.0.lock().unwrap().insert(FILE.to_owned(), after.clone());
    let again = Files::from([(FILE.to_owned(), before)]);
    let id = world.office.propose(&who("owner"), draft("a"), &again).await.unwrap();
    let done = world.office.history(Some(id), 0, 100).await.unwrap();
    let done = done.iter().rev().find(|entry| !entry["files"].is_null()).unwrap();
    assert_eq!(done["files"]["what"], serde_json::to_value(DoneWhat::Applied).unwrap());
    assert!(done["files"]["error"].is_null(), "{done}");
}

#[tokio::test(start_paused = true)]
async fn two_processes_write_one_log_and_both_know_all_of_it() {
    let world = World::under("team");
    let other = world.other(governance::preset("team").unwrap().text);
    let new = || governor::Draft { risk: Some(governance::Risk::Medium), ..draft("geo") };
    let change = world.with("upstream:crm = a", "upstream:crm = a\nupstream:geo = x");
    let (dan, eve) = (who("dan"), who("eve"));
    let (one, two) =
        tokio::join!(world.office.propose(&dan, new(), &change), other.propose(&eve, new(), &change),);
    let mut ids = [one.unwrap(), two.unwrap()];
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    let both = [world.office.list(None, 10).await.unwrap(), other.list(None, 10).await.unwrap()];
    assert_eq!(both[0], both[1]);
    let votes = [vote(&world.office, 1, "ann", Ballot::Yes).await, vote(&other, 1, "ann", Ballot::Yes).await];
    assert_eq!(votes.iter().filter(|vote| vote.is_ok()).count(), 1, "nobody votes twice: {votes:?}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_ruleset_no_longer_votes() {
    let world = World::under("team");
    let new = governor::Draft { risk: Some(governance::Risk::Medium), ..draft("geo") };
    let change = world.with("= a", "= b");
    let id = world.office.propose(&who("dan"), new, &change).await.unwrap();
    let text = governance::preset("team").unwrap().text;
    let line = text.lines().find(|line| line.contains("name: eve")).unwrap();
    let other = world.other(&text.replace(&format!("{line}\n"), ""));
    let said = refused(vote(&other, id, "eve", Ballot::Yes).await);
    assert!(said.contains("rule membership") && said.contains("eve"), "{said}");
    let clock = Actor { person: String::new(), operator: String::new(), via: Via::Clock };
    assert!(refused(other.act(&clock, id, Act::Sponsor).await).contains("is nobody"));
}
