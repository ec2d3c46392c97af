//! The catalog and the questions that ship, and how well they do.

use crate::shared::{catalog, index, place, questions};

#[test]
fn the_catalog_and_the_questions_are_as_large_as_they_are_said_to_be() {
    assert!(catalog().len() >= 500);
    assert_eq!(index().len(), catalog().len(), "each name stands once");
    assert!(questions().len() >= 150);
    assert!(questions().iter().filter(|question| question.held).count() >= 50);
}

#[test]
fn every_right_answer_exists() {
    let index = index();
    for question in questions() {
        for name in question.right {
            assert_eq!(index.describe([name.as_str()], &|_, _| true).count(), 1, "{}: {name}", question.text);
        }
    }
}

#[test]
fn the_right_tool_is_among_the_first_five_nine_times_of_ten() {
    let (index, questions) = (index(), questions());
    for held in [false, true] {
        let asked: Vec<_> = questions.iter().filter(|question| question.held == held).collect();
        let right = asked.iter().filter(|question| place(&index, question, 5).is_some()).count();
        assert!(right * 100 >= asked.len() * 90, "{right} of {}, held back: {held}", asked.len());
    }
}
