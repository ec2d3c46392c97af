//! Finding and reading the configuration.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use config::{Config, Diagnostics};

use crate::cli::Source;
use crate::exit::{CONFIG, Coded};

/// The file that is looked for where none is named.
const DEFAULT_FILE: &str = "tidegate.yaml";

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The file; `None`: there is none, and the demo server stands in.
    pub file: Option<PathBuf>,
    /// What was changed or not understood.
    pub warnings: Vec<String>,
}

/// Reads the configuration that the arguments ask for.
///
/// # Errors
/// Where the file cannot be read or is wrong, with everything that is wrong with it.
pub fn load(source: &Source) -> anyhow::Result<Loaded> {
    if let Some(file) = &source.mcp_json {
        let imported = refused(config::mcp_json::load_slice(&read(file)?, &file.display().to_string()))?;
        let mut config = imported.config;
        config.anchor_paths(folder(file));
        let warnings = imported.warnings.iter().map(ToString::to_string).collect();
        return Ok(Loaded { config, file: Some(file.clone()), warnings });
    }
    let file = match &source.config {
        Some(file) => file.clone(),
        None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
        None => return Ok(Loaded { config: Config::default(), file: None, warnings: Vec::new() }),
    };
    let config = load_file(&file)?;
    Ok(Loaded { config, file: Some(file), warnings: Vec::new() })
}

/// Reads a `tidegate.yaml`.
///
/// # Errors
/// As [`load`].
pub fn load_file(file: &Path) -> anyhow::Result<Config> {
    let mut config = refused(config::load_slice(&read(file)?, &file.display().to_string()))?;
    config.anchor_paths(folder(file));
    Ok(config)
}

/// Reads a file again in the way in which it was read first.
///
/// # Errors
/// As [`load`].
pub fn reload(source: &Source, file: &Path) -> anyhow::Result<Config> {
    match &source.mcp_json {
        Some(_) => load(source).map(|loaded| loaded.config),
        None => load_file(file),
    }
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("read {}", file.display()))
}

fn refused<T>(result: Result<T, Diagnostics>) -> anyhow::Result<T> {
    result.map_err(|faults| Coded { code: CONFIG, text: format!("use the configuration:\n{faults}") }.into())
}
