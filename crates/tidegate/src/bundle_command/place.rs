//! Files put into a folder: all of them, or none.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Where files wait beside the folder. It goes with this.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder in which what is replaced waits until nothing can go wrong any more.
const BEFORE: &str = ".before";

fn failed(what: &str, path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

impl Staged {
    /// Writes files into a folder of their own beside `target`, to the disk.
    ///
    /// # Errors
    /// Where one cannot be written; nothing is left.
    pub fn write(target: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<Self> {
        let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy().into_owned();
        let folder = target.with_file_name(format!(".{name}.tidegate-{}", std::process::id()));
        DirBuilder::new().mode(0o750).create(&folder).map_err(|error| failed("make", &folder, error))?;
        let staged = Self { folder };
        for (path, bytes) in files {
            let place = staged.folder.join(path);
            let write = || {
                fs::create_dir_all(place.parent().unwrap_or(&staged.folder))?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&place)?;
                file.write_all(bytes)?;
                file.sync_all()
            };
            write().map_err(|error| failed("write", &place, error))?;
        }
        Ok(staged)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes them the folder itself, of which nothing or nothing but its name is there.
    ///
    /// # Errors
    /// Where that cannot be; nothing has changed.
    pub fn become_folder(self, target: &Path) -> io::Result<Switched> {
        fs::rename(&self.folder, target).map_err(|error| failed("make", target, error))?;
        let switched = Switched { undo: vec![Undo::Folder(target.to_owned())], staged: self, kept: false };
        sync(target.parent().unwrap_or(Path::new("/"))).map_err(|error| failed("make", target, error))?;
        Ok(switched)
    }

    /// Puts `changed` in place of what the folder has, and takes `removed` out; `last` comes last.
    ///
    /// # Errors
    /// Where one of them cannot be put; all others are put back.
    pub fn put_over(
        self,
        target: &Path,
        (changed, removed): (&[String], &[String]),
        last: &str,
    ) -> io::Result<Switched> {
        let mut switched = Switched { undo: Vec::new(), staged: self, kept: false };
        let (end, others): (Vec<&String>, Vec<&String>) = changed.iter().partition(|path| *path == last);
        for path in others.into_iter().chain(end) {
            switched.put(target, path).map_err(|error| failed("put", &target.join(path), error))?;
        }
        for path in removed {
            switched.remove(target, path).map_err(|error| failed("remove", &target.join(path), error))?;
        }
        sync(target)?;
        Ok(switched)
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// How one step is undone.
#[derive(Debug)]
enum Undo {
    /// The folder was not there.
    Folder(PathBuf),
    /// A folder inside was not there.
    Inner(PathBuf),
    /// The file was another one, which waits here.
    Replaced { backup: PathBuf, place: PathBuf },
    /// The file was not there.
    New(PathBuf),
}

/// What was put. Unless it is kept, it is put back with this.
#[derive(Debug)]
pub struct Switched {
    undo: Vec<Undo>,
    staged: Staged,
    kept: bool,
}

impl Switched {
    /// Nothing can go wrong any more.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn put(&mut self, target: &Path, path: &str) -> io::Result<()> {
        self.parents(target, path)?;
        let (from, place) = (self.staged.folder.join(path), target.join(path));
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(found) => {
                if found.is_file() {
                    fs::set_permissions(&from, found.permissions())?;
                }
                let backup = self.back_up(&place, path)?;
                fs::rename(&from, &place)?;
                self.undo.push(Undo::Replaced { backup, place: place.clone() });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::rename(&from, &place)?;
                self.undo.push(Undo::New(place.clone()));
            }
            Err(error) => return Err(error),
        }
        sync(place.parent().unwrap_or(target))
    }

    fn remove(&mut self, target: &Path, path: &str) -> io::Result<()> {
        self.parents(target, path)?;
        let place = target.join(path);
        let backup = self.back_up(&place, path)?;
        fs::remove_file(&place)?;
        self.undo.push(Undo::Replaced { backup, place });
        Ok(())
    }

    /// A second name of what is there, so that it is there all the time until it is replaced.
    fn back_up(&self, place: &Path, path: &str) -> io::Result<PathBuf> {
        let backup = self.staged.folder.join(BEFORE).join(path);
        fs::create_dir_all(backup.parent().unwrap_or(&self.staged.folder))?;
        fs::hard_link(place, &backup)?;
        Ok(backup)
    }

    /// The folders on the way to a file, which must be folders and no links that lead elsewhere.
    fn parents(&mut self, target: &Path, path: &str) -> io::Result<()> {
        let mut at = target.to_owned();
        let parent = Path::new(path).parent().unwrap_or(Path::new(""));
        for part in parent.components() {
            let Component::Normal(name) = part else { return Err(ErrorKind::InvalidInput.into()) };
            at.push(name);
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    let text = format!("{} is a link or a file", at.display());
                    return Err(io::Error::new(ErrorKind::NotADirectory, text));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir(&at)?;
                    self.undo.push(Undo::Inner(at.clone()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for step in self.undo.drain(..).rev() {
            let (undone, place) = match &step {
                Undo::Folder(place) => (fs::rename(place, &self.staged.folder), place),
                Undo::Inner(place) => (fs::remove_dir(place), place),
                Undo::Replaced { backup, place } => (fs::rename(backup, place), place),
                Undo::New(place) => (fs::remove_file(place), place),
            };
            if let Err(error) = undone {
                eprintln!("warning: {} is not as it was: {error}", place.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tidegate-place-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("to")).unwrap();
            Self(path)
        }

        fn to(&self) -> PathBuf {
            self.0.join("to")
        }

        /// All files in the folder, and what is beside it.
        fn all(&self) -> BTreeMap<String, String> {
            let mut found = BTreeMap::new();
            let mut open = vec![self.0.clone()];
            while let Some(folder) = open.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() && !path.is_symlink() {
                        open.push(path);
                    } else {
                        let name = path.strip_prefix(&self.0).unwrap().display().to_string();
                        found.insert(name, fs::read_to_string(&path).unwrap_or_default());
                    }
                }
            }
            found
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| ((*name).to_owned(), b"new".to_vec())).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_new_folder_is_there_whole_or_not_at_all() {
        let folder = Folder::new("fresh");
        let staged = Staged::write(&folder.to(), &files(&["a", "b/c"])).unwrap();
        drop(staged.become_folder(&folder.to()).unwrap());
        assert_eq!(folder.all(), BTreeMap::new(), "it was not kept");
        let staged = Staged::write(&folder.to(), &files(&["a", "b/c"])).unwrap();
        staged.become_folder(&folder.to()).unwrap().keep();
        assert_eq!(folder.all().keys().collect::<Vec<_>>(), ["to/a", "to/b/c"]);
    }

    #[test]
    fn what_is_put_over_others_is_put_back_unless_it_is_kept() {
        let folder = Folder::new("over");
        for name in ["a", "gone", "own"] {
            fs::write(folder.to().join(name), "old").unwrap();
        }
        let before = folder.all();
        let put = |keep: bool| {
            let staged = Staged::write(&folder.to(), &files(&["a", "b/c"])).unwrap();
            let all = (&names(&["a", "b/c"])[..], &names(&["gone"])[..]);
            let switched = staged.put_over(&folder.to(), all, "a").unwrap();
            if keep {
                switched.keep();
            }
        };
        put(false);
        assert_eq!(folder.all(), before);
        assert!(!folder.to().join("b").exists());
        put(true);
        let after = folder.all();
        assert_eq!(after.keys().collect::<Vec<_>>(), ["to/a", "to/b/c", "to/own"]);
        assert_eq!((&*after["to/a"], &*after["to/own"]), ("new", "old"));
    }

    #[test]
    fn a_step_that_fails_undoes_those_before_it() {
        let folder = Folder::new("fails");
        fs::write(folder.to().join("a"), "old").unwrap();
        fs::create_dir(folder.to().join("d")).unwrap();
        let before = folder.all();
        let staged = Staged::write(&folder.to(), &files(&["a", "d"])).unwrap();
        let all = (&names(&["a", "d"])[..], &[][..]);
        assert!(staged.put_over(&folder.to(), all, "").is_err(), "a folder is in the way");
        assert_eq!(folder.all(), before);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = Folder::new("link");
        fs::create_dir(folder.0.join("else")).unwrap();
        std::os::unix::fs::symlink(folder.0.join("else"), folder.to().join("d")).unwrap();
        let staged = Staged::write(&folder.to(), &files(&["d/x"])).unwrap();
        let error = staged.put_over(&folder.to(), (&names(&["d/x"]), &[]), "").unwrap_err();
        assert!(error.to_string().contains("is a link or a file"), "{error}");
        assert!(!folder.0.join("else/x").exists());
    }
}
