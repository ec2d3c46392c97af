//! Starting the program, reading what it says, waiting for its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::http::{Http, Request};
use testkit::{Client, Revision, within};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

/// A `command` that is an MCP server on standard input and output: the program in front of its demo server.
pub const DEMO: &str =
    concat!("['", env!("CARGO_BIN_EXE_tidegate"), "', stdio, --config, /dev/null, --endpoint, demo]");

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A folder of a test's own, which goes with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// One with a `tidegate.yaml`; `listen` is a free port unless the text says otherwise.
    pub fn with(yaml: &str) -> Self {
        let folder = Self::new();
        folder.configure(yaml);
        folder
    }

    /// Writes `tidegate.yaml`, as an editor does: beside it first.
    pub fn configure(&self, yaml: &str) {
        let has = yaml.lines().any(|line| line.starts_with("listen:"));
        let listen = if has { "" } else { "listen: 127.0.0.1:0\n" };
        self.write("new", &format!("{listen}{yaml}"));
        std::fs::rename(self.path("new"), self.path("tidegate.yaml")).unwrap();
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The program in this folder. Logs are as they are without a terminal and without a filter.
    pub fn command(&self, arguments: &[&str]) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(&self.0).env_remove("TIDEGATE_LOG").kill_on_drop(true);
        command.env("XDG_STATE_HOME", &self.0).env_remove("STATE_DIRECTORY");
        command
    }

    /// Runs the program to its end, with nothing to read.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let output = within(self.command(arguments).stdin(Stdio::null()).output()).await.unwrap();
        Ran {
            code: code(output.status),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Program {
        Program::start(self.command(arguments))
    }

    /// Starts the gateway and waits until it has said everything that it says at its start.
    pub async fn up(&self, arguments: &[&str]) -> Up {
        Up::started(self.start(&[&["up"], arguments].concat())).await
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed, of a command that went well and complained of nothing.
    pub fn good(self) -> String {
        assert_eq!((self.code, &*self.stderr), (0, ""), "{self:?}");
        self.stdout
    }

    /// The same as JSON.
    pub fn json(self) -> Value {
        serde_json::from_str(&self.good()).unwrap()
    }

    /// What it complained of, of a command that ended with this code and printed no result.
    pub fn bad(self, code: i32) -> String {
        assert_eq!((self.code, &*self.stdout), (code, ""), "{self:?}");
        self.stderr
    }
}

/// -1: a signal ended it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// Lines as they come, and those that came.
pub struct Lines {
    lines: mpsc::UnboundedReceiver<String>,
    pub seen: Vec<String>,
}

impl Lines {
    pub fn of(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream).lines();
            while let Ok(Some(line)) = stream.next_line().await {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines, seen: Vec::new() }
    }

    /// The next line. `None`: there is no more.
    pub async fn next(&mut self) -> Option<String> {
        let line = within(self.lines.recv()).await?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// The next line with `part` in it.
    pub async fn find(&mut self, part: &str) -> String {
        loop {
            match self.next().await {
                Some(line) if line.contains(part) => return line,
                Some(_) => {}
                None => panic!("no line with {part:?} in {:#?}", self.seen),
            }
        }
    }

    /// How many have come by now, seen or not.
    pub fn ready(&self) -> usize {
        self.seen.len() + self.lines.len()
    }

    /// All lines to the end.
    pub async fn rest(&mut self) -> &[String] {
        while self.next().await.is_some() {}
        &self.seen
    }
}

/// A program that runs; it is killed with the value. A test that fails says what it had complained of.
pub struct Program {
    child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Lines,
    pub stderr: Lines,
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            while let Ok(line) = self.stderr.lines.try_recv() {
                eprintln!("the program: {line}");
            }
        }
    }
}

impl Program {
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// Starts it with something else as its standard input.
    pub fn start_with(mut command: Command, stdin: impl Into<Stdio>) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("it runs")).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Its exit code, once it has ended by itself.
    pub async fn ended(&mut self) -> i32 {
        code(within(self.child.wait()).await.unwrap())
    }
}

/// A gateway that serves.
pub struct Up {
    pub program: Program,
    pub address: SocketAddr,
    pub http: Http,
}

impl Up {
    /// Waits until it has said everything that it says at its start.
    pub async fn started(mut program: Program) -> Self {
        let failed = loop {
            match program.stdout.next().await {
                Some(line) if line.starts_with("for a client:") => break false,
                Some(_) => {}
                None => break true,
            }
        };
        if failed {
            panic!("it does not start: {:#?}", program.stderr.rest().await);
        }
        let endpoint = program.stdout.seen.iter().find_map(|line| line.strip_prefix("endpoint  http"));
        let endpoint = endpoint.expect("an endpoint").trim_start_matches('s');
        let address = endpoint.trim_start_matches("://").trim_end_matches("/mcp").parse().unwrap();
        Self { program, address, http: Http::new(address) }
    }

    /// A usual client of an endpoint.
    pub async fn client(&self, path: &str, revision: Revision) -> Client {
        Client::connect(self.address, path, revision).await
    }

    /// The names of the tools at an endpoint.
    pub async fn tools(&self, path: &str) -> Vec<String> {
        names(&self.client(path, Revision::V2026_07_28).await).await
    }

    /// A call of 2026-07-28 that was not sent yet.
    pub fn call(&self, path: &str, tool: &str, arguments: Value) -> Request {
        call(&self.http, path, tool, arguments)
    }

    pub async fn metrics(&self) -> String {
        self.http.request(http::Method::GET, "/metrics").send().await.text().await
    }

    /// Tells it to stop and gives its exit code.
    pub async fn stop(&mut self) -> i32 {
        self.program.signal(Signal::TERM);
        self.program.ended().await
    }
}

/// The names of the tools that a client is offered.
pub async fn names(client: &Client) -> Vec<String> {
    let outcome = client.request("tools/list", serde_json::json!({})).await;
    let tools = outcome.result()["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// A call of 2026-07-28 that was not sent yet and asks for progress.
pub fn call(http: &Http, path: &str, tool: &str, arguments: Value) -> Request {
    let meta = serde_json::json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p",
    });
    let params = serde_json::json!({"name": tool, "arguments": arguments, "_meta": meta});
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    http.post(path, body)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool)
}

/// The text of a tool's result.
pub fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}
