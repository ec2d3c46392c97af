//! A copy of somebody's registry, in a folder: what the mirror knows, and a file to which entries are added.
//!
//! An entry that changes is added once more, and the last one counts. The state says how much of the file
//! belongs to it, so that what was written and not yet counted is taken off again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use discovery::Address;
use discovery::registry::{
    Ask, BASE, Entry, Failure, Limits, Mirror, Oddity, Report, Shelf, Turn, read_error, read_page,
    read_response, write_response,
};
use http::HeaderValue;
use model::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::fetch::{Fetcher, Got, Wanted};
use crate::files;
use crate::keep::{Keep, KeepError};

/// Bytes of a page that are read.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Bytes of the file of entries.
const LOG_BYTES_MAX: u64 = 4 << 30;
/// Pages between two writings of the state.
const SAVE_EVERY_PAGES: u32 = 20;
/// Redirects that are followed, to the same origin.
const MOVES_MAX: usize = 3;
/// Oddities and faults that are told of one run.
const TOLD_MAX: usize = 100;
const STATE: &str = "registry.json";
const FORMAT: u32 = 1;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    format: u32,
    url: String,
    /// The number of the file of entries, which is another one once it was packed.
    log: u64,
    log_bytes: u64,
    lines: u64,
    synced_at: Option<Timestamp>,
    mirror: Mirror,
}

/// A copy of a registry that is being brought up to date.
pub struct Registry {
    base: Address,
    folder: PathBuf,
    keep: Keep,
    state: State,
    log: File,
}

/// Why a registry cannot be copied or read.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The folder cannot be used.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The folder is another registry's.
    #[error("use the folder {folder}: it has the registry {url}")]
    Other {
        /// Which folder.
        folder: String,
        /// Whose it is.
        url: String,
    },
    /// There is nothing there.
    #[error("find a registry in {0}: `tidegate registry sync URL` makes a copy")]
    Nothing(String),
    /// The file of entries cannot be used.
    #[error("use the entries in {folder}")]
    Io {
        /// Which folder.
        folder: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What one run came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Synced {
    /// Whether the copy is up to date.
    pub done: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Pages that came.
    pub pages: u32,
    /// Versions that are new or say something else.
    pub changed: usize,
    /// Versions that are deprecated now.
    pub deprecated: Vec<String>,
    /// Versions that are deleted now.
    pub deleted: Vec<String>,
    /// Versions that are not listed any more.
    pub gone: Vec<String>,
    /// What an honest registry does not do.
    pub oddities: Vec<Oddity>,
    /// What was wrong with entries that were not taken.
    pub refused: Vec<String>,
    /// Versions in all.
    pub versions: usize,
}

/// The base URL of a registry, without the version of its interface.
///
/// # Errors
/// What is wrong with it.
pub fn base_of(text: &str) -> Result<Address, String> {
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix("/servers").unwrap_or(text);
    let text = text.strip_suffix(BASE).unwrap_or(text).trim_end_matches('/');
    if text.contains('?') {
        return Err("a registry's URL has no query".to_owned());
    }
    Address::parse(text).map_err(|error| error.to_string())
}

impl Registry {
    /// Opens the folder of a registry's copy, which is made where there is none.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub fn open(folder: &Path, base: &Address) -> Result<Self, RegistryError> {
        let keep = Keep::open(folder)?;
        let fresh = || State { format: FORMAT, url: base.normal(), ..State::default() };
        let state: State = keep.state(STATE)?.unwrap_or_else(fresh);
        let name = folder.display().to_string();
        if state.url != base.normal() || state.format != FORMAT {
            return Err(RegistryError::Other { folder: name, url: state.url });
        }
        let failed = |source| RegistryError::Io { folder: name.clone(), source };
        let path = log_file(folder, state.log);
        let log = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        let there = log.metadata().map_err(failed)?.len();
        if there < state.log_bytes {
            let lost = io::Error::new(ErrorKind::UnexpectedEof, "a part of them is missing");
            return Err(failed(lost));
        }
        log.set_len(state.log_bytes).map_err(failed)?;
        Ok(Self { base: base.clone(), folder: folder.to_owned(), keep, state, log })
    }

    fn failed(&self, source: io::Error) -> RegistryError {
        RegistryError::Io { folder: self.folder.display().to_string(), source }
    }

    /// Takes what is new: one walk through the registry's list. What came is kept also where it ends early,
    /// and the next run goes on there.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub async fn sync(
        &mut self,
        fetcher: &Fetcher,
        clock: &Arc<dyn Clock>,
        limits: &Limits,
        authorization: Option<&HeaderValue>,
        told: &mut (dyn FnMut(u32, usize) + Send),
    ) -> Result<Synced, RegistryError> {
        let mut synced = Synced::default();
        let mut begun = false;
        loop {
            let ask = self.state.mirror.ask(clock.now(), limits);
            let (cursor, since, limit) = match ask {
                Ask::Page { cursor, updated_since, limit } => (cursor, updated_since, limit),
                Ask::Wait(_) if begun => break,
                Ask::Wait(at) => {
                    let at = discovery::moment_to_text(at);
                    synced.why = Some(format!("it failed before, and is left alone until {at}"));
                    break;
                }
            };
            begun = true;
            let got = self.page(fetcher, cursor.as_deref(), since, limit, authorization).await;
            let page = match got {
                Ok(bytes) => read_page(&bytes).map_err(|faults| {
                    let faults: Vec<String> = faults.iter().take(3).map(ToString::to_string).collect();
                    (Failure::Unreadable, format!("what came is no page: {}", faults.join("; ")))
                }),
                Err(failure) => Err(failure),
            };
            let page = match page {
                Ok(page) => page.value,
                Err((failure, why)) => {
                    self.state.mirror.failed(clock.now(), &failure);
                    synced.why = Some(why);
                    break;
                }
            };
            let report = self.state.mirror.page(clock.now(), limits, page);
            synced.pages += 1;
            let turn = report.turn;
            self.take(report, &mut synced)?;
            told(synced.pages, self.state.mirror.len());
            match turn {
                Turn::More => {}
                Turn::Done => {
                    synced.done = true;
                    self.state.synced_at = Some(clock.now());
                    break;
                }
                Turn::GivenUp => {
                    synced.why = Some("the registry's list has no end, or is too long".to_owned());
                    break;
                }
            }
            if synced.pages % SAVE_EVERY_PAGES == 0 {
                self.save()?;
            }
        }
        self.save()?;
        self.pack()?;
        synced.versions = self.state.mirror.len();
        Ok(synced)
    }

    async fn page(
        &self,
        fetcher: &Fetcher,
        cursor: Option<&str>,
        since: Option<Timestamp>,
        limit: usize,
        authorization: Option<&HeaderValue>,
    ) -> Result<Bytes, (Failure, String)> {
        let base = self.base.normal();
        let mut text = format!("{}{BASE}/servers?limit={limit}", base.trim_end_matches('/'));
        for (name, value) in
            [("cursor", cursor.map(str::to_owned)), ("updated_since", since.map(discovery::moment_to_text))]
        {
            if let Some(value) = value {
                text.push_str(&format!("&{name}={}", discovery::registry::segment(&value)));
            }
        }
        let mut url = Address::parse(&text).map_err(|error| (Failure::NotTaken, error.to_string()))?;
        for _ in 0..=MOVES_MAX {
            let accept = "application/json";
            let wanted = Wanted { url: &url, accept, etag: None, bytes_max: PAGE_BYTES_MAX, authorization };
            match fetcher.get(&wanted).await {
                Got::Document(document) => return Ok(document.bytes),
                Got::Moved(to) if to.origin() == self.base.origin() => url = to,
                Got::Moved(to) => {
                    let why = format!("it is moved to {}, another server", to.origin());
                    return Err((Failure::Unreadable, why));
                }
                Got::Later { retry_after, why } => return Err((Failure::Unreachable { retry_after }, why)),
                Got::Refused { status: Some(_), why, body } => {
                    return Err((Failure::NotTaken, format!("{why}: {}", read_error(&body))));
                }
                Got::Refused { status: None, why, .. } => return Err((Failure::Unreadable, why)),
                Got::NotModified { .. } => {
                    return Err((Failure::Unreadable, "nobody asked whether it changed".to_owned()));
                }
            }
        }
        Err((Failure::Unreadable, "it is moved in a circle".to_owned()))
    }

    fn take(&mut self, report: Report, synced: &mut Synced) -> Result<(), RegistryError> {
        let mut lines = Vec::new();
        let mut count = 0;
        for entry in &report.changed {
            lines.extend_from_slice(write_response(entry).as_bytes());
            lines.push(b'\n');
            count += 1;
        }
        for (name, version) in &report.gone {
            let line = json!({"gone": {"name": name, "version": version}});
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
            count += 1;
        }
        if self.state.log_bytes + lines.len() as u64 > LOG_BYTES_MAX {
            return Err(self.failed(io::Error::new(ErrorKind::FileTooLarge, "there are too many of them")));
        }
        self.log.write_all(&lines).map_err(|error| self.failed(error))?;
        self.state.log_bytes += lines.len() as u64;
        self.state.lines += count;
        synced.changed += report.changed.len();
        let named = |all: Vec<(String, String)>| {
            all.into_iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>()
        };
        synced.deprecated.extend(named(report.deprecated));
        synced.deleted.extend(named(report.deleted));
        synced.gone.extend(named(report.gone));
        synced.oddities.extend(report.oddities);
        synced.oddities.truncate(TOLD_MAX);
        synced.refused.extend(report.refused.iter().map(ToString::to_string));
        synced.refused.truncate(TOLD_MAX);
        Ok(())
    }

    fn save(&mut self) -> Result<(), RegistryError> {
        self.log.sync_data().map_err(|error| self.failed(error))?;
        Ok(self.keep.put_state(STATE, &self.state)?)
    }

    /// Leaves out what later lines replaced, once that is most of the file.
    fn pack(&mut self) -> Result<(), RegistryError> {
        let rows = self.state.mirror.len() as u64;
        if self.state.lines < 1_000 || self.state.lines < 2 * rows {
            return Ok(());
        }
        let lines = lines(&self.folder, &self.state).map_err(|error| self.failed(error))?;
        let mut text = Vec::new();
        for line in lines.values() {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let old = log_file(&self.folder, self.state.log);
        let next = log_file(&self.folder, self.state.log + 1);
        files::replace(&next, &text).map_err(|error| self.failed(error))?;
        self.state.log += 1;
        self.state.log_bytes = text.len() as u64;
        self.state.lines = lines.len() as u64;
        self.log = OpenOptions::new().append(true).open(next).map_err(|error| self.failed(error))?;
        self.keep.put_state(STATE, &self.state)?;
        // Nobody names it any more; one that stays is waste and no fault.
        let _ = fs::remove_file(old);
        Ok(())
    }
}

/// A copy to be read, while others may bring it up to date.
pub struct Copy {
    /// Whose it is.
    pub url: String,
    /// When it was up to date.
    pub synced_at: Option<Timestamp>,
    /// What is in it.
    pub shelf: Shelf,
}

impl Copy {
    /// Reads a copy.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub fn read(folder: &Path) -> Result<Self, RegistryError> {
        let name = folder.display().to_string();
        let failed = |source| RegistryError::Io { folder: name.clone(), source };
        // Between the state and the file, somebody may pack them.
        for last in [false, true] {
            let bytes = match fs::read(folder.join(STATE)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(RegistryError::Nothing(name));
                }
                Err(error) => return Err(failed(error)),
            };
            let strange = |_| KeepError::Strange { file: folder.join(STATE).display().to_string() };
            let state: State = serde_json::from_slice(&bytes).map_err(strange)?;
            match lines(folder, &state) {
                Err(error) if error.kind() == ErrorKind::NotFound && !last => {}
                Err(error) => return Err(failed(error)),
                Ok(lines) => {
                    let mut shelf = Shelf::default();
                    // It was judged when it came; of what is not read any more nothing is told.
                    let read = |line: Bytes| read_response(&line).ok().map(|read| read.value);
                    for entry in lines.into_values().filter_map(read) {
                        let _ = shelf.put(entry);
                    }
                    return Ok(Self { url: state.url, synced_at: state.synced_at, shelf });
                }
            }
        }
        Err(RegistryError::Nothing(name))
    }

    /// An entry by its name, in this version or the latest.
    #[must_use]
    pub fn entry(&self, name: &str, version: &str) -> Option<&Entry> {
        self.shelf.version(name, version, true, |_| true)
    }
}

fn log_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("entries-{number}.jsonl"))
}

/// The lines that count, by name and version.
fn lines(folder: &Path, state: &State) -> io::Result<BTreeMap<(String, String), Bytes>> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        version: String,
    }
    #[derive(Deserialize)]
    struct Line {
        server: Option<Named>,
        gone: Option<Named>,
    }
    let mut bytes = Bytes::from(fs::read(log_file(folder, state.log))?);
    bytes.truncate(usize::try_from(state.log_bytes).unwrap_or(usize::MAX));
    let mut found = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(read) = serde_json::from_slice::<Line>(line) else { continue };
        if let Some(Named { name, version }) = read.server {
            found.insert((name, version), bytes.slice_ref(line));
        } else if let Some(Named { name, version }) = read.gone {
            found.remove(&(name, version));
        }
    }
    Ok(found)
}
