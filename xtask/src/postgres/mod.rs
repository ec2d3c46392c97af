//! A PostgreSQL for tests: a new cluster on a free loopback port, gone with the program that wanted it.

mod control;
mod programs;
mod server;

use crate::Result;
use crate::workspace::Workspace;
pub use control::Control;
pub use programs::{Found, find};
pub use server::{Server, free_ports};
use std::process::Command;

/// The packages whose tests need it; so do those of every package that names one of them.
const PACKAGES: [&str; 2] = ["tidegate-store-postgres", "xtask"];

/// Where tests look for a server that they share; each makes a schema of its own in it.
const URL: &str = "TIDEGATE_TEST_POSTGRES";

/// Where tests ask for a server that they alone use, and may stop.
const CONTROL: &str = "TIDEGATE_TEST_POSTGRES_CONTROL";

/// The modules of tests that need a PostgreSQL have this name, so that they can be left out by it.
const MODULE: &str = "on_postgres";

/// What tests of some packages have of a PostgreSQL.
#[derive(Debug)]
pub enum ForTests {
    /// None of them needs one.
    NotNeeded,
    /// The caller's environment names one already.
    FromOutside,
    /// One that runs until this value goes.
    Ours(Box<Shared>),
    /// There is none, for this reason.
    Missing(String),
}

/// A server that all tests of a run use, and the way to more.
#[derive(Debug)]
pub struct Shared {
    server: Server,
    control: Control,
}

impl Shared {
    fn start(programs: &programs::Programs, workspace: &Workspace) -> Result<Self> {
        let server = Server::start(programs, workspace, "shared")?;
        let control = Control::listen(programs, workspace)?;
        Ok(Self { server, control })
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        [(URL, self.server.url()), (CONTROL, self.control.address())]
    }
}

impl ForTests {
    /// Starts what the tests of these packages need; `packages` are cargo's arguments.
    pub fn start(workspace: &Workspace, packages: &[String]) -> Result<Self> {
        if !needed(workspace, packages) {
            return Ok(Self::NotNeeded);
        }
        if std::env::var_os(URL).is_some() {
            return Ok(Self::FromOutside);
        }
        match find(workspace)? {
            Found::Programs(programs) => Ok(Self::Ours(Box::new(Shared::start(&programs, workspace)?))),
            Found::Nothing(why) => Ok(Self::Missing(why)),
        }
    }

    /// Tells a command that runs tests where the server is, or to leave out those that need it.
    ///
    /// Comes after every other argument.
    pub fn tell(&self, command: &mut Command) {
        match self {
            Self::NotNeeded | Self::FromOutside => {}
            Self::Ours(shared) => {
                command.envs(shared.environment());
            }
            Self::Missing(_) => {
                command.args(["--", "--skip", MODULE]);
            }
        }
    }

    /// Why tests were left out.
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Missing(why) => Some(why),
            Self::NotNeeded | Self::FromOutside | Self::Ours(_) => None,
        }
    }
}

/// `cargo xtask postgres`: one server for a person, until that person interrupts it.
pub fn run(workspace: &Workspace) -> Result {
    let programs = match find(workspace)? {
        Found::Programs(programs) => programs,
        Found::Nothing(why) => return Err(why),
    };
    let mut shared = Shared::start(&programs, workspace)?;
    for (name, value) in shared.environment() {
        println!("export {name}='{value}'");
    }
    println!("running until it is interrupted; its log is {}", shared.server.log().display());
    // An interrupt reaches it as well as this program.
    shared.server.wait()
}

/// Whether tests of one of these packages need a server.
fn needed(workspace: &Workspace, packages: &[String]) -> bool {
    let all = packages.iter().any(|argument| argument == "--workspace");
    let members = workspace.members.iter().filter(|member| all || packages.contains(&member.package));
    members.into_iter().any(|member| {
        let names = member.dependencies.iter().map(|named| named.package.as_str());
        names.chain([member.package.as_str()]).any(|name| PACKAGES.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_is_started_for_packages_that_need_none() {
        let workspace = Workspace::open().expect("the workspace is here");
        let needed = |package: &str| needed(&workspace, &["-p".to_owned(), package.to_owned()]);
        assert!(!needed("tidegate-model"));
        assert!(needed("xtask"));
        assert!(needed("--workspace"));
    }

    #[test]
    fn tests_that_need_a_missing_server_are_left_out_by_name() {
        let mut command = Command::new("cargo");
        command.arg("test");
        ForTests::Missing("why".to_owned()).tell(&mut command);
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["test", "--", "--skip", "on_postgres"]);
    }
}
