//! The workspace as its manifests describe it.

use crate::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// The workspace on disk.
#[derive(Debug)]
pub struct Workspace {
    pub root: PathBuf,
    pub members: Vec<Member>,
}

/// One package of the workspace.
#[derive(Debug)]
pub struct Member {
    /// The name that `layers.toml` uses: the package's without the `tidegate-` in front.
    pub name: String,
    pub package: String,
    /// Its folder, relative to the root, with `/` between the parts.
    pub folder: String,
    pub manifest: Table,
    pub manifest_text: String,
    pub dependencies: Vec<Dependency>,
}

/// One line in a manifest that names another package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The name in the manifest, which is what the code writes.
    pub key: String,
    /// The name of the package itself.
    pub package: String,
    /// Only tests, examples and benchmarks see it.
    pub dev: bool,
}

impl Workspace {
    /// Reads the workspace that this program was built in.
    pub fn open() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().ok_or("xtask lies in no workspace")?.to_path_buf();
        Self::read(root)
    }

    fn read(root: PathBuf) -> Result<Self> {
        let (_, table) = manifest(&root, "")?;
        let workspace =
            table.get("workspace").and_then(Value::as_table).ok_or("Cargo.toml has no [workspace]")?;
        let shared = workspace.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
        let patterns =
            workspace.get("members").and_then(Value::as_array).ok_or("the workspace has no members")?;
        let mut members = Vec::new();
        for pattern in patterns.iter().filter_map(Value::as_str) {
            for folder in expand(&root, pattern)? {
                members.push(Member::read(&root, folder, &shared)?);
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, members })
    }

    /// The member that has this package name.
    pub fn member_of_package(&self, package: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.package == package)
    }

    /// The member in whose folder a file lies.
    pub fn member_of_file(&self, file: &str) -> Option<&Member> {
        self.members.iter().find(|member| {
            file.strip_prefix(member.folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// The repository's own files: what git knows, and what it would know after `git add`.
    pub fn files(&self) -> Result<Vec<String>> {
        let text = self.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut files: Vec<String> = text.split('\0').filter(|f| !f.is_empty()).map(str::to_owned).collect();
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// What a git command prints.
    pub fn git(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("git").args(args).current_dir(&self.root).output();
        let output = output.map_err(|e| format!("git does not start: {e}"))?;
        if !output.status.success() {
            return Err(format!(
                "git {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Reads a text file below the root.
    pub fn read_text(&self, file: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(file)).map_err(|e| format!("{file}: {e}"))
    }

    /// Reads a TOML file below the root.
    pub fn read_toml(&self, file: &str) -> Result<Table> {
        self.read_text(file)?.parse().map_err(|e| format!("{file}: {e}"))
    }
}

impl Member {
    fn read(root: &Path, folder: String, shared: &Table) -> Result<Self> {
        let (manifest_text, manifest) = manifest(root, &folder)?;
        let package = manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str);
        let package = package.ok_or_else(|| format!("{folder}/Cargo.toml names no package"))?.to_owned();
        let name = package.strip_prefix("tidegate-").unwrap_or(&package).to_owned();
        let dependencies = dependencies(&manifest, shared);
        Ok(Self { name, package, folder, manifest, manifest_text, dependencies })
    }

    /// Where the manifest names this dependency, counted from one.
    pub fn line_of(&self, key: &str) -> usize {
        let names = |line: &str| {
            let rest = line.trim_start().strip_prefix(key).unwrap_or("");
            rest.starts_with('.') || rest.trim_start().starts_with('=')
        };
        self.manifest_text.lines().position(names).map_or(1, |index| index + 1)
    }
}

fn manifest(root: &Path, folder: &str) -> Result<(String, Table)> {
    let path = root.join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let table = text.parse().map_err(|e| format!("{}: {e}", path.display()))?;
    Ok((text, table))
}

/// The folders that a member pattern stands for; only a `*` as the last part is understood.
fn expand(root: &Path, pattern: &str) -> Result<Vec<String>> {
    let Some(parent) = pattern.strip_suffix("/*") else { return Ok(vec![pattern.to_owned()]) };
    let entries = std::fs::read_dir(root.join(parent)).map_err(|e| format!("{parent}: {e}"))?;
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| format!("{parent}: {e}"))?;
        if entry.path().join("Cargo.toml").is_file() {
            folders.push(format!("{parent}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(folders)
}

/// Every dependency of a manifest, also those for one platform only.
pub fn dependencies(manifest: &Table, shared: &Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    section(manifest, shared, &mut found);
    let targets = manifest.get("target").and_then(Value::as_table);
    for target in targets.into_iter().flat_map(Table::values).filter_map(Value::as_table) {
        section(target, shared, &mut found);
    }
    found
}

fn section(table: &Table, shared: &Table, found: &mut Vec<Dependency>) {
    let kinds = [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
    for (kind, dev) in kinds {
        for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
            let inherits = value.get("workspace").and_then(Value::as_bool).unwrap_or(false);
            let described = if inherits { shared.get(key) } else { Some(value) };
            let package = described.and_then(|d| d.get("package")).and_then(Value::as_str).unwrap_or(key);
            found.push(Dependency { key: key.clone(), package: package.to_owned(), dev });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_found_in_every_section_under_its_package_name() {
        let shared: Table =
            "model = { path = 'x', package = 'tidegate-model' }\nbytes = '1'".parse().expect("toml");
        let manifest: Table = "
            [dependencies]
            model.workspace = true
            [dev-dependencies]
            bytes = { workspace = true }
            [target.'cfg(unix)'.dependencies]
            short = { package = 'a-long-name', version = '1' }
        "
        .parse()
        .expect("toml");
        let all = dependencies(&manifest, &shared);
        let seen: Vec<_> = all.iter().map(|d| (d.key.as_str(), d.package.as_str(), d.dev)).collect();
        let expected =
            [("model", "tidegate-model", false), ("bytes", "bytes", true), ("short", "a-long-name", false)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn this_workspace_can_be_read_and_knows_its_members() {
        let workspace = Workspace::open().expect("the workspace is here");
        let xtask = workspace.member_of_file("xtask/src/main.rs").expect("a member");
        assert_eq!(xtask.package, "xtask");
        assert!(workspace.member_of_package("tidegate-model").is_some());
        assert!(workspace.member_of_file("xtasks/src/main.rs").is_none());
        assert!(xtask.line_of("serde_json") > 1);
    }
}
