//! One HTTP/1.1 connection that is kept alive.

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

/// The largest head of an answer.
const HEAD_MAX: usize = 64 * 1024;
/// How much is read at a time, at most.
const READ: usize = 64 * 1024;

/// What the head of an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// A legacy server's session.
    pub session: Option<String>,
    /// Whether the body is a stream of events.
    pub events: bool,
}

/// What is left of the body that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Done,
    Length(u64),
    /// Before the size of a chunk; `first` has no line end of a chunk before it.
    Size {
        first: bool,
    },
    Chunk(u64),
}

/// A connection. One request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where in the buffer the unread part begins.
    at: usize,
    framing: Framing,
}

impl Connection {
    pub async fn open(authority: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(authority).await.map_err(|e| format!("connect to {authority}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| format!("connect to {authority}: {e}"))?;
        Ok(Self { stream, buffer: Vec::new(), at: 0, framing: Framing::Done })
    }

    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        debug_assert_eq!(self.framing, Framing::Done, "the answer before was read to its end");
        self.stream.write_all(request).await.map_err(|e| format!("send: {e}"))
    }

    /// Reads the head of an answer.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(length) = memmem::find(self.unread(), b"\r\n\r\n") {
                let text = self.buffer.get(self.at..self.at + length).unwrap_or_default();
                let (head, framing) = parse(text)?;
                self.at += length + 4;
                self.framing = framing;
                return Ok(head);
            }
            if self.unread().len() > HEAD_MAX {
                return Err("the head of an answer does not end".to_owned());
            }
            self.fill().await?;
        }
    }

    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let left = match self.framing {
                Framing::Done => return Ok(None),
                Framing::Size { first } => {
                    self.framing = self.chunk_size(first).await?;
                    continue;
                }
                Framing::Length(left) | Framing::Chunk(left) => left,
            };
            if self.unread().is_empty() {
                self.fill().await?;
            }
            let size = self.unread().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - size as u64;
            self.framing = match (self.framing, left) {
                (Framing::Chunk(_), 0) => Framing::Size { first: false },
                (Framing::Chunk(_), left) => Framing::Chunk(left),
                (_, 0) => Framing::Done,
                (_, left) => Framing::Length(left),
            };
            let begin = self.at;
            self.at += size;
            return Ok(self.buffer.get(begin..self.at));
        }
    }

    /// The whole body, in place of what `into` held.
    pub async fn body(&mut self, into: &mut Vec<u8>) -> Result<()> {
        into.clear();
        while let Some(piece) = self.piece().await? {
            into.extend_from_slice(piece);
        }
        Ok(())
    }

    async fn chunk_size(&mut self, first: bool) -> Result<Framing> {
        // The end of the chunk before, and then a line with a number.
        let skip = if first { 0 } else { 2 };
        loop {
            let line = self.unread().get(skip..).unwrap_or_default();
            if let Some(length) = memmem::find(line, b"\r\n") {
                let number = line.get(..length).unwrap_or_default();
                let number = std::str::from_utf8(number).unwrap_or_default();
                let number = number.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(number, 16).map_err(|_| "no size of a chunk".to_owned())?;
                self.at += skip + length + 2;
                if size > 0 {
                    return Ok(Framing::Chunk(size));
                }
                // No server here sends trailers: an empty line ends the body.
                while self.unread().len() < 2 {
                    self.fill().await?;
                }
                self.at += 2;
                return Ok(Framing::Done);
            }
            self.fill().await?;
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.reserve(READ);
        let read = self.stream.read_buf(&mut self.buffer).await.map_err(|e| format!("read: {e}"))?;
        if read == 0 { Err("the connection was closed".to_owned()) } else { Ok(()) }
    }
}

fn parse(head: &[u8]) -> Result<(Head, Framing)> {
    let text = std::str::from_utf8(head).map_err(|_| "the head of an answer is not text".to_owned())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|s| s.get(..3));
    let status = status.and_then(|s| s.parse().ok()).ok_or_else(|| format!("no HTTP/1.1 answer: {text}"))?;
    let mut head = Head { status, session: None, events: false };
    let mut framing = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| format!("Content-Length: {value}"))?;
            framing = framing.or(Some(Framing::Length(length)));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Some(Framing::Size { first: true });
        } else if name.eq_ignore_ascii_case("mcp-session-id") {
            head.session = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("content-type") {
            head.events = value.starts_with("text/event-stream");
        }
    }
    let framing = match framing {
        Some(Framing::Length(0)) | None => Framing::Done,
        Some(framing) => framing,
    };
    Ok((head, framing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A connection to a server that sends these pieces and closes.
    async fn served(pieces: &'static [&'static [u8]]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in pieces {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        Connection::open(&authority).await.unwrap()
    }

    #[tokio::test]
    async fn answers_follow_one_another_whatever_their_framing() {
        let mut connection = served(&[
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nMcp-Session-Id: s 1\r\n\r\nhel",
            b"loHTTP/1.1 202 Accepted\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n",
            b"content-type: text/event-stream\r\n\r\n3\r\nabc\r\n00",
            b"2;x=y\r\nde\r",
            b"\n0\r\n\r",
            b"\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ])
        .await;
        let mut body = Vec::new();
        let head = connection.head().await.unwrap();
        assert_eq!(head, Head { status: 200, session: Some("s 1".to_owned()), events: false });
        connection.body(&mut body).await.unwrap();
        assert_eq!(body, b"hello");
        assert_eq!(connection.head().await.unwrap().status, 202);
        connection.body(&mut body).await.unwrap();
        assert!(body.is_empty());
        assert!(connection.head().await.unwrap().events);
        connection.body(&mut body).await.unwrap();
        assert_eq!(body, b"abcde");
        assert_eq!(connection.head().await.unwrap().status, 404);
        assert_eq!(connection.piece().await, Ok(None));
        assert_eq!(connection.head().await, Err("the connection was closed".to_owned()));
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_is_told() {
        let mut connection = served(&[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"]).await;
        connection.head().await.unwrap();
        assert!(connection.body(&mut Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_chunk_without_a_size_and_another_protocol_are_told() {
        let mut connection = served(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]).await;
        connection.head().await.unwrap();
        assert!(connection.body(&mut Vec::new()).await.is_err());
        let mut connection = served(&[b"SSH-2.0\r\n\r\n"]).await;
        assert!(connection.head().await.is_err());
    }
}
