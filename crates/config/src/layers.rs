//! Several files as one configuration, and where each of its values comes from.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::load::{checked, shown, utf8};
use crate::section::Config;
use crate::source::{self, Covered, Node, Position, Value, Values};

/// How many files may be laid over one another.
pub const LAYERS_MAX: usize = 16;

/// A file. Those after the first are overlays.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Its name, for messages alone.
    pub name: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// Where variables have their values from, besides the files.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// What was given for this time; each must be a variable.
    pub variables: &'a BTreeMap<String, String>,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl Default for Given<'_> {
    /// Nothing is given.
    fn default() -> Self {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Self { variables: &NONE, env: &|_| None }
    }
}

/// A configuration, and where it comes from.
#[derive(Debug, Clone)]
pub struct Layered {
    /// What it says.
    pub config: Config,
    /// Where each of its values stands.
    pub origins: Origins,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The file.
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl std::fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where each value stands. Printing it shows no value.
#[derive(Clone)]
pub struct Origins {
    files: Vec<String>,
    leaves: Vec<Leaf>,
    covered: Vec<(String, Position)>,
    /// What all files say together. May have secrets in it.
    root: Node,
}

#[derive(Clone)]
struct Leaf {
    path: String,
    at: Position,
    /// May be secret.
    text: String,
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Origins {
    fn new(files: &[&str], root: Node, covered: Vec<Covered>) -> Self {
        let mut leaves = Vec::new();
        collect(&root, &source::Path::default(), &mut leaves);
        let covered = covered.into_iter().map(|one| (one.path.to_string(), one.at)).collect();
        Self { files: files.iter().map(|file| (*file).to_owned()).collect(), leaves, covered, root }
    }

    /// What all files say together, with the values of variables in their places: a configuration that means
    /// the same by itself. It has the secrets that stand in the files.
    #[must_use]
    pub fn whole(&self) -> serde_json::Value {
        let mut whole = plain(&self.root);
        if let Some(members) = whole.as_object_mut() {
            // Their values stand where they were named.
            members.shift_remove(source::VARIABLES);
        }
        whole
    }

    fn origin(&self, at: Position) -> Origin<'_> {
        let file = self.files.get(usize::from(at.file)).map_or("", String::as_str);
        Origin { file, line: at.line, column: at.column }
    }

    /// The files, the lowest first.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Where the values at `path` and inside it stand, in the order of the file.
    pub fn under<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, Origin<'a>)> {
        let inside = move |leaf: &&Leaf| is_under(&leaf.path, path);
        self.leaves.iter().filter(inside).map(|leaf| (leaf.path.as_str(), self.origin(leaf.at)))
    }

    /// What was covered or taken out by a file above, at `path` and inside it.
    pub fn covered<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, Origin<'a>)> {
        let inside = move |(covered, _): &&(String, Position)| is_under(covered, path);
        self.covered.iter().filter(inside).map(|(path, at)| (path.as_str(), self.origin(*at)))
    }

    /// The text of a value as it stands in the file, which may be secret.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.leaves.iter().find(|leaf| leaf.path == path).map(|leaf| leaf.text.as_str())
    }
}

/// A tree as values. A number that is written in another way than numbers are printed is text, as it is where
/// text is expected.
fn plain(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    let spelled = |number: Option<serde_json::Number>, text: &String| match number {
        Some(number) if number.to_string() == *text => Json::Number(number),
        _ => Json::String(text.clone()),
    };
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number, text) => spelled(serde_json::Number::from_i128(*number), text),
        Value::Float(number, text) => spelled(serde_json::Number::from_f64(*number), text),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect(),
    }
}

/// Whether a path is `start` or lies inside it.
fn is_under(path: &str, start: &str) -> bool {
    let rest = path.strip_prefix(start);
    start.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn collect(node: &Node, path: &source::Path, leaves: &mut Vec<Leaf>) {
    let text = match &node.value {
        Value::Map(entries) => {
            return entries.iter().for_each(|entry| collect(&entry.value, &path.key(&entry.key), leaves));
        }
        Value::List(items) if !items.is_empty() => {
            return items.iter().enumerate().for_each(|(at, item)| collect(item, &path.index(at), leaves));
        }
        Value::Text(text) | Value::Int(_, text) | Value::Float(_, text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::List(_) => String::new(),
    };
    leaves.push(Leaf { path: path.to_string(), at: node.at, text });
}

/// Reads and checks the configuration that several files make, each laid over those before it: sections and
/// maps of names take the keys of all, and everything else of a later file stands in place of the earlier.
/// A key that is `null` in a later file is taken out. No file at all is all defaults.
///
/// # Errors
/// Everything that is wrong with them, with positions. A fault in the syntax hides what comes after it.
pub fn load_layers(layers: &[Layer<'_>], given: &Given<'_>) -> Result<Layered, Diagnostics> {
    let files: Vec<&str> = layers.iter().map(|layer| layer.name).collect();
    let (mut ids, mut faults, mut covered) = (0, Vec::new(), Vec::new());
    let mut root: Option<Node> = None;
    for (layer, number) in layers.iter().take(LAYERS_MAX).zip(0u16..) {
        let text = utf8(layer.bytes, layer.name)?;
        let one = |fault: source::Fault| Diagnostics::one(fault.diagnostic(&files));
        let over = source::parse_layer(text, number, &mut ids, &mut faults).map_err(one)?;
        root = Some(match root {
            None => over,
            Some(base) => source::merge(base, over, &mut faults, &mut covered),
        });
    }
    let mut root = match root {
        Some(root) => root,
        None => Node { id: 0, at: Position::START, value: Value::Map(Vec::new()) },
    };
    if layers.len() > LAYERS_MAX {
        let problem = source::Problem::other(format!("there may be {LAYERS_MAX} files"), None);
        faults.push(source::Fault { at: root.at, path: source::Path::default(), problem });
    }
    source::fill(&mut root, &Values { given: given.variables, env: given.env }, &mut faults);
    let config = checked(&root, faults).map_err(|faults| shown(faults, &files))?;
    Ok(Layered { config, origins: Origins::new(&files, root, covered) })
}
