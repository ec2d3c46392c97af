//! `docs/threats.md` says which test holds off which threat: each of them is there, and no row is without
//! one.

use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tests of a row: `file::name` between backticks.
fn tests(row: &str) -> Vec<(&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted
        .filter(|text| ["crates/", "xtask/"].iter().any(|place| text.starts_with(place)))
        .filter_map(|text| text.split_once(".rs::"))
        .collect()
}

/// Whether a file has a test of this name: a function right after an attribute that makes it one.
fn has(file: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        let named = function.is_some_and(|rest| rest.split('(').next() == Some(name));
        named
            && lines[..at]
                .iter()
                .rev()
                .take(3)
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_test_that_the_page_of_threats_names_is_there() {
    let page = std::fs::read_to_string(root().join("docs/threats.md")).expect("the page");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let rows =
        rows.into_iter().filter(|row| !row.starts_with("| ---") && !row.starts_with("| Threat or rule"));
    let mut count = 0;
    for row in rows {
        let named = tests(row.rsplit('|').nth(1).unwrap_or_default());
        assert!(!named.is_empty(), "no test holds this: {row}");
        for (file, name) in named {
            assert!(has(file, name), "there is no test {name} in {file}.rs");
            count += 1;
        }
    }
    assert!(count > 60, "the page has lost rows: {count} tests are named");
    assert!(!has("crates/tidegate/tests/it/threats", "tests") && !has("nowhere", "x"));
}
