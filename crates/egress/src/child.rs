//! Child processes that speak newline-framed messages on stdin and stdout.
//!
//! The command is a list of words and never goes through a shell; the environment is empty but for a short
//! list and what is configured; the child leads its own process group, so that what it starts in turn ends
//! with it.

mod options;
mod process;
mod run;
mod sandbox;
mod stderr;
mod stdin;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::error::EgressError;
use crate::lines::{LineReader, LineTooLong};

pub use options::{ChildOptions, StderrSink};
use process::Process;
pub use run::{Ran, run};
pub use sandbox::Sandbox;
use stderr::Tail;

/// How many lines wait for a child that does not read its stdin; then [`Child::send_line`] waits.
const STDIN_LINES_MAX: usize = 16;
/// How long output is still awaited when the child has ended but something that left its group holds the pipe
/// open.
const LINGER: Duration = Duration::from_millis(250);
/// How long a killed child may take to disappear before [`Child::shutdown`] stops to wait.
const KILL_WAIT: Duration = Duration::from_secs(5);

static SPAWNS: AtomicU64 = AtomicU64::new(0);

/// How many processes this program has tried to start.
///
/// Only configuration may lead to one, so tests hold it against every input from outside.
#[must_use]
pub fn spawns_total() -> u64 {
    SPAWNS.load(Ordering::Relaxed)
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self { code: status.code(), signal: status.signal() }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// A running child process.
///
/// Dropping it kills the child and everything in its process group at once; [`Child::shutdown`] is the polite
/// way.
#[derive(Debug)]
pub struct Child {
    process: Arc<Process>,
    stdin: mpsc::Sender<Bytes>,
    stdout: Option<Lines>,
    stderr: Arc<Tail>,
    exit: watch::Receiver<Option<Exit>>,
    line_bytes_max: usize,
    kill_grace: Duration,
}

impl Child {
    /// Starts a child. Must be called within a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`EgressError::Options`] for a command or environment that cannot be one, [`EgressError::Spawn`] when
    /// the operating system cannot start the program.
    pub fn spawn(options: ChildOptions) -> Result<Self, EgressError> {
        let mut command = options.command()?;
        SPAWNS.fetch_add(1, Ordering::Relaxed);
        let failed = |source: io::Error| EgressError::Spawn {
            program: options.argv.first().map_or("", String::as_str).into(),
            source: source.into(),
        };
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(io::Error::other("the pipes are missing")));
        };
        let (report, exit) = watch::channel(None);
        let process = Arc::new(Process::new(child).map_err(failed)?);
        let tail = Arc::new(Tail::new(options.stderr_lines_max));
        let (queue, lines) = mpsc::channel(STDIN_LINES_MAX);
        tokio::spawn(process::supervise(process.clone(), report, options.kill_grace));
        tokio::spawn(stdin::write(stdin, lines, process.clone(), exit.clone()));
        tokio::spawn(stderr::read(stderr, tail.clone(), options.on_stderr, exit.clone()));
        let reader = LineReader::new(options.line_bytes_max);
        Ok(Self {
            process,
            stdin: queue,
            stdout: Some(Lines { stdout: Some(stdout), reader, exit: exit.clone(), linger: None }),
            stderr: tail,
            exit,
            line_bytes_max: options.line_bytes_max,
            kill_grace: options.kill_grace,
        })
    }

    /// The process id, which is also the id of its process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Puts one message on the way to the child's stdin; the newline is added here. Waits while the child
    /// does not read. Safe to cancel: the line is then not sent.
    ///
    /// `Ok` means that the line will be written as a whole unless the child ends first.
    ///
    /// # Errors
    /// [`EgressError::BadLine`] for an empty line or one with a newline in it, [`EgressError::LineTooLong`],
    /// [`EgressError::ChildGone`]; nothing was sent in any of these cases.
    pub async fn send_line(&self, line: Bytes) -> Result<(), EgressError> {
        if line.is_empty() {
            return Err(EgressError::BadLine { reason: "it is empty" });
        }
        if line.len() > self.line_bytes_max {
            return Err(LineTooLong { limit_bytes: self.line_bytes_max }.into());
        }
        // A CR at the end would be read as part of the line's end, and one inside is a line's end to some
        // readers.
        if memchr::memchr2(b'\n', b'\r', &line).is_some() {
            return Err(EgressError::BadLine { reason: "it holds a line break" });
        }
        let gone = || EgressError::ChildGone { exit: self.exit() };
        if self.exit().is_some() {
            return Err(gone());
        }
        self.stdin.send(line).await.map_err(|_closed| gone())
    }

    /// The messages that the child prints. `None` after the first call: they can be read in one place only.
    pub fn take_lines(&mut self) -> Option<Lines> {
        self.stdout.take()
    }

    /// The last lines of the child's stderr, oldest first, not UTF-8 replaced, over-long lines left out.
    #[must_use]
    pub fn stderr_tail(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// Waits until the child's stderr has ended and [`Child::stderr_tail`] has all of it. Safe to cancel.
    ///
    /// Where something else holds it open, it ends soon after the child.
    pub async fn stderr_ended(&self) {
        self.stderr.ended().await;
    }

    /// How the child ended, or `None` while it (or something in its process group, for the grace time) runs.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Waits until the child has ended. Any number of waiters, safe to cancel.
    pub async fn exited(&self) -> Exit {
        process::wait(self.exit.clone()).await
    }

    /// Ends the child as the MCP specification says for stdio: close its stdin, wait for the grace time,
    /// SIGTERM to its process group, wait again, SIGKILL. Lines that were accepted before are still written
    /// if it reads them.
    ///
    /// Returns how it ended, or `None` in the rare case that not even SIGKILL removed it. May be called
    /// again.
    pub async fn shutdown(&self) -> Option<Exit> {
        self.process.close_stdin();
        if let Ok(exit) = tokio::time::timeout(self.kill_grace, self.exited()).await {
            return Some(exit);
        }
        self.process.terminate();
        if let Ok(exit) = tokio::time::timeout(self.kill_grace, self.exited()).await {
            return Some(exit);
        }
        self.process.kill();
        tokio::time::timeout(KILL_WAIT, self.exited()).await.ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// The messages that a child prints, one to a line.
///
/// There is no buffer between this and the pipe but one line and one read, so a child that prints faster than
/// it is read from has to wait.
#[derive(Debug)]
pub struct Lines {
    stdout: Option<ChildStdout>,
    reader: LineReader,
    exit: watch::Receiver<Option<Exit>>,
    linger: Option<Instant>,
}

impl Lines {
    /// The next line, without its end; `None` once the child has closed its stdout or ended. Safe to cancel.
    ///
    /// # Errors
    /// [`EgressError::LineTooLong`]: the line was dropped, the next call goes on after it.
    /// [`EgressError::ChildRead`]: there will be no more lines.
    pub async fn next(&mut self) -> Option<Result<Bytes, EgressError>> {
        loop {
            if let Some(line) = self.reader.next_line() {
                return Some(line.map_err(EgressError::from));
            }
            let Some(stdout) = &mut self.stdout else {
                return self.reader.finish().map(|line| line.map_err(EgressError::from));
            };
            let read = tokio::select! {
                biased;
                read = stdout.read_buf(self.reader.room()) => read,
                () = abandoned(&mut self.exit, &mut self.linger) => Ok(0),
            };
            match read {
                Ok(0) => self.stdout = None,
                Ok(_more) => {}
                Err(error) => {
                    self.stdout = None;
                    return Some(Err(EgressError::ChildRead { source: error.into() }));
                }
            }
        }
    }
}

/// Resolves some time after the child has ended. Normally a pipe ends before, because nobody is left to write
/// to it; but a process that left the group can hold it open for ever. `linger` keeps the time over cancelled
/// calls.
async fn abandoned(exit: &mut watch::Receiver<Option<Exit>>, linger: &mut Option<Instant>) {
    // An error means that the supervisor is gone, and with it the child.
    let _ = exit.wait_for(Option::is_some).await;
    let until = *linger.get_or_insert_with(|| Instant::now() + LINGER);
    tokio::time::sleep_until(until).await;
}
