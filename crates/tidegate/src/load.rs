//! Finding and reading the configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use config::{Config, Diagnostics, Given, Layer, Layered};

use crate::cli::{self, Source};
use crate::exit::Coded;
use crate::governed;
use crate::watch::{self, Stamp};

/// The file that is looked for where none is named.
pub const DEFAULT_FILE: &str = "tidegate.yaml";

/// The environment whose overlay is of this machine alone: it is laid over all others wherever it is there.
pub const LOCAL: &str = "local";
/// The largest file that is read, with a byte more by which too large a one is noticed.
const READ_BYTES_MAX: u64 = config::FILE_BYTES_MAX as u64 + 1;

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
    /// The files besides, overlays and policies, as they were before they were read.
    pub besides: Vec<watch::Looks>,
}

/// Reads the configuration that the arguments ask for.
///
/// # Errors
/// Where the file cannot be read or is wrong, with everything that is wrong with it.
pub fn load(source: &Source) -> anyhow::Result<Loaded> {
    match source.config.as_ref().or(source.mcp_json.as_ref()) {
        Some(file) => reload(source, file),
        None if Path::new(DEFAULT_FILE).exists() => reload(source, Path::new(DEFAULT_FILE)),
        None if !source.env.is_empty() || !source.set.is_empty() => {
            let text =
                format!("read {DEFAULT_FILE}: there is none here that could have overlays or variables");
            Err(Coded::config(text).into())
        }
        None => Ok(Loaded {
            config: Config::default(),
            file: None,
            warnings: Vec::new(),
            stamp: None,
            besides: Vec::new(),
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
    // Their stamps come before they are read, so that no change between is missed.
    let mut besides: Vec<_> = overlays(source, file).into_iter().map(watch::Looks::new).collect();
    let (mut config, warnings) = if source.mcp_json.is_some() {
        let name = file.display().to_string();
        let imported = refused(config::mcp_json::load_slice(&bytes(file)?, &name))?;
        (imported.config, imported.warnings.iter().map(ToString::to_string).collect())
    } else {
        (layered(source, file)?.config, Vec::new())
    };
    config.anchor_paths(file.parent().unwrap_or(Path::new(".")));
    let files = config.policy.iter().flat_map(|policy| &policy.files);
    besides.extend(files.map(|file| watch::Looks::new(file.clone())));
    Ok(Loaded { config, file: Some(file.to_owned()), warnings, stamp, besides })
}

/// The overlay of an environment beside a configuration: `tidegate.production.yaml` beside `tidegate.yaml`.
pub fn overlay(file: &Path, env: &str) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = part(file.file_stem()).unwrap_or_default();
    match part(file.extension()) {
        Some(extension) => file.with_file_name(format!("{stem}.{env}.{extension}")),
        None => file.with_file_name(format!("{stem}.{env}")),
    }
}

/// The environment whose overlay a file of this name is, beside a configuration of the other name.
pub fn environment_of(config: &str, name: &str) -> Option<String> {
    let config = Path::new(config);
    let stem = config.file_stem()?.to_str()?;
    let end = config.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
    let env = name.strip_prefix(&format!("{stem}."))?.strip_suffix(&end)?;
    (env == LOCAL || cli::environment(env).is_ok()).then(|| env.to_owned())
}

/// The overlays that are laid over a file, in their order; that of this machine may not be there.
pub fn overlays(source: &Source, file: &Path) -> Vec<PathBuf> {
    if source.mcp_json.is_some() {
        return Vec::new();
    }
    let names = source.env.iter().map(String::as_str).chain([LOCAL]);
    names.map(|name| overlay(file, name)).collect()
}

/// A file with its overlays, as one configuration whose paths start nowhere yet.
///
/// # Errors
/// As [`load`], policies aside.
pub fn layered(source: &Source, file: &Path) -> anyhow::Result<Layered> {
    layered_over(source, file, bytes(file)?)
}

/// The same, where this is what the file holds.
///
/// # Errors
/// As [`load`], policies aside.
pub fn layered_over(source: &Source, file: &Path, text: Vec<u8>) -> anyhow::Result<Layered> {
    let mut files = vec![(file.display().to_string(), text)];
    let local = overlay(file, LOCAL);
    for overlay in overlays(source, file) {
        if overlay != local || overlay.exists() {
            files.push((overlay.display().to_string(), bytes(&overlay)?));
        }
    }
    compose(source, &files)
}

/// The same of what files hold, the lowest first.
///
/// # Errors
/// As [`load`], policies aside.
pub fn compose(source: &Source, files: &[(String, Vec<u8>)]) -> anyhow::Result<Layered> {
    let layers: Vec<_> = files.iter().map(|(name, bytes)| Layer { name, bytes }).collect();
    let variables = source.set.iter().cloned().collect();
    let env = |name: &str| std::env::var(name).ok();
    refused(config::load_layers(&layers, &Given { variables: &variables, env: &env }))
}

/// The files of a configuration that are parts of it, and the keys that name them: policies, the ruleset,
/// documents.
pub fn parts(config: &Config) -> Vec<(String, PathBuf)> {
    let policies = config.policy.iter().flat_map(|policy| &policy.files);
    let policies = policies.map(|file| ("policy.files".to_owned(), file.clone()));
    let rules = config.governance.iter().filter_map(|section| section.rules.clone());
    let rules = rules.map(|file| ("governance.rules".to_owned(), file));
    let documents = config.upstreams.iter().filter_map(|(name, upstream)| {
        let document = &upstream.openapi.as_ref()?.document;
        let is_url = document.starts_with("http://") || document.starts_with("https://");
        (!is_url).then(|| (format!("upstreams.{name}.openapi.document"), PathBuf::from(document)))
    });
    policies.chain(rules).chain(documents).collect()
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(READ_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Coded::config(format!("read {}: {error}", file.display())).into()),
    }
}

fn refused<T>(result: Result<T, Diagnostics>) -> anyhow::Result<T> {
    result.map_err(|faults| Coded::faults(faults).into())
}
