//! What was found, for people and for programs.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::compare::{Answer, Difference};
use super::{Call, Found};
use crate::cli::Output;
use crate::{out, table};

/// How much of a value is shown to people, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// Prints it.
pub fn print(found: &Found, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => out::line(serde_json::to_string_pretty(&report(found)).context("print the report")?),
        Output::Table => print_table(found),
    }
    Ok(())
}

fn print_table(found: &Found) {
    let mut rows = table::new(&["there", "here", "compared"]);
    let mut row = |cells: [&str; 3]| {
        rows.add_row(cells.map(|cell| out::plain(cell).into_owned()));
    };
    for tool in &found.tools {
        row([&tool.old, &tool.new, &verdict(&tool.differences)]);
    }
    for (name, why) in &found.pairs.only_old {
        row([name, "-", why.as_deref().unwrap_or("only there")]);
    }
    for name in &found.pairs.only_new {
        row(["-", name, "only here"]);
    }
    out::line(table::text(&rows));
    for tool in found.tools.iter().filter(|tool| !tool.differences.is_empty()) {
        out::line(format!("\n{}: the definitions differ", out::plain(&tool.new)));
        tool.differences.iter().for_each(print_difference);
    }
    for (index, call) in found.calls.iter().enumerate() {
        let said = verdict(&call.differences);
        out::line(format!(
            "\ncall {}: {} {}: {said}",
            index + 1,
            out::plain(call.new.as_ref().or(call.old.as_ref()).unwrap_or(&call.tool)),
            cut(&call.arguments)
        ));
        call.differences.iter().for_each(print_difference);
    }
    let alone = found.pairs.only_old.len() + found.pairs.only_new.len();
    let differ = found.tools.iter().filter(|tool| !tool.differences.is_empty()).count();
    let calls = found.calls.iter().filter(|call| !call.differences.is_empty()).count();
    out::line(format!(
        "\n{}: {} on both sides, {differ} of them differ; {alone} on one side alone; {} of {} differ",
        if found.same() { "the same" } else { "not the same" },
        count(found.tools.len(), "tool"),
        calls,
        count(found.calls.len(), "answer"),
    ));
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn verdict(differences: &[Difference]) -> String {
    match differences.len() {
        0 => "same".to_owned(),
        n => count(n, "difference"),
    }
}

fn print_difference(one: &Difference) {
    let at = if one.at.is_empty() { "(all of it)" } else { &one.at };
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), cut);
    out::line(format!("  {}\n    there: {}\n    here:  {}", out::plain(at), side(&one.old), side(&one.new)));
}

fn cut(value: &Value) -> String {
    let text = value.to_string();
    let text = out::plain(&text);
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

fn report(found: &Found) -> Value {
    let differences = |list: &[Difference]| -> Vec<Value> {
        list.iter().map(|one| json!({"at": one.at, "old": one.old, "new": one.new})).collect()
    };
    let tools: Vec<Value> = found
        .tools
        .iter()
        .map(|tool| json!({"old": tool.old, "new": tool.new, "differences": differences(&tool.differences)}))
        .collect();
    let only_old: Vec<Value> =
        found.pairs.only_old.iter().map(|(name, why)| json!({"name": name, "why": why})).collect();
    let call = |call: &Call| {
        json!({
            "tool": call.tool,
            "old": call.old,
            "new": call.new,
            "arguments": call.arguments,
            "answers": {"old": answer(&call.answers.0), "new": answer(&call.answers.1)},
            "differences": differences(&call.differences),
        })
    };
    json!({
        "same": found.same(),
        "tools": tools,
        "onlyOld": only_old,
        "onlyNew": found.pairs.only_new,
        "calls": found.calls.iter().map(call).collect::<Vec<_>>(),
    })
}

fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Result(result) => json!({"result": result}),
        Answer::Error(code, message) => json!({"error": {"code": code, "message": message}}),
        Answer::NotAsked(why) => json!({ "notAsked": why }),
    }
}
