//! The demo server that stands in where nothing is configured.

use anyhow::Context as _;
use config::Upstream;

/// Its name among the upstreams.
pub const NAME: &str = "demo";

/// Starts it on a free loopback port, as an upstream like any other. It ends with the process.
pub async fn start() -> anyhow::Result<Upstream> {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("start the demo server")?;
    let address = socket.local_addr().context("start the demo server")?;
    let server = demo::Server::builder().build();
    tokio::spawn(server.serve_http(socket, std::future::pending::<()>()));
    Ok(Upstream { url: Some(format!("http://{address}/mcp")), ..Upstream::default() })
}
