//! Servers that do little, and write down what they did.

mod body;
mod http;
mod legacy;
mod modern;
mod stdio;
mod tools;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::Result;
use crate::ledger::Ledger;

pub use tools::RESOURCE;

/// The servers over HTTP, one of each era, on a port of their own.
#[derive(Debug)]
pub struct Upstreams {
    pub address: SocketAddr,
    counts: Arc<http::Counts>,
}

impl Upstreams {
    /// Starts them; they last as long as the process.
    pub async fn start(ledger: &Path) -> Result<Self> {
        let ledger = Arc::new(Ledger::open(ledger)?);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| format!("no free port: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let counts = Arc::new(http::Counts::default());
        tokio::spawn(http::serve(listener, ledger, Arc::clone(&counts)));
        Ok(Self { address, counts })
    }

    /// How many calls are being worked on.
    pub fn running(&self) -> u64 {
        self.counts.running()
    }
}

/// Serves one client on standard input and output until it closes its side.
pub async fn stdio(ledger: &Path) -> Result<()> {
    stdio::serve(Arc::new(Ledger::open(ledger)?)).await
}
