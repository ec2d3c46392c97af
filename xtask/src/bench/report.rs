//! The results as tables in the page about them.

use super::figure::rounded;
use super::plot::thousands;
use crate::Result;
use serde_json::Value;
use std::fmt::Write as _;

const BEGIN: &str = "<!-- written by cargo xtask bench -->\n";
const END: &str = "<!-- until here -->\n";

/// The page with these results in the place of those that it had.
pub fn insert(page: &str, results: &Value) -> Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = parts.ok_or("the page has no place for the results")?;
    Ok(format!("{head}{BEGIN}{}{END}{tail}", tables(results)))
}

fn tables(results: &Value) -> String {
    let machine = &results["machine"];
    let word = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
    let memory = rounded((machine["memory_mib"].as_f64().unwrap_or_default() / 1024.0).round());
    let mut text = format!(
        "\nCommit {}; {} cores of {}, {memory} GiB, Linux {}; nginx {}, valgrind {}, Rust {}.\n\
         Medians of {} rounds, load average {} before and {} after.\n\n",
        word("commit"),
        machine["cores"],
        word("processor"),
        word("kernel"),
        word("nginx"),
        word("valgrind"),
        word("rust"),
        results["run"]["rounds"],
        machine["load_average_before"],
        machine["load_average_after"],
    );
    let figures = results["figures"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (held, others): (Vec<_>, Vec<_>) = figures.iter().partition(|figure| figure.get("met").is_some());
    text.push_str("| Figure | Value | Limit | |\n| --- | ---: | ---: | --- |\n");
    for figure in held {
        let (sign, limit) = match (figure["at_most"].as_f64(), figure["at_least"].as_f64()) {
            (Some(limit), _) => ("≤", limit),
            (None, limit) => ("≥", limit.unwrap_or_default()),
        };
        let met = if figure["met"] == true { "met" } else { "**missed**" };
        let _ = writeln!(text, "| {} | {sign} {} | {met} |", value(figure), thousands(limit));
    }
    text.push_str("\n| Recorded, and held to nothing | Value |\n| --- | ---: |\n");
    for figure in others {
        let _ = writeln!(text, "| {} |", value(figure));
    }
    text.push('\n');
    text
}

/// What a figure is, and its value: two cells.
fn value(figure: &Value) -> String {
    let (what, unit) = (figure["what"].as_str().unwrap_or("?"), figure["unit"].as_str().unwrap_or_default());
    let value = thousands(figure["value"].as_f64().unwrap_or_default());
    format!("{what} | {value} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_take_the_place_of_older_ones() {
        let results = json!({
            "machine": {"cores": 2, "nginx": "1.0"}, "run": {"rounds": 5},
            "figures": [
                {"what": "a thing", "value": 1234.0, "unit": "µs", "at_most": 1000.0, "met": false},
                {"what": "another", "value": 3.0, "unit": ""},
            ],
        });
        let page = insert(&format!("# Title\n{BEGIN}old\n{END}rest\n"), &results).expect("a place");
        assert!(page.starts_with("# Title\n") && page.ends_with("rest\n") && !page.contains("old"));
        assert!(page.contains("| a thing | 1,234 µs | ≤ 1,000 | **missed** |\n"), "{page}");
        assert!(page.contains("| another | 3 |\n"), "{page}");
        assert_eq!(insert(&page, &results).expect("a place"), page);
        assert!(insert("# Title\n", &results).is_err());
    }

    #[test]
    fn the_page_shows_the_results_that_are_kept() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench");
        for (page, results) in [("README.md", "results.json"), ("replicas.md", "replicas.json")] {
            let page = std::fs::read_to_string(folder.join(page)).expect("the page");
            match std::fs::read_to_string(folder.join(results)) {
                Ok(results) => {
                    let results = serde_json::from_str(&results).expect("JSON");
                    assert_eq!(insert(&page, &results).expect("a place"), page);
                }
                // Before the first whole run there is only the place for them.
                Err(_) => assert!(page.contains(&format!("{BEGIN}{END}"))),
            }
        }
    }
}
