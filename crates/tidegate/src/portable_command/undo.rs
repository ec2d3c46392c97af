//! What files were before `tidegate export` wrote them, so that it can be undone byte for byte.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, Text};
use crate::exit::{Coded, FAILURE, REFUSED};
use crate::{out, state};

/// What was written at one time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    files: Vec<Entry>,
    /// Folders that were made for them, each after the one that it is in.
    #[serde(default)]
    folders: Vec<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: PathBuf,
    /// The copy's name; `None`: there was no file.
    copy: Option<String>,
    /// The SHA-256 of what was written.
    after: String,
}

const MANIFEST: &str = "manifest.json";

fn hash(bytes: &[u8]) -> String {
    audit::hex(&seal::sha256(bytes))
}

fn folder() -> anyhow::Result<PathBuf> {
    state::folder("exports")
        .ok_or_else(|| Coded::new(FAILURE, "keep what was there: no state folder is known".to_owned()).into())
}

/// The folders of earlier times.
fn numbered(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect()
}

/// Those that can be undone, the latest last.
fn earlier(folder: &Path) -> Vec<(u64, PathBuf)> {
    let mut all = numbered(folder);
    all.retain(|(_, path)| path.join(MANIFEST).exists());
    all.sort();
    all
}

/// Keeps what is about to be replaced, and which folders are about to be made. Once it returns, it can be
/// undone also after a crash.
///
/// # Errors
/// Where it cannot be kept; nothing was written then.
pub fn keep(changes: &[(Text, String)], folders: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let folder = folder()?;
    // Also one that was undone may have kept something.
    let number = numbered(&folder).into_iter().map(|(number, _)| number).max().map_or(1, |last| last + 1);
    let own = folder.join(number.to_string());
    files::private_folder(&own)?;
    let mut entries = Vec::new();
    for (index, (old, new)) in changes.iter().enumerate() {
        let copy = match &old.text {
            Some(text) => {
                files::private(&own.join(index.to_string()), text.as_bytes())?;
                Some(index.to_string())
            }
            None => None,
        };
        let path = std::path::absolute(&old.real)?;
        entries.push(Entry { path, copy, after: hash(new.as_bytes()) });
    }
    let manifest = serde_json::to_vec_pretty(&Manifest { files: entries, folders: folders.to_vec() })?;
    files::private(&own.join(MANIFEST), &manifest)?;
    Ok(own)
}

/// Forgets what was kept, where nothing was replaced after all.
pub fn forget(own: &Path) {
    // What stays of it is only a time at which there is nothing to undo.
    let _ = std::fs::remove_dir_all(own);
}

/// Undoes the latest time, file by file. One that was changed since is left alone, unless `over` says that it
/// is put back all the same; what it was until then is kept.
///
/// # Errors
/// Where nothing was exported, or a file cannot be read or written.
pub fn undo(over: bool) -> anyhow::Result<u8> {
    let folder = folder()?;
    let Some((_, own)) = earlier(&folder).pop() else {
        return Err(Coded::new(REFUSED, "undo: nothing was exported".to_owned()).into());
    };
    let text = std::fs::read(own.join(MANIFEST))?;
    let manifest: Manifest = serde_json::from_slice(&text)?;
    let (mut left, mut is_kept) = (Vec::new(), false);
    for (index, entry) in manifest.files.into_iter().enumerate() {
        let now = files::named(&entry.path)?;
        let before = match &entry.copy {
            Some(copy) => Some(std::fs::read_to_string(own.join(copy))?),
            None => None,
        };
        if now.text == before {
            continue;
        }
        let changed = now.text.as_ref().is_none_or(|text| hash(text.as_bytes()) != entry.after);
        let path = entry.path.display().to_string();
        if changed && !over {
            left.push((path, entry));
            continue;
        }
        if let (true, Some(text)) = (changed, &now.text) {
            let place = own.join(format!("{index}.changed"));
            files::private(&place, text.as_bytes())?;
            is_kept = true;
            out::line(format!("{path} was changed since; that is in {}", place.display()));
        }
        match &before {
            Some(text) => files::replace(&now, text)?,
            None => std::fs::remove_file(&now.real)?,
        }
        out::line(format!("undid {path}"));
    }
    if left.is_empty() {
        for folder in files::remove_empty(&manifest.folders) {
            out::line(format!("removed {}", folder.display()));
        }
        // Without it, this time is none to undo.
        std::fs::remove_file(own.join(MANIFEST))?;
        if !is_kept {
            std::fs::remove_dir_all(&own)?;
        }
        return Ok(0);
    }
    let paths: Vec<&str> = left.iter().map(|(path, _)| path.as_str()).collect();
    let text = format!(
        "undo {}: changed since, so left alone; what was there is in {}; --undo --replace puts it back \
         and keeps what is there",
        paths.join(", "),
        own.display()
    );
    let files: Vec<Entry> = left.into_iter().map(|(_, entry)| entry).collect();
    let manifest = serde_json::to_vec_pretty(&Manifest { files, folders: manifest.folders })?;
    scout::replace(&own.join(MANIFEST), &manifest)?;
    Err(Coded::new(REFUSED, text).into())
}
