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

    /// Lets it take no further connection for 5 to 15 seconds: those that are there are served on.
    pub async fn freeze(&mut self, random: &mut Random) -> Result<()> {
        self.tell("freeze").await?;
        tokio::time::sleep(Duration::from_millis(random.between(5_000, 15_000))).await;
        self.tell("thaw").await
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_order_is_done_or_says_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let control = tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            stream.write_all(b"postgres://here\n").await.unwrap();
            let mut words = Vec::new();
            for answer in ["ok\n", "error: it has ended\n"] {
                let mut word = String::new();
                stream.read_line(&mut word).await.unwrap();
                words.push(word);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            words
        });
        let mut database = Database::start(&address).await.unwrap();
        assert_eq!(database.url, "postgres://here");
        assert_eq!(database.tell("freeze").await, Ok(()));
        let said = database.tell("thaw").await;
        assert_eq!(said, Err("the database does not thaw: error: it has ended".to_owned()));
        assert_eq!(control.await.unwrap(), ["freeze\n", "thaw\n"]);
    }
}
