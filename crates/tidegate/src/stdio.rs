//! `tidegate stdio`: one endpoint for a client that can only start a process.

use crate::cli::Source;
use crate::{embedded, traces};

/// Serves until the input ends. Only protocol goes to stdout; logs go to stderr.
pub async fn run(source: &Source, endpoint: &str) -> anyhow::Result<u8> {
    let (gateway, telemetry) = embedded::start_traced(source).await?;
    // Checked before anything is read, so that a wrong name is an error and not a silent server.
    embedded::endpoint(&gateway, endpoint, "{}")?;
    let app = std::sync::Arc::clone(gateway.app());
    server::serve_stdio(app, endpoint, tokio::io::stdin(), tokio::io::stdout()).await?;
    gateway.stop().await;
    traces::stop(telemetry).await;
    Ok(0)
}
