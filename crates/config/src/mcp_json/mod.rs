//! The file of servers that an MCP client has, read as a configuration.
//!
//! Claude, Cursor and many others write `{"mcpServers": {NAME: …}}`, VS Code `{"servers": {NAME: …}}`; a
//! server has a `command` with `args`, `env` and `cwd`, or a `url` with `headers`. There is no common
//! definition, so what is not known is a warning and not a fault. Comments and commas before a closing
//! bracket are read over.
//!
//! The file is turned into the tree that a `tidegate.yaml` of the same meaning would have, and goes the same
//! way from there on. Positions stay those of the file.

mod comments;
mod names;
mod server;
mod variable;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::load;
use crate::section::Config;
use crate::source::{self, Entry, Fault, Node, Path, Position, Problem, Seg, Value};
use names::Names;
use server::Translation;

/// A client's file as a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The servers as upstreams; all other keys have their defaults.
    pub config: Config,
    /// What was changed or not understood, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// The keys under which clients list their servers.
const LISTS: [&str; 2] = ["mcpServers", "servers"];

/// How many servers a file may have.
const SERVERS_MAX: usize = 1000;

/// The names that upstreams get whose servers have these names elsewhere, in their order, none twice.
#[must_use]
pub fn names_for(originals: &[&str]) -> Vec<String> {
    let mut names = Names::new(originals.iter().copied());
    originals.iter().map(|original| names.name_for(original)).collect()
}

/// Reads and checks a client's file. `file_name` is only for messages.
///
/// # Errors
/// Everything that is wrong with it, with positions in the file.
pub fn load_str(text: &str, file_name: &str) -> Result<Imported, Diagnostics> {
    let one = |fault: Fault| Diagnostics::one(fault.diagnostic(&[file_name]));
    let text = comments::blank_out(text);
    if !text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').starts_with('{') {
        let problem = Problem::other("expected a JSON object", Some(EXAMPLE.to_owned()));
        return Err(one(Fault { at: Position::START, path: Path::default(), problem }));
    }
    let mut faults = Vec::new();
    let root = source::parse(&text, &mut faults).map_err(one)?;
    let mut translation = Translation::new(faults);
    let (config_tree, names) = file(&root, &mut translation).map_err(one)?;
    let Translation { faults, warnings, .. } = translation;
    let config = load::checked(&config_tree, faults).map_err(|faults| {
        load::shown(faults.into_iter().map(|f| in_words_of_the_file(f, &names)).collect(), &[file_name])
    })?;
    let mut warnings: Vec<_> = warnings.into_iter().map(|fault| fault.diagnostic(&[file_name])).collect();
    warnings.sort_by_key(|warning| (warning.line, warning.column));
    Ok(Imported { config, warnings })
}

/// As [`load_str`], for the bytes of a file.
///
/// # Errors
/// As [`load_str`], and where the bytes are not UTF-8.
pub fn load_slice(bytes: &[u8], file_name: &str) -> Result<Imported, Diagnostics> {
    load_str(load::utf8(bytes, file_name)?, file_name)
}

const EXAMPLE: &str =
    "as in {\"mcpServers\": {\"files\": {\"command\": \"npx\", \"args\": [\"-y\", \"server\"]}}}";

/// Where the servers are in the file, and what each is called in the configuration and in the file.
struct Renamed {
    list: &'static str,
    names: Vec<(String, String)>,
}

fn file(root: &Node, translation: &mut Translation) -> Result<(Node, Renamed), Fault> {
    let listed: Vec<_> = LISTS.iter().filter_map(|key| root.get(key).map(|entry| (*key, entry))).collect();
    let (list, servers) = match listed.as_slice() {
        [] => {
            let message = "the file has neither \"mcpServers\" nor \"servers\"";
            let problem = Problem::other(message, Some(EXAMPLE.to_owned()));
            return Err(Fault { at: root.at, path: Path::default(), problem });
        }
        [(list, servers), rest @ ..] => {
            for (key, entry) in rest {
                translation.warn(
                    entry.key_at,
                    &Path::keys([key]),
                    "left out, since the file has \"mcpServers\" too",
                );
            }
            (*list, *servers)
        }
    };
    check_inputs(root, translation);
    for entry in root.entries() {
        if !LISTS.contains(&entry.key.as_str()) && !matches!(entry.key.as_str(), "inputs" | "$schema") {
            translation.warn(entry.key_at, &Path::keys([&entry.key]), "unknown key, left out");
        }
    }
    let path = Path::keys([list]);
    let count = servers.value.entries().len();
    if !matches!(servers.value.value, Value::Map(_)) || count > SERVERS_MAX {
        let message = match count {
            0 => format!("expected a map of servers, found {}", servers.value.describe()),
            _ => format!("there are {count} of them, and there may be {SERVERS_MAX}"),
        };
        return Err(Fault { at: servers.value.at, path, problem: Problem::other(message, None) });
    }
    let mut names = Names::new(servers.value.entries().iter().map(|entry| entry.key.as_str()));
    let mut upstreams = Vec::new();
    let mut renamed = Renamed { list, names: Vec::new() };
    for entry in servers.value.entries() {
        let path = path.key(&entry.key);
        let name = names.name_for(&entry.key);
        if name != entry.key {
            translation.warn(entry.key_at, &path, &format!("called {name:?} here"));
        }
        if let Some(value) = server::upstream(entry, &path, translation) {
            upstreams.push(Entry { key: name.clone(), key_at: entry.key_at, value });
            renamed.names.push((name, entry.key.clone()));
        }
    }
    let upstreams = translation.node(servers.value.at, Value::Map(upstreams));
    let entry = Entry { key: "upstreams".to_owned(), key_at: servers.key_at, value: upstreams };
    Ok((translation.node(root.at, Value::Map(vec![entry])), renamed))
}

/// Values that an editor asks its user for cannot be had here.
fn check_inputs(root: &Node, translation: &mut Translation) {
    let Some(entry) = root.get("inputs") else { return };
    if !matches!(&entry.value.value, Value::List(items) if items.is_empty()) {
        translation.fault(
            entry.key_at,
            &Path::keys(["inputs"]),
            "the editor asks its user for these values, and here is nobody to ask",
            Some("put them into the environment and write ${env:NAME}"),
        );
    }
}

/// A fault in the configuration's words, in those of the file. One that the translation found has them
/// already.
fn in_words_of_the_file(mut fault: Fault, renamed: &Renamed) -> Fault {
    let [Seg::Key(section), rest @ ..] = fault.path.segs() else { return fault };
    if section != "upstreams" {
        return fault;
    }
    let mut segs = vec![Seg::Key(renamed.list.to_owned())];
    segs.extend_from_slice(rest);
    if let Some(Seg::Key(name)) = segs.get_mut(1)
        && let Some((_, original)) = renamed.names.iter().find(|(mapped, _)| mapped == name)
    {
        name.clone_from(original);
    }
    fault.path = Path::new(segs);
    fault
}
