//! `tidegate audit verify`: by files and a public key, and nothing else.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use audit::files::{Files, bundle_path, entries};
use audit::tree::TILE_WIDTH;
use audit::{Known, PublicKey, Receipt};
use clap::Args;
use serde_json::json;

use crate::cli::Output;
use crate::exit::{Coded, FAILURE, USAGE};
use crate::out;

/// What to verify, by what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder, or with `--receipt` the file of a receipt.
    path: PathBuf,
    /// The log's public key, as `tidegate audit keys` prints it.
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// It is a receipt.
    #[arg(long)]
    receipt: bool,
    /// The public key of a witness, who must have signed the checkpoint; one of several.
    #[arg(long, value_name = "KEY", conflicts_with = "receipt")]
    witness: Vec<String>,
    /// A file with a checkpoint from elsewhere, as from a witness, that the log must hold to.
    #[arg(long, value_name = "FILE", conflicts_with = "receipt")]
    checkpoint: Vec<PathBuf>,
    /// Once all are good, print the signed entries and nothing else, each in a line as it was written.
    #[arg(long, conflicts_with_all = ["receipt", "output"])]
    entries: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

struct Folder<'a>(&'a Path);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(path)).ok()
    }
}

fn keys(texts: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    let key = |text: &String| {
        let wrong = || Coded::new(USAGE, format!("read the key {text}: expected NAME+ID+KEY"));
        PublicKey::parse(text).ok_or_else(|| wrong().into())
    };
    texts.iter().map(key).collect()
}

/// Does it.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let own = keys(&arguments.key)?;
    if arguments.receipt {
        return receipt(arguments, &own);
    }
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let checkpoints: anyhow::Result<Vec<Vec<u8>>> = arguments.checkpoint.iter().map(read).collect();
    let known = Known { keys: own, witnesses: keys(&arguments.witness)?, checkpoints: checkpoints? };
    let folder = Folder(&arguments.path);
    let report = audit::verify(&folder, &known);
    if arguments.entries && report.finding.is_none() {
        print(&folder, report.first, report.signed);
        return Ok(0);
    }
    let at = report.at.map(audit::moment);
    if arguments.output == Output::Json {
        let finding = report.finding.as_ref().map(
            |finding| json!({"index": finding.index, "what": finding.what.as_str(), "why": finding.why}),
        );
        let value = json!({
            "good": report.finding.is_none(), "origin": report.origin, "first": report.first,
            "size": report.size, "signed": report.signed, "at": at, "keys": report.keys, "finding": finding,
        });
        out::line(serde_json::to_string_pretty(&value)?);
    } else if report.finding.is_none() {
        let (origin, first, signed) = (&report.origin, report.first, report.signed);
        let pruned = if first > 0 { format!(", those before {first} pruned") } else { String::new() };
        out::line(format!("{origin}: {signed} entries are as they were signed{pruned}"));
        if let Some(at) = at {
            out::line(format!("signed at {at}"));
        }
    }
    match report.finding {
        None => Ok(0),
        Some(finding) => {
            let place = finding.index.map_or_else(|| "the log".to_owned(), |index| format!("entry {index}"));
            let text = format!("verify the log: {place}: {}: {}", finding.what.as_str(), finding.why);
            Err(Coded::new(FAILURE, out::plain(&text).into_owned()).into())
        }
    }
}

/// Prints the entries of a log that was verified.
fn print(folder: &Folder<'_>, first: u64, signed: u64) {
    for bundle in first / TILE_WIDTH..signed.div_ceil(TILE_WIDTH) {
        let start = bundle * TILE_WIDTH;
        let bytes = folder.read(&bundle_path(bundle, TILE_WIDTH.min(signed - start))).unwrap_or_default();
        let (entries, _) = entries(&bytes);
        for line in entries.iter().zip(start..).filter(|(_, index)| *index >= first).map(|(line, _)| line) {
            out::line(String::from_utf8_lossy(line));
        }
    }
}

fn receipt(arguments: &Arguments, keys: &[PublicKey]) -> anyhow::Result<u8> {
    let path = &arguments.path;
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let receipt: Receipt = serde_json::from_slice(&text)
        .map_err(|_| Coded::new(FAILURE, format!("read {}: it is no receipt", path.display())))?;
    let mut last = None;
    for key in keys {
        match receipt.check(key) {
            Ok(checkpoint) => {
                let (origin, index, size) = (&receipt.origin, receipt.index, checkpoint.size);
                match arguments.output {
                    Output::Json => {
                        let value = json!({"good": true, "origin": origin, "index": index, "size": size});
                        out::line(value.to_string());
                    }
                    Output::Table => out::line(format!("entry {index} is one of the {size} of {origin}")),
                }
                return Ok(0);
            }
            Err(error) => last = Some(error),
        }
    }
    let why = last.map(|error| error.to_string()).unwrap_or_default();
    Err(Coded::new(FAILURE, format!("verify the receipt: {why}")).into())
}
