//! What the cases of some clients want of the machine, and skip where it cannot be had.

use super::chromium;
use crate::Result;
use crate::postgres::{self, Found, Server};
use crate::workspace::Workspace;
use serde_json::{Map, Value, json};

/// Clients whose cases start several replicas of the gateway.
const DATABASE: [&str; 2] = ["broker", "sso"];
/// Those with a case in a real browser.
const BROWSER: [&str; 1] = ["broker"];

/// A database and a browser, or why there is none. The database stops when this value goes.
#[derive(Debug)]
pub struct Wants {
    _database: Option<Server>,
    description: Map<String, Value>,
}

impl Wants {
    /// Finds and starts what these clients want.
    pub fn find(workspace: &Workspace, clients: &[&str]) -> Result<Self> {
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
        Ok(Self { _database: database, description })
    }

    /// What cases know of it.
    pub fn description(&self) -> Map<String, Value> {
        self.description.clone()
    }
}
