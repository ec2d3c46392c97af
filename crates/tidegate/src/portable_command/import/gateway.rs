//! What another gateway has: servers and endpoints, and who may do what with them.

use std::path::{Path, PathBuf};

use portable::{Deployment, Format, Imported, Migrated, Origin, Target};

use super::super::files::{self, Text};
use super::there::There;
use super::{Arguments, Gathered, NOT_TAKEN, REPLACES, Row, SAME, Taken, known_servers, secrets};
use crate::exit::{Coded, REFUSED, USAGE};

/// How large the files may be together, in bytes.
const BYTES_MAX: u64 = portable::FILE_BYTES_MAX as u64;

/// Takes over what a gateway has, as `tidegate migrate from` does; its secrets go where the command says.
pub fn take(
    arguments: &Arguments,
    format: &'static dyn Format,
    old: &Text,
    known: &Deployment,
) -> anyhow::Result<Taken> {
    let paths = paths(arguments, format)?;
    let read = read(format, &paths)?;
    let shown = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    let mut all = Gathered { report: read.report, ..Gathered::default() };
    let mut row = |name: &str, own: Option<String>, why: String| {
        let (client, file, name) = (format.name(), shown.clone(), name.to_owned());
        all.rows.push(Row { client, file, name, own, why });
    };
    for refused in &read.refused {
        row(&refused.name, None, refused.fault.to_string());
    }
    for name in read.deployment.servers.keys() {
        row(name, Some(name.clone()), String::new());
    }
    all.refused = !read.refused.is_empty();
    all.deployment = read.deployment;
    let moved = secrets(arguments, &mut all)?;
    let file = old.path.display().to_string();
    let target = Target { file: &file, existing: old.text.as_deref(), remove: &[] };
    let Migrated { config, beside, names, report } =
        portable::migrate_into(std::mem::take(&mut all.deployment), &target)
            .map_err(|fault| Coded::config(format!("make a configuration of it: {fault}")))?;
    all.report.extend(report);
    let after = known_servers(&Text { text: Some(config.clone()), ..old.clone() })?;
    let same = |own: &String| known.servers.get(own) == after.servers.get(own);
    let others = names.iter().map(|(_, own)| own).filter(|own| known.servers.contains_key(*own));
    let others: Vec<&str> = others.filter(|own| !same(own)).map(String::as_str).collect();
    if !others.is_empty() && !arguments.replace {
        let text = format!(
            "take servers over: upstreams that are called so are other ones ({}); --replace puts these in \
             their place, --config names another configuration",
            others.join(", ")
        );
        return Err(Coded::new(REFUSED, text).into());
    }
    let there = There { known, secrets: None, replace: true };
    others.iter().for_each(|own| there.tell(own, &mut all.report));
    for row in all.rows.iter_mut().filter(|row| row.own.is_some()) {
        row.own = names.iter().find(|(old, _)| *old == row.name).map(|(_, new)| new.clone());
        match &row.own {
            Some(own) if known.servers.contains_key(own) => {
                let why = if same(own) { SAME } else { REPLACES };
                why.clone_into(&mut row.why);
            }
            Some(_) => {}
            None => {
                all.refused = true;
                NOT_TAKEN.clone_into(&mut row.why);
            }
        }
    }
    let place = |(name, text): (String, String)| Ok((files::named(&old.path.with_file_name(name))?, text));
    let beside: anyhow::Result<Vec<(Text, String)>> = beside.into_iter().map(place).collect();
    Ok(Taken { all, moved, text: config, beside: beside? })
}

/// Which files are read.
fn paths(arguments: &Arguments, format: &'static dyn Format) -> anyhow::Result<Vec<PathBuf>> {
    if !arguments.paths.is_empty() {
        return Ok(arguments.paths.clone());
    }
    let found = if format.known().is_empty() { Vec::new() } else { files::known(&[format])? };
    if found.is_empty() {
        let text =
            format!("find a file of {}: there is none ({}); name it", format.title(), files::places(format));
        return Err(Coded::new(USAGE, text).into());
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads a gateway's files.
///
/// # Errors
/// Where they cannot be read, or are none of that gateway's.
pub fn read(format: &dyn Format, paths: &[PathBuf]) -> anyhow::Result<Imported> {
    let text = joined(paths)?;
    let file = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    let digest = format!("sha256:{}", audit::hex(&seal::sha256(text.as_bytes())));
    let origin = Origin { file: &file, digest: Some(&digest), ..Origin::default() };
    let read = format.import(&text, &origin);
    read.map_err(|fault| Coded::config(format!("read {}: {fault}", format.title())).into())
}

/// The files as one text: documents of YAML, which JSON is, too.
fn joined(paths: &[PathBuf]) -> anyhow::Result<String> {
    let mut texts = Vec::new();
    let mut left = BYTES_MAX;
    for path in paths {
        let text = one(path, &mut left)
            .map_err(|why| Coded::new(USAGE, format!("read {}: {why}", path.display())))?;
        texts.push(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned));
    }
    Ok(texts.join("\n---\n"))
}

fn one(path: &Path, left: &mut u64) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    *left = left.checked_sub(size).ok_or_else(|| format!("there are more than {BYTES_MAX} bytes"))?;
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
