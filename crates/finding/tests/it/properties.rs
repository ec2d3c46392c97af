//! What holds for all tools and questions.

use finding::{Entry, Index, Limits, Synonyms, estimate};
use proptest::prelude::*;

use crate::{entry, names};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]{1,3}( [a-d]{1,3}){0,4}", ".{0,30}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn order_of_arrival_does_not_matter(
        tools in prop::collection::btree_map("[a-z]{1,8}", text(), 1..12), question in text(),
    ) {
        let all: Vec<Entry> = tools.iter().map(|(name, about)| entry(name, about)).collect();
        let mut forth = Index::new(Limits::default(), Synonyms::shipped_and([]));
        forth.update("s", all.clone());
        let mut back = Index::new(Limits::default(), Synonyms::shipped_and([]));
        // One after another, the last first.
        for from in (0..all.len()).rev() {
            back.update("s", all[from..].to_vec());
        }
        prop_assert_eq!(names(&forth, &question), names(&back, &question));
        prop_assert_eq!(forth.bytes(), back.bytes());
    }

    #[test]
    fn what_is_hidden_is_as_if_it_was_not_there(
        open in prop::collection::btree_map("o[a-d]{1,4}", text(), 0..6),
        hidden in prop::collection::btree_map("h[a-d]{1,4}", text(), 0..6),
        question in text(),
    ) {
        let read = |tools: &std::collections::BTreeMap<String, String>| {
            tools.iter().map(|(name, about)| entry(name, about)).collect::<Vec<_>>()
        };
        let mut alone = Index::new(Limits::default(), Synonyms::shipped_and([]));
        alone.update("s", read(&open));
        let mut both = Index::new(Limits::default(), Synonyms::shipped_and([]));
        both.update("h", read(&hidden));
        both.update("s", read(&open));
        let scored = |index: &Index| {
            let hits = index.search(&question, 10, None, &|group, _| group == "s");
            hits.iter().map(|hit| (hit.entry.name.clone(), hit.score.to_bits())).collect::<Vec<_>>()
        };
        prop_assert_eq!(scored(&alone), scored(&both));
    }

    #[test]
    fn more_text_never_costs_less(one in any::<String>(), other in any::<String>()) {
        let both = format!("{one}{other}");
        prop_assert!(estimate(&both) >= estimate(&one));
    }
}
