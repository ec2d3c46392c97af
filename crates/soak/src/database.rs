//! The database of all replicas, which can be stopped and started.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;
use crate::random::Random;

/// How long it may take to stop or to start.
const PATIENCE: Duration = Duration::from_secs(40);

/// A server that lasts as long as this value.
#[derive(Debug)]
pub struct Database {
    stream: BufReader<TcpStream>,
    pub url: String,
}

impl Database {
    /// Asks for a server of this run's own.
    pub async fn start(control: &str) -> Result<Self> {
        let stream = TcpStream::connect(control).await.map_err(|e| format!("the database's control: {e}"))?;
        let mut database = Self { stream: BufReader::new(stream), url: String::new() };
        database.url = database.line().await?;
        let good = database.url.starts_with("postgres://");
        if good { Ok(database) } else { Err(format!("the database's control: {}", database.url)) }
    }

    /// Ends it, in a hurry or in order, and starts it again after a while.
    pub async fn restart(&mut self, random: &mut Random) -> Result<()> {
        let word = random.weighed(&[(1, "kill"), (1, "stop")]).unwrap_or("kill");
        self.tell(word).await?;
        tokio::time::sleep(Duration::from_millis(random.between(0, 3_000))).await;
        self.tell("start").await
    }

    async fn tell(&mut self, word: &str) -> Result<()> {
        let told = self.stream.get_mut().write_all(format!("{word}\n").as_bytes()).await;
        told.map_err(|e| format!("the database's control: {e}"))?;
        match self.line().await?.as_str() {
            "ok" => Ok(()),
            other => Err(format!("the database does not {word}: {other}")),
        }
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        let read = read.map_err(|_| "the database's control is silent".to_owned())?;
        read.map_err(|e| format!("the database's control: {e}"))?;
        Ok(line.trim().to_owned())
    }
}
