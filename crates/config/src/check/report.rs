//! Collects what the rules find, and gives it a position.

use crate::source::{FAULTS_MAX, Fault, Node, Path, Position, Problem, note};

/// What the rules have found so far.
pub(crate) struct Report<'a> {
    root: &'a Node,
    read_faults: &'a [Fault],
    found: Vec<Fault>,
}

impl<'a> Report<'a> {
    /// An empty report on the document `root`, in which `read_faults` were found when it was read.
    pub(crate) fn new(root: &'a Node, read_faults: &'a [Fault]) -> Self {
        Self { root, read_faults, found: Vec::new() }
    }

    /// The value at `path` is wrong.
    pub(crate) fn value(&mut self, path: &Path, message: impl Into<String>, hint: Option<String>) {
        self.push(self.root.value_at(path), path, message.into(), hint);
    }

    /// The key at the end of `path` is wrong, or the section that it opens.
    pub(crate) fn key(&mut self, path: &Path, message: impl Into<String>, hint: Option<String>) {
        self.push(self.root.key_at(path), path, message.into(), hint);
    }

    /// Whether enough was found. Rules over long lists then stop.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() > FAULTS_MAX
    }

    fn push(&mut self, at: Position, path: &Path, message: String, hint: Option<String>) {
        let problem = Problem::other(message, hint);
        note(&mut self.found, Fault { at, path: path.clone(), problem });
    }

    /// Something is missing in the section at `path`. Not reported where the reading has already found a
    /// fault in that section: what is missing is then probably what was left out, or misspelt.
    pub(crate) fn absent(&mut self, path: &Path, message: impl Into<String>, hint: Option<String>) {
        if self.is_whole(path) {
            self.key(path, message, hint);
        }
    }

    /// Whether all of the value at `path` could be read. What could not is not in its list either, so that
    /// the items after it have other numbers there.
    pub(crate) fn is_whole(&self, path: &Path) -> bool {
        !self.read_faults.iter().any(|fault| fault.path.starts_with(path))
    }

    /// Whether the document has a value at `path`, be it one that could not be read.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.root.has(path)
    }

    /// Whether the key at the end of `path` stands before the one at the end of `other`.
    pub(crate) fn is_before(&self, path: &Path, other: &Path) -> bool {
        self.root.key_at(path) < self.root.key_at(other)
    }

    /// The line of the key at the end of `path`.
    pub(crate) fn line(&self, path: &Path) -> u32 {
        self.root.key_at(path).line
    }

    /// The keys of the map at the top of the document, also those whose values could not be read.
    pub(crate) fn keys_of(&self, section: &str) -> impl Iterator<Item = &'a str> {
        let entries = self.root.get(section).map_or(&[][..], |entry| entry.value.entries());
        entries.iter().map(|entry| entry.key.as_str())
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.found
    }
}
