//! Names of servers as names of upstreams.

use std::collections::HashSet;

use crate::check::{NAME_MAX, name_fault};

/// Gives each server its name, none twice.
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// Keeps a name that can stay for the server that has it.
    pub(super) fn new<'a>(originals: impl Iterator<Item = &'a str>) -> Self {
        Self { taken: originals.filter(|name| name_fault(name).is_none()).map(str::to_owned).collect() }
    }

    /// The name of the server that the file calls `original`.
    pub(super) fn name_for(&mut self, original: &str) -> String {
        if name_fault(original).is_none() {
            return original.to_owned();
        }
        let mut base = plain(original);
        if name_fault(&base).is_some() {
            base = plain(&format!("{base}-server"));
        }
        let mut name = base.clone();
        let mut number = 2_usize;
        while !self.taken.insert(name.clone()) {
            let end = format!("-{number}");
            name = format!("{}{end}", &base[..base.len().min(NAME_MAX - end.len())]);
            number += 1;
        }
        name
    }
}

/// The name in lower case with `-` for everything that a name cannot have.
fn plain(original: &str) -> String {
    let mut name = String::new();
    for c in original.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
        if name.len() == NAME_MAX {
            break;
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_gets_a_name_of_its_own() {
        let originals = [
            "My Server",
            "my-server",
            "my_server",
            "@scope/files",
            "sse",
            "",
            "日本",
            "Ünïcode",
            "a--b",
            "A  b",
        ];
        let mut names = Names::new(originals.into_iter());
        let given: Vec<_> = originals.iter().map(|name| names.name_for(name)).collect();
        assert_eq!(
            given,
            [
                "my-server-2",
                "my-server",
                "my-server-3",
                "scope-files",
                "sse-server",
                "server",
                "server-2",
                "n-code",
                "a--b",
                "a-b"
            ]
        );
        for name in &given {
            assert_eq!(name_fault(name), None, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_stays_its_own() {
        let long = "X".repeat(40);
        let longer = "X".repeat(41);
        let mut names = Names::new([long.as_str(), longer.as_str()].into_iter());
        assert_eq!(names.name_for(&long), "x".repeat(32));
        assert_eq!(names.name_for(&longer), format!("{}-2", "x".repeat(30)));
    }
}
