//! `tidegate config`.

mod compare;

use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;
use config::{Config, ReplicaError, SecretPlace};
use serde_json::json;

use crate::cli::{Output, Source};
use crate::exit::{CONFIG, Coded, USAGE};
use crate::{load, out};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with the configuration, with file, line and hint.
    Check {
        #[command(flatten)]
        source: Source,
        /// How to print.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Explain a key, such as `upstreams.*.timeouts.connect`.
    Explain {
        /// The key's path.
        key: String,
        /// Say as well where it is set here, and what an overlay covers.
        #[arg(long)]
        here: bool,
        #[command(flatten)]
        source: Source,
    },
    /// Say what is different between two configurations in what they mean; exit with 4 where something is.
    Diff(Box<compare::Diff>),
    /// Say what is different between the file, the gateway that runs and the store; exit with 4 where
    /// something is.
    Drift(Box<compare::Chosen>),
    /// Print the JSON Schema, for editors.
    Schema {
        /// That of files that are laid over a configuration, such as `tidegate.production.yaml`.
        #[arg(long)]
        overlay: bool,
    },
    /// Print the reference of all keys as Markdown.
    Reference,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Check { source, output: Output::Table } => check(&load::load(&source)?),
        Command::Check { source, output: Output::Json } => return check_for_programs(&source),
        Command::Diff(arguments) => return compare::diff(*arguments).await,
        Command::Drift(chosen) => return compare::drift(*chosen).await,
        Command::Explain { key, here, source } => match config::explain(&key) {
            Some(text) => {
                out::line(text);
                if here {
                    explain_here(&source, &key)?;
                }
            }
            None => {
                let hint = config::nearest_key(&key).map(|near| format!("; did you mean {near:?}?"));
                eprintln!("tidegate: there is no key {key:?}{}", hint.unwrap_or_default());
                return Ok(USAGE);
            }
        },
        Command::Schema { overlay } => {
            let schema = if overlay { config::overlay_schema() } else { config::schema() };
            out::line(serde_json::to_string_pretty(&schema).context("print the schema")?);
        }
        Command::Reference => out::line(config::reference().trim_end()),
    }
    Ok(0)
}

/// Where a key is set, and what is covered there.
fn explain_here(source: &Source, key: &str) -> anyhow::Result<()> {
    let file = source.config.clone().unwrap_or_else(|| load::DEFAULT_FILE.into());
    let origins = load::layered(source, &file)?.origins;
    let mut set = origins.under(key).peekable();
    if set.peek().is_none() {
        out::line("\nHere it is not set.");
    }
    for (path, at) in set {
        out::line(format!("\nHere: {path}\n  set      {at}"));
        for (_, below) in origins.covered(path).filter(|(covered, _)| *covered == path) {
            out::line(format!("  covers   {below}"));
        }
    }
    Ok(())
}

fn check_for_programs(source: &Source) -> anyhow::Result<u8> {
    let (code, report) = match load::load(source) {
        Ok(loaded) => {
            let mut warnings = loaded.warnings;
            warnings.extend(missing_here(&loaded.config));
            (0, json!({"good": true, "file": loaded.file, "faults": [], "warnings": warnings}))
        }
        Err(error) => match error.downcast_ref::<Coded>().and_then(|coded| coded.faults.as_ref()) {
            Some(faults) => (CONFIG, json!({"good": false, "faults": faults, "warnings": []})),
            None => return Err(error),
        },
    };
    out::line(serde_json::to_string_pretty(&report).context("print the report")?);
    Ok(code)
}

fn check(loaded: &load::Loaded) {
    for warning in loaded.warnings.iter().chain(&missing_here(&loaded.config)) {
        eprintln!("warning: {warning}");
    }
    let Some(file) = &loaded.file else {
        return out::line(format!("there is no {} here: `up` serves the demo server", load::DEFAULT_FILE));
    };
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    out::line(format!(
        "{} is good: {}, {}",
        file.display(),
        count(loaded.config.upstreams.len(), "upstream"),
        count(loaded.config.endpoints.len(), "endpoint"),
    ));
}

/// What the configuration names and this machine does not have. No fault of the file: it may be for another
/// machine, or another user.
fn missing_here(config: &Config) -> Vec<String> {
    let mut missing = Vec::new();
    let mut file = |key: String, path: &Path| {
        if let Err(error) = std::fs::metadata(path) {
            missing.push(format!("{key}: {}: {error}", path.display()));
        }
    };
    if let Some(tls) = &config.tls {
        file("tls.cert".to_owned(), &tls.cert);
        file("tls.key".to_owned(), &tls.key);
    }
    for (name, upstream) in config.upstreams_enabled() {
        if let Some(ca) = &upstream.tls.ca {
            file(format!("upstreams.{name}.tls.ca"), ca);
        }
        if let Some(cwd) = &upstream.cwd {
            file(format!("upstreams.{name}.cwd"), cwd);
        }
        if let Some(sandbox) = &upstream.sandbox {
            for (key, list) in [("read", &sandbox.read), ("write", &sandbox.write)] {
                for (index, path) in list.iter().enumerate() {
                    file(format!("upstreams.{name}.sandbox.{key}[{index}]"), path);
                }
            }
        }
    }
    for (name, export) in &config.audit.exports {
        if let Some(ca) = &export.ca {
            file(format!("audit.exports.{name}.ca"), ca);
        }
    }
    let env = |name: &str| std::env::var(name).ok();
    // Whoever checks a file does not want its programs to run.
    let read = |place: SecretPlace<'_>| match place {
        SecretPlace::File(path) => std::fs::read(path),
        SecretPlace::Command(_) => Ok(b"not run".to_vec()),
    };
    for (name, upstream) in config.upstreams_enabled() {
        if let Err(error) = upstream.resolve(&env, &read) {
            missing.push(format!("upstreams.{name}.{}: {}", error.at, error.kind));
        }
    }
    let sandboxed = config.upstreams_enabled().find(|(_, upstream)| upstream.sandbox.is_some());
    if let Some((name, _)) = sandboxed.filter(|_| !egress::Sandbox::is_available()) {
        missing.push(format!(
            "upstreams.{name}.sandbox: bubblewrap (bwrap) is not in PATH, and without it the program is not \
             started"
        ));
    }
    for (name, export) in &config.audit.exports {
        let bucket = export.s3.as_ref().map(|s3| s3.resolve(&env, &read).map(drop));
        for error in [export.resolve(&env, &read).map(drop)].into_iter().chain(bucket).filter_map(Result::err)
        {
            missing.push(format!("audit.exports.{name}.{}: {}", error.at, error.kind));
        }
    }
    if let Err(error) = config.replica.place(config.listen, &env) {
        missing.push(match error {
            ReplicaError::Read { key, source } => format!("replica.{key}: {source}"),
            ReplicaError::Use { key, fault } => format!("replica.{key}: {fault}"),
        });
    }
    missing
}
