//! What is found.

use bytes::Bytes;
use finding::{Entry, Index, Limits, Synonyms};
use protocol::Raw;
use serde_json::json;

use crate::{entry, index_of, names};

#[test]
fn a_tool_is_found_by_its_name_however_that_is_written() {
    for name in ["createPullRequest", "create_pull_request", "create-pull-request", "pulls.request.create"] {
        let index = index_of(&[(name, ""), ("list_branches", "")]);
        assert_eq!(names(&index, "creating pull requests"), [name]);
    }
}

#[test]
fn a_word_in_the_name_counts_more_than_one_in_the_description() {
    let index = index_of(&[("a_invoice", "Something else"), ("b_other", "It has to do with an invoice")]);
    assert_eq!(names(&index, "invoice"), ["a_invoice", "b_other"]);
    let index = index_of(&[("b_invoice", "Something else"), ("a_other", "It has to do with an invoice")]);
    assert_eq!(names(&index, "invoice"), ["b_invoice", "a_other"]);
}

#[test]
fn parameters_of_objects_inside_are_found_too() {
    let schema = json!({ "type": "object", "properties": { "to": { "type": "object", "properties": {
        "iban": { "type": "string", "description": "The beneficiary" },
    } } } });
    let value = json!({ "name": "pay", "inputSchema": schema, "annotations": { "title": "Transfer" } });
    let read = Entry::read(&Raw::parse(Bytes::from(value.to_string())).expect("JSON")).expect("a tool");
    let mut index = Index::new(Limits::default(), Synonyms::default());
    index.update("bank", vec![read, entry("other", "")]);
    for question in ["IBAN", "beneficiary", "transfer", "bank"] {
        assert_eq!(
            names(&index, question)[0],
            if question == "bank" { "other" } else { "pay" },
            "{question}"
        );
    }
}

#[test]
fn other_words_for_the_same_are_understood_and_count_less() {
    let index = index_of(&[("delete_file", ""), ("get_file", ""), ("remove_user", "")]);
    assert_eq!(names(&index, "remove file")[0], "delete_file");
    let index = index_of(&[("create_merge_request", ""), ("create_pull_request", "")]);
    assert_eq!(names(&index, "open a PR").len(), 2);
    let mut own = Index::new(Limits::default(), Synonyms::shipped_and([vec!["warp core", "billing engine"]]));
    own.update("s", vec![entry("restart_billing_engine", ""), entry("restart_server", "")]);
    assert_eq!(names(&own, "warp core"), ["restart_billing_engine"]);
    assert!(names(&index_of(&[("restart_billing_engine", "")]), "warp core").is_empty());
}

#[test]
fn typing_errors_and_beginnings_are_read_only_where_a_word_is_not_known() {
    let index = index_of(&[("kubernetes_logs", ""), ("create_branch", ""), ("create_brunch", "")]);
    assert_eq!(names(&index, "kuberntes"), ["kubernetes_logs"]);
    assert_eq!(names(&index, "kuber"), ["kubernetes_logs"]);
    assert_eq!(names(&index, "branch"), ["create_branch"], "a known word is no error");
    assert!(names(&index, "xyz").is_empty(), "short words are not guessed at");
}

#[test]
fn the_name_itself_is_found_first() {
    let index = index_of(&[("get", "Get"), ("get_get_get", "Get get get")]);
    assert_eq!(names(&index, "get")[0], "get");
}

#[test]
fn what_fits_equally_well_comes_in_the_order_of_names() {
    let index = index_of(&[("b_thing", "x"), ("c_thing", "x"), ("a_thing", "x")]);
    assert_eq!(names(&index, "thing"), ["a_thing", "b_thing", "c_thing"]);
}

#[test]
fn a_question_without_words_finds_nothing_and_a_long_one_has_an_end() {
    let index = index_of(&[("a", "word")]);
    for question in ["", " ", "?!", "how do I", &"é".repeat(5_000)] {
        assert!(names(&index, question).is_empty());
    }
    let long = format!("word {}", "other ".repeat(100_000));
    assert_eq!(names(&index, &long), ["a"]);
    let many: Vec<(String, String)> = (0..100).map(|at| (format!("t{at}_word"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(index_of(&many).search("word", usize::MAX, None, &|_, _| true).len(), 50);
}

#[test]
fn one_server_can_be_asked_for() {
    let mut index = Index::new(Limits::default(), Synonyms::default());
    index.update("one", vec![entry("one_send", "")]);
    index.update("two", vec![entry("two_send", "")]);
    let hits = index.search("send", 10, Some("two"), &|_, _| true);
    assert_eq!(
        hits.iter().map(|hit| (hit.group, hit.entry.name.as_str())).collect::<Vec<_>>(),
        [("two", "two_send")]
    );
}

#[test]
fn what_may_not_be_seen_changes_nothing_that_is_shown() {
    let open = [("list_files", "List files of a folder"), ("send_file", "Send a file"), ("move_it", "Move")];
    let hidden: Vec<(String, String)> = (0..500)
        .map(|at| (format!("file_secret{at}"), "Send list files quixotic folder".to_owned()))
        .collect();
    let alone = index_of(&open);
    let mut both = index_of(&open);
    both.update("h", hidden.iter().map(|(name, about)| entry(name, about)).collect());
    for question in ["send file", "list folder", "fil", "secret1", "quixotic", "quixotik", "files movd"] {
        let may = |group: &str, _: &Entry| group != "h";
        let scored = |index: &Index| {
            let hits = index.search(question, 10, None, &may);
            hits.iter().map(|hit| (hit.entry.name.clone(), hit.score.to_bits())).collect::<Vec<_>>()
        };
        assert_eq!(scored(&both), scored(&alone), "{question}");
    }
    let may = |group: &str, _: &Entry| group != "h";
    assert_eq!(both.groups(&may).into_iter().collect::<Vec<_>>(), [("s", 3)]);
    assert_eq!(both.describe(["file_secret0", "move_it", "no"], &may).count(), 1);
}

#[test]
fn words_that_may_not_be_seen_do_not_crowd_out_the_readings_of_others() {
    let mut index = index_of(&[("deployments", "")]);
    let hidden = (b'a'..=b'z').map(|c| entry(&format!("deplo{}x", char::from(c)), "")).collect();
    index.update("h", hidden);
    let hits = index.search("deplo", 10, None, &|group, _| group != "h");
    assert_eq!(hits.len(), 1);
    assert_eq!(index.search("deplo", 10, None, &|_, _| true).len(), 6, "six readings and no more");
}

#[test]
fn languages_without_spaces_are_found_by_pairs_of_characters() {
    let index = index_of(&[("a", "ファイルを検索する"), ("b", "メールを送信する")]);
    assert_eq!(names(&index, "検索"), ["a"]);
}
