//! Which files the compiler reaches: from the crate roots along every `mod`.

use super::SourceFile;
use super::scan::{block_end, identifier, is_test_only, line_at, skip_space, words};
use crate::workspace::Member;
use std::collections::BTreeMap;
use toml::Value;

/// What is known about the files that are reached.
#[derive(Debug, Default)]
pub struct Reach {
    /// Each file that is reached, and whether only tests reach it.
    pub files: BTreeMap<String, bool>,
    /// Where a file without inner documentation was declared: (declaring file, line) of a `mod` is found here
    /// with the file that it names.
    pub modules: BTreeMap<(String, usize), String>,
}

/// One `mod name;`.
#[derive(Debug, PartialEq, Eq)]
struct Declaration {
    /// Where the file may lie, the first that exists counts.
    candidates: Vec<String>,
    line: usize,
    test_only: bool,
}

/// Follows the modules of every crate.
pub fn reach(members: &[Member], sources: &BTreeMap<String, SourceFile>) -> Reach {
    let mut reach = Reach::default();
    let mut todo: Vec<(String, bool)> = members.iter().flat_map(|member| roots(member, sources)).collect();
    let is_root = todo.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>();
    while let Some((file, test_only)) = todo.pop() {
        let known = reach.files.get(&file).copied();
        if known.is_some_and(|before| before <= test_only) {
            continue;
        }
        reach.files.insert(file.clone(), test_only);
        let Some(source) = sources.get(&file) else { continue };
        for declaration in declarations(&file, source, is_root.contains(&file)) {
            let target = declaration.candidates.iter().find(|candidate| sources.contains_key(*candidate));
            if let Some(target) = target {
                reach.modules.insert((file.clone(), declaration.line), target.clone());
                todo.push((target.clone(), test_only || declaration.test_only));
            }
        }
    }
    reach
}

/// The files at which the compiler starts, and whether they are tests.
fn roots(member: &Member, sources: &BTreeMap<String, SourceFile>) -> Vec<(String, bool)> {
    let mut roots = Vec::new();
    let folder = &member.folder;
    for file in sources.keys() {
        let Some(inside) = file.strip_prefix(folder.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let parts: Vec<&str> = inside.split('/').collect();
        match parts.as_slice() {
            ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"] => {
                roots.push((file.clone(), false));
            }
            ["examples", _] | ["examples", _, "main.rs"] => roots.push((file.clone(), false)),
            ["tests" | "benches", _] | ["tests" | "benches", _, "main.rs"] => {
                roots.push((file.clone(), true))
            }
            _ => {}
        }
    }
    for (kind, test) in [("lib", false), ("bin", false), ("example", false), ("test", true), ("bench", true)]
    {
        let targets = match member.manifest.get(kind) {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(single) => vec![single],
            None => Vec::new(),
        };
        let paths = targets.into_iter().filter_map(|target| target.get("path").and_then(Value::as_str));
        roots.extend(paths.map(|path| (normal(&format!("{folder}/{path}")), test)));
    }
    roots
}

/// The files that `source` names with `mod name;` or `include!`.
fn declarations(file: &str, source: &SourceFile, is_root: bool) -> Vec<Declaration> {
    let code = source.masked.code.as_bytes();
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let base = if is_root || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    let inline = inline_modules(&source.masked.code);
    let mut found = Vec::new();
    for at in words(&source.masked.code, "mod") {
        let Some((module, after)) = identifier(code, at + 3) else { continue };
        if code.get(skip_space(code, after)) != Some(&b';') {
            continue;
        }
        let around = inline.iter().filter(|m| m.start < at && at < m.end);
        let nested: String = around.clone().map(|m| format!("/{}", m.name)).collect();
        let (path, test_only) = attributes_before(source, at);
        let candidates = match path {
            // A path counts from the file's own folder, or from that of the inline modules around it.
            Some(path) if nested.is_empty() => vec![normal(&format!("{folder}/{path}"))],
            Some(path) => vec![normal(&format!("{base}{nested}/{path}"))],
            None => vec![format!("{base}{nested}/{module}.rs"), format!("{base}{nested}/{module}/mod.rs")],
        };
        let test_only = test_only || around.clone().any(|m| attributes_before(source, m.at).1);
        found.push(Declaration { candidates, line: line_at(code, at), test_only });
    }
    for (at, _) in source.masked.code.match_indices("include!(") {
        let literal = source.text.get(at..).and_then(|text| text.split('"').nth(1)).unwrap_or_default();
        let candidates = vec![normal(&format!("{folder}/{literal}"))];
        found.push(Declaration { candidates, line: line_at(code, at), test_only: false });
    }
    found
}

/// A module with its body in the same file.
struct Inline<'a> {
    name: &'a str,
    /// Where its `mod` stands, and its braces.
    at: usize,
    start: usize,
    end: usize,
}

fn inline_modules(code: &str) -> Vec<Inline<'_>> {
    let bytes = code.as_bytes();
    let found = words(code, "mod").filter_map(|at| {
        let (name, after) = identifier(bytes, at + 3)?;
        let start = skip_space(bytes, after);
        (bytes.get(start) == Some(&b'{')).then(|| Inline { name, at, start, end: block_end(bytes, start) })
    });
    found.collect()
}

/// What the attributes directly before the item at `at` say: its path, and whether it is for tests only.
fn attributes_before(source: &SourceFile, at: usize) -> (Option<String>, bool) {
    let code = source.masked.code.as_bytes();
    let begins = code.iter().take(at).rposition(|b| matches!(b, b';' | b'{' | b'}')).map_or(0, |i| i + 1);
    let mut path = None;
    let mut test_only = false;
    for attribute in source.masked.attributes().filter(|a| a.start >= begins && a.end <= at) {
        test_only |= is_test_only(attribute.text);
        if attribute.text.trim_start().starts_with("path") {
            let written = source.text.get(attribute.start..attribute.end).unwrap_or_default();
            path = written.split('"').nth(1).map(str::to_owned);
        }
    }
    (path, test_only)
}

/// The path without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    fn member(manifest: &str) -> Member {
        Member {
            name: "a".to_owned(),
            package: "a".to_owned(),
            folder: "a".to_owned(),
            manifest: manifest.parse::<Table>().expect("toml"),
            manifest_text: manifest.to_owned(),
            dependencies: Vec::new(),
        }
    }

    fn files(manifest: &str, texts: &[(&str, &str)]) -> Vec<(String, bool)> {
        let sources = texts
            .iter()
            .map(|(file, text)| ((*file).to_owned(), SourceFile::new((*text).to_owned())))
            .collect();
        reach(&[member(manifest)], &sources).files.into_iter().collect()
    }

    fn named(list: &[(&str, bool)]) -> Vec<(String, bool)> {
        list.iter().map(|(file, test)| ((*file).to_owned(), *test)).collect()
    }

    #[test]
    fn modules_are_followed_in_both_layouts_and_what_nobody_names_is_not_reached() {
        let seen = files(
            "",
            &[
                ("a/src/lib.rs", "mod one;\npub mod two;\n// mod dead;\nlet s = \"mod dead;\";"),
                ("a/src/one.rs", "mod deep;"),
                ("a/src/one/deep.rs", ""),
                ("a/src/two/mod.rs", "pub(crate) mod r#type;"),
                ("a/src/two/type.rs", ""),
                ("a/src/dead.rs", ""),
            ],
        );
        let expected = [
            ("a/src/lib.rs", false),
            ("a/src/one/deep.rs", false),
            ("a/src/one.rs", false),
            ("a/src/two/mod.rs", false),
            ("a/src/two/type.rs", false),
        ];
        let mut expected = named(&expected);
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_module_for_tests_is_test_code_with_all_below_it() {
        let seen = files(
            "",
            &[
                ("a/src/main.rs", "#[cfg(test)]\nmod tests;\nmod live;"),
                ("a/src/tests.rs", "mod more;"),
                ("a/src/tests/more.rs", ""),
                ("a/src/live.rs", ""),
                ("a/tests/it/main.rs", "mod part;"),
                ("a/tests/it/part.rs", ""),
            ],
        );
        let mut expected = named(&[
            ("a/src/main.rs", false),
            ("a/src/tests.rs", true),
            ("a/src/tests/more.rs", true),
            ("a/src/live.rs", false),
            ("a/tests/it/main.rs", true),
            ("a/tests/it/part.rs", true),
        ]);
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_file_that_tests_and_code_reach_is_code() {
        let seen = files(
            "",
            &[
                ("a/src/lib.rs", "#[cfg(test)]\n#[path = \"both.rs\"]\nmod again;\nmod both;"),
                ("a/src/both.rs", "mod deep;"),
                ("a/src/both/deep.rs", ""),
            ],
        );
        assert!(seen.contains(&("a/src/both.rs".to_owned(), false)), "{seen:?}");
        assert!(seen.contains(&("a/src/both/deep.rs".to_owned(), false)), "{seen:?}");
    }

    #[test]
    fn paths_inline_modules_includes_and_manifest_targets_are_followed() {
        let seen = files(
            "[[bin]]\nname = 'x'\npath = 'tool/x.rs'",
            &[
                (
                    "a/src/lib.rs",
                    "#[path = \"../other/p.rs\"]\nmod p;\nmod q { mod r; }\ninclude!(\"gen.rs\");",
                ),
                ("a/other/p.rs", ""),
                ("a/src/q/r.rs", ""),
                ("a/src/gen.rs", ""),
                ("a/tool/x.rs", ""),
            ],
        );
        assert_eq!(seen.len(), 5, "{seen:?}");
    }
}
