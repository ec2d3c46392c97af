//! What starts the gateway with its configuration, where it is to run.

use std::path::Path;

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
    refuse_secrets(source, file)?;
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut beside = Vec::new();
    let folder = file.parent().unwrap_or(Path::new("."));
    for path in loaded.config.policy.iter().flat_map(|policy| &policy.files) {
        // One that is elsewhere is named by its whole path, and told as one that has to be put there.
        let Ok(name) = path.strip_prefix(folder) else { continue };
        if name.components().count() == 1 {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            beside.push((name.display().to_string(), text));
        }
    }
    portable::deploy(place, &text, &beside, &file.display().to_string())
        .map_err(|fault| Coded::config(format!("deploy the configuration: {fault}")).into())
}

/// Refuses to write a configuration elsewhere in which secrets stand: what is written is read by more people.
///
/// # Errors
/// With the keys.
pub fn refuse_secrets(source: &Source, file: &Path) -> anyhow::Result<()> {
    let risky = at_risk(&load::layered(source, file)?);
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
pub fn at_risk(layered: &Layered) -> Vec<String> {
    let value = Meaning::of(&layered.config, None).value().clone();
    Meaning::told(value, Some(&layered.origins)).secrets_at_risk()
}
