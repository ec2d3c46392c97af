//! Where the tests find PostgreSQL, and how they leave it as it was.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What a test does without a PostgreSQL: it says so, and the caller returns.
fn environment(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        eprintln!(
            "skipped: {name} is not set; `cargo xtask postgres` starts a PostgreSQL and says what to set"
        );
    }
    value
}

/// A schema of one test's own; it is dropped with its last handle by [`Schema::drop_it`].
#[derive(Debug)]
pub struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// A name that no other test uses at the same time, in the server that all share.
    pub async fn new() -> Option<Self> {
        Some(Self::on(environment("TIDEGATE_TEST_POSTGRES")?).await)
    }

    pub async fn on(server: String) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = Self { server, name: format!("test_{}_{number}", std::process::id()) };
        // A test that failed earlier may have left one of the same name.
        schema.drop_it().await;
        schema
    }

    pub fn url(&self) -> String {
        format!("{}?schema={}", self.server, self.name)
    }

    /// A connection beside the store's, which may do everything.
    pub async fn connection(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.server).await.expect("the server is there");
        let path = format!("SET search_path = {}", self.name);
        connection.execute(AssertSqlSafe(path)).await.expect("a plain name");
        connection
    }

    /// Cuts every connection of stores on this schema.
    pub async fn cut_connections(&self) -> i64 {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE pid <> pg_backend_pid() AND application_name = $1";
        let mut connection = self.connection().await;
        let name = format!("tidegate {}", self.name);
        sqlx::query_scalar(cut).bind(name).fetch_one(&mut connection).await.expect("a superuser")
    }

    pub async fn drop_it(&self) {
        let mut connection = PgConnection::connect(&self.server).await.expect("the server is there");
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        connection.execute(AssertSqlSafe(drop)).await.expect("a superuser");
    }
}

/// A server that one test may stop.
#[derive(Debug)]
pub struct OwnServer {
    stream: BufReader<TcpStream>,
    pub url: String,
}

impl OwnServer {
    pub fn start() -> Option<Self> {
        let control = environment("TIDEGATE_TEST_POSTGRES_CONTROL")?;
        #[expect(clippy::disallowed_methods, reason = "the test's own way to its server")]
        let stream = TcpStream::connect(control).expect("the control is there");
        let mut server = Self { stream: BufReader::new(stream), url: String::new() };
        server.url = server.line();
        assert!(server.url.starts_with("postgres://"), "{}", server.url);
        Some(server)
    }

    /// `stop`, `kill` or `start`.
    pub fn tell(&mut self, word: &str) {
        writeln!(self.stream.get_mut(), "{word}").expect("the control listens");
        assert_eq!(self.line(), "ok", "{word}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the control answers");
        line.trim().to_owned()
    }
}
