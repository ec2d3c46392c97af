//! A server of a test's own: it answers what it is told to, and knows what it was asked.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a path is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A document with a mark.
    Document(String),
    /// Any response, byte by byte.
    Bytes(Vec<u8>),
    /// A redirect.
    Moved(String),
    /// Nothing, for ever.
    Silence,
    /// The connection ends.
    Close,
}

static HOSTS: AtomicU8 = AtomicU8::new(1);

/// A server on loopback.
pub struct Place {
    pub address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Place {
    pub async fn start() -> Self {
        // Each is a host of its own, as manners are about hosts.
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, number), 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let place = Self { address, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&place.answers), Arc::clone(&place.asked));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&answers), Arc::clone(&asked)));
            }
        });
        place
    }

    /// Says what is at a path.
    pub fn put(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("a lock").insert(path.to_owned(), answer);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for since the last time: methods, paths, and whether with a mark.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("a lock"))
    }
}

async fn serve(
    mut tcp: TcpStream,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
            match tcp.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let line = String::from_utf8_lossy(&bytes[..head]);
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        if bytes.len() < head + 4 + length {
            if !matches!(tcp.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
            continue;
        }
        let mark = text.lines().find_map(|line| line.strip_prefix("if-none-match: ")).map(str::to_owned);
        let with = if mark.is_some() { " again" } else { "" };
        asked.lock().expect("a lock").push(format!("{method} {path}{with}"));
        let answer = answers.lock().expect("a lock").get(path).cloned();
        bytes.drain(..head + 4 + length);
        let response = match answer {
            None => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
            Some(Answer::Document(text)) => {
                let etag = format!("\"{}\"", text.len());
                if mark.as_deref() == Some(&etag) {
                    b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()
                } else {
                    let length = text.len();
                    let head = format!("HTTP/1.1 200 OK\r\netag: {etag}\r\ncontent-length: {length}\r\n");
                    format!("{head}content-type: application/json\r\n\r\n{text}").into_bytes()
                }
            }
            Some(Answer::Bytes(bytes)) => bytes,
            Some(Answer::Moved(to)) => {
                format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
            }
            Some(Answer::Silence) => std::future::pending().await,
            Some(Answer::Close) => return,
        };
        if tcp.write_all(&response).await.is_err() {
            return;
        }
    }
}
