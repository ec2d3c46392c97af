//! What a process knows of the store, because it reads it again and again: there is no other way to hear of
//! what another replica, or the command line, has written.

use std::fmt::Display;
use std::time::Duration;

/// What is said of a reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// Once it no longer succeeds.
    pub lost: &'static str,
    /// Once it does again.
    pub again: &'static str,
}

/// Reads at once and then each time that this has passed, one read after the other, until it is dropped. A
/// loss is said once, however long it lasts.
pub(crate) async fn follow<E: Display, F>(every: Duration, words: Words, mut read: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>>,
{
    let mut ticks = tokio::time::interval(every);
    let mut failed = false;
    loop {
        ticks.tick().await;
        let result = read().await;
        match &result {
            Err(error) if !failed => tracing::warn!(%error, "{}", words.lost),
            Ok(()) if failed => tracing::info!("{}", words.again),
            _ => {}
        }
        failed = result.is_err();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, timeout};

    use super::*;

    const WORDS: Words = Words { lost: "it cannot be read", again: "it is read again" };

    #[tokio::test(start_paused = true)]
    async fn it_reads_at_once_and_again_and_again_whether_that_succeeds_or_not() {
        let (begun, times) = (Instant::now(), Mutex::new(Vec::new()));
        let read = || {
            let mut times = times.lock().expect("no panic");
            times.push(begun.elapsed().as_secs());
            let result = if times.len() % 2 == 0 { Err("no") } else { Ok(()) };
            async move { result }
        };
        let ended = timeout(Duration::from_secs(21), follow(Duration::from_secs(5), WORDS, read)).await;
        assert!(ended.is_err(), "it does not end by itself");
        assert_eq!(*times.lock().expect("no panic"), [0, 5, 10, 15, 20]);
    }
}
