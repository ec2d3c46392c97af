//! How a child is started.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use super::Sandbox;
use crate::error::EgressError;

/// What a child gets from the gateway's own environment. Secrets of the gateway stay with the gateway.
const ENV_BASE: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "USER"];

/// Called with each line of a child's stderr.
pub type StderrSink = Arc<dyn Fn(&str) + Send + Sync>;

/// How a child is started and what it may use up.
#[derive(Clone)]
pub struct ChildOptions {
    /// The program (a path, or a name that is looked up in `PATH`) and its arguments. Never read by a shell.
    pub argv: Vec<String>,
    /// Variables besides `PATH`, `HOME`, `LANG`, `TMPDIR` and `USER`; one of these replaces the gateway's
    /// own.
    pub env: Vec<(String, String)>,
    /// The working directory; the gateway's own if absent.
    pub cwd: Option<PathBuf>,
    /// A sandbox to start it in. Where none can be had, nothing is started.
    pub sandbox: Option<Sandbox>,
    /// The longest line in either direction, in bytes, without the line's end.
    pub line_bytes_max: usize,
    /// How many lines of stderr are kept, besides a limit on their bytes.
    pub stderr_lines_max: usize,
    /// Called with each line of stderr, for the log. It must return soon.
    pub on_stderr: Option<StderrSink>,
    /// How long each step of [`Child::shutdown`](super::Child::shutdown) waits, and how long the rest of the
    /// process group may outlive the child.
    pub kill_grace: Duration,
}

impl Default for ChildOptions {
    fn default() -> Self {
        Self {
            argv: Vec::new(),
            env: Vec::new(),
            cwd: None,
            sandbox: None,
            line_bytes_max: 16 * 1024 * 1024,
            stderr_lines_max: 100,
            on_stderr: None,
            kill_grace: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for ChildOptions {
    /// Values of variables are often secrets, and arguments sometimes are, so neither is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildOptions")
            .field("program", &self.argv.first())
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("cwd", &self.cwd)
            .field("sandbox", &self.sandbox)
            .field("line_bytes_max", &self.line_bytes_max)
            .field("stderr_lines_max", &self.stderr_lines_max)
            .field("kill_grace", &self.kill_grace)
            .finish_non_exhaustive()
    }
}

impl ChildOptions {
    /// The command, with nothing inherited that is not meant to be.
    pub(super) fn command(&self) -> Result<Command, EgressError> {
        let bad = |option, reason: String| Err(EgressError::Options { option, reason });
        let [program, arguments @ ..] = &*self.argv else {
            return bad("argv", "it names no program".to_owned());
        };
        if program.is_empty() || self.argv.iter().any(|word| word.contains('\0')) {
            return bad("argv", "the program's name is empty, or a word holds a NUL".to_owned());
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return bad("env", format!("the variable {name:?} has no proper name or holds a NUL"));
            }
        }
        let before = match &self.sandbox {
            Some(sandbox) => sandbox.words(self.cwd.as_deref(), &self.env)?,
            None => Vec::new(),
        };
        let (first, before) = match &*before {
            [first, rest @ ..] => (first.as_os_str(), rest),
            [] => (OsStr::new(program), &[][..]),
        };
        #[expect(clippy::disallowed_methods, reason = "this is the one place that makes commands")]
        let mut command = Command::new(first);
        if !before.is_empty() {
            command.args(before).arg(program);
        }
        command.args(arguments).env_clear().envs(base_env()).envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(cwd) = &self.cwd
            && self.sandbox.is_none()
        {
            command.current_dir(cwd);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }
}

/// The short list from our own environment, without values that a shell would read as a function.
fn base_env() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    ENV_BASE
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .filter(|(_, value)| !value.as_encoded_bytes().starts_with(b"()"))
}
