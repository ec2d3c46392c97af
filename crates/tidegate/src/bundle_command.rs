//! `tidegate bundle`: a deployment as one signed file.

mod apply;
mod create;
mod place;
mod records;
mod target;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bundle::{BUNDLE_BYTES_MAX, Bundle, PublicKey, RECORDS_BYTES_MAX, SIGNER_LABEL};
use clap::{Args, Subcommand};
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::cli::Output;
use crate::exit::{Coded, FAILURE, REFUSED, USAGE};
use crate::store_command::{self, Chosen};
use crate::{keys, out, table};

/// The name of those who give themselves none.
const SIGNER: &str = "tidegate";

/// What to do with a bundle.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make one: the configuration with its overlays, policies, rules and documents, and the approved
    /// definitions in the store. No secrets, and no records but on request.
    Create(Box<create::Arguments>),
    /// Show what is in one and what it needs. Believes nothing, and so does not say whose it is.
    Inspect(One),
    /// Say whether one is whole and signed with a key; exit with 4 where it is signed with another.
    Verify {
        #[command(flatten)]
        one: One,
        /// The public key as `bundle keys` prints it, or the file that holds it.
        #[arg(long, value_name = "KEY")]
        key: String,
    },
    /// Put one into a folder: show what would change, check all of it, then do all of it or nothing.
    Apply(Box<apply::Arguments>),
    /// Print the public keys by which others verify bundles that are made here.
    Keys {
        #[command(flatten)]
        chosen: Chosen,
        /// The name that stands in the signature.
        #[arg(long, value_name = "NAME", default_value = SIGNER)]
        signer: String,
    },
}

/// Which one, and how to tell of it.
#[derive(Debug, Args)]
pub struct One {
    /// The bundle.
    file: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Create(arguments) => create::run(*arguments).await,
        Command::Inspect(one) => inspect(&one),
        Command::Verify { one, key } => verify(&one, &key),
        Command::Apply(arguments) => apply::run(*arguments).await,
        Command::Keys { chosen, signer } => public_keys(&chosen, &signer).await,
    }
}

/// Reads a bundle that may be anything.
fn read(file: &Path) -> anyhow::Result<(Bundle, String)> {
    let mut bytes = Vec::new();
    let limit = (BUNDLE_BYTES_MAX + RECORDS_BYTES_MAX) as u64 + 1;
    let read = File::open(file).and_then(|open| open.take(limit).read_to_end(&mut bytes));
    read.with_context(|| format!("read {}", file.display()))?;
    let failed =
        |error: bundle::BundleError| Coded::new(FAILURE, out::plain(&error.to_string()).into_owned());
    let bundle = Bundle::read(&bytes).map_err(failed)?;
    Ok((bundle, audit::hex(&seal::sha256(&bytes))))
}

/// Reads a bundle that has to be signed with a key.
fn trusted(file: &Path, key: &str) -> anyhow::Result<(Bundle, String)> {
    let (bundle, digest) = read(file)?;
    let text = match PublicKey::parse(key) {
        Some(_) => key.to_owned(),
        None => std::fs::read_to_string(key).map_err(|error| {
            Coded::new(USAGE, format!("read --key: it is no public key, and no file that holds one: {error}"))
        })?,
    };
    let keys: Option<Vec<PublicKey>> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(PublicKey::parse).collect();
    let keys = keys.filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| Coded::new(USAGE, format!("read --key: {key} holds no public keys")))?;
    if !keys.iter().any(|key| bundle.is_signed_by(key)) {
        let text = format!("trust {}: it is not signed with that key", file.display());
        return Err(Coded::new(REFUSED, text).into());
    }
    Ok((bundle, digest))
}

fn report(bundle: &Bundle, digest: &str) -> anyhow::Result<Value> {
    let manifest = serde_json::to_value(&bundle.manifest)?;
    Ok(json!({"digest": digest, "signers": bundle.signers(), "manifest": manifest}))
}

fn inspect(one: &One) -> anyhow::Result<u8> {
    let (bundle, digest) = read(&one.file)?;
    if one.output == Output::Json {
        out::line(serde_json::to_string_pretty(&report(&bundle, &digest)?)?);
        return Ok(0);
    }
    let manifest = &bundle.manifest;
    out::line(format!("sha256        {digest}"));
    out::line(format!(
        "says it is of {} (nobody has checked that)",
        out::plain(&bundle.signers().join(", "))
    ));
    out::line(format!("made by       tidegate {}", out::plain(&manifest.program)));
    out::line(format!("environments  {}", or_none(&manifest.environments)));
    out::line(format!("definitions   {}", manifest.pins));
    let mut rows = table::new(&["file", "bytes", "sha256"]);
    for member in &manifest.members {
        let short = member.sha256.get(..16).unwrap_or_default();
        rows.add_row(vec![member.path.clone(), member.bytes.to_string(), short.to_owned()]);
    }
    out::line(format!("\n{}", table::text(&rows)));
    if !manifest.records.is_empty() {
        let mut rows = table::new(&["records of", "log", "first entry", "entries"]);
        for (tenant, log) in &manifest.records {
            let kept = log.size.saturating_sub(log.first);
            let row = [tenant.clone(), log.origin.clone(), log.first.to_string(), kept.to_string()];
            rows.add_row(row.iter().map(|t| out::plain(t)));
        }
        out::line(format!("\n{}", table::text(&rows)));
    }
    if !manifest.variables.is_empty() {
        let mut rows = table::new(&["variable", "type", "default"]);
        for (name, variable) in &manifest.variables {
            let default = variable.default.clone().unwrap_or_else(|| "has to be given".to_owned());
            rows.add_row([name.clone(), variable.r#type.clone(), default].iter().map(|t| out::plain(t)));
        }
        out::line(format!("\n{}", table::text(&rows)));
    }
    if !manifest.needs.is_empty() {
        let mut rows = table::new(&["needs", "kind", "name"]);
        for (key, need) in &manifest.needs {
            rows.add_row([key.clone(), need.kind.clone(), need.name.clone()].iter().map(|t| out::plain(t)));
        }
        out::line(format!("\n{}", table::text(&rows)));
    }
    Ok(0)
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { out::plain(&names.join(", ")).into_owned() }
}

fn verify(one: &One, key: &str) -> anyhow::Result<u8> {
    let (bundle, digest) = trusted(&one.file, key)?;
    let logs = records::verified(&bundle)?;
    match one.output {
        Output::Json => out::line(serde_json::to_string_pretty(&report(&bundle, &digest)?)?),
        Output::Table => {
            out::line(format!("{} is whole and signed with that key; sha256 {digest}", one.file.display()));
            for log in &logs {
                let (tenant, entries) = (out::plain(log.tenant), log.entries());
                out::line(format!("records of {tenant}: {entries} entries are as they were signed"));
            }
        }
    }
    Ok(0)
}

async fn public_keys(chosen: &Chosen, signer: &str) -> anyhow::Result<u8> {
    let loaded = chosen.load()?;
    let store = store_command::open_in_use(chosen).await?;
    let ring = keys::Follow::start(&loaded.config, Some(&store)).await?;
    let all: Vec<String> = ring
        .ring()
        .signers(SystemClock.now(), SIGNER_LABEL)
        .iter()
        .map(|own| PublicKey::of(signer, own).to_string())
        .collect();
    store.close().await;
    match chosen.output() {
        Output::Json => out::line(serde_json::to_string_pretty(&all)?),
        Output::Table => out::line(all.join("\n")),
    }
    Ok(0)
}
