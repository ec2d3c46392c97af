//! `manifest.json` of a bundle, in all its versions.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::Raw;

use crate::fault::{By, Fault, shown};
use crate::input::{INPUTS_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX};
use crate::read::{Desk, Members, Read, document, text_of, word};
use crate::write::Extra;

/// Bytes of a manifest that are read.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The versions of the format that are read.
const VERSIONS: [&str; 5] = ["0.1", "0.2", "0.3", "0.4", "latest"];

/// What kind of a server is in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Run by Node.js, with all it needs.
    Node,
    /// Run by Python, with all it needs.
    Python,
    /// A program.
    Binary,
    /// Run by uv, which fetches what it needs.
    Uv,
}

const KINDS: [(&str, ServerKind); 4] = [
    ("node", ServerKind::Node),
    ("python", ServerKind::Python),
    ("binary", ServerKind::Binary),
    ("uv", ServerKind::Uv),
];

/// What is set by whoever installs a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// Text.
    String,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A folder.
    Directory,
    /// A file.
    File,
}

const SETTINGS: [(&str, SettingKind); 5] = [
    ("string", SettingKind::String),
    ("number", SettingKind::Number),
    ("boolean", SettingKind::Boolean),
    ("directory", SettingKind::Directory),
    ("file", SettingKind::File),
];

/// One thing that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What it is.
    pub kind: SettingKind,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Whether nothing works without it.
    pub required: bool,
    /// What it is where nothing is set.
    pub default: Vec<String>,
    /// Whether there may be several.
    pub multiple: bool,
    /// Whether it may be shown to nobody.
    pub sensitive: bool,
    /// The smallest number.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
}

/// How a server is started, or what of that is different on one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Override {
    /// The program.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// Its environment.
    pub env: Option<BTreeMap<String, String>>,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// What kind of a server it is.
    pub kind: ServerKind,
    /// Its main file.
    pub entry_point: String,
    /// How it is started.
    pub start: Override,
    /// What of that is different where.
    pub overrides: BTreeMap<String, Override>,
    /// What is set.
    pub settings: BTreeMap<String, Setting>,
    /// Where it runs; empty for everywhere.
    pub platforms: Vec<String>,
    /// The tools it says it has.
    pub tools: Vec<String>,
    /// All else.
    pub extra: Extra,
}

/// Reads a manifest.
///
/// # Errors
/// All that is wrong with it.
pub fn read(bytes: &Bytes) -> Result<Read<Manifest>, Vec<Fault>> {
    let mut desk = Desk::new(By::Publisher);
    let Some(raw) = document(&mut desk, bytes, MANIFEST_BYTES_MAX) else {
        return desk.finish(Raw::literal("null"), None);
    };
    let manifest = read_raw(&mut desk, &raw);
    desk.finish(raw, manifest)
}

fn read_raw(desk: &mut Desk, raw: &Raw) -> Option<Manifest> {
    let mut members = Members::open(desk, "", raw)?;
    let new = members.any_text(desk, "manifest_version", NAME_CHARS_MAX);
    let old = members.any_text(desk, "dxt_version", NAME_CHARS_MAX);
    match new.as_deref().or(old.as_deref()) {
        None => desk.refuse("", "\"manifest_version\" is missing"),
        Some(version) if VERSIONS.contains(&version) => {}
        Some(version) => desk.refuse("/manifest_version", format!("{} is not read", shown(version))),
    }
    let name = members.needed(desk, "name", NAME_CHARS_MAX);
    let version = members.needed(desk, "version", NAME_CHARS_MAX);
    let description = members.needed(desk, "description", TEXT_CHARS_MAX);
    let display_name = members.text(desk, "display_name", NAME_CHARS_MAX);
    let author = part(desk, &mut members, "author", true)
        .and_then(|mut author| author.needed(desk, "name", NAME_CHARS_MAX));
    let server = server(desk, &mut members);
    let settings = settings(desk, &mut members);
    let platforms = part(desk, &mut members, "compatibility", false)
        .and_then(|mut inner| inner.texts(desk, "platforms", INPUTS_MAX, NAME_CHARS_MAX));
    let tools = members.items(desk, "tools", 1_000).unwrap_or_default();
    let tools = tools.iter().filter_map(|item| {
        Members::open(desk, item.at.clone(), &item.raw)?.needed(desk, "name", NAME_CHARS_MAX)
    });
    let tools = tools.collect();
    let (kind, entry_point, start, overrides) = server?;
    Some(Manifest {
        name: name?,
        display_name,
        version: version?,
        description: description?,
        author: author?,
        kind,
        entry_point,
        start,
        overrides,
        settings,
        platforms: platforms.unwrap_or_default(),
        tools,
        extra: members.rest(),
    })
}

fn part(desk: &mut Desk, members: &mut Members, name: &str, needed: bool) -> Option<Members> {
    let found = if needed { members.must(desk, name) } else { members.take(desk, name) }?;
    Members::open(desk, found.at, &found.raw)
}

type Started = (ServerKind, String, Override, BTreeMap<String, Override>);

fn server(desk: &mut Desk, members: &mut Members) -> Option<Started> {
    let mut server = part(desk, members, "server", true)?;
    let kind = server.needed(desk, "type", NAME_CHARS_MAX)?;
    let kind = word(desk, &format!("{}/type", server.at), &kind, &KINDS);
    let entry_point = server.needed(desk, "entry_point", TEXT_CHARS_MAX);
    if let Some(path) = &entry_point
        && !crate::parts::is_clean_path(path.trim_start_matches("./"))
    {
        desk.refuse(&format!("{}/entry_point", server.at), "no file of the bundle");
    }
    // For uv the host knows how.
    let needed = kind != Some(ServerKind::Uv);
    let mut start = Override::default();
    let mut overrides = BTreeMap::new();
    if let Some(mut config) = part(desk, &mut server, "mcp_config", needed) {
        if needed && !config.has("command") {
            desk.refuse(&config.at, "\"command\" is missing");
        }
        start = read_override(desk, &mut config);
        for (platform, found) in config.entries(desk, "platform_overrides", INPUTS_MAX).unwrap_or_default() {
            if let Some(mut inner) = Members::open(desk, found.at, &found.raw) {
                overrides.insert(platform, read_override(desk, &mut inner));
            }
        }
    }
    Some((kind?, entry_point?, start, overrides))
}

fn read_override(desk: &mut Desk, members: &mut Members) -> Override {
    let command = members.text(desk, "command", TEXT_CHARS_MAX);
    let args = members.texts(desk, "args", INPUTS_MAX, TEXT_CHARS_MAX);
    let env = members.entries(desk, "env", INPUTS_MAX).map(|entries| {
        let texts = entries
            .into_iter()
            .filter_map(|(name, found)| Some((name, text_of(desk, &found.at, &found.raw, TEXT_CHARS_MAX)?)));
        texts.collect()
    });
    Override { command, args, env }
}

fn settings(desk: &mut Desk, members: &mut Members) -> BTreeMap<String, Setting> {
    let entries = members.entries(desk, "user_config", INPUTS_MAX).unwrap_or_default();
    let read = entries.into_iter().filter_map(|(name, found)| {
        if name.contains(['{', '}', '$']) || name.is_empty() {
            desk.refuse(&found.at, "a name that cannot stand in a template");
            return None;
        }
        Some((name, setting(desk, &found.at, &found.raw)?))
    });
    read.collect()
}

fn setting(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Setting> {
    let mut members = Members::open(desk, at, raw)?;
    let kind = members.needed(desk, "type", NAME_CHARS_MAX)?;
    let kind = word(desk, &format!("{at}/type"), &kind, &SETTINGS)?;
    let title = members.needed(desk, "title", NAME_CHARS_MAX);
    let description = members.needed(desk, "description", TEXT_CHARS_MAX);
    let default = members.take(desk, "default").map(|found| {
        let items = found.raw.items().unwrap_or_else(|| vec![found.raw.clone()]);
        let text = |item: &Raw| match item.as_str() {
            Some(text) => Some(text.into_owned()),
            None if item.as_bool().is_some() || item.as_f64().is_some() => Some(item.as_text().to_owned()),
            None => None,
        };
        let texts: Vec<String> = items.iter().take(INPUTS_MAX).filter_map(text).collect();
        if texts.len() != items.len() {
            desk.refuse(&found.at, "has to be a text, a number, true or false, or a list of texts");
        }
        texts
    });
    let required = members.flag(desk, "required").unwrap_or(false);
    let multiple = members.flag(desk, "multiple").unwrap_or(false);
    let sensitive = members.flag(desk, "sensitive").unwrap_or(false);
    let number = |desk: &mut Desk, members: &mut Members, name: &str| {
        let found = members.take(desk, name)?;
        let number = found.raw.as_f64().filter(|number| number.is_finite());
        if number.is_none() {
            desk.refuse(&found.at, "has to be a number");
        }
        number
    };
    let min = number(desk, &mut members, "min");
    let max = number(desk, &mut members, "max");
    let default = default.unwrap_or_default();
    Some(Setting {
        kind,
        title: title?,
        description: description?,
        required,
        default,
        multiple,
        sensitive,
        min,
        max,
    })
}
