//! Files that are either as they were or as they are meant to be.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

/// How long is waited for another program that changes a file in the same folder.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether it is done.
const TRY: Duration = Duration::from_millis(20);

/// Waits until nobody else of us changes a file in the folder of `file`, so that it can be looked at and then
/// replaced with nobody between. The lock is the folder's, as the file itself is another one afterwards; it
/// goes with what is returned, and with the process.
///
/// # Errors
/// What the system says; [`io::ErrorKind::TimedOut`] where somebody keeps it.
pub fn lock(file: &Path) -> io::Result<File> {
    let folder = File::open(folder_of(file))?;
    for _ in 0..PATIENCE.as_millis() / TRY.as_millis() {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    let text = format!("another program has held its folder for {PATIENCE:?}");
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts a file in the place of the one that is there, if there is one, whose permissions it keeps.
///
/// Once it returns, the file is there also after a crash; before, the old one is.
///
/// # Errors
/// What the system says. The old file is as it was.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(file);
    let mode = fs::metadata(file).map_or(0o644, |data| data.permissions().mode() & 0o777);
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let written = write(&beside, bytes, mode).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    // The name is in the folder, which is a file of its own.
    File::open(folder)?.sync_all()
}

fn write(beside: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(beside)?;
    out.write_all(bytes)?;
    out.set_permissions(fs::Permissions::from_mode(mode))?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_changes_the_files_of_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("count");
        replace(&file, b"0").expect("written");
        let add = || {
            let _lock = lock(&file).expect("locked");
            let count: u32 = fs::read_to_string(&file).expect("read").parse().expect("a number");
            replace(&file, (count + 1).to_string().as_bytes()).expect("written");
        };
        std::thread::scope(|all| (0..12).for_each(|_| drop(all.spawn(add))));
        assert_eq!(fs::read_to_string(&file).expect("read"), "12");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_who_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yaml");
        replace(&file, b"one").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("changed");
        replace(&file, b"two").expect("written");
        assert_eq!(fs::read(&file).expect("there"), b"two");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }
}
