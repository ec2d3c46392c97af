//! Wake-ups from other processes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;

use crate::settings::{Settings, Target};

/// What is sent and listened to. The schema's name is in it, as a database may hold several stores.
pub(crate) fn channel(schema: &str) -> String {
    format!("tidegate_{schema}")
}

/// Listens for ever. While the connection is down wake-ups are lost: they are hints.
pub(crate) async fn run(target: Target, settings: Settings, wakes: Arc<watch::Sender<u64>>) {
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(settings.acquire);
    let pool = options.connect_lazy_with(target.connect.clone());
    let mut pause = Duration::ZERO;
    loop {
        tokio::time::sleep(pause).await;
        pause = settings.listen_again;
        let Ok(mut listener) = PgListener::connect_with(&pool).await else { continue };
        if listener.listen(&channel(&target.schema)).await.is_err() {
            continue;
        }
        // What was missed meanwhile is looked for.
        wakes.send_modify(|count| *count += 1);
        while let Ok(Some(_)) = listener.try_recv().await {
            wakes.send_modify(|count| *count += 1);
        }
    }
}
