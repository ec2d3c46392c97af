//! Several replicas of the gateway behind nginx, with one PostgreSQL and one key ring.

pub mod balancer;

use crate::Result;
use crate::bench::nginx;
use crate::postgres::{self, Found, Server};
use crate::run::{Running, bound, tail};
use crate::workspace::Workspace;
use balancer::Balancer;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a replica may take until it says where it listens.
const START: Duration = Duration::from_secs(30);
/// How long it may take until a key ring is written.
const KEYS: Duration = Duration::from_secs(20);
const KEYS_FILE: &str = "keys.txt";
/// The variable that holds the store's URL, password included.
pub const STORE_URL: &str = "TIDEGATE_STORE_URL";

/// What replicas share.
#[derive(Debug)]
pub struct Ground {
    /// Holds configurations, the key ring and logs.
    pub folder: PathBuf,
    gateway: PathBuf,
    database: Server,
}

/// Writes a key ring into a folder, and says where.
pub fn make_keys(gateway: &Path, folder: &Path) -> Result<PathBuf> {
    let keys = folder.join(KEYS_FILE);
    if keys.exists() {
        std::fs::remove_file(&keys).map_err(|e| format!("{}: {e}", keys.display()))?;
    }
    let config = folder.join("keys.yaml");
    write(&config, &format!("keys: {{file: {KEYS_FILE}}}\n"))?;
    let mut command = bound(gateway);
    command.args(["keys", "generate", "--config"]).arg(&config);
    let mut running = Running::start("tidegate keys", &mut command, &folder.join("keys.log"))?;
    let status = running.finish(KEYS)?;
    if status.success() { Ok(keys) } else { Err(format!("no key ring: {}", running.whole_output()?)) }
}

/// One replica. It is killed when this value goes.
#[derive(Debug)]
pub struct Replica {
    /// Where it serves clients: host and port.
    pub address: String,
    pub running: Running,
}

/// Replicas and the balancer in front of them. Everything stops when this value goes, the balancer first.
#[derive(Debug)]
pub struct Cluster {
    pub balancer: Balancer,
    replicas: Vec<Replica>,
    _ground: Ground,
}

/// What the machine lacks for several replicas, if anything.
pub fn missing(workspace: &Workspace) -> Result<Option<String>> {
    if nginx::found().is_err() {
        return Ok(Some("nginx is not installed (apt-get install nginx-light)".to_owned()));
    }
    missing_database(workspace)
}

/// What the machine lacks for a PostgreSQL, if anything.
pub fn missing_database(workspace: &Workspace) -> Result<Option<String>> {
    match postgres::find(workspace)? {
        Found::Programs(_) => Ok(None),
        Found::Nothing(why) => Ok(Some(why)),
    }
}

impl Ground {
    /// A database and a key ring; `Err` says what is missing.
    pub fn start(workspace: &Workspace, gateway: &Path, folder: &Path, name: &str) -> Result<Self> {
        let programs = match postgres::find(workspace)? {
            Found::Programs(programs) => programs,
            Found::Nothing(why) => return Err(why),
        };
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let database = Server::start(&programs, workspace, name)?;
        make_keys(gateway, folder)?;
        Ok(Self { folder: folder.to_owned(), gateway: gateway.to_owned(), database })
    }

    /// The store's URL.
    pub fn store_url(&self) -> String {
        self.database.url()
    }

    /// The file with the ring that all replicas have.
    pub fn keys(&self) -> PathBuf {
        self.folder.join(KEYS_FILE)
    }

    /// Starts a replica with these sections besides those that make it one of several.
    pub fn replica(&self, number: usize, sections: &str) -> Result<Replica> {
        self.replica_by(number, sections, bound(&self.gateway))
    }

    /// The same, with a command of the caller's that starts the gateway.
    pub fn replica_by(&self, number: usize, sections: &str, mut command: Command) -> Result<Replica> {
        let config = self.folder.join(format!("replica{number}.yaml"));
        let text = format!(
            "listen: 127.0.0.1:0\nkeys: {{file: keys.txt}}\nstore: {{url: {{env: {STORE_URL}}}}}\n\
             replica: {{listen: 127.0.0.1:0}}\n{sections}"
        );
        write(&config, &text)?;
        command.arg("up").arg("--config").arg(&config).env(STORE_URL, self.store_url());
        let log = self.folder.join(format!("replica{number}.log"));
        let mut running = Running::start(&format!("replica {number}"), &mut command, &log)?;
        let address = running.wait_for("its endpoint", START, address)?;
        Ok(Replica { address, running })
    }
}

impl Cluster {
    /// So many replicas, and a balancer with one request per connection.
    pub fn start(
        workspace: &Workspace,
        gateway: &Path,
        count: usize,
        sections: &str,
        folder: &Path,
    ) -> Result<Self> {
        let name = folder.file_name().map_or_else(|| "cluster".into(), |name| name.to_string_lossy());
        let ground = Ground::start(workspace, gateway, folder, &name)?;
        let replicas: Vec<_> =
            (1..=count).map(|number| ground.replica(number, sections)).collect::<Result<_>>()?;
        let addresses: Vec<_> = replicas.iter().map(|replica| replica.address.as_str()).collect();
        let balancer = Balancer::start(&addresses, &balancer::Options::default(), folder)?;
        Ok(Self { balancer, replicas, _ground: ground })
    }
}

impl Cluster {
    /// Fails if a replica has ended by itself: with the others left, nobody else might notice.
    pub fn must_live(&mut self) -> Result {
        for (number, replica) in (1..).zip(&mut self.replicas) {
            if let Some(status) = replica.running.ended()? {
                let said = tail(&replica.running.whole_output()?, 20);
                return Err(format!("replica {number} has ended ({status}):\n{said}"));
            }
        }
        Ok(())
    }
}

/// The host and port in the first whole line that names an endpoint.
fn address(output: &str) -> Option<String> {
    let lines = output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let mut urls = lines.filter_map(|line| line.strip_prefix("endpoint  http://"));
    urls.find_map(|url| url.strip_suffix("/mcp")).map(str::to_owned)
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_found_by_its_first_whole_line() {
        let output = "crm http://127.0.0.1:1/mcp\nendpoint  http://127.0.0.1:2/mcp\nendpoint  http://";
        assert_eq!(address(output).as_deref(), Some("127.0.0.1:2"));
        assert_eq!(address("endpoint  http://127.0.0.1:2/mcp"), None);
    }
}
