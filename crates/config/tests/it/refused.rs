//! Files whose keys, kinds or syntax are wrong: each message with its position, in `refused.txt`.

use tidegate_config::{load_slice, load_str};

/// The messages about `text`, one a line.
pub(crate) fn faults(text: &str) -> String {
    load_str(text, "tidegate.yaml")
        .map(|config| format!("{config:?}"))
        .expect_err("the file is wrong")
        .to_string()
}

fn hold(name: &str) {
    crate::table::hold(include_str!("refused.txt"), name, faults);
}

#[test]
fn every_table_is_held() {
    crate::table::every_group_has_a_test(include_str!("refused.txt"), include_str!("refused.rs"));
}

#[test]
fn an_unknown_key_says_what_was_meant() {
    hold("an_unknown_key_says_what_was_meant");
}

#[test]
fn a_key_of_another_program_says_what_to_write_here() {
    hold("a_key_of_another_program_says_what_to_write_here");
}

#[test]
fn a_value_of_another_kind_says_what_is_expected() {
    hold("a_value_of_another_kind_says_what_is_expected");
}

#[test]
fn a_key_without_a_value_is_no_default() {
    hold("a_key_without_a_value_is_no_default");
}

#[test]
fn a_word_that_is_not_known_says_which_are() {
    hold("a_word_that_is_not_known_says_which_are");
}

#[test]
fn a_missing_key_is_named() {
    hold("a_missing_key_is_named");
}

#[test]
fn a_key_that_is_given_twice_says_where_it_was_first() {
    hold("a_key_that_is_given_twice_says_where_it_was_first");
}

#[test]
fn a_fault_in_the_syntax_has_its_position() {
    hold("a_fault_in_the_syntax_has_its_position");
}

#[test]
fn text_that_is_not_utf_8_has_its_position() {
    let error = load_slice(b"listen: 1\n# \xc3\xa9 \xff", "f").expect_err("it is not UTF-8");
    assert_eq!(error.to_string(), "f:2:5: the file is not UTF-8");
    let error = load_slice(b"listen: 1\r\n# \r\xff", "f").expect_err("it is not UTF-8");
    assert_eq!(error.to_string(), "f:3:1: the file is not UTF-8", "a CR ends a line too");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let text = "#".repeat(tidegate_config::FILE_BYTES_MAX + 1);
    assert_eq!(faults(&text), "tidegate.yaml:1:1: the file has more than 4194304 bytes");
}

#[test]
fn all_faults_of_a_file_are_told_at_once_in_its_order() {
    hold("all_faults_of_a_file_are_told_at_once_in_its_order");
}

#[test]
fn what_was_misspelt_is_not_also_missing() {
    hold("what_was_misspelt_is_not_also_missing");
}

#[test]
fn a_fault_in_repeated_text_is_told_where_it_stands() {
    hold("a_fault_in_repeated_text_is_told_where_it_stands");
}

#[test]
fn columns_count_characters() {
    hold("columns_count_characters");
}

#[test]
fn the_list_of_faults_ends_somewhere() {
    let keys: String = (0..200).map(|n| format!("key{n}: 1\n")).collect();
    let found = faults(&keys);
    assert_eq!(found.lines().count(), 51, "{found}");
    assert!(found.ends_with("there may be more faults than these"), "{found}");
}

#[test]
fn a_diagnostic_can_be_read_by_programs() {
    let error = load_str("lisen: 1", "f.yaml").expect_err("it is wrong");
    assert_eq!(
        serde_json::to_value(&error).expect("JSON"),
        serde_json::json!([{
            "file": "f.yaml", "line": 1, "column": 1, "path": "lisen", "message": "unknown key",
            "hint": "did you mean \"listen\"?",
        }])
    );
    assert_eq!(error.as_slice().len(), error.iter().count());
}
