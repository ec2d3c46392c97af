//! What outlives the process, and this process among others.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::{JoinError, Member, StoreSessions, Timing, Told};
use config::{Config, ReplicaPlace, StoreUrl};
use model::{Clock as _, SystemClock};
use seal::KeyRing;
use server::{App, Prepared, StartError};
use store::{Memory, Store, StoreError};
use store_postgres::{OpenError, PostgresStore, Settings};
use store_sqlite::SqliteStore;
use tokio::task::JoinHandle;

use crate::exit::Coded;
use crate::load::Loaded;

/// How often what has expired is forgotten where nobody else does it.
const SWEEP: Duration = Duration::from_secs(300);

/// Which store the configuration means; where it says nothing, a file of this configuration's own in the
/// user's state folder.
pub fn target(loaded: &Loaded) -> anyhow::Result<StoreUrl> {
    let env = |name: &str| std::env::var(name).ok();
    let target = loaded.config.store.target(&env, &server::fetch_secret);
    Ok(target.map_err(|error| Coded::of_config(&error))?.unwrap_or_else(|| {
        let file = default_file(loaded.file.as_deref(), &|name| std::env::var_os(name));
        file.map_or(StoreUrl::Memory, StoreUrl::Sqlite)
    }))
}

/// Opens the store of a configuration; `None` where nothing outlives the process: where it says so, or where
/// it says nothing and no file can be made.
pub async fn open(loaded: &Loaded) -> anyhow::Result<Option<Arc<dyn Store>>> {
    let target = target(loaded)?;
    let unnamed = loaded.config.store.url.is_none();
    match (&target, open_target(&target).await) {
        (StoreUrl::Sqlite(file), Err(error)) if unnamed && cannot_be_made(file) => {
            tracing::warn!("nothing outlives the process, give store.url: {error:#}");
            Ok(None)
        }
        (StoreUrl::Memory, _) if unnamed => {
            tracing::warn!("nothing outlives the process, give store.url: no state folder is known");
            Ok(None)
        }
        (_, opened) => opened,
    }
}

/// Which store it is, in words that tell no secret.
pub fn name(target: &StoreUrl) -> String {
    match target {
        StoreUrl::Memory => "in memory: it ends with the process".to_owned(),
        StoreUrl::Sqlite(file) => format!("sqlite:{}", file.display()),
        StoreUrl::Postgres(_) => "PostgreSQL".to_owned(),
    }
}

/// Whether there is no such file: one that is there and cannot be used is never passed over.
fn cannot_be_made(file: &Path) -> bool {
    !file.exists()
}

/// The store of a gateway whose configuration names none, by the environment: in the folder that systemd
/// gives a service (systemd.exec(5)), else in the user's (XDG Base Directory Specification 0.8).
fn default_file(config: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let of = |name: &str| {
        let text = env(name)?;
        // systemd gives several, with a colon between.
        let first = text.to_str()?.split(':').next()?;
        Some(PathBuf::from(first)).filter(|path| path.is_absolute())
    };
    if let Some(folder) = of("STATE_DIRECTORY") {
        return Some(folder.join("store.db"));
    }
    let state = of("XDG_STATE_HOME").or_else(|| of("HOME").map(|home| home.join(".local/state")))?;
    let name = match config {
        None => "demo.db".to_owned(),
        Some(file) => {
            // Two gateways of one user have two stores, and one that is started elsewhere finds its own.
            let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
            let [a, b, c, d, ..] = seal::sha256(file.as_os_str().as_encoded_bytes());
            let folder = file.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            let known = folder.filter(|name| {
                name.len() <= 64
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            });
            format!("{}-{a:02x}{b:02x}{c:02x}{d:02x}.db", known.unwrap_or("store"))
        }
    };
    Some(state.join("tidegate").join(name))
}

/// A folder of ours in the user's state folder, or in that which systemd gives a service.
pub fn folder(name: &str) -> Option<PathBuf> {
    let file = default_file(None, &|name| std::env::var_os(name))?;
    Some(file.parent()?.join(name))
}

/// How often a store is opened that others keep busy, as the process does whose place this one takes.
const OPENED: u32 = 6;
/// How long between.
const OPEN_PAUSE: Duration = Duration::from_millis(250);

/// Opens a store; `None` where nothing outlives the process.
pub async fn open_target(target: &StoreUrl) -> anyhow::Result<Option<Arc<dyn Store>>> {
    for _ in 1..OPENED {
        match open_once(target).await? {
            Err(StoreError::Busy) => tokio::time::sleep(OPEN_PAUSE).await,
            opened => return opened.map_err(|error| Coded::store(&error).into()),
        }
    }
    open_once(target).await?.map_err(|error| Coded::store(&error).into())
}

async fn open_once(target: &StoreUrl) -> anyhow::Result<Result<Option<Arc<dyn Store>>, StoreError>> {
    let opened: Result<Arc<dyn Store>, _> = match target {
        StoreUrl::Memory => return Ok(Ok(None)),
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
    Ok(opened.map(Some))
}

/// The place of this process among others.
pub struct Place {
    /// Where tasks are.
    tasks: Arc<dyn Store>,
    store: Option<Arc<dyn Store>>,
    member: Option<Member>,
    sweeper: Option<JoinHandle<()>>,
    app: Arc<App>,
}

impl Place {
    /// Takes it: what clients change is kept in the store, and others are known and can reach this replica.
    pub async fn take(
        prepared: &mut Prepared,
        loaded: &Loaded,
        store: Option<Arc<dyn Store>>,
        keys: &Arc<KeyRing>,
    ) -> anyhow::Result<Self> {
        let (config, target) = (&loaded.config, target(loaded)?);
        let app = Arc::clone(prepared.app());
        if config.replica.listen.is_some() && (store.is_none() || config.store.url.is_none()) {
            let text = "use replica.listen: replicas find one another in a store; give store.url";
            return Err(Coded::config(text.to_owned()).into());
        }
        let Some(store) = store else {
            // Tasks last as long as the process then.
            let tasks: Arc<dyn Store> = Arc::new(Memory::new());
            prepared.app().host_tasks(Arc::clone(&tasks));
            prepared.app().keep_grants(Arc::clone(&tasks));
            return Ok(Self { tasks, store: None, member: None, sweeper: None, app });
        };
        let tasks = Arc::clone(&store);
        prepared.app().host_tasks(Arc::clone(&store));
        prepared.app().keep_grants(Arc::clone(&store));
        prepared.app().share_rates(Arc::clone(&store));
        // Nobody comes in before it is known who must not.
        prepared.app().read_barred().await.map_err(|error| Coded::store(&error))?;
        prepared.app().read_pins().await.map_err(|error| Coded::store(&error))?;
        prepared.app().share_sessions(Arc::new(StoreSessions::new(Arc::clone(&store))));
        let shared = matches!(target, StoreUrl::Postgres(_));
        if !shared && config.replica.listen.is_none() {
            let sweeper = tokio::spawn(sweep(Arc::clone(&store)));
            return Ok(Self { tasks, store: Some(store), member: None, sweeper: Some(sweeper), app });
        }
        let env = |name: &str| std::env::var(name).ok();
        let place = config.replica.place(config.listen, &env).map_err(|error| Coded::of_config(&error))?;
        let url = match place {
            Some(place) => {
                let bound = listen_inside(prepared, config, place.listen).await;
                url(&place, bound.map_err(|error| Coded::start(&error))?)
            }
            None => {
                tracing::warn!("other replicas cannot reach this one: replica.listen is not set");
                String::new()
            }
        };
        let told = Told { url, version: env!("CARGO_PKG_VERSION").to_owned() };
        let keys = Arc::clone(keys);
        let joined =
            Member::join(&app, Arc::clone(&store), keys, Arc::new(SystemClock), told, Timing::default());
        let member = joined.await.map_err(|error| match error {
            JoinError::Keys { .. } => Coded::of_config(&error),
            JoinError::Store(_) => Coded::store(&error),
        })?;
        Ok(Self { tasks, store: Some(store), member: Some(member), sweeper: None, app })
    }

    /// The store that tasks are in.
    pub fn tasks(&self) -> &Arc<dyn Store> {
        &self.tasks
    }

    /// Gives it up.
    pub async fn leave(self) {
        self.app.return_rates().await;
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
fn url(place: &ReplicaPlace, bound: SocketAddr) -> String {
    let url = place.url_at(bound);
    if place.listen.port() == 0 || place.listen.port() == bound.port() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(config: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let env = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        default_file(config.map(Path::new), &env).map(|path| path.display().to_string())
    }

    #[test]
    fn a_store_that_nobody_named_is_in_the_state_folder() {
        let home = [("HOME", "/home/a")];
        assert_eq!(file(None, &home).as_deref(), Some("/home/a/.local/state/tidegate/demo.db"));
        let all = [("HOME", "/home/a"), ("XDG_STATE_HOME", "/s"), ("STATE_DIRECTORY", "/var/lib/t:/x")];
        assert_eq!(file(None, &all[..2]).as_deref(), Some("/s/tidegate/demo.db"));
        assert_eq!(file(Some("/etc/t.yaml"), &all).as_deref(), Some("/var/lib/t/store.db"));
        assert_eq!(file(None, &[("HOME", "relative"), ("XDG_STATE_HOME", "")]), None);
        assert_eq!(file(None, &[]), None);
    }

    #[test]
    fn each_configuration_has_a_store_of_its_own() {
        let of = |config| file(Some(config), &[("HOME", "/h")]).expect("a folder");
        let (one, other) = (of("/no/where/tidegate.yaml"), of("/no/where/other.yaml"));
        assert!(one.starts_with("/h/.local/state/tidegate/where-") && one.ends_with(".db"), "{one}");
        assert_ne!(one, other);
        assert_ne!(one, of("/nowhere/where/tidegate.yaml"));
        assert!(of("/a b/t.yaml").starts_with("/h/.local/state/tidegate/store-"));
    }
}
