//! What starts the gateway with its configuration, where it is to run.

use std::path::{Component, Path};

use anyhow::Context as _;
use config::{Layered, Meaning};
use portable::{Deployed, RunsAt};

use crate::cli::Source;
use crate::exit::{Coded, USAGE};
use crate::load;

/// The files that start the gateway there with this configuration.
///
/// # Errors
/// Where there is no configuration, it is wrong, or secrets stand in it.
pub fn deployed(place: RunsAt, source: &Source) -> anyhow::Result<Deployed> {
    let loaded = load::load(source)?;
    let Some(file) = &loaded.file else {
        let text = "deploy: there is no configuration; give --config".to_owned();
        return Err(Coded::new(USAGE, text).into());
    };
    let layered = load::layered(source, file)?;
    refuse_secrets(&layered)?;
    let (text, laid) = text(source, file, &layered)?;
    let (mut beside, mut outside) = (Vec::new(), Vec::new());
    let folder = file.parent().unwrap_or(Path::new("."));
    for (key, path) in load::parts(&loaded.config) {
        let inside = path.strip_prefix(folder).ok().map(plain).filter(|name| portable_name(name));
        match inside {
            Some(name) if beside.iter().any(|(other, _)| *other == name) => {}
            Some(name) => {
                let text =
                    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                beside.push((name, text));
            }
            None => outside.push((key, path)),
        }
    }
    let made = portable::deploy(place, &text, &beside, &file.display().to_string());
    let mut made = made.map_err(|fault| Coded::config(format!("deploy the configuration: {fault}")))?;
    for (key, path) in outside {
        // Without it the gateway does not start, so that nothing is open that was closed.
        let meaning = format!("{} is not in the configuration's folder: put it there", path.display());
        made.report.approximated(key, true, meaning);
    }
    if laid {
        let meaning = "overlays and values that were given stand in one file now, without its comments";
        made.report.approximated("configuration", false, meaning);
    }
    Ok(made)
}

/// The configuration as one text: its file as it is, or what is laid over it and given with it.
fn text(source: &Source, file: &Path, layered: &Layered) -> anyhow::Result<(String, bool)> {
    if layered.origins.files().len() == 1 && source.set.is_empty() {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        return Ok((text, false));
    }
    Ok((format!("{}{}", portable::SCHEMA_LINE, portable::yaml_text(&layered.origins.whole())), true))
}

/// A path without `.` in it, with `/` between its parts.
fn plain(path: &Path) -> String {
    let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Whether a path stays where it is put, on every system.
fn portable_name(name: &str) -> bool {
    bundle::path_fault(name).is_none()
}

/// Refuses to write a configuration elsewhere in which secrets stand: what is written is read by more people.
///
/// # Errors
/// With the keys.
pub fn refuse_secrets(layered: &Layered) -> anyhow::Result<()> {
    let risky = at_risk(layered);
    if risky.is_empty() {
        return Ok(());
    }
    let text = format!(
        "leave the secrets out that stand in the configuration: {}; write {{env: NAME}}, {{file: PATH}} or \
         the like there",
        risky.join(", ")
    );
    Err(Coded::config(text).into())
}

/// The keys at which secrets stand themselves.
///
/// What an import would take for one is one here, too.
pub fn at_risk(layered: &Layered) -> Vec<String> {
    let value = Meaning::of(&layered.config, None).value().clone();
    Meaning::told(value, Some(&layered.origins)).secrets_at_risk()
}
