//! `tidegate stdio`: one endpoint for a client that can only start a process.

use crate::cli::Source;
use crate::embedded::{self, Recorded};
use crate::signals;

/// Serves until the input ends, or a signal says so. Only protocol goes to stdout; logs go to stderr.
pub async fn run(source: &Source, endpoint: &str) -> anyhow::Result<u8> {
    let mut stop = signals::Stop::new()?;
    let recorded = Recorded::start(source, false).await?;
    let gateway = &recorded.gateway;
    // Checked before anything is read, so that a wrong name is an error and not a silent server.
    embedded::endpoint(gateway, endpoint, "{}")?;
    let app = std::sync::Arc::clone(gateway.app());
    let served = tokio::select! {
        served = server::serve_stdio(app, endpoint, tokio::io::stdin(), tokio::io::stdout()) => served,
        () = stop.asked() => Ok(()),
    };
    recorded.stop().await;
    served?;
    Ok(0)
}
