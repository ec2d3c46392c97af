//! What a URL says, and the limits of everything that waits.

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

/// The schema where the URL names none.
const SCHEMA: &str = "tidegate";

/// The longest name of a schema; PostgreSQL cuts names after 63 bytes, and others are made from this one.
const SCHEMA_BYTES_MAX: usize = 48;

/// Limits of a store. [`Settings::default`] fits a gateway with a database nearby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Connections that are open at the same time, besides the one that waits for wake-ups.
    pub connections_max: u32,
    /// Those who may wait for a connection; more are refused as busy at once.
    pub waiting_max: usize,
    /// How long one waits for a connection, including the time to open one. A database that restarts
    /// meanwhile is not noticed.
    pub acquire: Duration,
    /// How long a statement may run; the server ends it then.
    pub statement: Duration,
    /// How long a statement may wait for a lock that another transaction holds.
    pub lock: Duration,
    /// How long a transaction may do nothing; the server cuts its connection then.
    pub idle_in_transaction: Duration,
    /// How long a connection may be unused.
    pub idle: Duration,
    /// How old a connection may become.
    pub lifetime: Duration,
    /// How long to wait before the connection for wake-ups is opened again.
    pub listen_again: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 10,
            waiting_max: 1000,
            acquire: Duration::from_secs(5),
            statement: Duration::from_secs(10),
            lock: Duration::from_secs(5),
            idle_in_transaction: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            lifetime: Duration::from_secs(1800),
            listen_again: Duration::from_millis(500),
        }
    }
}

impl Settings {
    /// How long this side waits for an answer. The server ends what it can before that.
    pub(crate) fn answer(&self) -> Duration {
        self.statement.max(self.lock).saturating_add(Duration::from_secs(2))
    }
}

/// Why a URL is of no use. It never repeats a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL of a PostgreSQL database.
    #[error("read the URL of the PostgreSQL database: {0}")]
    Url(String),
    /// The schema's name would have to be quoted, or is too long.
    #[error("take {0:?} as a schema: at most 48 of a-z, 0-9 and _, not starting with a digit or pg_")]
    Schema(String),
}

/// Where the database is, and which schema in it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) connect: PgConnectOptions,
    pub(crate) schema: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Target {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=…`, with libpq's parameters for TLS.
    pub(crate) fn parse(url: &str, settings: &Settings) -> Result<Self, UrlError> {
        let (url, schema) = split_schema(url);
        let schema = schema.unwrap_or(SCHEMA);
        if !is_plain(schema) {
            return Err(UrlError::Schema(schema.to_owned()));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError::Url("it does not begin with postgres://".to_owned()));
        }
        let connect = PgConnectOptions::from_str(&url).map_err(|error| UrlError::Url(error.to_string()))?;
        let milliseconds = |span: Duration| span.as_millis().to_string();
        let connect = connect
            .application_name(&format!("tidegate {schema}"))
            .options([
                ("search_path", schema.to_owned()),
                ("default_transaction_isolation", "read committed".to_owned()),
                // A commit that was answered outlives a crash, whatever the server's own setting is.
                ("synchronous_commit", "on".to_owned()),
                ("statement_timeout", milliseconds(settings.statement)),
                ("lock_timeout", milliseconds(settings.lock)),
                ("idle_in_transaction_session_timeout", milliseconds(settings.idle_in_transaction)),
            ])
            .disable_statement_logging();
        Ok(Self { connect, schema: schema.to_owned() })
    }
}

/// Takes the parameter `schema` out of a URL, as it is nobody else's.
fn split_schema(url: &str) -> (String, Option<&str>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut schema = None;
    let mut rest: Vec<&str> = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix("schema=") {
            Some(name) => schema = Some(name),
            None => rest.push(pair),
        }
    }
    let joined = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    (joined, schema)
}

/// A name that means the same with and without quotes.
fn is_plain(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    first && rest && name.len() <= SCHEMA_BYTES_MAX && !name.starts_with("pg_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, UrlError> {
        Target::parse(url, &Settings::default())
    }

    #[test]
    fn the_schema_is_taken_out_of_the_url() {
        let target = parse("postgres://u:p@h:1/d?sslmode=disable&schema=a_1").expect("a URL");
        assert_eq!(target.schema, "a_1");
        assert!(target.connect.get_options().expect("options").contains("search_path=a_1"));
        assert_eq!(parse("postgresql://h/d").expect("a URL").schema, "tidegate");
    }

    #[test]
    fn a_schema_that_needs_quotes_is_refused() {
        let long = "a".repeat(49);
        for name in ["", "A", "1a", "a-b", "a\"b", "a b", "pg_x", "a;b", "ä", &long] {
            let refused = parse(&format!("postgres://h/d?schema={name}")).expect_err(name);
            assert_eq!(refused, UrlError::Schema(name.to_owned()));
        }
    }

    #[test]
    fn what_is_no_url_of_postgresql_is_refused_without_its_password() {
        for url in ["", "mysql://u:secret@h/d", "postgres://u:secret@h:port/d", "postgres://u:secret@[::1/d"]
        {
            let refused = parse(url).expect_err(url);
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_target_does_not_show_its_password() {
        let target = parse("postgres://u:secret@h/d").expect("a URL");
        assert!(!format!("{target:?}").contains("secret"));
    }
}
