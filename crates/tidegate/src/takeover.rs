//! One process takes another one's place at its listening socket, without a connection refused.
//!
//! The one that serves listens at a path. Its heir connects, gets the listening socket, serves it, says so,
//! and hears that the other one leaves. Both have the same socket with one queue, so a connection waits there
//! until either takes it. Until the heir has said that it serves, its end changes nothing.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use server::Gateway;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};

use crate::sockets;

/// What comes with the socket. Another text is another protocol.
const OFFER: &[u8; 20] = b"tidegate takeover 1\n";
/// The heir serves.
const SERVING: u8 = b's';
/// The one before takes no more connections.
const LEAVING: u8 = b'l';

/// How long one side waits for the other's next word, where that is said at once.
const WORD_TIME: Duration = Duration::from_secs(10);
/// How long the heir may take to start.
const START_TIME: Duration = Duration::from_secs(120);

/// The gateway whose place this process is about to take.
pub struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// Asks whoever serves behind this path for its socket. `None`: nobody does.
    pub async fn find(path: &Path) -> anyhow::Result<Option<(Self, TcpListener)>> {
        #[expect(clippy::disallowed_methods, reason = "no upstream, but this program on this machine")]
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("take over at {}", path.display())),
        };
        let asked = async {
            check_user(&stream)?;
            let received = tokio::time::timeout(WORD_TIME, receive(&stream)).await;
            received.context("the gateway that serves does not answer")?
        };
        let socket = asked.await.with_context(|| format!("take over at {}", path.display()))?;
        let socket = TcpListener::from(socket);
        sockets::own(&socket)?;
        Ok(Some((Self { stream }, socket)))
    }

    /// Says that this process serves, and waits until the other one leaves.
    pub async fn replace(mut self) -> anyhow::Result<()> {
        let heard = tokio::time::timeout(WORD_TIME, async {
            self.stream.write_u8(SERVING).await?;
            self.stream.read_u8().await
        });
        match heard.await.context("take over: the gateway that served does not answer")? {
            Ok(LEAVING) => Ok(()),
            Ok(_) => bail!("take over: the gateway that served gave no answer that is known here"),
            Err(error) => Err(error).context("take over: the gateway that served broke off"),
        }
    }
}

fn is_nobody(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

/// Where heirs ask for the socket. The path goes with it, as long as it is its own.
pub struct Heirs {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file; `None` once the path is another process's.
    file: Option<(u64, u64)>,
}

impl Heirs {
    /// Listens at a path, in place of whatever socket was left there. Must be called within a tokio runtime.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("listen on {}", path.display());
        if std::fs::symlink_metadata(path).is_ok_and(|found| !is_socket(&found)) {
            bail!("{}: there is a file that is no socket", failed());
        }
        // Beside it first, so that it is never there with other permissions.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let _ = std::fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).with_context(failed)?;
        let placed = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::symlink_metadata(&beside))
            .and_then(|metadata| std::fs::rename(&beside, path).map(|()| metadata));
        let metadata = placed.inspect_err(|_| drop(std::fs::remove_file(&beside))).with_context(failed)?;
        Ok(Self { listener, path: path.to_owned(), file: Some((metadata.dev(), metadata.ino())) })
    }

    /// The path is the heir's from now on, which puts its own socket there at any moment: to look whether it
    /// is still one's own, and to remove it then, could remove the heir's.
    pub fn leave_path(mut self) {
        self.file = None;
    }

    /// Waits until an heir serves the gateway's socket, and tells it that this process leaves.
    pub async fn replaced(&self, gateway: &Gateway) {
        loop {
            let heir = match self.listener.accept().await {
                Ok((heir, _)) => heir,
                Err(error) => {
                    tracing::warn!(%error, "a takeover could not be accepted");
                    tokio::time::sleep(WORD_TIME).await;
                    continue;
                }
            };
            match hand_over(heir, gateway).await {
                Ok(()) => return,
                Err(error) => tracing::warn!("nobody took over: {error:#}"),
            }
        }
    }
}

impl Drop for Heirs {
    fn drop(&mut self) {
        let own = |found: std::fs::Metadata| Some((found.dev(), found.ino())) == self.file;
        if std::fs::symlink_metadata(&self.path).is_ok_and(own) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn is_socket(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    metadata.file_type().is_socket()
}

async fn hand_over(mut heir: UnixStream, gateway: &Gateway) -> anyhow::Result<()> {
    check_user(&heir)?;
    let socket = gateway.socket().context("share the listening socket")?;
    tokio::time::timeout(WORD_TIME, send(&heir, &socket)).await.context("it does not take the socket")??;
    drop(socket);
    tracing::info!("another process is about to take over");
    let word = tokio::time::timeout(START_TIME, heir.read_u8()).await.context("it does not start")?;
    if word.context("it ended before it served")? != SERVING {
        bail!("it gave no answer that is known here");
    }
    // It serves, whether it hears this or not.
    let _ = heir.write_u8(LEAVING).await;
    Ok(())
}

fn check_user(stream: &UnixStream) -> anyhow::Result<()> {
    let (theirs, own) = (stream.peer_cred().context("see who is there")?.uid(), rustix::process::geteuid());
    if theirs != own.as_raw() {
        bail!("the other side belongs to another user ({theirs})");
    }
    Ok(())
}

async fn send(stream: &UnixStream, socket: &OwnedFd) -> anyhow::Result<()> {
    let sent = stream.async_io(Interest::WRITABLE, || {
        let sockets = [socket.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        // The space is for exactly this.
        control.push(SendAncillaryMessage::ScmRights(&sockets));
        Ok(sendmsg(stream, &[IoSlice::new(OFFER)], &mut control, SendFlags::empty())?)
    });
    // So few bytes go at once or not at all.
    if sent.await.context("send the socket")? != OFFER.len() {
        bail!("the socket was sent in part");
    }
    Ok(())
}

async fn receive(stream: &UnixStream) -> anyhow::Result<OwnedFd> {
    let received = stream.async_io(Interest::READABLE, || {
        let mut offer = [0; OFFER.len()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let read = recvmsg(stream, &mut [IoSliceMut::new(&mut offer)], &mut control, RecvFlags::empty())?;
        let socket = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        Ok((offer, read.bytes, socket))
    });
    let (offer, bytes, socket) = received.await.context("receive the socket")?;
    if bytes == 0 {
        bail!("the gateway that serves broke off: another one may have taken over");
    }
    match socket {
        Some(socket) if &offer == OFFER => Ok(socket),
        _ => bail!("what answers there hands no socket over"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_that_was_left_to_an_heir_is_not_removed() {
        let path = std::env::temp_dir().join(format!("tidegate-heirs-{}", std::process::id()));
        let first = Heirs::bind(&path).expect("bound");
        // At any moment, also before the heir has put its own there.
        first.leave_path();
        assert!(path.exists());
        let second = Heirs::bind(&path).expect("bound");
        drop(second);
        assert!(!path.exists(), "whoever has no heir takes its own along");
    }
}
