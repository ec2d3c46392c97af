//! One server with a cluster of its own.

use super::programs::Programs;
use crate::Result;
use crate::run::{Running, answers, tail};
use crate::workspace::Workspace;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long it may take to make a cluster, and to answer.
const START: Duration = Duration::from_secs(60);

/// How long it may take to stop; it is killed then.
const STOP: Duration = Duration::from_secs(20);

/// Ports are taken from here on: below those that a system hands out, so that a server which was stopped
/// finds its own port free when it starts again.
const PORT_FIRST: u16 = 20_000;
const PORTS: u16 = 10_000;

/// The database's own user, who may do everything in it.
const USER: &str = "tidegate";

/// What every server is started with.
///
/// Nothing is synced to the disk, as the data need not outlive the machine. It does outlive the server:
/// commits are still written before they are answered.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=32MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "password_encryption=scram-sha-256",
];

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are cut, everything is written.
    Fast,
    /// At once, as if it had crashed.
    Immediate,
}

/// A server; it is stopped and its data removed when this value goes.
#[derive(Debug)]
pub struct Server {
    programs: Programs,
    /// Holds the cluster, its password and its log.
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    password: String,
    running: Option<Running>,
}

impl Server {
    /// Makes a cluster and starts a server on it. The name tells it from others of this program.
    pub fn start(programs: &Programs, workspace: &Workspace, name: &str) -> Result<Self> {
        let folder = folder(programs, workspace, name)?;
        let mut server = Self {
            programs: programs.clone(),
            log: folder.join("log"),
            folder,
            port: 0,
            password: password()?,
            running: None,
        };
        server.make_cluster()?;
        let mut tries = 3;
        loop {
            server.port = free_port()?;
            tries -= 1;
            match server.resume() {
                Err(message) if tries > 0 && message.contains("could not bind") => {}
                other => return other.map(|()| server),
            }
        }
    }

    /// What a client needs to know.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// The file that it logs to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it again where it was stopped, on the same port with the same data.
    pub fn resume(&mut self) -> Result {
        if self.running.is_some() {
            return Ok(());
        }
        let mut command = self.programs.command(&self.programs.postgres, "INT");
        command.arg("-D").arg(self.data()).current_dir("/");
        command.arg("-c").arg(format!("port={}", self.port));
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let mut running = Running::start("PostgreSQL", &mut command, &self.log)?;
        let ready = "ready to accept connections";
        running.wait_for(ready, START, |text| text.contains(ready).then_some(()))?;
        self.running = Some(running);
        Ok(())
    }

    /// Lets it take no further connection: its first process stands still, those of connections go on.
    pub fn freeze(&self) -> Result {
        self.signal("-STOP")
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result {
        let id = self.id().ok_or("PostgreSQL left no process id")?;
        if answers(Command::new("kill").args([signal, &id])) {
            Ok(())
        } else {
            Err(format!("PostgreSQL does not run and cannot be sent {signal}"))
        }
    }

    /// Stops it and keeps its data.
    pub fn stop(&mut self, how: Stop) -> Result {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let id = self.id().ok_or("PostgreSQL left no process id")?;
        let signal = match how {
            Stop::Fast => "-INT",
            Stop::Immediate => "-QUIT",
        };
        // One that stands still hears of it once it goes on.
        for signal in [signal, "-CONT"] {
            answers(Command::new("kill").args([signal, &id]));
        }
        running.finish(STOP).map(|_| ())
    }

    /// Waits until it ends by itself, or because somebody else ended it.
    pub fn wait(&mut self) -> Result {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.finish(Duration::MAX).map(|_| ())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The process id of the server itself, which may have been started through another program.
    fn id(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next().filter(|id| id.parse::<u32>().is_ok()).map(str::to_owned)
    }

    fn make_cluster(&self) -> Result {
        let secret = self.folder.join("password");
        std::fs::write(&secret, &self.password).map_err(|e| format!("{}: {e}", secret.display()))?;
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600))
            .map_err(|e| format!("{}: {e}", secret.display()))?;
        give(&self.programs, &secret)?;
        let mut command = self.programs.command(&self.programs.initdb, "KILL");
        command.current_dir("/").arg("-D").arg(self.data()).arg("--pwfile").arg(&secret);
        command.args(["-U", USER, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let mut initdb = Running::start("initdb", &mut command, &self.log)?;
        let status = initdb.finish(START)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("initdb failed ({status}):\n{}", tail(&initdb.whole_output()?, 10)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(message) = self.stop(Stop::Fast) {
            eprintln!("{message}");
        }
        // What stays is removed when the next server is started.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An empty folder that belongs to the account: below `target`, or where that account cannot get there,
/// among the system's temporary files.
fn folder(programs: &Programs, workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let own = format!("{}-{name}", std::process::id());
    let places = [workspace.root.join("target/postgres"), std::env::temp_dir().join("tidegate-postgres")];
    for place in places {
        let folder = place.join(&own);
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        remove_abandoned(&place);
        give(programs, &folder)?;
        let mut test = programs.command(Path::new("test"), "KILL");
        if answers(test.current_dir("/").arg("-w").arg(&folder)) {
            return Ok(folder);
        }
        let _ = std::fs::remove_dir(&folder);
    }
    Err("PostgreSQL's account can write neither below target nor among temporary files".to_owned())
}

/// Removes what programs left that were killed.
fn remove_abandoned(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.split('-').next().unwrap_or_default();
        if id.parse::<u32>().is_ok() && !answers(Command::new("kill").args(["-0", id])) {
            // It is of no use to anybody, and where it cannot be removed it does no harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Gives a file to the account that the server runs under.
fn give(programs: &Programs, path: &Path) -> Result {
    let Some(account) = &programs.account else { return Ok(()) };
    chown(path, Some(account.user), Some(account.group)).map_err(|e| format!("{}: {e}", path.display()))
}

/// A port that nobody listens on, and that no system hands out by itself.
fn free_port() -> Result<u16> {
    free_ports(1).map(|ports| ports.into_iter().sum())
}

/// So many such ports, no two of them the same.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let mut bytes = [0; 2];
    random(&mut bytes)?;
    let start = u16::from_le_bytes(bytes) % PORTS;
    let ports = (0..PORTS).map(|step| PORT_FIRST + (start + step) % PORTS);
    let free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let free: Vec<u16> = free.take(count).collect();
    if free.len() == count { Ok(free) } else { Err("there is no free port".to_owned()) }
}

fn password() -> Result<String> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random(bytes: &mut [u8]) -> Result {
    let file = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
    file.map_err(|e| format!("/dev/urandom: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_lie_below_those_that_a_system_hands_out() {
        let port = free_port().expect("a port");
        assert!((PORT_FIRST..PORT_FIRST + PORTS).contains(&port), "{port}");
        let _taken = TcpListener::bind(("127.0.0.1", port)).expect("it is free");
        assert_ne!(free_port().expect("another"), port);
    }
}

#[cfg(test)]
mod on_postgres {
    use super::*;
    use crate::postgres::programs::{Found, find};

    #[test]
    fn a_server_keeps_its_port_over_a_stop_and_leaves_nothing() {
        let workspace = Workspace::open().expect("the workspace is here");
        let Found::Programs(programs) = find(&workspace).expect("a look") else {
            eprintln!("skipped: PostgreSQL is not installed");
            return;
        };
        let mut server = Server::start(&programs, &workspace, "test").expect("start");
        let (url, id) = (server.url(), server.id().expect("it runs"));
        server.stop(Stop::Immediate).expect("stop");
        assert!(!answers(Command::new("kill").args(["-0", &id])));
        server.resume().expect("start again");
        assert_eq!(server.url(), url);
        server.freeze().expect("freeze");
        server.thaw().expect("thaw");
        server.freeze().expect("freeze");
        server.stop(Stop::Fast).expect("also one that stands still");
        assert!(server.freeze().is_err(), "it does not run");
        server.resume().expect("start again");
        let (id, folder) = (server.id().expect("it runs"), server.folder.clone());
        drop(server);
        assert!(!answers(Command::new("kill").args(["-0", &id])));
        assert!(!folder.exists());
    }
}
