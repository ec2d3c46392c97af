//! Files that are made from the code and checked in, so that readers need no build.

use crate::Result;
use crate::run::{cargo, tail};
use crate::workspace::Workspace;
use toml::{Table, Value};

/// What is generated, and by which command line of the gateway.
const REGISTRY: &str = "xtask/generated.toml";

/// One generated file.
#[derive(Debug, PartialEq, Eq)]
struct Generated {
    file: String,
    /// The arguments of `tidegate` that print it.
    arguments: Vec<String>,
}

/// Writes every generated file, or, to check, names those that differ from what would be written.
///
/// Gives back how many there are.
pub fn run(workspace: &Workspace, check: bool) -> Result<usize> {
    let registry = registry(&workspace.read_toml(REGISTRY)?).map_err(|e| format!("{REGISTRY}: {e}"))?;
    let mut stale = Vec::new();
    for generated in &registry {
        let text = generated.text(workspace)?;
        let old = workspace.read_text(&generated.file).unwrap_or_default();
        if old == text {
            continue;
        }
        if check {
            stale.push(format!("{}: {}", generated.file, difference(&old, &text)));
        } else {
            write(workspace, &generated.file, &text)?;
            println!("wrote {}", generated.file);
        }
    }
    if stale.is_empty() {
        println!("{} generated files, all as the code makes them", registry.len());
        Ok(registry.len())
    } else {
        Err(format!("{}\nrun `cargo xtask gen` and look at what it changes", stale.join("\n")))
    }
}

impl Generated {
    fn text(&self, workspace: &Workspace) -> Result<String> {
        let mut command = cargo(workspace);
        command.args(["run", "--quiet", "--package", "tidegate", "--"]).args(&self.arguments);
        let output = command.output().map_err(|e| format!("cargo does not start: {e}"))?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("tidegate {} failed: {}", self.arguments.join(" "), tail(&error, 20)));
        }
        String::from_utf8(output.stdout).map_err(|e| format!("{}: {e}", self.file))
    }
}

fn write(workspace: &Workspace, file: &str, text: &str) -> Result {
    let path = workspace.root.join(file);
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(&path, text)).map_err(|e| format!("{file}: {e}"))
}

/// Where two texts first differ, for a person.
fn difference(old: &str, new: &str) -> String {
    if old.is_empty() {
        return "is missing".to_owned();
    }
    let same = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end)").trim().to_owned();
    format!("line {}: has {:?}, the code makes {:?}", same + 1, line(old), line(new))
}

fn registry(table: &Table) -> Result<Vec<Generated>> {
    let list = match table.get("file") {
        None => return Ok(Vec::new()),
        Some(value) => value.as_array().ok_or("`file` is not a list of tables")?,
    };
    let one = |value: &Value| {
        let file = value.get("path").and_then(Value::as_str)?.to_owned();
        let arguments = value.get("tidegate").and_then(Value::as_array)?;
        let arguments =
            arguments.iter().map(|a| a.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        Some(Generated { file, arguments })
    };
    let all = list.iter().map(one).collect::<Option<Vec<_>>>();
    all.ok_or_else(|| "a file needs `path` and `tidegate`, the arguments that print it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_may_be_empty_and_must_be_whole() {
        let read = |text: &str| registry(&text.parse().expect("toml"));
        assert_eq!(read(""), Ok(Vec::new()));
        let one = Generated { file: "a".to_owned(), arguments: vec!["b".to_owned(), "c".to_owned()] };
        assert_eq!(read("[[file]]\npath = 'a'\ntidegate = ['b', 'c']"), Ok(vec![one]));
        assert!(read("[[file]]\npath = 'a'").is_err());
    }

    #[test]
    fn a_difference_is_shown_at_its_first_line() {
        assert_eq!(difference("", "a"), "is missing");
        assert_eq!(difference("a\nb\nc", "a\nx\nc"), r#"line 2: has "b", the code makes "x""#);
        assert_eq!(difference("a", "a\nb"), r#"line 2: has "(end)", the code makes "b""#);
    }
}
