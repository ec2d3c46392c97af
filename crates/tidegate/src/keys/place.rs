//! Where a ring is kept, and how it is changed there.
//!
//! A further kind of place is a variant here with a way to read and a way to change: the change sees the text
//! as it is and gives the new one, and nobody else changes it in between.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use config::Config;
use model::SystemClock;
use seal::text::TEXT_BYTES_MAX;
use seal::{Key, SystemRng};
use store::Store;

use crate::exit::{Coded, FAILURE};

/// How long to wait for another who changes the ring.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to try.
const TRY: Duration = Duration::from_millis(20);
/// What a new file allows: its owner alone.
const MODE: u32 = 0o600;
/// What a replaced file may keep of what it allowed: a gateway that reads it by its group goes on to.
const MODE_MAX: u32 = 0o640;

/// Where a ring is.
#[derive(Clone)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// In this variable of the environment.
    Env(String),
    /// In this store.
    Store(Arc<dyn Store>),
}

impl Place {
    /// The place that a configuration names; else the store, if there is one.
    pub fn of(config: &Config, store: Option<&Arc<dyn Store>>) -> Option<Self> {
        let keys = &config.keys;
        let named = keys.file.clone().map(Self::File).or_else(|| keys.env.clone().map(Self::Env));
        named.or_else(|| store.cloned().map(Self::Store))
    }

    /// The place in words.
    pub fn name(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Env(name) => format!("the environment variable {name}"),
            Self::Store(_) => "the store".to_owned(),
        }
    }

    /// The text of the ring.
    pub async fn read(&self) -> anyhow::Result<String> {
        match self {
            Self::File(file) => self.read_file(file)?.ok_or_else(|| self.missing()),
            Self::Env(name) => std::env::var(name).map_err(|_| self.missing()),
            Self::Store(store) => {
                let keys = cluster::find_keys(&**store).await.map_err(|error| Coded::store(&error))?;
                if keys.is_empty() { Err(self.missing()) } else { Ok(seal::text::write(&keys)) }
            }
        }
    }

    fn read_file(&self, file: &Path) -> anyhow::Result<Option<String>> {
        let failed = |error: io::Error| Coded::config(format!("read {}: {error}", self.name()));
        let file = match File::open(file) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error).into()),
        };
        let mut text = String::new();
        // One byte more than it may have tells that it is too long.
        file.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
        Ok(Some(text))
    }

    /// There is no ring here.
    pub fn missing(&self) -> anyhow::Error {
        let text = match self {
            Self::File(_) => {
                format!("read {}: there is no such file; `tidegate keys generate` makes it", self.name())
            }
            Self::Env(_) => format!("read {}: it is not set", self.name()),
            Self::Store(_) => {
                "read the key ring in the store: there is none yet; the gateway makes one at its first \
                 start, `tidegate keys generate` at once"
                    .to_owned()
            }
        };
        Coded::config(text).into()
    }

    /// The keys of a text from here.
    pub fn parse(&self, text: &str) -> anyhow::Result<Vec<Key>> {
        seal::text::parse(text).map_err(|error| self.refused(&error))
    }

    /// A text from here is no ring.
    pub fn refused(&self, error: &seal::text::TextError) -> anyhow::Error {
        let text = match self {
            Self::File(_) => format!("use the key ring:\n{}:{error}", self.name()),
            Self::Env(_) | Self::Store(_) => format!("use the key ring:\n{}, line {error}", self.name()),
        };
        Coded::config(text).into()
    }

    /// Puts another text in the place of the one that is here, if there is one, with nobody between.
    /// `command` is what was asked for.
    pub async fn change(
        &self,
        command: &str,
        change: impl FnOnce(Option<&str>) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let file = match self {
            Self::File(file) => file,
            Self::Env(name) => return Err(fixed(name, command).into()),
            Self::Store(store) => return change_stored(&**store, change).await,
        };
        // A link stays, and what it points at is replaced.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The folder, as the file itself is another one afterwards.
        let lock = File::open(folder).with_context(|| format!("open {}", folder.display()))?;
        locked(&lock, folder).await?;
        let before = self.read_file(&file)?;
        let text = change(before.as_deref())?;
        replace(&file, folder, &text).with_context(|| format!("write {}", self.name()))
    }
}

/// The same in a store. What was refused keeps its own words and exit code.
async fn change_stored(
    store: &dyn Store,
    change: impl FnOnce(Option<&str>) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let mut refused = None;
    let changed = cluster::change_keys(store, &SystemClock, &SystemRng, |before| {
        let text = (!before.is_empty()).then(|| seal::text::write(before));
        let after = change(text.as_deref()).and_then(|text| Ok(seal::text::parse(&text)?));
        after.map_err(|error| {
            let said = error.to_string();
            refused = Some(error);
            said.into()
        })
    });
    match (changed.await, refused) {
        (Ok(_), _) => Ok(()),
        (Err(_), Some(refused)) => Err(refused),
        (Err(error), None) => Err(Coded::store(&error).into()),
    }
}

/// A ring in the environment is not ours to change.
fn fixed(name: &str, command: &str) -> Coded {
    let how = format!(
        "put what `tidegate keys {command} --print` prints where {name} is set, and start the \
         replicas again, one by one"
    );
    Coded::new(FAILURE, format!("{command}: the key ring is in the environment variable {name}; {how}"))
}

/// Waits until nobody else changes what is in the folder. The lock goes with the file.
async fn locked(folder: &File, name: &Path) -> anyhow::Result<()> {
    let trying = async {
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, trying).await {
        Ok(done) => done.with_context(|| format!("lock {}", name.display())),
        Err(_) => anyhow::bail!("lock {}: another program has held it for {PATIENCE:?}", name.display()),
    }
}

/// Replaces a file as a whole: after a crash there is the old one or the new one.
fn replace(file: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let name = file.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    // Left over from a crash: nobody else is here.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write(&beside, file, text).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    File::open(folder)?.sync_all()
}

fn write(beside: &Path, file: &Path, text: &str) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(MODE).open(beside)?;
    new.write_all(text.as_bytes())?;
    // Whoever could read the ring, most of all the gateway, still can.
    if let Ok(old) = fs::metadata(file) {
        let own = new.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&new, Some(old.uid()), Some(old.gid()))?;
        }
        new.set_permissions(fs::Permissions::from_mode(old.mode() & MODE_MAX | MODE))?;
    }
    new.sync_all()
}
