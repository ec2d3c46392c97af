//! The replicas: started, killed, stopped and started again.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::Result;

/// How long one may take to serve.
const START: Duration = Duration::from_secs(40);
/// How long one may take to end when it is asked to: its drain, and some more.
const END: Duration = Duration::from_secs(20);
/// The variable that holds the store's URL, password included.
const STORE: &str = "SOAK_STORE";
/// How long it lets calls finish then.
pub const DRAIN: &str = "8s";

/// What all replicas are started with.
#[derive(Debug, Clone)]
pub struct Plan {
    pub gateway: PathBuf,
    pub store_url: String,
    pub keys: PathBuf,
    pub folder: PathBuf,
    /// The sections of the configuration about upstreams.
    pub upstreams: String,
    /// Whether there are no others.
    pub alone: bool,
    /// Whether the store may be away when one starts.
    pub database_restarts: bool,
}

impl Plan {
    /// What the gateway has to say about the store that the replicas share. Fails where that is not in order.
    pub async fn check_store(&self) -> Result<String> {
        self.gateway(&["store", "check"]).await
    }

    /// What a command of the gateway prints that reads the configuration. Fails where it does.
    pub async fn gateway(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command().await;
        command.args(arguments).arg("--config").arg(self.folder.join("replica1.yaml"));
        Self::said(command.env(STORE, &self.store_url), arguments).await
    }

    /// The same, of a command that reads none.
    pub async fn offline(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command().await;
        Self::said(command.args(arguments), arguments).await
    }

    async fn said(command: &mut Command, arguments: &[&str]) -> Result<String> {
        let name = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(START, command.output()).await.map_err(|_| format!("{name}: silent"))?;
        let output = output.map_err(|e| format!("{name}: {e}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("{name}: {said}{complained}")) }
    }

    /// The gateway, which ends with this program even where that is killed, if the machine can arrange it.
    async fn command(&self) -> Command {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "KILL", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        if probe.status().await.is_ok_and(|status| status.success()) {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.gateway);
            command
        } else {
            Command::new(&self.gateway)
        }
    }
}

/// One replica, on an address of its own.
#[derive(Debug)]
pub struct Replica {
    pub name: String,
    pub address: String,
    plan: Plan,
    child: Option<Child>,
}

impl Replica {
    /// Starts it, and waits until it serves.
    pub async fn start(number: usize, address: String, plan: Plan) -> Result<Self> {
        let mut replica = Self { name: format!("replica {number}"), address, plan, child: None };
        replica.resume().await?;
        Ok(replica)
    }

    /// Starts it again.
    pub async fn resume(&mut self) -> Result<()> {
        let name = self.name.clone();
        let fail = |e: std::io::Error| format!("{name}: {e}");
        let stem = self.plan.folder.join(self.name.replace(' ', ""));
        let config = stem.with_extension("yaml");
        let text = format!(
            "listen: {}\ndrain_delay: 1s\ndrain_timeout: {DRAIN}\n\
             keys: {{file: \"{}\"}}\nstore: {{url: {{env: {STORE}}}}}\n\
             {}telemetry: {{log_level: info}}\n{}",
            self.address,
            self.plan.keys.display(),
            if self.plan.alone { "" } else { "replica: {listen: 127.0.0.1:0}\n" },
            self.plan.upstreams
        );
        std::fs::write(&config, text).map_err(fail)?;
        let log = OpenOptions::new().create(true).append(true).open(stem.with_extension("log"));
        let log: File = log.map_err(fail)?;
        let mut command = self.plan.command().await;
        command.arg("up").arg("--config").arg(&config).env(STORE, &self.plan.store_url);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(fail)?).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn().map_err(fail)?);
        let begun = Instant::now();
        while begun.elapsed() < START {
            match self.ended()? {
                // Without its database it does not start; whoever watches over it starts it again.
                Some(_) if self.plan.database_restarts => {
                    sleep(Duration::from_millis(500)).await;
                    self.child = Some(command.spawn().map_err(fail)?);
                }
                Some(status) => return Err(format!("{} ended ({status}); see its log", self.name)),
                None => {}
            }
            if self.get("/readyz").await.is_ok_and(|text| text.starts_with("HTTP/1.1 200")) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("{} does not serve within {} s", self.name, START.as_secs()))
    }

    /// How it ended by itself, if it has.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        child.try_wait().map_err(|e| format!("{}: {e}", self.name))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or_else(|| format!("{} does not run", self.name))?;
        kill_process(pid, signal).map_err(|e| format!("{}: {e}", self.name))
    }

    /// Ends it at once, without a word.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.gone().await
    }

    /// Asks it to end. Fails if it does not, or not well.
    pub async fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.gone().await
    }

    async fn gone(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match timeout(END, child.wait()).await {
            Ok(status) => status.map(|_| ()).map_err(|e| format!("{}: {e}", self.name)),
            Err(_) => Err(format!("{} did not end within {} s", self.name, END.as_secs())),
        }
    }

    /// Lets it stand still: it holds its connections, and answers nobody.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// What is resident of it, in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let pid = self.pid().ok_or_else(|| format!("{} does not run", self.name))?;
        let path = format!("/proc/{pid}/status");
        let status = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().map_err(|_| format!("{path}: no VmRSS"))
    }

    /// A number of its metrics, added up over all labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics").await?;
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let values = lines.filter(|rest| rest.starts_with(['{', ' ']));
        // The sum of no floats is -0.
        Ok(values.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).fold(0.0, |a, b| a + b))
    }

    async fn get(&self, path: &str) -> Result<String> {
        let asked = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
            stream.write_all(request.as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        let answer = timeout(Duration::from_secs(5), asked).await;
        answer.map_err(|_| format!("{} is silent", self.name))?.map_err(|e| format!("{}: {e}", self.name))
    }
}
