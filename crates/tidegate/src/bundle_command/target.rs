//! Where a bundle goes, and what it becomes there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bundle::Bundle;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::exit::{Coded, FAILURE, USAGE};
use crate::load;

/// What an applied bundle leaves of itself in the folder.
pub const RECORD: &str = ".tidegate-bundle.json";
/// The largest file that is compared.
const FILE_BYTES_MAX: u64 = bundle::FILE_BYTES_MAX as u64 + 1;

/// The folder of a file.
pub fn folder_of(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// What was applied to a folder last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// The digest of the bundle.
    pub bundle: String,
    /// The files that it brought, and their digests.
    pub files: BTreeMap<String, String>,
}

impl Record {
    /// The record of these files.
    pub fn of(bundle: &str, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let files = files.iter().map(|(path, bytes)| (path.clone(), digest(bytes))).collect();
        Self { bundle: bundle.to_owned(), files }
    }

    /// Its text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

pub fn digest(bytes: &[u8]) -> String {
    audit::hex(&seal::sha256(bytes))
}

/// A folder.
pub struct Target {
    /// It, without links.
    pub folder: PathBuf,
    /// Whether nothing is in it, or it is not there.
    pub fresh: bool,
    /// What was applied to it last.
    pub record: Record,
}

impl Target {
    /// The folder at a path, which need not be there.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let parent = folder_of(path);
        let folder = match std::fs::canonicalize(path) {
            Ok(folder) => folder,
            Err(_) => {
                let name = path.file_name().context("use the folder: its path has no name")?;
                let parent = std::fs::canonicalize(&parent);
                parent.with_context(|| format!("use the folder {}", path.display()))?.join(name)
            }
        };
        let fresh = match std::fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(error).with_context(|| format!("read {}", folder.display())),
        };
        let mut own = Self { folder, fresh, record: Record::default() };
        if let Some(bytes) = own.read(RECORD)? {
            let wrong =
                || format!("read {}: it is not as this program writes it", own.folder.join(RECORD).display());
            own.record = serde_json::from_slice(&bytes).with_context(wrong)?;
            if let Some(path) = own.record.files.keys().find(|path| bundle::path_fault(path).is_some()) {
                let text = format!("use {RECORD} in the folder: it has the path {path:?}");
                return Err(Coded::new(FAILURE, text).into());
            }
        }
        Ok(own)
    }

    /// A file that is there.
    pub fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        use std::io::Read as _;
        let place = self.folder.join(path);
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(&place).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", place.display())),
        }
    }
}

/// What is another thing at this place.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// Variables and their values.
    pub set: Vec<(String, String)>,
    /// Where secrets are, by key: the kind of place and its name.
    pub secrets: Vec<(String, (String, String))>,
    /// Environments that have another name here.
    pub renamed: Vec<(String, String)>,
    /// The store, as the configuration has it.
    pub store: Option<Value>,
}

impl Parameters {
    /// The files of a bundle as they are here, with the overlay of this machine where something is another
    /// thing. What stands in the one that is `there` and is not said anew stays.
    pub fn files(&self, bundle: &Bundle, there: Option<&[u8]>) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let config = Path::new(&bundle.manifest.config);
        let mut files = bundle.contents.files.clone();
        for (old, new) in &self.renamed {
            let name = |env: &str| load::overlay(config, env).display().to_string();
            let none = || Coded::new(USAGE, format!("rename the environment {old}: the bundle has none"));
            let bytes = files.remove(&name(old)).ok_or_else(none)?;
            if files.insert(name(new), bytes).is_some() {
                return Err(Coded::new(USAGE, format!("rename {old}: there is {new} already")).into());
            }
        }
        let local = load::overlay(config, load::LOCAL).display().to_string();
        if files.contains_key(&local) {
            let text = "use the bundle: it has an overlay of a machine's own".to_owned();
            return Err(Coded::new(FAILURE, text).into());
        }
        if let Some(overlay) = self.overlay(bundle, &local, there)? {
            files.insert(local, overlay);
        }
        Ok(files)
    }

    /// The overlay; `None`: nothing is another thing.
    fn overlay(&self, bundle: &Bundle, name: &str, there: Option<&[u8]>) -> anyhow::Result<Option<Vec<u8>>> {
        let before = there.map(|bytes| tree(bytes, name)).transpose()?.unwrap_or_default();
        let root = self.put_into(bundle, before.clone())?;
        if root == before {
            return Ok(there.map(<[u8]>::to_vec));
        }
        let text = serde_json::to_string_pretty(&Value::Object(root))?;
        let head = "# What is another thing on this machine, as `tidegate bundle apply` was told.\n";
        Ok(Some(format!("{head}{text}\n").into_bytes()))
    }

    fn put_into(&self, bundle: &Bundle, mut root: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
        for (name, value) in &self.set {
            if !bundle.manifest.variables.contains_key(name) {
                return Err(Coded::new(USAGE, format!("set {name}: the bundle has no such variable")).into());
            }
            put(&mut root, &["variables", name, "default"], Value::from(value.as_str()));
        }
        for (key, (kind, name)) in &self.secrets {
            if !bundle.manifest.needs.contains_key(key) {
                return Err(
                    Coded::new(USAGE, format!("say where {key} is: the bundle needs no such thing")).into()
                );
            }
            if key.contains(['[', '"', '@']) || key.starts_with("variables.") {
                let text = format!(
                    "say where {key} is: it stands in a list, in another environment or under a name with \
                     other signs; write it into an overlay"
                );
                return Err(Coded::new(USAGE, text).into());
            }
            let keys: Vec<&str> = key.split('.').collect();
            let mut place = Map::from_iter([(kind.clone(), Value::from(name.as_str()))]);
            if let Some(prefix) = prefix(bundle, &root, &keys)? {
                place.insert("prefix".to_owned(), prefix);
            }
            put(&mut root, &keys, Value::Object(place));
        }
        if let Some(store) = &self.store {
            put(&mut root, &["store", "url"], store.clone());
        }
        Ok(root)
    }
}

/// A file of a configuration as values.
fn tree(bytes: &[u8], name: &str) -> anyhow::Result<Map<String, Value>> {
    let wrong = |why: String| Coded::config(format!("use {name}: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    match portable::yaml_value(text, name).map_err(|fault| wrong(fault.to_string()))? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(wrong("it is no map".to_owned()).into()),
    }
}

/// What stands before a secret (`Bearer `): a reference is replaced as a whole, and that stays. The overlay
/// of this machine says it, or else one of another environment, or the configuration.
fn prefix(bundle: &Bundle, local: &Map<String, Value>, keys: &[&str]) -> anyhow::Result<Option<Value>> {
    let said = |root: &Map<String, Value>| {
        let at = |map: Option<&Value>, key: &&str| map.and_then(|map| map.get(*key)).cloned();
        let first = root.get(*keys.first()?).cloned();
        let found = keys.iter().skip(1).fold(first, |map, key| at(map.as_ref(), key))?;
        // Where it is said without one, there is none.
        found.as_object().map(|place| place.get("prefix").cloned())
    };
    if let Some(found) = said(local) {
        return Ok(found);
    }
    let config = &bundle.manifest.config;
    let overlays = bundle.manifest.environments.iter().rev();
    let overlays = overlays.map(|env| load::overlay(Path::new(config), env).display().to_string());
    for name in overlays.chain([config.clone()]) {
        let Some(bytes) = bundle.contents.files.get(&name) else { continue };
        if let Some(found) = said(&tree(bytes, &name)?) {
            return Ok(found);
        }
    }
    Ok(None)
}

fn put(root: &mut Map<String, Value>, keys: &[&str], value: Value) {
    let Some((first, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        root.insert((*first).to_owned(), value);
        return;
    }
    let inner = root.entry(*first).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}
