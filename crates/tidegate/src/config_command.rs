//! `tidegate config`.

use anyhow::Context as _;
use clap::Subcommand;

use crate::cli::Source;
use crate::exit::USAGE;
use crate::{load, out};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with the configuration, with file, line and hint.
    Check {
        #[command(flatten)]
        source: Source,
    },
    /// Explain a key, such as `upstreams.*.timeouts.connect`.
    Explain {
        /// The key's path.
        key: String,
    },
    /// Print the JSON Schema, for editors.
    Schema,
    /// Print the reference of all keys as Markdown.
    Reference,
}

/// Does it.
pub fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Check { source } => {
            let loaded = load::load(&source)?;
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            let (upstreams, endpoints) = (loaded.config.upstreams.len(), loaded.config.endpoints.len());
            match &loaded.file {
                Some(file) => out::line(format!(
                    "{} is good: {upstreams} upstreams, {endpoints} endpoints",
                    file.display()
                )),
                None => out::line("there is no tidegate.yaml here; the demo server would be served"),
            }
        }
        Command::Explain { key } => match config::explain(&key) {
            Some(text) => out::line(text),
            None => {
                let hint = config::nearest_key(&key).map(|near| format!("; did you mean {near:?}?"));
                eprintln!("tidegate: there is no key {key:?}{}", hint.unwrap_or_default());
                return Ok(USAGE);
            }
        },
        Command::Schema => {
            out::line(serde_json::to_string_pretty(&config::schema()).context("print the schema")?);
        }
        Command::Reference => out::line(config::reference().trim_end()),
    }
    Ok(0)
}
