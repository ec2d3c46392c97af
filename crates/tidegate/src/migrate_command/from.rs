//! Files of another gateway's as this gateway's own, and what starts that.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use portable::{Format, GATEWAYS, Migrated, RunsAt};
use serde_json::json;

use crate::cli::{Output, Source};
use crate::exit::{Coded, GUARDS_LOST, REFUSED, USAGE};
use crate::out;
use crate::portable_command::{self, deployed, read_gateway, tell};

/// Whose files, and where what comes out goes.
#[derive(Debug, Args)]
pub struct From {
    /// The gateway: `agentgateway`, `contextforge`, `docker`, `litellm`, `metamcp`, `toolhive`.
    #[arg(value_name = "GATEWAY")]
    gateway: String,
    /// Its files; several are read as one, such as Docker's catalog with what is beside it.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Write `tidegate.yaml` and what it names into this folder, where none of it is yet. Without it, they
    /// are shown.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Where the gateway is to run.
#[derive(Debug, Args)]
pub struct Deploy {
    /// `kubernetes`, `systemd` or `compose`.
    #[arg(value_name = "PLACE")]
    place: String,
    #[command(flatten)]
    source: Source,
    /// The folder for the files, where none of them is yet.
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Reads another gateway's files, and writes what they become.
pub fn from(arguments: &From) -> anyhow::Result<u8> {
    let format = gateway(&arguments.gateway)?;
    let read = read_gateway(format, &arguments.files)?;
    let mut report = read.report;
    let Migrated { config, beside, report: more, .. } = portable::migrate(read.deployment)
        .map_err(|fault| Coded::config(format!("make a configuration of it: {fault}")))?;
    report.extend(more);
    let refused: Vec<String> =
        read.refused.iter().map(|one| format!("{}: {}", one.name, one.fault)).collect();
    let mut files = vec![("tidegate.yaml".to_owned(), config)];
    files.extend(beside);
    if let Some(folder) = &arguments.into {
        put(folder, &files)?;
    }
    match arguments.output {
        Output::Json => {
            let texts: serde_json::Map<String, serde_json::Value> =
                files.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
            let document = json!({"report": report.to_json(), "refused": refused, "files": texts});
            out::line(serde_json::to_string_pretty(&document).context("print the report")?);
        }
        Output::Table => {
            tell(&report);
            refused.iter().for_each(|one| eprintln!("refused: {}", out::plain(one)));
            for (name, text) in &files {
                match &arguments.into {
                    Some(folder) => out::line(format!("wrote {}", folder.join(name).display())),
                    None => out::line(format!("\n# {name}\n{}", out::plain(text.trim_end()))),
                }
            }
        }
    }
    Ok(match (report.guards_lost(), refused.is_empty()) {
        (true, _) => GUARDS_LOST,
        (false, false) => REFUSED,
        (false, true) => 0,
    })
}

/// Writes what starts the gateway with this configuration.
pub fn deploy(arguments: &Deploy) -> anyhow::Result<u8> {
    let place = RunsAt::ALL.into_iter().find(|place| place.name() == arguments.place);
    let Some(place) = place else {
        let text = format!(
            "deploy to {:?}: there are kubernetes, systemd and compose",
            out::plain(&arguments.place)
        );
        return Err(Coded::new(USAGE, text).into());
    };
    let deployed = deployed(place, &arguments.source)?;
    put(&arguments.into, &deployed.files)?;
    match arguments.output {
        Output::Json => {
            let names: Vec<&String> = deployed.files.iter().map(|(name, _)| name).collect();
            let document = json!({"report": deployed.report.to_json(), "files": names});
            out::line(serde_json::to_string_pretty(&document).context("print the report")?);
        }
        Output::Table => {
            tell(&deployed.report);
            for (name, _) in &deployed.files {
                out::line(format!("wrote {}", arguments.into.join(name).display()));
            }
        }
    }
    Ok(if deployed.report.guards_lost() { GUARDS_LOST } else { 0 })
}

fn gateway(name: &str) -> anyhow::Result<&'static dyn Format> {
    portable_command::gateway(name).ok_or_else(|| {
        let names: Vec<&str> = GATEWAYS.iter().map(|format| format.name()).collect();
        let text = format!("find the gateway {:?}: there are {}", out::plain(name), names.join(", "));
        Coded::new(USAGE, text).into()
    })
}

/// Writes new files, whole or not at all, and none over one that is there.
fn put(folder: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    if let Some((name, _)) = files.iter().find(|(name, _)| folder.join(name).symlink_metadata().is_ok()) {
        let text = format!("write {}: it is there already", folder.join(name).display());
        return Err(Coded::new(REFUSED, text).into());
    }
    for (name, text) in files {
        let path = folder.join(name);
        let written = std::fs::create_dir_all(path.parent().unwrap_or(folder));
        let written = written.and_then(|()| scout::replace(&path, text.as_bytes()));
        written.with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
