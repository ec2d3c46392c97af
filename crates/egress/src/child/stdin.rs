//! Writing to a child's stdin.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, watch};

use super::Exit;
use super::process::{Process, wait};

/// Lines up to this many bytes are copied together, so that a burst of small ones is one write.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// Writes lines until there will be no more, the child ends, or its stdin breaks. Then stdin is closed.
///
/// A task of its own, because a line that was begun must be finished: the caller's future may be dropped
/// half-way.
pub(super) async fn write(
    stdin: ChildStdin,
    lines: mpsc::Receiver<Bytes>,
    process: Arc<Process>,
    exit: watch::Receiver<Option<Exit>>,
) {
    let written = tokio::select! {
        written = write_all(stdin, lines, &process) => written,
        _exit = wait(exit) => return,
    };
    if let Err(error) = written {
        tracing::debug!(%error, id = process.id(), "write to a child's stdin");
    }
}

async fn write_all(
    mut stdin: ChildStdin,
    mut lines: mpsc::Receiver<Bytes>,
    process: &Process,
) -> io::Result<()> {
    let mut closing = false;
    let mut together = BytesMut::new();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = process.stdin_is_to_close(), if !closing => {
                closing = true;
                lines.close();
                continue;
            }
        };
        let mut next = line;
        let Some(_) = next else { return Ok(()) };
        while let Some(line) = next {
            if line.len() > COPY_BYTES_MAX {
                stdin.write_all_buf(&mut together).await?;
                stdin.write_all(&line).await?;
            } else {
                together.extend_from_slice(&line);
            }
            together.extend_from_slice(b"\n");
            next = if together.len() < COPY_BYTES_MAX { lines.try_recv().ok() } else { None };
        }
        stdin.write_all_buf(&mut together).await?;
        together.clear();
    }
}
