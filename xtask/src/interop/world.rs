//! What the clients are run against: servers of others, and the gateway in front of all of them.

use crate::Result;
use crate::npm::Packages;
use crate::run::{Running, answers, bound};
use crate::workspace::Workspace;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a program may take until it says where it listens.
const START: Duration = Duration::from_secs(30);

/// How long the gateway may take to end, its own processes included.
const STOP: Duration = Duration::from_secs(15);

/// So small that merged lists have several pages.
const PAGE_SIZE: usize = 25;

/// An endpoint with a part of two upstreams.
const SELECTION: &str = "\
endpoints:
  some:
    upstreams: [everything, legacy]
    expose: [everything_echo, everything_get-*, legacy_test_simple_*]
    hide: [everything_get-*-*, everything_get-env]
";

/// Our own programs.
#[derive(Debug)]
pub struct Programs {
    pub gateway: PathBuf,
    /// A server and a client on the official Rust SDK.
    pub fixture: PathBuf,
}

/// Everything that runs. The gateway stops before its upstreams.
#[derive(Debug)]
pub struct World {
    gateway: Running,
    _servers: Vec<Running>,
    description: Value,
    /// Each process of the upstream `fragile` adds its id to it.
    fragile_pids: PathBuf,
}

/// One upstream: its name, and the rest of its line in the configuration.
type Upstream = (&'static str, String);

impl World {
    /// Starts the servers, writes the configuration, and starts the gateway.
    pub fn start(
        workspace: &Workspace,
        programs: &Programs,
        packages: &Packages,
        time_server: Option<&Path>,
    ) -> Result<Self> {
        let folder = workspace.root.join("out/interop");
        let (files, fragile_pids) = (folder.join("files"), folder.join("fragile.pids"));
        empty(&folder)?;
        empty(&files)?;
        let mut servers = Servers { folder: &folder, running: Vec::new(), urls: Map::new() };
        let mut upstreams = servers.start((workspace, programs), packages, time_server, &files)?;
        upstreams.push(("fragile", fragile(&programs.fixture, &fragile_pids)));
        let alive: Vec<_> = upstreams.iter().map(|(name, _)| *name).collect();
        let stdio_config = folder.join("stdio.yaml");
        let by_url: Vec<_> = upstreams.iter().filter(|(name, _)| servers.urls.contains_key(*name)).collect();
        write(&stdio_config, &configuration(by_url))?;
        let later_port = free_port()?;
        let dead = ["later", "nothing"];
        upstreams.push((dead[0], url(later_port, "mcp")));
        upstreams.push((dead[1], "command: [tidegate-no-such-program]".to_owned()));
        let config = folder.join("tidegate.yaml");
        write(&config, &(configuration(&upstreams) + SELECTION))?;
        let mut up = bound(&programs.gateway);
        up.arg("up").arg("--config").arg(&config).env("XDG_STATE_HOME", &folder);
        let mut gateway = Running::start("tidegate up", &mut up, &folder.join("tidegate.log"))?;
        let port = gateway
            .wait_for("its endpoint", START, |output| port_after(output, "endpoint  http://127.0.0.1:"))?;
        let description = json!({
            "node": packages.node,
            "base": format!("http://127.0.0.1:{port}"),
            "pageSize": PAGE_SIZE,
            "upstreams": alive,
            "dead": dead,
            "urls": servers.urls,
            "files": files,
            "fragilePids": fragile_pids,
            "laterPort": later_port,
            "fixture": programs.fixture,
            "gateway": programs.gateway,
            "stdioConfig": stdio_config,
        });
        Ok(Self { gateway, _servers: servers.running, description, fragile_pids })
    }

    /// What cases know of it, as JSON.
    pub fn description(&self) -> String {
        self.description.to_string()
    }

    /// Adds what some cases want besides.
    pub fn tell(&mut self, more: Map<String, Value>) {
        if let Some(members) = self.description.as_object_mut() {
            members.extend(more);
        }
    }

    /// Stops the gateway as a service manager does, and makes sure that no process of its own outlives it.
    pub fn stop(mut self) -> Result {
        self.gateway.terminate()?;
        let status = self.gateway.finish(STOP)?;
        if !status.success() {
            return Err(format!("the gateway ended with {status}"));
        }
        let pids = std::fs::read_to_string(&self.fragile_pids).unwrap_or_default();
        match pids.lines().find(|pid| answers(Command::new("kill").args(["-0", pid]))) {
            Some(pid) => Err(format!("the gateway has ended and left its process {pid} behind")),
            None => Ok(()),
        }
    }
}

/// The servers that are no children of the gateway.
struct Servers<'a> {
    folder: &'a Path,
    running: Vec<Running>,
    /// Where to reach some of them without the gateway.
    urls: Map<String, Value>,
}

impl Servers<'_> {
    /// Starts those that are started once, and gives all upstreams that can be reached.
    fn start(
        &mut self,
        (workspace, programs): (&Workspace, &Programs),
        packages: &Packages,
        time_server: Option<&Path>,
        files: &Path,
    ) -> Result<Vec<Upstream>> {
        let node = packages.node.as_path();
        let script =
            |name: &str| packages.modules.join("@modelcontextprotocol").join(name).join("dist/index.js");
        let everything = script("server-everything");
        let mut upstreams = vec![
            ("everything", command([node, &everything, Path::new("stdio")])),
            ("everything-http", self.everything(node, &everything, "streamableHttp", "mcp")?),
            ("everything-sse", self.everything(node, &everything, "sse", "sse")?),
            ("files", command([node, &script("server-filesystem"), files])),
        ];
        let keys = "sessions: handle, expose: [toggle-simulated-logging, session_open, session_close]";
        upstreams.push(("memory", format!("{}, {keys}", upstreams[1].1)));
        if let Some(program) = time_server {
            upstreams.push(("time", command([program, Path::new("--local-timezone"), Path::new("UTC")])));
            // A web API in the same environment.
            upstreams.push(("shop", self.shop(&program.with_file_name("python"), workspace)?));
        }
        for era in ["legacy", "modern"] {
            upstreams.push((era, self.fixture(&programs.fixture, era)?));
        }
        Ok(upstreams)
    }

    /// The same server over another transport; it takes no port 0.
    fn everything(&mut self, node: &Path, script: &Path, transport: &str, path: &str) -> Result<String> {
        let port = free_port()?;
        let mut command = bound(node);
        command.arg(script).arg(transport).env("PORT", port.to_string());
        let log = self.folder.join(format!("everything-{path}.log"));
        let mut running = Running::start("server-everything", &mut command, &log)?;
        let said = format!("port {port}");
        running.wait_for(&said, START, |output| output.contains(&said).then_some(()))?;
        self.running.push(running);
        Ok(url(port, path))
    }

    /// A web API whose OpenAPI document FastAPI makes.
    fn shop(&mut self, python: &Path, workspace: &Workspace) -> Result<String> {
        let port = free_port()?;
        let mut command = bound(python);
        command.arg(workspace.root.join("interop/shop.py")).arg(port.to_string());
        let mut running = Running::start("shop.py", &mut command, &self.folder.join("shop.log"))?;
        running.wait_for("ready", START, |output| output.contains("ready").then_some(()))?;
        self.running.push(running);
        let document = format!("http://127.0.0.1:{port}/openapi.json");
        let credentials =
            json!({"APIKeyHeader": "sesame", "APIKeyQuery": "a&b=c", "HTTPBasic": "ann:s3cret"});
        Ok(format!("openapi: {}", json!({"document": document, "credentials": credentials})))
    }

    fn fixture(&mut self, program: &Path, era: &str) -> Result<String> {
        let mut command = bound(program);
        command.args(["server", "--listen", "127.0.0.1:0", "--era", era]);
        let log = self.folder.join(format!("{era}.log"));
        let mut running = Running::start("tidegate-fixture", &mut command, &log)?;
        let port = running
            .wait_for("its address", START, |output| port_after(output, "listening http://127.0.0.1:"))?;
        self.running.push(running);
        self.urls.insert(era.to_owned(), json!(format!("http://127.0.0.1:{port}/mcp")));
        Ok(url(port, "mcp"))
    }
}

/// The server that the cases kill: each of its processes says who it is.
fn fragile(program: &Path, pids: &Path) -> String {
    let script = "echo $$ >> \"$1\"; exec \"$0\" server --stdio --era legacy";
    command([Path::new("sh"), Path::new("-c"), Path::new(script), program, pids])
}

fn command<const N: usize>(words: [&Path; N]) -> String {
    // JSON is YAML as well.
    format!("command: {}", json!(words.as_slice()))
}

fn url(port: u16, path: &str) -> String {
    format!("url: \"http://127.0.0.1:{port}/{path}\"")
}

fn configuration<'a>(upstreams: impl IntoIterator<Item = &'a Upstream>) -> String {
    let mut text = format!(
        "listen: 127.0.0.1:0\ndrain_timeout: 1s\nlimits: {{ page_size: {PAGE_SIZE} }}\n\
         telemetry: {{ log_level: debug, log_calls: all }}\nupstreams:\n"
    );
    for (name, rest) in upstreams {
        writeln!(text, "  {name}: {{ {rest} }}").expect("a string takes all");
    }
    text
}

/// Makes a folder with nothing in it.
fn empty(folder: &Path) -> Result {
    let fail = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(fail)?;
    }
    std::fs::create_dir_all(folder).map_err(fail)
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// A port that nobody listens on. Somebody else may take it before it is used, which then is an error.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|e| format!("a free port: {e}"))
}

/// The whole number that comes after a text.
fn port_after(output: &str, text: &str) -> Option<u16> {
    let (_, after) = output.split_once(text)?;
    // At the very end of the output the number may still be incomplete.
    let end = after.find(|c: char| !c.is_ascii_digit())?;
    after.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_still_being_written_does_not_count() {
        assert_eq!(port_after("listening on:74", "on:"), None);
        assert_eq!(port_after("listening on:7400/mcp", "on:"), Some(7400));
        assert_eq!(port_after("nothing", "on:"), None);
    }

    #[test]
    fn an_upstream_is_one_line_of_the_configuration() {
        let upstreams = [("a", url(1, "mcp")), ("b", command([Path::new("x"), Path::new("y \"z\"")]))];
        let text = configuration(&upstreams);
        let lines: Vec<_> = text.lines().skip_while(|line| *line != "upstreams:").collect();
        let expected = [
            "upstreams:",
            "  a: { url: \"http://127.0.0.1:1/mcp\" }",
            "  b: { command: [\"x\",\"y \\\"z\\\"\"] }",
        ];
        assert_eq!(lines, expected);
    }
}
