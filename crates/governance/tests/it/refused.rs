//! Rulesets that make no sense, and how they are told.

use governance::{Engine, Fault, Ruleset};

const PEOPLE: &str = "
people:
  - { name: ann, role: core, organization: x }
  - { name: ben, role: core, organization: y }
  - { name: dan, role: member, organization: x }
roles: [{ name: member }, { name: core }]
groups:
  - { name: core, members: [ann, ben] }
  - { name: pay, members: [dan] }
  - { name: ops, members: [dan] }
domains: [{ name: pay, records: ['tool:pay-*'], owners: pay }]
";

fn faults(more: &str) -> Vec<Fault> {
    let text = format!("name: bad\n{PEOPLE}\n{more}");
    let rules = Ruleset::from_yaml(&text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    Engine::new(rules).err().unwrap_or_default()
}

fn track(gate: &str) -> String {
    format!("tracks: [{{ name: all, kinds: ['*'], propose: anyone, acceptance: {gate} }}]")
}

/// What is told, in one text.
fn told(more: &str) -> String {
    faults(more).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn tells(more: &str, parts: &[&str]) {
    let told = told(more);
    for part in parts {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
}

const GOOD: &str = "{ votes: [{ from: role:core, count: 1 }] }";

#[test]
fn a_small_ruleset_makes_sense() {
    assert_eq!(told(&track(GOOD)), "");
}

#[test]
fn a_vote_that_nobody_can_win_is_a_deadlock() {
    let parts =
        ["tracks.all", "nobody can have anything accepted", "it stays in_review", "3 say yes of role:core"];
    tells(&track("{ votes: [{ from: role:core, count: 3 }] }"), &parts);
    // Nobody else is there to say yes to what ann proposes, and only she may.
    let text = "tracks: [{ name: all, kinds: ['*'], propose: 'person:dan', acceptance: { votes: [{ from: \
        'group:pay', count: 1 }] } }]";
    tells(text, &["day 0: dan proposed", "1 say yes of group:pay (0 yes, 0 no, 0 abstained of 0)"]);
    let text = "{ votes: [{ from: role:core, count: 2, distinct: { by: organization, count: 3 } }] }";
    tells(&track(text), &["ben votes yes", "those who say yes are of 3 organizations (1)"]);
}

#[test]
fn a_sleep_before_the_end_of_the_comments_is_a_deadlock() {
    let text = format!(
        "{}\n    deadlines: [{{ in: in_review, after: 5d, then: dormant }}]",
        "tracks:
  - name: all
    kinds: ['*']
    propose: anyone
    acceptance: { comment_period: 10d, votes: [{ from: role:core, count: 1 }] }"
    );
    tells(&text, &["nobody can have anything accepted", "day 5: (by itself) it is dormant"]);
}

#[test]
fn a_domain_that_is_too_small_for_its_own_gate_is_a_deadlock() {
    let text = "
tracks:
  - name: all
    kinds: ['*']
    propose: anyone
    acceptance: { votes: [{ from: role:core, count: 1 }] }
    delegated: { votes: [{ from: owners, count: 2 }] }
delegation: { enabled: true, grants: [{ domain: pay, by: core, to: pay }] }
oversight: { group: core }";
    tells(text, &["tracks.all, domain pay", "2 say yes of owners"]);
}

#[test]
fn a_review_by_those_alone_who_applied_it_is_a_deadlock() {
    let text = format!(
        "emergency: {{ by: 'group:pay', review_within: 2bd, review: {{ from: 'group:pay', count: 1 }} }}\n{}",
        track("{ votes: [{ from: role:core, count: 2 }, { from: 'group:ops', count: 1 }] }")
    );
    tells(&text, &["nobody"]);
}

#[test]
fn one_person_alone_is_told_with_what_he_does() {
    tells(&track("{}"), &["one person can have something accepted", "alone had it accepted", "solo: true"]);
    tells(&track("{ comment_period: 2d }"), &["day 2: (by itself) it is accepted (comment_period)"]);
    // He who may vote on his own is alone.
    let text = format!("authors_may_approve: true\n{}", track(GOOD));
    tells(&text, &["proposed", "votes yes", "alone had it accepted"]);
    // Silence is consent, and nobody else may break it.
    let text = "
tracks:
  - name: all
    kinds: ['*']
    propose: person:dan
    acceptance: { lazy: { silence: 2bd, blocks: 'group:pay' } }";
    tells(text, &["dan alone had it accepted"]);
    // Who may object can be removed first.
    let text = format!(
        "membership: {{ removed_by: role:core }}\n{}",
        track("{ lazy: { silence: 2bd, blocks: role:core } }")
    );
    tells(&text, &["removes ben", "alone had it accepted"]);
    // Nobody looks at it afterwards.
    let text = format!(
        "emergency: {{ by: role:core, review_within: 2bd, review: {{ from: role:core, count: 1 }}, \
            on_silence: keep }}\n{}",
        track(GOOD)
    );
    tells(&text, &["applied in an emergency", "nobody objected in time", "alone had it accepted"]);
}

#[test]
fn solo_says_so_openly() {
    assert_eq!(told(&format!("solo: true\n{}", track("{}"))), "");
}

#[test]
fn silence_is_consent_where_others_may_break_it() {
    assert_eq!(told(&track("{ lazy: { silence: 2bd, blocks: role:member } }")), "");
}

#[test]
fn delegation_in_a_circle_is_told_with_the_circle() {
    let text = format!(
        "delegation: {{ enabled: true, grants: [{{ domain: pay, by: ops, to: pay }}, {{ domain: pay, by: \
            pay, to: ops }}] }}
oversight: {{ group: core }}\n{}",
        track(GOOD)
    );
    let parts = ["goes in a circle", "ops gives the domain pay to pay", "pay gives the domain pay to ops"];
    tells(&text, &parts);
}

#[test]
fn grants_from_nowhere_and_of_more_than_one_has_are_told() {
    let grants = |grants: &str| {
        format!(
            "delegation: {{ enabled: true, grants: [{grants}] }}\noversight: {{ group: core }}\n{}",
            track(GOOD)
        )
    };
    tells(&grants("{ domain: pay, by: ops, to: pay }"), &["ops has nothing of pay that it could give"]);
    let wider = "{ domain: pay, by: core, to: pay, risk_at_most: low, until: 2027-01-01 }, \
                 { domain: pay, by: pay, to: ops, risk_at_most: high }";
    tells(&grants(wider), &["hands on risk high, and has low itself", "for longer than it has it"]);
    let text = "delegation: { enabled: true, grants: [{ domain: pay, by: pay, to: ops }] }\noversight: { \
        group: pay }\n";
    tells(
        &format!("{text}{}", track(GOOD)),
        &["those who oversee are those who decide", "dan accepts a change"],
    );
}

#[test]
fn what_is_not_known_or_has_no_meaning_is_told() {
    for (text, part) in [
        (
            track("{ votes: [{ from: role:cor, count: 1 }] }"),
            "there is no role \"cor\"; did you mean \"core\"?",
        ),
        (track("{ votes: [{ from: role:core }] }"), "a vote needs a count or a share"),
        (track("{ votes: [{ from: role:core, count: 0 }] }"), "at least 1"),
        (track("{ votes: [{ from: '', count: 1 }] }"), "nobody can have anything accepted"),
        (track("{ lazy: { silence: 0bd, blocks: role:core } }"), "nobody can block in no time"),
        (track("{ decision: { by: 'group:nobody' } }"), "there is no group \"nobody\""),
        (format!("escalation: {{ levels: [] }}\n{}", track(GOOD)), "there are 1 to"),
        (
            format!(
                "oversight: {{ sample: {{ percent: 120, by: role:core, within: 1d }} }}\n{}",
                track(GOOD)
            ),
            "at most 100",
        ),
        (format!("calendar: {{ holidays_yearly: ['02-30'] }}\n{}", track(GOOD)), "\"02-30\" is no day"),
        (
            format!(
                "calendar: {{ weekend: [monday, tuesday, wednesday, thursday, friday, saturday, sunday] \
                    }}\n{}",
                track(GOOD)
            ),
            "nobody ever works",
        ),
        (
            format!("priorities: {{ others: {{ reason: '', clock_percent: 150 }} }}\n{}", track(GOOD)),
            "a reason is shown",
        ),
        (
            format!(
                "{}\n  - {{ name: more, kinds: [x], propose: anyone }}",
                "tracks:\n  - { name: all, kinds: ['*'], propose: anyone, acceptance: { votes: [{ from: \
                    role:core, count: 1 }] } }"
            ),
            "tracks before it take everything",
        ),
    ] {
        tells(&text, &[part]);
    }
}

#[test]
fn text_that_is_not_a_ruleset_is_told_with_its_line() {
    for (text, part) in [
        ("name: x\npeople: []\ntracks: []\nquorum: 3\n", "quorum"),
        ("name: x\npeople: []\ntracks:\n  - name: a\n    kinds: []\n    propose: everyone\n", "names nobody"),
        ("name: x\nactive_within: 5 days\npeople: []\ntracks: []\n", "no length of time"),
        ("name: x\npeople: []\ntracks: []\ncalendar: { holidays: [2026-02-30] }\n", "is no day"),
        ("- a\n- b\n", ""),
    ] {
        let fault = Ruleset::from_yaml(text).expect_err(text);
        assert!(fault.place.starts_with("line ") && fault.message.contains(part), "{fault}");
    }
    let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: \
                    [*e,*e,*e,*e,*e,*e,*e,*e]\n";
    assert!(Ruleset::from_yaml(bomb).is_err());
    assert!(Ruleset::from_yaml(&"#".repeat(2 * 1024 * 1024)).is_err());
}
