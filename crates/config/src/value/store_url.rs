//! Names of stores.

use std::path::PathBuf;

use super::SecretText;

/// Which store is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`: nothing outlives the process.
    Memory,
    /// `sqlite:PATH`: this file.
    Sqlite(PathBuf),
    /// `postgres://…`: this database; the URL may have a password in it.
    Postgres(SecretText),
}

/// Why a text names no store. Never contains any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// It begins with no known word.
    #[error("expected \"sqlite:PATH\", \"postgres://…\" or \"memory:\"")]
    Kind,
    /// Something follows `memory:`.
    #[error("nothing follows \"memory:\"")]
    Memory,
    /// There is no path after `sqlite:`.
    #[error("expected the path of a file after \"sqlite:\"")]
    NoPath,
    /// The path after `sqlite:` is a URL's, or has parameters.
    #[error("what follows \"sqlite:\" is a path as it is, without \"//\" and without parameters")]
    NotPlain,
    /// There is nothing after `postgres://`, or what cannot be in a URL.
    #[error("expected a URL such as postgres://USER:PASSWORD@HOST/DATABASE")]
    NoServer,
}

impl StoreUrl {
    /// Reads the name of a store.
    ///
    /// # Errors
    /// [`StoreUrlError`]
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        if let Some(rest) = text.strip_prefix("memory:") {
            return if rest.is_empty() { Ok(Self::Memory) } else { Err(StoreUrlError::Memory) };
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return match path {
                "" => Err(StoreUrlError::NoPath),
                ":memory:" => Err(StoreUrlError::NotPlain),
                path if path.starts_with("//") || path.contains(['?', '\0']) => Err(StoreUrlError::NotPlain),
                path => Ok(Self::Sqlite(PathBuf::from(path))),
            };
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        match rest {
            None => Err(StoreUrlError::Kind),
            Some(rest) if rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Err(StoreUrlError::NoServer)
            }
            Some(_) => Ok(Self::Postgres(SecretText::new(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_of_store_are_read() {
        assert_eq!(StoreUrl::parse("memory:"), Ok(StoreUrl::Memory));
        for path in ["t.db", "/var/lib/tidegate/t.db", "./a b/t.db", "C:\\t.db"] {
            assert_eq!(StoreUrl::parse(&format!("sqlite:{path}")), Ok(StoreUrl::Sqlite(path.into())));
        }
        for url in ["postgres://u:p@h:5432/d?sslmode=require", "postgresql://h/d", "postgres:///d?host=/run"]
        {
            assert_eq!(StoreUrl::parse(url), Ok(StoreUrl::Postgres(SecretText::new(url))), "{url}");
        }
    }

    #[test]
    fn anything_else_is_no_store() {
        for (text, error) in [
            ("", StoreUrlError::Kind),
            ("t.db", StoreUrlError::Kind),
            ("mysql://h/d", StoreUrlError::Kind),
            ("Memory:", StoreUrlError::Kind),
            ("memory:x", StoreUrlError::Memory),
            ("sqlite:", StoreUrlError::NoPath),
            ("sqlite::memory:", StoreUrlError::NotPlain),
            ("sqlite:///t.db", StoreUrlError::NotPlain),
            ("sqlite:t.db?mode=rwc", StoreUrlError::NotPlain),
            ("postgres://", StoreUrlError::NoServer),
            ("postgres://h/a b", StoreUrlError::NoServer),
        ] {
            assert_eq!(StoreUrl::parse(text), Err(error), "{text}");
        }
    }
}
