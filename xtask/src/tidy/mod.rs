//! Tidiness that no compiler checks. Exceptions stand in `tidy.toml`, each with a reason.

mod exceptions;
mod reach;
mod rules;
mod scan;

pub use scan::Masked;

use crate::Result;
use crate::layers::{Layers, Ring};
use crate::workspace::Workspace;
use exceptions::Exceptions;
use reach::Reach;
use rules::Fault;
use std::collections::BTreeMap;

/// A file and what the scanner made of it.
#[derive(Debug)]
pub struct SourceFile {
    text: String,
    masked: Masked,
}

impl SourceFile {
    fn new(text: String) -> Self {
        let masked = Masked::new(&text);
        Self { text, masked }
    }

    /// Whether the file says what it is for.
    fn has_inner_docs(&self) -> bool {
        let first = self.text.lines().map(str::trim_start).find(|line| !line.is_empty());
        first.is_some_and(|line| line.starts_with("//!") || line.starts_with("/*!"))
    }
}

/// Checks every file; gives back how many there are.
pub fn run(workspace: &Workspace) -> Result<usize> {
    let layers = Layers::read(workspace)?;
    let files = workspace.files()?;
    let mut sources = BTreeMap::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        sources.insert(file.clone(), SourceFile::new(workspace.read_text(file)?));
    }
    let reach = reach::reach(&workspace.members, &sources);
    let mut faults = Vec::new();
    for (file, source) in &sources {
        let inner = ring_of(workspace, &layers, file).is_some_and(|ring| ring <= 2);
        faults.extend(source_faults(file, source, &reach, inner, &sources));
    }
    for file in files.iter().filter(|file| is_document(file)) {
        if let Ok(text) = workspace.read_text(file) {
            faults.extend(rules::machine_path(file, &text));
        }
    }
    let exceptions = Exceptions::read(workspace)?;
    let told = exceptions.apply(faults);
    if told.is_empty() {
        Ok(files.len())
    } else {
        Err(format!("{}\ntidy: {} faults", told.join("\n"), told.len()))
    }
}

fn source_faults(
    file: &str,
    source: &SourceFile,
    reach: &Reach,
    inner: bool,
    sources: &BTreeMap<String, SourceFile>,
) -> Vec<Fault> {
    let test_only = reach.files.get(file).copied();
    let mut faults = rules::file_length(file, source);
    faults.extend(rules::function_length(file, source));
    faults.extend(rules::line_length(file, source));
    faults.extend(rules::unwrap(file, source, test_only.unwrap_or(false)));
    faults.extend(rules::allow(file, source));
    faults.extend(rules::marker(file, source));
    faults.extend(rules::machine_path(file, &source.text));
    if inner && test_only == Some(false) {
        let documents = |target: &str| sources.get(target).is_some_and(SourceFile::has_inner_docs);
        faults.extend(rules::missing_docs(file, source, reach, documents));
    }
    if test_only.is_none() {
        faults.push(rules::dead_file(file));
    }
    faults
}

/// The ring of the crate that a file belongs to.
fn ring_of(workspace: &Workspace, layers: &Layers, file: &str) -> Option<i64> {
    match layers.ring(&workspace.member_of_file(file)?.name)? {
        Ring::Number(number) => Some(number),
        Ring::Dev => None,
    }
}

/// Files that people wrote or read, apart from Rust. Lock files name what they lock.
fn is_document(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let binary = [".png", ".ico", ".gz", ".woff2", ".wasm", ".bin"];
    !name.ends_with(".rs") && name != "Cargo.lock" && !binary.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_what_is_neither_rust_nor_locked_nor_binary() {
        for file in ["README.md", ".ci/run", "conformance/package-lock.json", "a/b.toml"] {
            assert!(is_document(file), "{file}");
        }
        for file in ["a/b.rs", "Cargo.lock", "docs/a.png"] {
            assert!(!is_document(file), "{file}");
        }
    }

    #[test]
    fn inner_documentation_stands_first_in_a_file() {
        assert!(SourceFile::new("\n//! Yes.\n".to_owned()).has_inner_docs());
        assert!(!SourceFile::new("// No.\n//! Late.".to_owned()).has_inner_docs());
    }

    #[test]
    fn a_file_that_is_not_reached_is_dead() {
        let sources = BTreeMap::from([("a/src/x.rs".to_owned(), SourceFile::new(String::new()))]);
        let faults = source_faults("a/src/x.rs", &sources["a/src/x.rs"], &Reach::default(), true, &sources);
        assert_eq!(faults.iter().map(|f| f.rule).collect::<Vec<_>>(), ["dead-file"]);
    }
}
