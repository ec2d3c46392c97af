//! Files of other programs: found in the user's home, read and replaced with care.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portable::{FILE_BYTES_MAX, Format, Scope};

use crate::exit::{Coded, FAILURE, USAGE};

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Text {
    /// As it was named.
    pub path: PathBuf,
    /// Where it is: behind all links.
    pub real: PathBuf,
    /// What is in it; `None`: there is no such file.
    pub text: Option<String>,
}

/// Files of programs in the user's home that are there.
///
/// # Errors
/// Where no home is known.
pub fn known(formats: &[&'static dyn Format]) -> anyhow::Result<Vec<(&'static dyn Format, PathBuf)>> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let Some(home) = home else {
        return Err(Coded::new(USAGE, "look through the home folder: HOME names none".to_owned()).into());
    };
    let mut found: Vec<(&'static dyn Format, PathBuf)> = Vec::new();
    for format in formats {
        let places = format.known().iter().filter(|known| known.scope == Scope::User);
        for path in places.map(|known| home.join(known.path)) {
            if path.symlink_metadata().is_ok() {
                found.push((*format, path));
            }
        }
    }
    Ok(found)
}

/// Reads a file. A link is followed to a regular file of the user's own, and to nothing else.
///
/// # Errors
/// In words, where it cannot be used; nothing of its content.
pub fn read(path: &Path) -> Result<Text, String> {
    let real = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(Text { path: path.to_owned(), real: path.to_owned(), text: None });
        }
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    let failed = |error: std::io::Error| format!("it cannot be read: {error}");
    let data = std::fs::metadata(&real).map_err(failed)?;
    if !data.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".to_owned());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(&real).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {} MiB", FILE_BYTES_MAX / 1024 / 1024));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(Text { path: path.to_owned(), real, text: Some(text) })
}

/// As [`read`], for a file that was named at the command line.
///
/// # Errors
/// With the file's name.
pub fn named(path: &Path) -> anyhow::Result<Text> {
    read(path).map_err(|why| Coded::new(FAILURE, format!("read {}: {why}", path.display())).into())
}

/// Puts a text in the place of the one that was read, whole or not at all.
///
/// # Errors
/// Where somebody changed the file meanwhile, or it cannot be written. It is as it was.
pub fn replace(old: &Text, new: &str) -> anyhow::Result<()> {
    let failed =
        |error: std::io::Error| Coded::new(FAILURE, format!("write {}: {error}", old.path.display()));
    // Nobody comes between the look and the change.
    let _lock = scout::lock(&old.real).map_err(failed)?;
    let now = named(&old.path)?;
    if now.real != old.real || now.text != old.text {
        let text = format!("write {}: somebody changed it meanwhile; begin again", old.path.display());
        return Err(Coded::new(FAILURE, text).into());
    }
    scout::replace(&old.real, new.as_bytes()).map_err(|error| failed(error).into())
}

/// As [`replace`] for several: all of them, or none.
///
/// # Errors
/// As [`replace`]. Those that were written before it are as they were again, or the error says which are not.
pub fn replace_all(changes: &[(Text, String)]) -> anyhow::Result<()> {
    for (at, (old, new)) in changes.iter().enumerate() {
        let Err(error) = replace(old, new) else { continue };
        let before = changes.iter().take(at).rev();
        let stuck = before.filter(|(old, _)| put_back(old).is_err());
        let stuck: Vec<String> = stuck.map(|(old, _)| old.path.display().to_string()).collect();
        if stuck.is_empty() {
            return Err(error);
        }
        let text = format!("{error:#}; and these were written and not put back: {}", stuck.join(", "));
        return Err(Coded::new(FAILURE, text).into());
    }
    Ok(())
}

/// Makes a file what it was.
fn put_back(old: &Text) -> std::io::Result<()> {
    match &old.text {
        Some(text) => scout::replace(&old.real, text.as_bytes()),
        None => std::fs::remove_file(&old.real),
    }
}

/// The folders that have to be made for a file, the outermost first.
///
/// # Errors
/// Where a path has no place in any folder.
pub fn missing_folders(file: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let file = std::path::absolute(file)?;
    let missing = file.ancestors().skip(1).take_while(|folder| folder.symlink_metadata().is_err());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    Ok(missing)
}

/// Takes folders away again in which nothing is, the innermost first. Others stay.
pub fn remove_empty(folders: &[PathBuf]) -> Vec<PathBuf> {
    let gone = folders.iter().rev().filter(|folder| std::fs::remove_dir(folder).is_ok());
    gone.cloned().collect()
}

/// Writes a file that nobody else can read. One that is there has to be the same.
///
/// # Errors
/// Where it is another one, or it cannot be written.
pub fn private(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let failed = |error: std::io::Error| Coded::new(FAILURE, format!("write {}: {error}", file.display()));
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    match opened {
        Ok(mut out) => {
            std::io::Write::write_all(&mut out, bytes).map_err(failed)?;
            Ok(out.sync_all().map_err(failed)?)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if std::fs::read(file).map_err(failed)? == bytes {
                return Ok(());
            }
            let text = format!(
                "write {}: there is another file of that name; take it away if nobody needs it, or \
                 name another folder",
                file.display()
            );
            Err(Coded::new(FAILURE, text).into())
        }
        Err(error) => Err(failed(error).into()),
    }
}

/// A folder that nobody else can look into.
///
/// # Errors
/// Where it cannot be made.
pub fn private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Coded::new(FAILURE, format!("make {}: {error}", folder.display())).into())
}

/// What is to be said of a folder of secrets in which others can write: they can put files of their own
/// there.
pub fn open_to_others(folder: &Path) -> Option<String> {
    let mode = std::fs::metadata(folder).ok()?.mode() & 0o777;
    let others = mode & 0o022 != 0;
    others.then(|| {
        let folder = folder.display();
        format!(
            "others can write into {folder} (mode {mode:o}), and change the secrets there: chmod 700 {folder}"
        )
    })
}

/// The places of a format's files, for people.
pub fn places(format: &dyn Format) -> String {
    let users = format.known().iter().filter(|known| known.scope == Scope::User);
    let all: Vec<String> = users.map(|known| format!("~/{}", known.path)).collect();
    if all.is_empty() { "no usual place".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn of_many_who_change_a_file_at_once_one_does_and_the_others_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["old", "new"] {
            let path = folder.path().join(name);
            if name == "old" {
                std::fs::write(&path, "before").expect("written");
            }
            let before = read(&path).expect("read");
            let start = std::sync::Barrier::new(12);
            let one = |number: usize| {
                start.wait();
                replace(&before, &number.to_string()).map_err(|error| error.to_string())
            };
            let all: Vec<_> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..12).map(|number| scope.spawn(move || one(number))).collect();
                all.into_iter().map(|one| one.join().expect("no panic")).collect()
            });
            assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1, "{all:?}");
            let told = all.iter().filter_map(|one| one.as_ref().err());
            assert!(told.clone().all(|error| error.contains("somebody changed it meanwhile")), "{all:?}");
            let winner = all.iter().position(Result::is_ok).expect("one");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), winner.to_string());
        }
    }

    #[test]
    fn a_folder_in_which_others_can_write_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), mode).expect("set");
        };
        set(0o755);
        assert_eq!(open_to_others(folder.path()), None);
        set(0o777);
        assert!(open_to_others(folder.path()).expect("told").contains("chmod 700"));
    }
}
