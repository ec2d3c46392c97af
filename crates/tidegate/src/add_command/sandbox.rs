//! The sandbox in which a program would be started.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::Arguments;
use crate::exit::{Coded, REFUSED, USAGE};

/// What fetches the packages that it runs.
const FETCHES: [&str; 4] = ["npx", "uvx", "pipx", "dnx"];

/// What a program may see and reach in its sandbox.
pub struct Room {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    home: Option<PathBuf>,
    network: bool,
}

/// Refuses a sandbox for what is no program here.
pub fn refuse_without_a_program(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.sandbox {
        let text = "use --sandbox: nothing is started here, the server runs elsewhere";
        return Err(Coded::new(USAGE, text.to_owned()).into());
    }
    Ok(())
}

/// Plans the sandbox of a command. `bundle`: the folder in which its own files are.
pub fn room(
    arguments: &Arguments,
    argv: &[String],
    bundle: Option<&Path>,
    risks: &mut Vec<String>,
) -> anyhow::Result<Room> {
    let program = argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program));
    if program == "docker" || program == "podman" {
        let text = format!("use --sandbox: {program} makes one itself, and does not work inside of another");
        return Err(Coded::new(USAGE, text).into());
    }
    if !egress::Sandbox::is_available() {
        let text = "use --sandbox: bubblewrap (bwrap) is not in PATH; install it, or go without a sandbox";
        return Err(Coded::new(REFUSED, text.to_owned()).into());
    }
    let fetches = FETCHES.contains(&program);
    if fetches && !arguments.network {
        risks.push(format!("the sandbox has the network, as {program} fetches what it runs"));
    }
    let mut read = paths(&arguments.read)?;
    read.extend(bundle.map(Path::to_owned));
    // What was fetched once need not be fetched at each start.
    let name = arguments.name.as_deref().unwrap_or(program);
    let home = crate::state::folder("homes").filter(|_| fetches);
    let home = home.map(|folder| std::path::absolute(folder.join(home_name(name, argv)))).transpose();
    let home = home.context("find the sandbox's home folder")?;
    Ok(Room { read, write: paths(&arguments.write)?, home, network: arguments.network || fetches })
}

/// Two commands never share a home folder: one could change what the other one runs.
fn home_name(name: &str, argv: &[String]) -> String {
    let digest = seal::sha256(json!(argv).to_string().as_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("{}-{digest}", name.chars().map(plain).collect::<String>())
}

fn paths(all: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let found = |path: &PathBuf| {
        let failed = |error: std::io::Error| {
            Coded::new(USAGE, format!("let {} into the sandbox: {error}", path.display()))
        };
        std::fs::metadata(path).map_err(failed)?;
        let back = path.components().any(|part| part == Component::ParentDir);
        let whole = if back { std::fs::canonicalize(path) } else { std::path::absolute(path) };
        Ok(whole.map_err(failed)?)
    };
    all.iter().map(found).collect()
}

impl Room {
    /// The section of the configuration.
    pub fn section(&self) -> Value {
        let mut section = Map::new();
        for (key, list) in [("read", &self.read), ("write", &self.write)] {
            if !list.is_empty() {
                section.insert(key.to_owned(), json!(list));
            }
        }
        if let Some(home) = &self.home {
            section.insert("home".to_owned(), json!(home));
        }
        // Said in any case: whoever reads it should see.
        section.insert("network".to_owned(), json!(self.network));
        Value::Object(section)
    }

    /// What somebody who is asked should know.
    pub fn words(&self) -> String {
        let list = |what: &str, all: &[PathBuf]| match all {
            [] => String::new(),
            all => {
                let all: Vec<String> = all.iter().map(|path| path.display().to_string()).collect();
                format!(", {what} {}", all.join(", "))
            }
        };
        let home = match &self.home {
            Some(home) => format!("a home folder of its own ({})", home.display()),
            None => "an empty home folder".to_owned(),
        };
        let network = if self.network { "the network" } else { "no network" };
        format!(
            "bubblewrap: reads the system's programs{}{}, {home}, {network}",
            list("reads", &self.read),
            list("reads and changes", &self.write)
        )
    }
}
