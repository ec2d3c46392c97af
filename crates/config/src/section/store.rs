//! What outlives a process.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Fetch, Secret, SecretErrorKind, StoreUrl, StoreUrlError};

/// Where is kept what outlives a process or is shared by replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The store: `sqlite:PATH`, a file for one replica; `postgres://USER:PASSWORD@HOST/DATABASE`, for
    /// several; or `memory:`, which ends with the process.
    ///
    /// A URL with a password belongs into a file or the environment. By default a file of this
    /// configuration's own in the user's state folder, or in `$STATE_DIRECTORY`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
}

/// A store that cannot be known. The text completes "failed to …", and never has any of the URL.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be had.
    #[error("read the value of store.url")]
    Secret(#[source] SecretErrorKind),
    /// It names no store.
    #[error("use the value of store.url")]
    Url(#[source] StoreUrlError),
    /// It comes from elsewhere, and its path does not say from where it starts.
    #[error("use the value of store.url: a path that does not stand in the configuration itself is absolute")]
    Relative,
}

impl Store {
    /// The store that is meant; `None` where nothing is said of it. A URL that stands elsewhere is looked up:
    /// a variable with `env`, a file with `read`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn target(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &Fetch<'_>,
    ) -> Result<Option<StoreUrl>, StoreError> {
        let Some(url) = &self.url else { return Ok(None) };
        let text = url.resolve(env, read).map_err(StoreError::Secret)?;
        let target = StoreUrl::parse(text.expose()).map_err(StoreError::Url)?;
        match &target {
            StoreUrl::Sqlite(path) if url.is_reference() && path.is_relative() => Err(StoreError::Relative),
            _ => Ok(Some(target)),
        }
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        let Some(url) = &mut self.url else { return };
        url.anchor(folder);
        if let Some(Ok(StoreUrl::Sqlite(path))) = url.written_out().map(StoreUrl::parse)
            && let Some(anchored) = folder.join(path).to_str()
        {
            *url = Secret::plain(format!("sqlite:{anchored}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::value::SecretPlace;

    fn target(url: Secret) -> Result<StoreUrl, String> {
        let env = |name: &str| match name {
            "PG" => Some("postgres://u:hunter2@db/x".to_owned()),
            "HERE" => Some("sqlite:here.db".to_owned()),
            "ODD" => Some("mysql://u:hunter2@db".to_owned()),
            _ => None,
        };
        let read = |_: SecretPlace<'_>| Ok(b"sqlite:/var/lib/t.db\n".to_vec());
        let store = Store { url: Some(url) };
        store.target(&env, &read).map(|target| target.expect("a URL")).map_err(|e| {
            let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}"));
            format!("{e}{}", cause.unwrap_or_default())
        })
    }

    #[test]
    fn a_store_is_found_where_its_url_is() {
        let none = Store::default().target(&|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        assert_eq!(none.expect("nothing is said"), None);
        assert_eq!(target(Secret::plain("memory:")), Ok(StoreUrl::Memory));
        assert_eq!(target(Secret::plain("sqlite:t.db")), Ok(StoreUrl::Sqlite(PathBuf::from("t.db"))));
        let file = target(Secret::file("/url"));
        assert_eq!(file, Ok(StoreUrl::Sqlite(PathBuf::from("/var/lib/t.db"))));
        match target(Secret::env("PG")) {
            Ok(StoreUrl::Postgres(url)) => assert_eq!(url.expose(), "postgres://u:hunter2@db/x"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_store_that_cannot_be_known_says_why_and_not_what_stood_there() {
        for (url, said) in [
            (Secret::env("NOPE"), "read the value of store.url: the environment variable NOPE is not set"),
            (Secret::env("ODD"), "use the value of store.url: expected \"sqlite:PATH\", \"postgres://…\" or"),
            (Secret::env("HERE"), "use the value of store.url: a path that does not stand in"),
        ] {
            let found = target(url).expect_err(said);
            assert!(found.starts_with(said) && !found.contains("hunter2"), "{found}");
        }
    }
}
