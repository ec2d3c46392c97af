//! The page that says which format can say what, made from the formats.

use crate::field::{Field, Part, Support};
use crate::format::{Format, Tested};
use crate::model::Scope;

/// What the last column of the last table says.
const TRIED: &str = "\n## The formats\n\n\
                     The last column says what reads what is written. Entries that point at the gateway, and \
                     entries of servers themselves with variables, headers and lists of tools, are read by \
                     what is named there, each time that `cargo xtask interop --all` runs \
                     ([interop](../../interop/README.md)); where something connects, it has done so through \
                     the gateway. Where documentation is named alone, nothing of anybody else has read a \
                     file.\n\n";

/// The page in Markdown.
#[must_use]
pub fn matrix(formats: &[&dyn Format]) -> String {
    let mut page = "<!-- Written by the tests of tidegate-portable: UPDATE_DOCS=1. Do not edit. -->\n\n\
                    # Which format can say what\n\n\
                    `yes`: it means the same there. A letter: nearly the same, or not at all, for a \
                    reason of its \
                    own; the notes below the tables say which. Empty: there is no place for it. \
                    **Bold** rows \
                    guard: where such a row is lost, `tidegate` says so and ends with exit code 6.\n"
        .to_owned();
    let mut notes: Vec<String> = Vec::new();
    for (part, title) in [
        (Part::Server, "Servers"),
        (Part::Reference, "What stands in a value in place of the value"),
        (Part::Gateway, "What a gateway adds"),
    ] {
        page.push_str(&format!("\n## {title}\n\n"));
        // So many columns that a page can show them.
        for group in formats.chunks(8) {
            table(&mut page, group, part, &mut notes);
        }
    }
    page.push_str("\n## Notes\n\n");
    for (index, note) in notes.iter().enumerate() {
        page.push_str(&format!("- {}: {note}\n", letter(index)));
    }
    page.push_str(
        "\n## What the loss of a field means\n\n| Field | Where | Lost, it means |\n| --- | --- | --- |\n",
    );
    for field in Field::ALL {
        page.push_str(&format!("| {} | `{}` | {} |\n", field.what(), field.path(), field.loss()));
    }
    page.push_str(TRIED);
    page.push_str("| Name | Program | Its files | Read, written | Tried against |\n");
    page.push_str("| --- | --- | --- | --- | --- |\n");
    for format in formats {
        page.push_str(&one(*format));
    }
    page
}

fn one(format: &dyn Format) -> String {
    let known = format.known().iter().map(|known| match known.scope {
        Scope::User => format!("`~/{}`", known.path),
        Scope::Project => format!("`{}` of a project", known.path),
        Scope::Managed => format!("`/{}`", known.path),
    });
    let files = known.collect::<Vec<_>>().join("<br>");
    let ways = match (format.imports(), format.exports()) {
        (true, true) => "both",
        (true, false) => "read",
        (false, _) => "written",
    };
    let tested = match format.tested() {
        Tested::Program(what) => format!("the program: {what}"),
        Tested::Parser(what) => format!("a parser: {what}"),
        Tested::Other(what) => format!("another program that reads such files: {what}"),
        Tested::Documentation(what) => format!("its documentation: {what}"),
    };
    format!("| `{}` | {} | {files} | {ways} | {tested} |\n", format.name(), format.title())
}

fn table(page: &mut String, formats: &[&dyn Format], part: Part, notes: &mut Vec<String>) {
    let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
    page.push_str(&format!("| | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len())));
    for field in Field::ALL.iter().filter(|field| field.part() == part) {
        let mark = if field.guards() { "**" } else { "" };
        page.push_str(&format!("| {mark}{}{mark} |", field.what()));
        for format in formats {
            let cell = match format.support(*field) {
                Support::Kept => "yes".to_owned(),
                Support::Dropped("") => String::new(),
                Support::Partly(why) => note(notes, why),
                Support::Dropped(why) => note(notes, &format!("no: {why}")),
            };
            page.push_str(&format!(" {cell} |"));
        }
        page.push('\n');
    }
    page.push('\n');
}

fn note(notes: &mut Vec<String>, why: &str) -> String {
    let index = notes.iter().position(|note| note == why).unwrap_or_else(|| {
        notes.push(why.to_owned());
        notes.len() - 1
    });
    letter(index)
}

/// `a` … `z`, `aa` …
fn letter(index: usize) -> String {
    let own = u8::try_from(index % 26).map_or('?', |step| char::from(b'a' + step));
    if index < 26 { own.to_string() } else { format!("{}{own}", letter(index / 26 - 1)) }
}
