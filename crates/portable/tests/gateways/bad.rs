//! Texts that are wrong: each is refused where it is wrong, or read with what is lost, and no secret is
//! shown.

use portable::{Origin, inline};

use crate::format;

/// A secret that stands in many of them. It has the form of none that anybody issues.
const SECRET: &str = "hunter2-hunter2-hunter2";

/// The corpus: a line `=== FORMAT NAME | EXPECTATION`, then the text. An expectation is `fault: TEXT`,
/// `refused: TEXT` for one server, `loss: PATH` for a field, or `inline: PATH` for a secret that is found.
const CORPUS: &str = include_str!("bad.txt");

struct Case {
    format: &'static str,
    name: &'static str,
    expected: &'static str,
    text: String,
}

fn cases() -> Vec<Case> {
    let blocks = CORPUS.split("=== ").skip(1);
    let case = |block: &'static str| {
        let (head, text) = block.split_once('\n').unwrap();
        let (of, expected) = head.split_once(" | ").unwrap();
        let (format, name) = of.split_once(' ').unwrap();
        // What an editor would not keep is written as a word.
        let text = text.replace("<BOM>", "\u{feff}").replace("<CR>\n", "\r\n").replace("<SECRET>", SECRET);
        let text = text.replace("<TAB>", "\t").replace("<DEEP>", &"[".repeat(100));
        Case { format, name, expected, text }
    };
    blocks.map(case).collect()
}

#[test]
fn what_is_wrong_is_said_where_it_is_wrong() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| judge(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a text is read as it is expected to be, and if not how it is.
fn judge(case: &Case) -> Result<(), String> {
    let of = format!("{} {}", case.format, case.name);
    let format = format(case.format);
    let _ = format.detect("config.yaml", &case.text);
    let found = format.import(&case.text, &Origin { file: "f", ..Origin::default() });
    let (kind, expected) = case.expected.split_once(": ").unwrap();
    let (said, holds) = match (kind, &found) {
        ("fault", Err(fault)) => (fault.to_string(), fault.line > 0 && fault.column > 0),
        ("refused", Ok(imported)) => {
            let faults: Vec<String> = imported.refused.iter().map(|one| one.fault.to_string()).collect();
            (faults.join("\n"), true)
        }
        ("loss", Ok(imported)) => {
            let lost = imported.report.changed().any(|loss| loss.path == expected);
            (format!("{expected}\n{}", imported.report), lost)
        }
        ("inline", Ok(imported)) => {
            let paths: Vec<String> = inline(&imported.deployment).into_iter().map(|one| one.path).collect();
            (format!("{paths:?}\n{}", imported.report), paths == [expected])
        }
        ("good", Ok(imported)) => {
            let names: Vec<&str> = imported.deployment.servers.keys().map(String::as_str).collect();
            (names.join(" "), imported.refused.is_empty() && names.join(" ") == expected)
        }
        (kind, found) => return Err(format!("{of}: expected {kind}, found {found:?}")),
    };
    if said.contains(SECRET) {
        return Err(format!("{of}: it shows a secret"));
    }
    match holds && said.contains(expected) {
        true => Ok(()),
        false => Err(format!("{of}: {said}")),
    }
}
