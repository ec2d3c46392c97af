//! `tidegate stdio`: one endpoint for a client that can only start a process.

use crate::cli::Source;
use crate::{embedded, signals, traces};

/// Serves until the input ends, or a signal says so. Only protocol goes to stdout; logs go to stderr.
pub async fn run(source: &Source, endpoint: &str) -> anyhow::Result<u8> {
    let mut stop = signals::Stop::new()?;
    let (gateway, telemetry) = embedded::start_traced(source).await?;
    // Checked before anything is read, so that a wrong name is an error and not a silent server.
    embedded::endpoint(&gateway, endpoint, "{}")?;
    let app = std::sync::Arc::clone(gateway.app());
    let served = tokio::select! {
        served = server::serve_stdio(app, endpoint, tokio::io::stdin(), tokio::io::stdout()) => served,
        () = stop.asked() => Ok(()),
    };
    gateway.stop().await;
    traces::stop(telemetry).await;
    served?;
    Ok(0)
}
