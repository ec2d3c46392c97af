//! What outlives the process, and this process among others.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{JoinError, Member, StoreSessions, Timing, Told};
use config::{Config, StoreUrl};
use model::{Clock as _, SystemClock};
use seal::KeyRing;
use server::{Prepared, StartError};
use store::Store;
use store_postgres::{OpenError, PostgresStore, Settings};
use store_sqlite::SqliteStore;
use tokio::task::JoinHandle;

use crate::exit::Coded;
use crate::load::Loaded;

/// How often what has expired is forgotten where nobody else does it.
const SWEEP: Duration = Duration::from_secs(300);

/// Which store the configuration means.
pub fn target(config: &Config) -> anyhow::Result<StoreUrl> {
    let env = |name: &str| std::env::var(name).ok();
    let target = config.store.target(&env, &|path| std::fs::read(path));
    target.map_err(|error| Coded::of_config(&error).into())
}

/// Opens the store of a configuration; `None` where nothing outlives the process.
pub async fn open(loaded: &Loaded) -> anyhow::Result<Option<Arc<dyn Store>>> {
    open_target(&target(&loaded.config)?).await
}

/// Opens a store; `None` where nothing outlives the process.
pub async fn open_target(target: &StoreUrl) -> anyhow::Result<Option<Arc<dyn Store>>> {
    let opened: Result<Arc<dyn Store>, _> = match target {
        StoreUrl::Memory => return Ok(None),
        StoreUrl::Sqlite(file) => {
            SqliteStore::open(file, SystemClock.now()).await.map(|store| Arc::new(store) as Arc<dyn Store>)
        }
        StoreUrl::Postgres(url) => {
            let opened = PostgresStore::open(url.expose(), Settings::default(), SystemClock.now()).await;
            match opened {
                Ok(store) => Ok(Arc::new(store) as Arc<dyn Store>),
                Err(OpenError::Url(error)) => return Err(Coded::of_config(&error).into()),
                Err(OpenError::Store(error)) => Err(error),
            }
        }
    };
    opened.map(Some).map_err(|error| Coded::store(&error).into())
}

/// The place of this process among others.
pub struct Place {
    store: Option<Arc<dyn Store>>,
    member: Option<Member>,
    sweeper: Option<JoinHandle<()>>,
}

impl Place {
    /// Takes it: what clients change is kept in the store, and others are known and can reach this replica.
    pub async fn take(
        prepared: &mut Prepared,
        config: &Config,
        store: Option<Arc<dyn Store>>,
        keys: &Arc<KeyRing>,
    ) -> anyhow::Result<Self> {
        let Some(store) = store else {
            if config.replica.listen.is_some() {
                let text = "use replica.listen: replicas find one another in a store; give store.url";
                return Err(Coded::config(text.to_owned()).into());
            }
            return Ok(Self { store: None, member: None, sweeper: None });
        };
        prepared.app().share_sessions(Arc::new(StoreSessions::new(Arc::clone(&store))));
        let shared = matches!(target(config)?, StoreUrl::Postgres(_));
        if !shared && config.replica.listen.is_none() {
            let sweeper = tokio::spawn(sweep(Arc::clone(&store)));
            return Ok(Self { store: Some(store), member: None, sweeper: Some(sweeper) });
        }
        let url = match config.replica.listen {
            Some(listen) => {
                let bound = listen_inside(prepared, config, listen).await;
                url(config, listen, bound.map_err(|error| Coded::start(&error))?)
            }
            None => {
                tracing::warn!("other replicas cannot reach this one: replica.listen is not set");
                String::new()
            }
        };
        let told = Told { url, version: env!("CARGO_PKG_VERSION").to_owned() };
        let (app, keys) = (Arc::clone(prepared.app()), Arc::clone(keys));
        let joined =
            Member::join(&app, Arc::clone(&store), keys, Arc::new(SystemClock), told, Timing::default());
        let member = joined.await.map_err(|error| match error {
            JoinError::Keys { .. } => Coded::of_config(&error),
            JoinError::Store(_) => Coded::store(&error),
        })?;
        Ok(Self { store: Some(store), member: Some(member), sweeper: None })
    }

    /// Gives it up.
    pub async fn leave(self) {
        if let Some(member) = self.member {
            member.leave().await;
        }
        if let Some(sweeper) = self.sweeper {
            sweeper.abort();
        }
        if let Some(store) = self.store {
            store.close().await;
        }
    }
}

/// Listens for other replicas: where the configuration says, or at another port while the process whose place
/// this one takes still listens there.
async fn listen_inside(
    prepared: &mut Prepared,
    config: &Config,
    listen: SocketAddr,
) -> Result<SocketAddr, StartError> {
    match prepared.listen_inside(listen).await {
        Err(StartError::Listen { source, .. })
            if source.kind() == ErrorKind::AddrInUse && config.takeover.is_some() =>
        {
            let bound = prepared.listen_inside(SocketAddr::new(listen.ip(), 0)).await?;
            tracing::info!(%bound, "replica.listen is still in use; other replicas reach this one elsewhere");
            Ok(bound)
        }
        bound => bound,
    }
}

/// What others reach this replica by.
fn url(config: &Config, listen: SocketAddr, bound: SocketAddr) -> String {
    let url = config.replica.url_at(bound);
    if listen.port() == 0 || listen.port() == bound.port() {
        return url;
    }
    // The port that was written down is the other process's.
    match url
        .parse::<http::Uri>()
        .ok()
        .and_then(|url| Some((url.scheme_str()?.to_owned(), url.host()?.to_owned())))
    {
        Some((scheme, host)) => format!("{scheme}://{host}:{}", bound.port()),
        None => url,
    }
}

/// Forgets what has expired, for a replica that is alone.
async fn sweep(store: Arc<dyn Store>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let now = SystemClock.now();
        let swept = async {
            let mut tx = store.begin().await?;
            tx.session_sweep(now).await?;
            tx.stream_sweep(now).await?;
            tx.commit().await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "what has expired was not forgotten");
        }
    }
}
