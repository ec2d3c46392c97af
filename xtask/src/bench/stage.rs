//! What the parts of the benchmark share: the server under test, gateways before it, and clients.

use super::nginx::free_address;
use super::program::{Program, command};
use super::{Options, Programs};
use crate::Result;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take until it says where it listens.
const START: Duration = Duration::from_secs(60);

/// The server, and a folder for configurations and output.
pub struct Stage {
    pub programs: Programs,
    pub options: Options,
    pub folder: Folder,
    /// The server's URL, without a path.
    pub upstream: String,
    _upstream: Program,
}

/// A folder that goes with this value.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Where it stays, it stays among temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gateway that runs.
pub struct Gateway {
    pub program: Program,
    /// Its URL, without a path.
    pub url: String,
}

/// An upstream in a gateway's configuration: its name, and its path on the server.
pub type Upstream = (String, String);

/// One upstream of each era, with a handful of tools.
pub fn both_eras() -> Vec<Upstream> {
    ["modern", "legacy"].map(|era| (era.to_owned(), format!("{era}/10/mcp"))).to_vec()
}

impl Stage {
    pub fn start(programs: Programs, options: &Options) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let folder = Folder(folder);
        let mut command = command(&programs.bench);
        let mut server = Program::start("upstream", command.arg("upstream"), &folder.0)?;
        let upstream = server.wait_for("its address", START, |text| line_after(text, "listening "))?;
        Ok(Self { programs, options: options.clone(), folder, upstream, _upstream: server })
    }

    /// How long one measurement takes, and how often a thing is repeated, in a whole and in a quick run.
    pub fn choose<T>(&self, whole: T, quick: T) -> T {
        if self.options.quick { quick } else { whole }
    }

    /// Writes a gateway's configuration.
    pub fn config(&self, name: &str, listen: &str, upstreams: &[Upstream]) -> Result<PathBuf> {
        self.config_with(name, listen, upstreams, "")
    }

    /// The same, with `more` of it, in YAML.
    pub fn config_with(
        &self,
        name: &str,
        listen: &str,
        upstreams: &[Upstream],
        more: &str,
    ) -> Result<PathBuf> {
        let mut text = format!("listen: {listen}\ndrain_timeout: 1s\n{more}upstreams:\n");
        for (name, path) in upstreams {
            let _ = writeln!(text, "  {name}:\n    url: {}/{path}", self.upstream);
        }
        let file = self.folder.0.join(format!("{name}.yaml"));
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(file)
    }

    /// Starts a gateway before these upstreams.
    pub fn gateway(&self, name: &str, upstreams: &[Upstream]) -> Result<Gateway> {
        self.gateway_with(name, upstreams, "")
    }

    /// The same, with more in its configuration.
    pub fn gateway_with(&self, name: &str, upstreams: &[Upstream], more: &str) -> Result<Gateway> {
        let config = self.config_with(name, "127.0.0.1:0", upstreams, more)?;
        self.gateway_of(name, &config)
    }

    /// Starts a gateway with this configuration.
    pub fn gateway_of(&self, name: &str, config: &Path) -> Result<Gateway> {
        let mut own = command(&self.programs.gateway);
        own.arg("up").arg("--config").arg(config).env("XDG_STATE_HOME", &self.folder.0);
        let mut program = Program::start(name, &mut own, &self.folder.0)?;
        let url = program.wait_for("its endpoint", START, endpoint)?;
        Ok(Gateway { program, url })
    }

    /// An address for a gateway that must be known before it starts.
    pub fn address(&self) -> Result<String> {
        free_address()
    }

    /// Starts a client that goes on until the value goes.
    pub fn background(&self, name: &str, args: &[&str]) -> Result<Program> {
        let seconds = ["--seconds", "3600"];
        Program::start(name, command(&self.programs.bench).args(args).args(seconds), &self.folder.0)
    }

    /// Runs a client to its end; gives back what it measured.
    pub fn client(&self, args: &[&str]) -> Result<Value> {
        // A client may start a gateway.
        let mut own = command(&self.programs.bench);
        let output = own.args(args).env("XDG_STATE_HOME", &self.folder.0).output();
        let output = output.map_err(|e| format!("tidegate-bench does not start: {e}"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} ({})", told.trim(), args.join(" ")));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| format!("what {} printed: {e}", args.join(" ")))
    }
}

/// The rest of the first whole line that begins so.
fn line_after(text: &str, begin: &str) -> Option<String> {
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.filter_map(|line| line.strip_prefix(begin)).map(|rest| rest.trim().to_owned()).next()
}

/// The URL of the endpoint of everything, without its path.
pub fn endpoint(text: &str) -> Option<String> {
    line_after(text, "endpoint ")?.strip_suffix("/mcp").map(str::to_owned)
}

/// A number of what a client measured.
pub fn number(measured: &Value, pointer: &str) -> Result<f64> {
    measured.pointer(pointer).and_then(Value::as_f64).ok_or_else(|| format!("no {pointer} in {measured}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_found_once_its_line_is_whole() {
        let text =
            "UPSTREAM\n crm\n\nendpoint  http://127.0.0.1:7400/mcp\nendpoint  http://127.0.0.1:7400/a/mcp\n";
        assert_eq!(endpoint(text).as_deref(), Some("http://127.0.0.1:7400"));
        assert_eq!(endpoint("endpoint  http://127.0.0.1:7400/mcp"), None);
    }
}
