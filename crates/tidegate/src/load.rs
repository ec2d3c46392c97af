//! Finding and reading the configuration.

use std::path::{Path, PathBuf};

use config::{Config, Diagnostics};

use crate::cli::Source;
use crate::exit::Coded;
use crate::governed;
use crate::watch::{self, Stamp};

/// The file that is looked for where none is named.
pub const DEFAULT_FILE: &str = "tidegate.yaml";

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The file; `None`: there is none, and the demo server stands in.
    pub file: Option<PathBuf>,
    /// What was changed or not understood.
    pub warnings: Vec<String>,
    /// The file as it was before it was read.
    pub stamp: Stamp,
    /// The files of policies, as they were before they were read.
    pub policies: Vec<watch::Looks>,
}

/// Reads the configuration that the arguments ask for.
///
/// # Errors
/// Where the file cannot be read or is wrong, with everything that is wrong with it.
pub fn load(source: &Source) -> anyhow::Result<Loaded> {
    match source.config.as_ref().or(source.mcp_json.as_ref()) {
        Some(file) => reload(source, file),
        None if Path::new(DEFAULT_FILE).exists() => reload(source, Path::new(DEFAULT_FILE)),
        None => Ok(Loaded {
            config: Config::default(),
            file: None,
            warnings: Vec::new(),
            stamp: None,
            policies: Vec::new(),
        }),
    }
}

/// Reads a file in the way in which the arguments ask for it, and the policies that it names.
///
/// # Errors
/// As [`load`].
fn reload(source: &Source, file: &Path) -> anyhow::Result<Loaded> {
    let loaded = read(source, file)?;
    server::policies::engine(&loaded.config).map_err(|error| Coded::policies(&error))?;
    governed::check(&loaded.config)?;
    Ok(loaded)
}

/// Reads a file in the way in which the arguments ask for it; its policies are read when it is put in force.
///
/// # Errors
/// As [`load`], policies aside.
pub fn read(source: &Source, file: &Path) -> anyhow::Result<Loaded> {
    let stamp = watch::stamp(file);
    let (bytes, name) = (bytes(file)?, file.display().to_string());
    let (mut config, warnings) = if source.mcp_json.is_some() {
        let imported = refused(config::mcp_json::load_slice(&bytes, &name))?;
        (imported.config, imported.warnings.iter().map(ToString::to_string).collect())
    } else {
        (refused(config::load_slice(&bytes, &name))?, Vec::new())
    };
    config.anchor_paths(file.parent().unwrap_or(Path::new(".")));
    let files = config.policy.iter().flat_map(|policy| &policy.files);
    // Their stamps come before they are read, so that no change between is missed.
    let policies = files.map(|file| watch::Looks::new(file.clone())).collect();
    Ok(Loaded { config, file: Some(file.to_owned()), warnings, stamp, policies })
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Coded::config(format!("read {}: {error}", file.display())).into())
}

fn refused<T>(result: Result<T, Diagnostics>) -> anyhow::Result<T> {
    result.map_err(|faults| Coded::faults(faults).into())
}
