//! How often the right tool is among the first five, and what a list costs a model with and without the
//! meta-tools: `cargo run -p tidegate-finding --example measure [-- misses]`.
//! How long a search takes over many tools:
//! `cargo run -p tidegate-finding --example measure -- speed [10000]`.

mod shared;
mod speed;

use finding::{FOUND, definitions, described, estimate, found};
use protocol::Raw;
use shared::{Question, catalog, index, place, questions};

/// How far down is looked.
const DEPTH: usize = 20;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("speed") {
        let tools = std::env::args().nth(2).and_then(|text| text.parse().ok());
        return speed::measure(tools.unwrap_or(10_000));
    }
    let index = index();
    let questions = questions();
    let right: Vec<&String> = questions.iter().flat_map(|question| &question.right).collect();
    for name in right {
        if index.describe([name.as_str()], &|_, _| true).next().is_none() {
            println!("the catalog has no {name}");
        }
    }
    let tools = index.len();
    println!("{} tools, {} bytes, {} questions", tools, index.bytes(), questions.len());
    println!("| questions | number | first | first five | first ten | mean reciprocal rank |");
    println!("| --- | --- | --- | --- | --- | --- |");
    row(&index, "all", &questions.iter().collect::<Vec<_>>());
    row(&index, "weights chosen with", &questions.iter().filter(|q| !q.held).collect::<Vec<_>>());
    row(&index, "held back", &questions.iter().filter(|q| q.held).collect::<Vec<_>>());
    tokens(&index, &questions);
    if std::env::args().any(|argument| argument == "misses") {
        misses(&index, &questions);
    }
}

fn row(index: &finding::Index, what: &str, questions: &[&Question]) {
    let places: Vec<Option<usize>> = questions.iter().map(|question| place(index, question, DEPTH)).collect();
    let all = questions.len() as f64;
    let within = |n: usize| places.iter().flatten().filter(|place| **place <= n).count() as f64 / all;
    let rank: f64 = places.iter().flatten().map(|place| 1.0 / *place as f64).sum::<f64>() / all;
    println!(
        "| {what} | {} | {:.1}% | {:.1}% | {:.1}% | {rank:.3} |",
        questions.len(),
        100.0 * within(1),
        100.0 * within(5),
        100.0 * within(10)
    );
}

fn tokens(index: &finding::Index, questions: &[Question]) {
    let cost = |raw: &Raw| estimate(raw.as_text());
    let before: usize = catalog().iter().map(|(_, entry)| cost(entry)).sum();
    let after: usize = definitions(FOUND).iter().map(cost).sum();
    let mut one = 0;
    for question in questions {
        let hits = index.search(question.text, 8, None, &|_, _| true);
        one += cost(&found(&hits));
        let names: Vec<String> = hits.iter().take(1).map(|hit| hit.entry.name.clone()).collect();
        let entries: Vec<&Raw> = hits.iter().take(1).map(|hit| &hit.entry.definition).collect();
        one += cost(&described(&names, &entries));
    }
    println!(
        "tokens of the list, about: {before} before, {after} after; {} for a search and a description",
        one / questions.len()
    );
}

fn misses(index: &finding::Index, questions: &[Question]) {
    for question in questions {
        let place = place(index, question, DEPTH);
        if place.is_none_or(|place| place > 5) && !question.held {
            let hits = index.search(question.text, 5, None, &|_, _| true);
            let names: Vec<String> =
                hits.iter().map(|hit| format!("{} {:.2}", hit.entry.name, hit.score)).collect();
            println!("{:?} wants {:?} ({place:?}), has {names:?}", question.text, question.right);
        }
    }
}
