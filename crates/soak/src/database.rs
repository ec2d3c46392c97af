//! The database that all replicas share, by way of who has started it.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;

/// How long an order may take: a server that was killed looks through its log when it starts.
const PATIENCE: Duration = Duration::from_secs(90);

/// The way to it: a word on a line, and a line in answer.
#[derive(Debug)]
pub struct Database(BufReader<TcpStream>);

impl Database {
    /// Finds who takes orders for it.
    pub async fn connect(address: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.map_err(|e| format!("the database at {address}: {e}"))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Ends it at once, as if it had crashed. Its data stay.
    pub async fn kill(&mut self) -> Result<()> {
        self.order("kill").await
    }

    /// Starts it again, and waits until it serves.
    pub async fn resume(&mut self) -> Result<()> {
        self.order("start").await
    }

    /// Lets it take no further connection. Those that are there are served on.
    pub async fn freeze(&mut self) -> Result<()> {
        self.order("freeze").await
    }

    /// Lets it go on.
    pub async fn thaw(&mut self) -> Result<()> {
        self.order("thaw").await
    }

    async fn order(&mut self, word: &str) -> Result<()> {
        let done = async {
            self.0.write_all(format!("{word}\n").as_bytes()).await?;
            let mut answer = String::new();
            self.0.read_line(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(PATIENCE, done).await.map_err(|_| format!("the database: {word}: silence"))?;
        match answer.map_err(|e| format!("the database: {word}: {e}"))?.trim() {
            "ok" => Ok(()),
            "" => Err(format!("the database: {word}: nobody takes orders any more")),
            said => Err(format!("the database: {word}: {said}")),
        }
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
        let served = tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            for answer in ["ok\n", "error: it has ended\n", ""] {
                let mut word = String::new();
                stream.read_line(&mut word).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut database = Database::connect(&address).await.unwrap();
        assert_eq!(database.kill().await, Ok(()));
        assert_eq!(database.resume().await, Err("the database: start: error: it has ended".to_owned()));
        assert!(database.freeze().await.unwrap_err().contains("nobody takes orders"));
        served.await.unwrap();
    }
}
