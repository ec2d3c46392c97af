//! Bytes on a socket, for what no HTTP library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::within;

/// An answer, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A raw connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.expect("somebody listens");
        stream.set_nodelay(true).expect("a connected socket");
        Self { stream }
    }

    /// Sends bytes. A server that has closed already need not read them.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = within(self.stream.write_all(bytes)).await;
    }

    /// Says that nothing more will be sent.
    pub async fn end(&mut self) {
        let _ = within(self.stream.shutdown()).await;
    }

    /// Everything that comes until the server closes.
    pub async fn rest(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset is an end, too: it is what a server's close looks like with unread bytes left.
        let _ = within(self.stream.read_to_end(&mut all)).await;
        all
    }
}

/// All the answers in what a server sent until it closed.
///
/// # Panics
/// If that is not HTTP.
#[must_use]
pub fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (answer, rest) = answer(bytes);
        all.push(answer);
        bytes = rest;
    }
    all
}

fn answer(bytes: &[u8]) -> (Answer, &[u8]) {
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let head_end = head_end.unwrap_or_else(|| panic!("no head: {:?}", shown()));
    let head = std::str::from_utf8(&bytes[..head_end]).expect("a head in ASCII");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    assert!(status_line.starts_with("HTTP/1."), "no status line: {:?}", shown());
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status: status.expect("a status"), headers, body: String::new() };
    let rest = &bytes[head_end + 4..];
    let (body, rest) = if answer.header("transfer-encoding") == Some("chunked") {
        chunks(rest)
    } else {
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let length = length.unwrap_or(rest.len()).min(rest.len());
        (rest[..length].to_vec(), &rest[length..])
    };
    answer.body = String::from_utf8_lossy(&body).into_owned();
    (answer, rest)
}

fn chunks(mut bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    while let Some(line_end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line_end]).unwrap_or_default();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16).unwrap_or(0);
        let start = line_end + 2;
        let end = (start + size).min(bytes.len());
        body.extend_from_slice(&bytes[start..end]);
        bytes = &bytes[(end + 2).min(bytes.len())..];
        if size == 0 {
            break;
        }
    }
    (body, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_their_framing() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n\
            HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\nno";
        let found = answers(text.as_bytes());
        let short: Vec<_> = found.iter().map(|a| (a.status, a.body.as_str())).collect();
        assert_eq!(short, [(200, "ok"), (200, "abcd"), (400, "no")]);
        assert_eq!(found[2].header("connection"), Some("close"));
    }
}
