//! The document.

use serde_json::Value;
use testkit::Revision;

use super::difference::{describe, shown};
use super::scenario::Scenario;

/// How one client fares on one server.
pub enum Cell {
    /// Its revision has no such thing.
    Absent,
    /// As without the gateway.
    Same,
    /// It works, and something was translated: what.
    Translated(String),
    /// It does not work: how it is refused, and why.
    Refused(String, String),
    /// It does not work without the gateway either.
    None,
}

impl Cell {
    /// Compares what comes through the gateway with what comes directly.
    pub fn compare(scenario: &Scenario, direct: &Value, through: &Value) -> Self {
        if scenario.about_errors {
            return match describe(direct, through) {
                difference if difference.is_empty() => Self::Same,
                difference => Self::Translated(difference),
            };
        }
        match (refusal(direct), refusal(through)) {
            (Some((theirs, _)), Some((ours, _))) if theirs == ours => Self::None,
            (_, Some((how, why))) => Self::Refused(how, why),
            (Some((how, _)), None) => {
                Self::Translated(format!("the gateway does it; the server itself refuses it ({how})"))
            }
            _ if direct == through => Self::Same,
            _ => Self::Translated(describe(direct, through)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Absent => "–".to_owned(),
            Self::Same => "same".to_owned(),
            Self::Translated(_) => "translated".to_owned(),
            Self::Refused(how, _) => format!("refused {how}"),
            Self::None => "none".to_owned(),
        }
    }

    fn note(&self) -> Option<&str> {
        match self {
            Self::Translated(note) | Self::Refused(_, note) => Some(note),
            Self::Absent | Self::Same | Self::None => None,
        }
    }
}

/// How a transcript says no, and why.
fn refusal(transcript: &Value) -> Option<(String, String)> {
    if let Some(error) = transcript.get("error") {
        return Some((error["code"].to_string(), shown_whole(&error["message"])));
    }
    if let Some(lost) = transcript.get("lost") {
        return Some(("without an answer".to_owned(), shown_whole(lost)));
    }
    let result = transcript.get("result")?;
    (result["isError"] == true)
        .then(|| ("by the tool".to_owned(), shown_whole(&result["content"][0]["text"])))
}

fn shown_whole(value: &Value) -> String {
    value.as_str().map_or_else(|| shown(value), str::to_owned)
}

/// One scenario in all pairs.
pub struct Table {
    name: &'static str,
    rows: Vec<(Revision, Vec<Cell>)>,
}

impl Table {
    pub fn new(scenario: &Scenario) -> Self {
        Self { name: scenario.name, rows: Vec::new() }
    }

    pub fn row(&mut self, client: Revision, cells: Vec<Cell>) {
        self.rows.push((client, cells));
    }

    /// The table and its notes, without a heading. `None`: every cell is the same.
    fn body(&self) -> Option<String> {
        let mut notes: Vec<&str> = Vec::new();
        let mut lines = vec![header()];
        for (client, cells) in self.rows.iter().filter(|(_, c)| c.iter().any(|c| !matches!(c, Cell::Absent)))
        {
            let mut line = vec![client.to_string()];
            for cell in cells {
                let letter = cell.note().map(|note| {
                    let known = notes.iter().position(|known| *known == note);
                    letter(known.unwrap_or_else(|| {
                        notes.push(note);
                        notes.len() - 1
                    }))
                });
                line.push(letter.map_or_else(|| cell.text(), |letter| format!("{} {letter}", cell.text())));
            }
            lines.push(line);
        }
        if self.count(|cell| matches!(cell, Cell::Same)) == self.rows.len() * lines[0].len().saturating_sub(1)
        {
            return None;
        }
        let mut out = aligned(&lines);
        for (at, note) in notes.iter().enumerate() {
            let gap = if at == 0 { "\n" } else { "" };
            out.push_str(&format!("{gap}* {}: {note}\n", letter(at)));
        }
        Some(out)
    }

    fn count(&self, fits: impl Fn(&Cell) -> bool) -> usize {
        self.rows.iter().flat_map(|(_, cells)| cells).filter(|cell| fits(cell)).count()
    }
}

fn header() -> Vec<String> {
    let mut line = vec!["client \\ server".to_owned()];
    line.extend(Revision::ALL.map(|revision| revision.to_string()));
    line
}

/// a, b, …, z, aa, …
fn letter(at: usize) -> String {
    let last = char::from(b'a' + u8::try_from(at % 26).expect("below 26"));
    if at < 26 { last.to_string() } else { format!("{}{last}", letter(at / 26 - 1)) }
}

/// A Markdown table that also reads well as it is.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            out.push_str(&format!("| {} |\n", rules.join(" | ")));
        }
    }
    out
}

const INTRODUCTION: &str = "\
# Eras: which client can do what on which server

This page is written by a test: `UPDATE_ERAS=1 cargo test -p tidegate-server eras`. A fake client of each
revision goes through the gateway to a demo server of each revision, and what comes of it is compared with
what the same server answers to a client of its own revision without a gateway. [Bridging](bridging.md) says
why.

| Cell | Meaning |
| ---- | ------- |
| same | what comes through is what comes directly, member for member |
| translated | it works; the note below the table says what differs |
| refused | it does not work: the code of the error, or *by the tool* where the result says so; see the note |
| none | without the gateway, too, the server refuses it in the same way: its revision has no such thing |
| – | the client's revision has no such thing |

What is refused is refused for one of these reasons:

* **The client's revision has no such question**: forms before 2025-06-18, pages to open and models with tools
  before 2025-11-25, or the client did not declare it. The server is told so and says no in its own words.
* **A client that says no to sampling**: the revision that is spoken inside has no place for a client's error,
  so the call ends with it.
* **A stream that breaks off**: a server of 2026-07-28 cannot be asked for the rest.

A result that is too large to be kept is passed on as it comes: nothing in it is translated.
";

/// How much works for each client on each server, of what either could have.
fn overview(tables: &[Table]) -> String {
    let mut lines = vec![header()];
    for (at, (client, _)) in tables.first().map_or(&[][..], |table| &table.rows).iter().enumerate() {
        let mut line = vec![client.to_string()];
        for server in 0..Revision::ALL.len() {
            let cells = || tables.iter().map(|table| &table.rows[at].1[server]);
            let works = cells().filter(|cell| matches!(cell, Cell::Same | Cell::Translated(_))).count();
            let refused = cells().filter(|cell| matches!(cell, Cell::Refused(..))).count();
            line.push(format!("{works} of {}", works + refused));
        }
        lines.push(line);
    }
    aligned(&lines)
}

/// The whole page. Tables that say the same stand once.
pub fn document(tables: &[Table]) -> String {
    let mut out = INTRODUCTION.to_owned();
    let count = |fits: fn(&Cell) -> bool| tables.iter().map(|table| table.count(fits)).sum::<usize>();
    out.push_str(&format!(
        "\nOf {} cells, {} are same, {} translated, {} refused and {} none. What works for each pair:\n\n{}",
        count(|cell| !matches!(cell, Cell::Absent)),
        count(|cell| matches!(cell, Cell::Same)),
        count(|cell| matches!(cell, Cell::Translated(_))),
        count(|cell| matches!(cell, Cell::Refused(..))),
        count(|cell| matches!(cell, Cell::None)),
        overview(tables),
    ));
    let mut groups: Vec<(Option<String>, Vec<&str>)> = Vec::new();
    for table in tables {
        let body = table.body();
        match groups.iter_mut().find(|(known, _)| *known == body) {
            Some((_, names)) => names.push(table.name),
            None => groups.push((body, vec![table.name])),
        }
    }
    // What is the same for everybody comes last: there is nothing to look up.
    groups.sort_by_key(|(body, _)| body.is_none());
    for (body, names) in groups {
        let Some(body) = body else {
            out.push_str(&format!("\n## The same for every client on every server\n\n{}", bullets(&names)));
            continue;
        };
        match names[..] {
            [name] => out.push_str(&format!("\n## {name}\n\n{body}")),
            [first, ..] => {
                let list = bullets(&names);
                out.push_str(&format!("\n## {first}, and what goes the same way\n\n{list}\n{body}"));
            }
            [] => {}
        }
    }
    out
}

fn bullets(names: &[&str]) -> String {
    names.iter().map(|name| format!("* {name}\n")).collect()
}
