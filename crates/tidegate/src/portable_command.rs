//! `tidegate import` and `tidegate export`: configurations of other programs, read and written.

mod deployed;
mod diff;
mod export;
mod files;
mod import;
mod undo;

use config::Layered;
use portable::{Deployment, Fate, Format, GATEWAYS, Origin, Report, Tidegate};

use crate::cli::Output;
use crate::exit::{Coded, GUARDS_LOST, REFUSED, USAGE};
use crate::{out, table};

pub use deployed::{at_risk, deployed};
pub use export::{Arguments as Export, run as export};
pub use import::{Arguments as Import, read_gateway, run as import};

/// All formats that are known, those of clients first.
fn formats() -> Vec<&'static dyn Format> {
    let mut all = portable::clients();
    all.push(&Tidegate);
    all
}

/// The gateway of this name.
pub fn gateway(name: &str) -> Option<&'static dyn Format> {
    GATEWAYS.iter().copied().find(|format| format.name() == name)
}

/// The format of this name.
fn format(name: &str) -> anyhow::Result<&'static dyn Format> {
    let all = formats();
    if let Some(format) = all.iter().find(|format| format.name() == name) {
        return Ok(*format);
    }
    let names: Vec<&str> = all.iter().chain(GATEWAYS).map(|format| format.name()).collect();
    let text = format!("find the format {:?}: there are {}", out::plain(name), names.join(", "));
    Err(Coded::new(USAGE, text).into())
}

/// What a configuration says with all that is laid over it and the values of its variables. `file` is for
/// messages.
///
/// # Errors
/// Where it is no configuration.
fn said(layered: &Layered, file: &str) -> anyhow::Result<Deployment> {
    read(&portable::yaml_text(&layered.origins.whole()), file)
}

/// The same of a text as it stands.
fn read(text: &str, file: &str) -> anyhow::Result<Deployment> {
    let read = Tidegate.import(text, &Origin { file, ..Origin::default() });
    Ok(read.map_err(|fault| Coded::config(format!("use the configuration:\n{fault}")))?.deployment)
}

/// What was not kept, for people.
pub fn tell(report: &Report) {
    out::line(told(report));
}

/// The same as text.
fn told(report: &Report) -> String {
    let mut rows = table::new(&["field", "what became of it", "guards", "it means"]);
    for loss in report.changed() {
        let guards = match (loss.guards, loss.fate) {
            (true, Fate::Dropped) => "LOST",
            (true, _) => "yes",
            (false, _) => "",
        };
        let fate = loss.fate.to_string();
        let cells = [loss.path.as_str(), fate.as_str(), guards, loss.meaning.as_str()];
        rows.add_row(cells.map(|cell| out::plain(cell).into_owned()));
    }
    let kept = report.losses().len() - report.changed().count();
    let head = if report.changed().next().is_some() { table::text(&rows) + "\n" } else { String::new() };
    format!("{head}{kept} fields mean the same")
}

/// The exit code: whether something that guards was lost, or else something was refused.
fn code(report: &Report, refused: bool) -> u8 {
    match (report.guards_lost(), refused) {
        (true, _) => GUARDS_LOST,
        (false, true) => REFUSED,
        (false, false) => 0,
    }
}

/// Takes the losses of one file into those of all.
fn take(all: &mut Report, of: &str, one: Report) {
    for loss in one.losses() {
        all.note(format!("{of}: {}", loss.path), loss.fate, loss.guards, loss.meaning.clone());
    }
}

fn is_table(output: Output) -> bool {
    output == Output::Table
}
