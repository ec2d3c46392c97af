//! The rules, one function each.

use super::SourceFile;
use super::reach::Reach;
use super::scan::words;

pub const FILE_LINES_MAX: usize = 800;
pub const FUNCTION_LINES_MAX: usize = 70;
pub const COLUMNS_MAX: usize = 110;

/// A rule that a place breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub rule: &'static str,
    pub file: String,
    pub line: usize,
    /// The function or item, where it has a name.
    pub item: Option<String>,
    /// How large it is, where size is the matter.
    pub size: Option<usize>,
    pub message: String,
}

impl Fault {
    fn new(rule: &'static str, file: &str, line: usize, message: String) -> Self {
        Self { rule, file: file.to_owned(), line, item: None, size: None, message }
    }
}

/// Names of all rules, for the reader of exceptions.
pub const RULES: [&str; 9] = [
    "file-length",
    "function-length",
    "line-length",
    "unwrap",
    "allow",
    "marker",
    "missing-docs",
    "dead-file",
    "machine-path",
];

/// Files of a size that a person reads in one go.
pub fn file_length(file: &str, source: &SourceFile) -> Vec<Fault> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let message = format!("{lines} lines, at most {FILE_LINES_MAX}: split it by subject");
    vec![Fault { size: Some(lines), ..Fault::new("file-length", file, 1, message) }]
}

/// Functions of a size that a person sees at once.
pub fn function_length(file: &str, source: &SourceFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    for function in source.masked.functions() {
        let lines = function.last - function.first + 1;
        if lines > FUNCTION_LINES_MAX {
            let message = format!(
                "fn {} has {lines} lines, at most {FUNCTION_LINES_MAX}: name its parts",
                function.name
            );
            faults.push(Fault {
                size: Some(lines),
                item: Some(function.name),
                ..Fault::new("function-length", file, function.first, message)
            });
        }
    }
    faults
}

/// Lines that fit beside another file.
pub fn line_length(file: &str, source: &SourceFile) -> Vec<Fault> {
    let long = source.text.lines().enumerate().filter_map(|(index, line)| {
        let columns = line.chars().count();
        let message = format!("{columns} columns, at most {COLUMNS_MAX}");
        (columns > COLUMNS_MAX).then(|| Fault::new("line-length", file, index + 1, message))
    });
    long.collect()
}

/// No `.unwrap()` where a user could meet it.
pub fn unwrap(file: &str, source: &SourceFile, test_only: bool) -> Vec<Fault> {
    let tests = source.masked.test_lines();
    let in_test =
        |line: usize| test_only || tests.iter().any(|(first, last)| (*first..=*last).contains(&line));
    let lines = source.masked.code.lines().enumerate().map(|(index, line)| (index + 1, line));
    let found = lines.filter(|(line, code)| code.contains(".unwrap()") && !in_test(*line));
    let message = "unwrap() outside tests: return an error, or expect(\"why it holds\")";
    found.map(|(line, _)| Fault::new("unwrap", file, line, message.to_owned())).collect()
}

/// `expect` says when it is no longer needed, `allow` never does.
pub fn allow(file: &str, source: &SourceFile) -> Vec<Fault> {
    let code = source.masked.code.as_bytes();
    let allows = source.masked.attributes().filter(|a| {
        let text: String = a.text.chars().filter(|c| !c.is_whitespace()).collect();
        text.starts_with("allow(") || text.contains(",allow(")
    });
    let message = "allow: fix the cause, or use #[expect(…, reason = \"…\")]";
    allows
        .map(|a| Fault::new("allow", file, super::scan::line_at(code, a.start), message.to_owned()))
        .collect()
}

/// Nothing half done.
pub fn marker(file: &str, source: &SourceFile) -> Vec<Fault> {
    const MARKERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut faults = Vec::new();
    let lines = source.masked.code.lines().zip(source.masked.comments.lines()).enumerate();
    for (index, (code, comment)) in lines {
        for marker in MARKERS {
            if words(code, marker).next().is_some() || words(comment, marker).next().is_some() {
                let message = format!("{marker}: finish it, or leave it out");
                faults.push(Fault::new("marker", file, index + 1, message));
            }
        }
        if words(code, "dbg").any(|at| code.get(at..).is_some_and(|rest| rest.starts_with("dbg!"))) {
            faults.push(Fault::new("marker", file, index + 1, "dbg! is for the desk".to_owned()));
        }
    }
    faults
}

/// Paths of one machine and hosts of one registry mean nothing to the reader of a repository.
pub fn machine_path(file: &str, text: &str) -> Vec<Fault> {
    const FOLDERS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    const TEMPORARY: &str = concat!("/tm", "p/");
    const HOSTS: [&str; 6] = [
        concat!("registry.", "npmjs.org"),
        concat!("registry.", "yarnpkg.com"),
        concat!("static.", "crates.io"),
        concat!("index.", "crates.io"),
        concat!("pypi.", "org/simple"),
        concat!("files.", "pythonhosted.org"),
    ];
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // Code may make temporary folders; a document that names one names it on somebody's machine.
        let temporary = (!file.ends_with(".rs")).then_some(TEMPORARY);
        for folder in FOLDERS.into_iter().chain(temporary) {
            if line.match_indices(folder).any(|(at, _)| begins_path(line, at)) {
                faults.push(Fault::new(
                    "machine-path",
                    file,
                    index + 1,
                    format!("names a machine's folder, {folder}"),
                ));
            }
        }
        for host in HOSTS.into_iter().filter(|host| line.contains(host)) {
            faults.push(Fault::new(
                "machine-path",
                file,
                index + 1,
                format!("names a registry's host, {host}"),
            ));
        }
    }
    faults
}

/// Whether a `/` at `at` is the first of its path.
fn begins_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|text| text.chars().next_back());
    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '}' | '*'))
}

/// A file that no `mod` names is read by people and never by the compiler.
pub fn dead_file(file: &str) -> Fault {
    Fault::new("dead-file", file, 1, "no `mod` reaches this file: name it or remove it".to_owned())
}

/// What an inner crate offers is explained where it is defined.
pub fn missing_docs(
    file: &str,
    source: &SourceFile,
    reach: &Reach,
    documents: impl Fn(&str) -> bool,
) -> Vec<Fault> {
    let tests = source.masked.test_lines();
    let mut walk = DocWalk::default();
    let mut faults = Vec::new();
    for (index, (written, code)) in source.text.lines().zip(source.masked.code.lines()).enumerate() {
        let line = index + 1;
        let Some(item) = walk.line(written, code) else { continue };
        let in_test = tests.iter().any(|(first, last)| (*first..=*last).contains(&line));
        let module = reach.modules.get(&(file.to_owned(), line));
        if in_test || module.is_some_and(|target| documents(target)) {
            continue;
        }
        let message = format!("{item} has no documentation: say what it means, its units, errors and source");
        faults.push(Fault { item: Some(item), ..Fault::new("missing-docs", file, line, message) });
    }
    faults
}

/// Goes through a file line by line and remembers whether documentation came before.
#[derive(Debug, Default)]
struct DocWalk {
    documented: bool,
    /// Open brackets of an attribute that goes over several lines.
    attribute: i32,
    depth: i32,
    /// The depth inside the public trait that is open, whose members are as public as it is.
    public_trait: Option<i32>,
}

impl DocWalk {
    /// Takes one line; gives back the public item that it begins, if that has no documentation.
    fn line(&mut self, written: &str, code: &str) -> Option<String> {
        let before = self.depth;
        self.depth += balance(code, '{', '}');
        if self.attribute > 0 {
            self.attribute += balance(code, '[', ']');
            return None;
        }
        let written = written.trim_start();
        if written.starts_with("///") || written.starts_with("/**") || written.starts_with("#[doc") {
            self.documented = true;
        }
        let mut code = code.trim();
        while code.starts_with("#[") || code.starts_with("$(#[") {
            self.documented |= code.starts_with('$');
            let (open, rest) = past_attribute(code);
            self.attribute = open;
            code = rest.trim_start_matches(")*").trim();
        }
        if code.is_empty() {
            return None;
        }
        let in_trait = self.public_trait == Some(before);
        let item = public_item(code, in_trait);
        if self.public_trait.is_some_and(|inside| self.depth < inside) {
            self.public_trait = None;
        }
        if item.as_deref().is_some_and(|item| item.starts_with("trait ")) && self.public_trait.is_none() {
            self.public_trait = Some(before + 1);
        }
        let documented = std::mem::take(&mut self.documented);
        item.filter(|_| !documented)
    }
}

/// How many brackets the attribute leaves open at the end of the line, and what stands behind it.
fn past_attribute(code: &str) -> (i32, &str) {
    let mut open = 0;
    for (at, c) in code.char_indices() {
        open += i32::from(c == '[') - i32::from(c == ']');
        if open == 0 && c == ']' {
            return (0, code.get(at + 1..).unwrap_or_default());
        }
    }
    (open, "")
}

fn balance(code: &str, opens: char, closes: char) -> i32 {
    code.chars().map(|c| i32::from(c == opens) - i32::from(c == closes)).sum()
}

/// The kind and name of the public item that a line begins.
fn public_item(code: &str, in_trait: bool) -> Option<String> {
    let code = match code.strip_prefix("pub ") {
        Some(rest) => rest,
        None if in_trait => code,
        None => return None,
    };
    let kinds: &[&str] = if in_trait {
        &["fn", "type", "const"]
    } else {
        &["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "macro"]
    };
    let mut tokens = code.split_whitespace().peekable();
    while let Some(token) = tokens.next() {
        let qualifies = matches!(token, "async" | "unsafe" | "extern" | "\"" | "auto")
            || (token == "const" && matches!(tokens.peek(), Some(&"fn" | &"async" | &"unsafe")))
            || token.chars().all(|c| c == '"');
        if qualifies {
            continue;
        }
        let kind = kinds.iter().find(|kind| **kind == token)?;
        let name = tokens.next()?;
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '#').unwrap_or(name.len());
        return Some(format!("{kind} {}", name.get(..end).unwrap_or(name)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn source(text: &str) -> SourceFile {
        SourceFile::new(text.to_owned())
    }

    fn lines(faults: &[Fault]) -> Vec<usize> {
        faults.iter().map(|fault| fault.line).collect()
    }

    fn undocumented(text: &str) -> Vec<String> {
        let faults = missing_docs("a.rs", &source(text), &Reach::default(), |_| false);
        faults.into_iter().filter_map(|fault| fault.item).collect()
    }

    #[test]
    fn a_file_may_have_800_lines_and_no_more() {
        assert!(file_length("a.rs", &source(&"\n".repeat(FILE_LINES_MAX))).is_empty());
        let faults = file_length("a.rs", &source(&"\n".repeat(FILE_LINES_MAX + 1)));
        assert_eq!(faults[0].size, Some(801));
    }

    #[test]
    fn a_function_may_have_70_lines_and_no_more() {
        let body = |lines: usize| source(&format!("\nfn f() {{\n{}}}\n", "x();\n".repeat(lines - 2)));
        assert!(function_length("a.rs", &body(FUNCTION_LINES_MAX)).is_empty());
        let faults = function_length("a.rs", &body(FUNCTION_LINES_MAX + 1));
        assert_eq!((faults[0].line, faults[0].size, faults[0].item.as_deref()), (2, Some(71), Some("f")));
    }

    #[test]
    fn columns_are_counted_in_characters() {
        let fits = "é".repeat(COLUMNS_MAX);
        assert!(line_length("a.rs", &source(&fits)).is_empty());
        assert_eq!(lines(&line_length("a.rs", &source(&format!("\n{fits}!")))), [2]);
    }

    #[test]
    fn unwrap_is_found_in_code_and_not_in_tests_comments_or_strings() {
        let text = "x.unwrap();\n// y.unwrap()\nlet s = \".unwrap()\";\nx.unwrap_or(1);\n\
                    #[cfg(test)]\nmod tests {\n    x.unwrap();\n}\nz.unwrap();";
        assert_eq!(lines(&unwrap("a.rs", &source(text), false)), [1, 9]);
        assert!(unwrap("a.rs", &source(text), true).is_empty());
    }

    #[test]
    fn allow_attributes_are_found_however_they_are_written() {
        let text = "#[allow(dead_code)]\n#![allow(x)]\n#[ allow (x) ]\n#[expect(x)]\n// #[allow(x)]\n\
                    #[cfg_attr(test, allow(x))]";
        assert_eq!(lines(&allow("a.rs", &source(text))), [1, 2, 3, 6]);
    }

    #[test]
    fn marks_are_found_in_code_and_comments_as_whole_words_only() {
        let (todo, fixme) = (concat!("TO", "DO"), concat!("FIX", "ME"));
        let text =
            format!("// {todo}: x\nlet a = \"{todo}\";\n// {todo}S\nb(); /* {fixme} */\ndbg!(x);\ndbg(x);");
        assert_eq!(lines(&marker("a.rs", &source(&text))), [1, 4, 5]);
    }

    #[test]
    fn machine_folders_are_found_where_a_path_begins() {
        let (own, home, temporary) = (concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/"));
        let text =
            format!("see {own}a\nnet{own}b\n`{home}c`\n{temporary}d\nhttps://registry.{}", "npmjs.org/e");
        assert_eq!(lines(&machine_path("a.md", &text)), [1, 3, 4, 5]);
        assert_eq!(lines(&machine_path("a.rs", &text)), [1, 3, 5]);
    }

    #[test]
    fn public_items_want_documentation_before_their_attributes() {
        let text = "/// Yes.\n#[derive(Debug)]\npub struct A;\n#[derive(\n    Debug,\n)]\npub struct B;\n\
                    /// Yes.\n#[must_use] pub const fn c(x: [u8; 2]) {}\n#[must_use] pub async fn d() {}\n\
                    pub(crate) fn e() {}\nfn f() {}\npub use g::h;\npub const I: u8 = 1;\n\
                    /** Yes.\n\nMore. */\npub enum J {}\npub static K: u8 = 1;";
        assert_eq!(undocumented(text), ["struct B", "fn d", "const I", "static K"]);
    }

    #[test]
    fn documentation_counts_for_the_next_item_alone() {
        assert_eq!(undocumented("/// Yes.\nfn a() {}\npub fn b() {}"), ["fn b"]);
        assert_eq!(undocumented("/// Yes.\n\n// and a word\npub fn a() {}"), Vec::<String>::new());
    }

    #[test]
    fn members_of_a_public_trait_want_documentation_and_those_of_others_do_not() {
        let text = "
            /// Yes.
            pub trait A {
                fn b(&self);
                /// Yes.
                fn c() {
                    fn d() {}
                }
                async fn e();
            }
            trait F {
                fn g();
            }
            impl A for X {
                fn b(&self) {}
            }";
        assert_eq!(undocumented(text), ["fn b", "fn e"]);
    }

    #[test]
    fn tests_want_no_documentation_and_a_module_may_be_documented_in_its_file() {
        assert!(undocumented("#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}").is_empty());
        let mut modules = BTreeMap::new();
        modules.insert(("a.rs".to_owned(), 1), "a/b.rs".to_owned());
        let reach = Reach { modules, ..Reach::default() };
        let text = source("pub mod b;\npub mod c;");
        let faults = missing_docs("a.rs", &text, &reach, |file| file == "a/b.rs");
        assert_eq!(lines(&faults), [2]);
    }
}
