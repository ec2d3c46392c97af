//! What the cases of some clients want of the machine, and skip where it cannot be had.

use super::{chromium, python};
use crate::Result;
use crate::npm::{Optional, Packages};
use crate::postgres::{self, Found, Server};
use crate::workspace::Workspace;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Clients whose cases start several replicas of the gateway.
const DATABASE: [&str; 2] = ["broker", "sso"];
/// Those with a case in a real browser.
const BROWSER: [&str; 1] = ["broker"];

/// Those with large programs that read what is exported, from npm.
const PROGRAMS: [&str; 1] = ["programs"];
/// Those with environments of the Python package index's, by the environments' names.
const ENVIRONMENTS: [(&str, &[&str]); 4] = [
    ("fastmcp", &["portability"]),
    ("langchain", &["portability"]),
    ("litellm", &["migration"]),
    ("contextforge", &["migration"]),
];
/// The oldest node that all those programs run on.
const NODE_MAJOR_MIN: u32 = 22;

/// A database and a browser, or why there is none. The database stops when this value goes.
#[derive(Debug)]
pub struct Wants {
    _database: Option<Server>,
    description: Map<String, Value>,
}

impl Wants {
    /// Finds and starts what these clients want.
    ///
    /// `python` is one with what the requirements pin, where there is one.
    pub fn find(workspace: &Workspace, clients: &[&str], python: Option<&Path>) -> Result<Self> {
        let any = |of: &[&str]| clients.iter().any(|client| of.contains(client));
        let (mut database, mut description) = (None, Map::new());
        if any(&DATABASE) {
            match postgres::find(workspace)? {
                Found::Programs(programs) => {
                    let server = Server::start(&programs, workspace, "interop")?;
                    description.insert("database".to_owned(), json!(server.url()));
                    database = Some(server);
                }
                Found::Nothing(why) => {
                    description.insert("noDatabase".to_owned(), json!(why));
                }
            }
        }
        if any(&BROWSER) {
            match chromium::find(workspace)? {
                chromium::Found::Program(program) => {
                    description.insert("chromium".to_owned(), json!(program))
                }
                chromium::Found::Nothing(why) => description.insert("noChromium".to_owned(), json!(why)),
            };
        }
        if any(&PROGRAMS) {
            programs(workspace, &mut description);
        }
        for (name, _) in ENVIRONMENTS.iter().filter(|(_, of)| any(of)) {
            environment(workspace, python, name, &mut description);
        }
        Ok(Self { _database: database, description })
    }

    /// What cases know of it.
    pub fn description(&self) -> Map<String, Value> {
        self.description.clone()
    }
}

/// Programs from npm. Without them, their cases are skipped, and say why.
fn programs(workspace: &Workspace, description: &mut Map<String, Value>) {
    let folder = "interop/portability";
    match Packages::install_with(workspace, folder, folder, (NODE_MAJOR_MIN, Optional::Programs)) {
        Ok(Packages { node, modules }) => {
            description.insert("programs".to_owned(), json!({"node": node, "modules": modules}));
        }
        Err(why) => {
            description.insert("noPrograms".to_owned(), json!(why));
        }
    }
}

/// An environment of Python. Without it, its cases are skipped, and say why.
fn environment(
    workspace: &Workspace,
    python: Option<&Path>,
    name: &str,
    description: &mut Map<String, Value>,
) {
    let found = match python {
        Some(python) => python::environment(workspace, python, name),
        None => Err("there is no Python".to_owned()),
    };
    match found {
        Ok(python) => description.insert(name.to_owned(), json!(python)),
        Err(why) => description.insert(format!("{name}-missing"), json!(why)),
    };
}
