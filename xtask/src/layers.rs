//! Which crate may use which: the manifests against `layers.toml`.

use crate::Result;
use crate::tidy::Masked;
use crate::workspace::{Member, Workspace};
use std::collections::BTreeMap;
use toml::{Table, Value};

const FILE: &str = "layers.toml";

/// The rules of `layers.toml`.
#[derive(Debug, Default)]
pub struct Layers {
    crates: BTreeMap<String, Layer>,
    outside: Vec<Outside>,
    paths: Vec<Outside>,
}

/// What one crate of ours may use.
#[derive(Debug)]
struct Layer {
    ring: Ring,
    uses: Vec<String>,
    /// Further crates that its tests may use.
    tests: Vec<String>,
}

/// How far out a crate lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// From the inside out.
    Number(i64),
    /// Tools and test helpers: nothing that ships uses them, and they may use anything.
    Dev,
}

/// Who may name some crates, or some paths in code, that are not ours.
#[derive(Debug)]
struct Outside {
    names: Vec<String>,
    rule: Rule,
    reason: String,
}

#[derive(Debug)]
enum Rule {
    Only(Vec<String>),
    Never(Vec<String>),
}

impl Rule {
    fn allows(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::Never(names) => names.iter().all(|n| n != name),
        }
    }
}

/// Checks every edge; gives back how many there are.
pub fn run(workspace: &Workspace) -> Result<usize> {
    let layers = Layers::read(workspace)?;
    let mut faults = layers.own_faults(workspace);
    let mut edges = 0;
    for member in &workspace.members {
        edges += member.dependencies.len();
        faults.extend(layers.edge_faults(workspace, member));
    }
    faults.extend(layers.path_faults(workspace)?);
    if faults.is_empty() {
        Ok(edges)
    } else {
        Err(format!("{}\nlayers: {} faults", faults.join("\n"), faults.len()))
    }
}

impl Layers {
    /// Reads and understands `layers.toml`.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        Self::from_table(&workspace.read_toml(FILE)?).map_err(|e| format!("{FILE}: {e}"))
    }

    fn from_table(table: &Table) -> Result<Self> {
        let mut layers = Self::default();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("crates", Value::Table(crates)) => {
                    for (name, value) in crates {
                        layers.crates.insert(name.clone(), layer(value).map_err(|e| format!("{name}: {e}"))?);
                    }
                }
                ("outside", Value::Array(rules)) => layers.outside = outside(rules, "crates")?,
                ("paths", Value::Array(rules)) => layers.paths = outside(rules, "paths")?,
                (other, _) => return Err(format!("unknown section {other}")),
            }
        }
        Ok(layers)
    }

    /// The ring of a crate, if it has one.
    pub fn ring(&self, name: &str) -> Option<Ring> {
        self.crates.get(name).map(|layer| layer.ring)
    }

    /// What is wrong with the rules themselves.
    fn own_faults(&self, workspace: &Workspace) -> Vec<String> {
        let mut faults = Vec::new();
        let exists = |name: &str| workspace.members.iter().any(|member| member.name == name);
        for member in workspace.members.iter().filter(|m| !self.crates.contains_key(&m.name)) {
            faults.push(format!(
                "{FILE}: the crate {} ({}) is not listed; give it a ring and the crates it may use",
                member.name, member.folder
            ));
        }
        for (name, layer) in &self.crates {
            if !exists(name) {
                faults.push(format!("{FILE}: there is no crate {name} any more; remove it"));
            }
            for used in layer.uses.iter().chain(&layer.tests) {
                match self.ring(used) {
                    None => faults.push(format!("{FILE}: {name} may use {used}, which is not listed")),
                    Some(ring) if !reaches(layer.ring, ring) => {
                        faults.push(format!("{FILE}: {name} may not list {used}, which lies further out"))
                    }
                    Some(_) => {}
                }
            }
        }
        let rules = self.outside.iter().chain(&self.paths);
        for name in rules.flat_map(|o| match &o.rule {
            Rule::Only(names) | Rule::Never(names) => names,
        }) {
            if !self.crates.contains_key(name) {
                faults.push(format!("{FILE}: a rule about outside names {name}, which is not listed"));
            }
        }
        faults
    }

    /// What is wrong with the dependencies of one crate.
    fn edge_faults(&self, workspace: &Workspace, member: &Member) -> Vec<String> {
        let Some(layer) = self.crates.get(&member.name) else { return Vec::new() };
        let mut faults = Vec::new();
        for dependency in &member.dependencies {
            let at = format!("{}/Cargo.toml:{}", member.folder, member.line_of(&dependency.key));
            if let Some(used) = workspace.member_of_package(&dependency.package) {
                if !self.allows(layer, &used.name, dependency.dev) {
                    faults.push(format!("{at}: {}", inner_fault(&member.name, &used.name, dependency.dev)));
                }
                continue;
            }
            for rule in self.outside.iter().filter(|o| o.names.contains(&dependency.package)) {
                if !rule.rule.allows(&member.name) {
                    faults.push(format!("{at}: {} → {}: {}", member.name, dependency.package, rule.reason));
                }
            }
        }
        faults
    }

    fn allows(&self, layer: &Layer, used: &str, dev: bool) -> bool {
        let is_dev = self.ring(used) == Some(Ring::Dev);
        let listed = layer.uses.iter().any(|name| name == used);
        let for_tests = dev && (is_dev || layer.tests.iter().any(|name| name == used));
        layer.ring == Ring::Dev || listed || for_tests
    }

    /// Uses, in code, of paths that only some crates may name.
    fn path_faults(&self, workspace: &Workspace) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        if self.paths.is_empty() {
            return Ok(faults);
        }
        for file in workspace.files()?.iter().filter(|file| file.ends_with(".rs")) {
            let Some(member) = workspace.member_of_file(file) else { continue };
            let rules: Vec<_> = self.paths.iter().filter(|o| !o.rule.allows(&member.name)).collect();
            if rules.is_empty() {
                continue;
            }
            let masked = Masked::new(&workspace.read_text(file)?);
            for (number, line) in masked.code.lines().enumerate() {
                for rule in &rules {
                    for path in rule.names.iter().filter(|path| line.contains(path.as_str())) {
                        faults.push(format!(
                            "{file}:{}: {} → {path}: {}",
                            number + 1,
                            member.name,
                            rule.reason
                        ));
                    }
                }
            }
        }
        Ok(faults)
    }
}

fn inner_fault(user: &str, used: &str, dev: bool) -> String {
    let what = if dev { "tests of " } else { "" };
    format!(
        "{user} → {used} is not a listed edge: {what}{user} may not use {used}. Use what an inner \
         ring offers, move the shared part inwards, or, if the design has changed, list {used} under \
         [crates.{user}] in {FILE}"
    )
}

/// Whether a crate of ring `from` may list one of ring `to`.
fn reaches(from: Ring, to: Ring) -> bool {
    match (from, to) {
        (Ring::Dev, _) => true,
        (Ring::Number(_), Ring::Dev) => false,
        (Ring::Number(from), Ring::Number(to)) => from >= to,
    }
}

fn layer(value: &Value) -> Result<Layer> {
    let table = value.as_table().ok_or("is not a table")?;
    if let Some(key) = table.keys().find(|key| !["ring", "uses", "tests"].contains(&key.as_str())) {
        return Err(format!("unknown key {key}"));
    }
    let ring = match table.get("ring") {
        Some(Value::Integer(number)) => Ring::Number(*number),
        Some(Value::String(word)) if word == "dev" => Ring::Dev,
        _ => return Err("ring must be a number or \"dev\"".to_owned()),
    };
    Ok(Layer { ring, uses: names(table, "uses")?, tests: names(table, "tests")? })
}

fn outside(rules: &[Value], subject: &str) -> Result<Vec<Outside>> {
    rules.iter().map(|rule| outside_rule(rule, subject)).collect()
}

fn outside_rule(value: &Value, subject: &str) -> Result<Outside> {
    let table = value.as_table().ok_or("a rule is not a table")?;
    let listed = names(table, subject)?;
    let (only, never) = (names(table, "only")?, names(table, "never")?);
    let rule = match (only.is_empty(), never.is_empty()) {
        (false, true) => Rule::Only(only),
        (true, false) => Rule::Never(never),
        _ => return Err(format!("the rule about {listed:?} needs either `only` or `never`")),
    };
    let reason = table.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    if listed.is_empty() || reason.is_empty() {
        return Err(format!("a rule needs `{subject}` and a `reason`"));
    }
    Ok(Outside { names: listed, rule, reason })
}

fn names(table: &Table, key: &str) -> Result<Vec<String>> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let strings = value.as_array().map(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let strings = strings.flatten().ok_or_else(|| format!("{key} must be a list of strings"))?;
    Ok(strings.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::dependencies;
    use std::path::PathBuf;

    const RULES: &str = r#"
        crates.model = { ring = 0 }
        crates.wire = { ring = 1, uses = ["model"] }
        crates.demo = { ring = 3 }
        crates.door = { ring = 4, uses = ["model", "wire"], tests = ["demo"] }
        crates.kit = { ring = "dev" }
        outside = [
            { crates = ["certs"], only = ["door"], reason = "only the door looks outside" },
            { crates = ["clock"], never = ["wire"], reason = "the wire has no clock" },
        ]
    "#;

    fn member(name: &str, manifest: &str) -> Member {
        let table: Table = manifest.parse().expect("toml");
        Member {
            name: name.to_owned(),
            package: name.to_owned(),
            folder: format!("crates/{name}"),
            dependencies: dependencies(&table, &Table::new()),
            manifest: table,
            manifest_text: manifest.to_owned(),
        }
    }

    fn faults(name: &str, manifest: &str) -> Vec<String> {
        let layers = Layers::from_table(&RULES.parse().expect("toml")).expect("rules");
        let mut members: Vec<_> =
            ["model", "wire", "demo", "door", "kit"].iter().map(|n| member(n, "[package]")).collect();
        members.retain(|m| m.name != name);
        members.push(member(name, manifest));
        let workspace = Workspace { root: PathBuf::new(), members };
        let subject = workspace.members.last().expect("the last one");
        let mut all = layers.own_faults(&workspace);
        all.extend(layers.edge_faults(&workspace, subject));
        all
    }

    #[test]
    fn a_listed_edge_passes() {
        assert_eq!(faults("wire", "[dependencies]\nmodel = '1'"), Vec::<String>::new());
    }

    #[test]
    fn an_edge_outwards_fails_and_says_where_and_what_to_do() {
        let faults = faults("wire", "[dependencies]\nmodel = '1'\ndoor = '1'");
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("crates/wire/Cargo.toml:3: wire → door"), "{}", faults[0]);
        assert!(faults[0].contains("[crates.wire] in layers.toml"), "{}", faults[0]);
    }

    #[test]
    fn test_helpers_may_only_be_used_by_tests() {
        assert_eq!(faults("wire", "[dev-dependencies]\nkit = '1'"), Vec::<String>::new());
        assert_eq!(faults("wire", "[dependencies]\nkit = '1'").len(), 1);
        assert_eq!(faults("wire", "[dev-dependencies]\ndoor = '1'").len(), 1);
    }

    #[test]
    fn a_crate_listed_for_tests_may_not_be_used_otherwise() {
        assert_eq!(faults("door", "[dev-dependencies]\ndemo = '1'"), Vec::<String>::new());
        assert_eq!(faults("door", "[dependencies]\ndemo = '1'").len(), 1);
    }

    #[test]
    fn a_dev_crate_may_use_anything_of_ours() {
        assert_eq!(faults("kit", "[dependencies]\ndoor = '1'\nwire = '1'"), Vec::<String>::new());
    }

    #[test]
    fn outside_crates_are_held_to_their_rule_in_every_section() {
        assert_eq!(faults("door", "[dependencies]\ncerts = '1'\nclock = '1'"), Vec::<String>::new());
        assert_eq!(faults("kit", "[dependencies]\ncerts = '1'").len(), 1);
        let told = faults("wire", "[dev-dependencies]\nclock = '1'\n[target.x.dependencies]\ncerts = '1'");
        assert_eq!(told.len(), 2);
        assert!(told[0].ends_with("wire → clock: the wire has no clock"), "{}", told[0]);
    }

    #[test]
    fn an_unlisted_crate_and_a_listed_ghost_are_faults() {
        assert_eq!(faults("new", "[package]").len(), 1);
        let ghost = Layers::from_table(&"crates.ghost = { ring = 1 }".parse().expect("toml")).expect("rules");
        let workspace = Workspace { root: PathBuf::new(), members: Vec::new() };
        assert_eq!(ghost.own_faults(&workspace).len(), 1);
    }

    #[test]
    fn an_inner_ring_cannot_list_an_outer_one() {
        let rules = "crates.a = { ring = 0, uses = ['b'] }\ncrates.b = { ring = 1 }";
        let layers = Layers::from_table(&rules.parse().expect("toml")).expect("rules");
        let members = vec![member("a", "[package]"), member("b", "[package]")];
        let faults = layers.own_faults(&Workspace { root: PathBuf::new(), members });
        assert!(faults[0].contains("lies further out"), "{faults:?}");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for bad in [
            "crates.a = { ring = 'x' }",
            "crates.a = { ring = 0, use = [] }",
            "other = 1",
            "outside = [{ crates = ['x'], reason = 'r' }]",
            "outside = [{ crates = ['x'], only = ['a'] }]",
        ] {
            assert!(Layers::from_table(&bad.parse().expect("toml")).is_err(), "{bad}");
        }
    }
}
