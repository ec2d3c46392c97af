//! How fast a crawl is: domains of this machine, each a host of its own with a catalog and a card.
//!
//! `cargo run --release -p tidegate-bench --example crawl -- [DOMAINS] [ROUNDS]`. The second round of each
//! pair asks by the marks of the first, and gets no documents.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use model::SystemClock;
use scout::{Crawler, Fetcher, Keep, Options, Reaching, Seed};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse().expect("a number"));
    let (domains, rounds) = (words.next().unwrap_or(1_000_usize), words.next().unwrap_or(3));
    let mut seeds = Vec::new();
    for number in 0..domains {
        let [.., a, b] = (u32::try_from(number).expect("so many") + 1).to_be_bytes();
        let listener = TcpListener::bind((Ipv4Addr::new(127, 1, a, b), 0)).await.expect("loopback");
        let address = listener.local_addr().expect("an address");
        seeds.push(Seed::read(&format!("http://{address}")).expect("a domain"));
        tokio::spawn(listen(listener, address));
    }
    for round in 1..=rounds {
        let folder = tempfile::tempdir().expect("a folder");
        for what in ["fetched", "by marks"] {
            let begun = Instant::now();
            let fetcher = Fetcher::new(&Reaching { private: true, ..Reaching::default() }).expect("a client");
            let keep = Some(Keep::open(folder.path()).expect("a folder"));
            let crawler =
                Crawler::new(fetcher, Arc::new(SystemClock), Options::default(), keep, seeds.clone());
            let mut crawler = crawler.expect("a crawl");
            crawler.run(&mut |_| {}).await.expect("it is written down");
            let summary = crawler.report().summary;
            assert_eq!((summary.found, summary.cards), (domains, domains), "{summary:?}");
            let seconds = begun.elapsed().as_secs_f64();
            println!(
                "round {round}, {what}: {domains} domains in {seconds:.2} s, {:.0}/s",
                domains as f64 / seconds
            );
        }
    }
}

async fn listen(listener: TcpListener, address: SocketAddr) {
    while let Ok((tcp, _)) = listener.accept().await {
        tokio::spawn(serve(tcp, address));
    }
}

async fn serve(mut tcp: TcpStream, address: SocketAddr) {
    let entry = json!({"identifier": "urn:air:acme.com:mcp:crm", "type": "application/mcp-server-card+json",
        "url": format!("http://{address}/mcp/server-card")});
    let catalog = json!({"specVersion": "1.0", "entries": [entry]}).to_string();
    let remote = json!({"type": "streamable-http", "url": format!("http://{address}/mcp")});
    let card = json!({"$schema": SCHEMA, "name": "com.acme/crm", "version": "1.0.0",
        "description": "Customers and their orders", "remotes": [remote]})
    .to_string();
    let mut bytes = Vec::new();
    loop {
        let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
            match tcp.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        bytes.drain(..head + 4);
        let body = if text.starts_with("GET /.well-known/") { &catalog } else { &card };
        let response = if text.contains("if-none-match: \"1\"") {
            "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n".to_owned()
        } else {
            let head = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-type: application/json\r\n";
            format!("{head}content-length: {}\r\n\r\n{body}", body.len())
        };
        if tcp.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}
