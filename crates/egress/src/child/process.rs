//! The process itself: waiting for its end, and signals to its group.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};
use tokio::sync::{Notify, watch};

use super::Exit;

/// How often a group whose leader has ended is looked at until it is empty.
const GROUP_LOOK: Duration = Duration::from_millis(10);
/// How long the killed rest of a group may take to disappear; a zombie that nobody reaps never does.
const KILL_WAIT: Duration = Duration::from_millis(100);

/// A process group and its leader, which we started.
#[derive(Debug)]
pub(super) struct Process {
    group: Pid,
    state: Mutex<State>,
    close_stdin: Notify,
}

/// Signals go out under the lock, and the end is noted under it, so that no signal goes to a number that has
/// been given to somebody else.
#[derive(Debug)]
struct State {
    child: tokio::process::Child,
    terminated: bool,
    gone: bool,
}

impl Process {
    pub(super) fn new(child: tokio::process::Child) -> io::Result<Self> {
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = group.ok_or_else(|| io::Error::other("the process has no id"))?;
        let state = State { child, terminated: false, gone: false };
        Ok(Self { group, state: Mutex::new(state), close_stdin: Notify::new() })
    }

    pub(super) fn id(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// Asks the writer of stdin to finish what it has and to close.
    pub(super) fn close_stdin(&self) {
        self.close_stdin.notify_one();
    }

    /// Waits for [`close_stdin`](Self::close_stdin).
    pub(super) async fn stdin_is_to_close(&self) {
        self.close_stdin.notified().await;
    }

    /// SIGTERM to the group, once: some programs take the second as "at once".
    pub(super) fn terminate(&self) {
        let mut state = self.state();
        if !state.terminated {
            state.terminated = true;
            self.signal(&state, Signal::TERM);
        }
    }

    /// SIGKILL to the group.
    pub(super) fn kill(&self) {
        self.signal(&self.state(), Signal::KILL);
    }

    fn signal(&self, state: &State, signal: Signal) {
        if !state.gone {
            // The group may have ended just now, which is what the signal was for.
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// Reaps the leader.
    fn poll_leader(&self, cx: &mut Context<'_>) -> Poll<Exit> {
        let mut state = self.state();
        let ended = ready!(pin!(state.child.wait()).poll(cx));
        // Without a member the group's number is free from this moment on; with one it stays taken.
        state.gone = test_kill_process_group(self.group).is_err();
        Poll::Ready(ended.map_or(Exit { code: None, signal: None }, Exit::from))
    }

    /// Whether the group is empty, once the leader has been reaped.
    fn is_gone(&self) -> bool {
        let mut state = self.state();
        if !state.gone {
            // As process 1 of a container we inherit orphans, and only we can reap them. Elsewhere this finds
            // none.
            while let Ok(Some(_)) = waitpgid(self.group, WaitOptions::NOHANG) {}
            state.gone = test_kill_process_group(self.group).is_err();
        }
        state.gone
    }

    /// As [`is_gone`](Self::is_gone), waiting for some time.
    async fn is_gone_within(&self, time: Duration) -> bool {
        let gone = async {
            while !self.is_gone() {
                tokio::time::sleep(GROUP_LOOK).await;
            }
        };
        tokio::time::timeout(time, gone).await.is_ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the leader, then sees to it that nothing of its group stays behind, then reports.
pub(super) async fn supervise(process: Arc<Process>, report: watch::Sender<Option<Exit>>, grace: Duration) {
    let exit = std::future::poll_fn(|cx| process.poll_leader(cx)).await;
    if !process.is_gone() {
        process.terminate();
        if !process.is_gone_within(grace).await {
            process.kill();
            process.is_gone_within(KILL_WAIT).await;
        }
        process.state().gone = true;
    }
    report.send_replace(Some(exit));
}

/// Waits for the report.
pub(super) async fn wait(mut exit: watch::Receiver<Option<Exit>>) -> Exit {
    match exit.wait_for(Option::is_some).await.map(|exit| *exit) {
        Ok(Some(exit)) => exit,
        // The supervisor was dropped with its runtime, and the child killed by that.
        Ok(None) | Err(_) => Exit { code: None, signal: None },
    }
}
