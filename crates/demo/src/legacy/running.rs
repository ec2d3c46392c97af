//! The requests that are being worked on, so that they can be cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

/// How many requests one client may have open.
const OPEN_MAX: usize = 1_024;

/// The open requests of one client.
#[derive(Debug, Default)]
pub(crate) struct Running {
    open: Mutex<HashMap<String, watch::Sender<bool>>>,
}

/// Why a request cannot start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    SameId,
    TooMany,
}

impl Running {
    /// Opens the request of this id, until the ticket is dropped.
    pub fn start(self: &Arc<Self>, id: &Value) -> Result<Ticket, Busy> {
        let mut open = self.open();
        let key = id.to_string();
        if open.contains_key(&key) {
            return Err(Busy::SameId);
        }
        if open.len() >= OPEN_MAX {
            return Err(Busy::TooMany);
        }
        let (sender, receiver) = watch::channel(false);
        open.insert(key.clone(), sender);
        Ok(Ticket { running: Arc::clone(self), key, cancelled: receiver })
    }

    /// Cancels the request of this id, if it is open.
    pub fn cancel(&self, id: &Value) {
        if let Some(sender) = self.open().get(&id.to_string()) {
            sender.send_replace(true);
        }
    }

    pub fn cancel_all(&self) {
        for sender in self.open().values() {
            sender.send_replace(true);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open request.
#[derive(Debug)]
pub(crate) struct Ticket {
    running: Arc<Running>,
    key: String,
    cancelled: watch::Receiver<bool>,
}

impl Ticket {
    /// Runs it. `None`: it was cancelled.
    pub async fn run<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            // The sender goes away with this ticket, no sooner.
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => None,
            done = work => Some(done),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.running.open().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn an_id_is_free_again_once_its_request_ended() {
        let running = Arc::new(Running::default());
        let ticket = running.start(&json!(1)).unwrap();
        assert_eq!(running.start(&json!(1)).unwrap_err(), Busy::SameId);
        assert!(running.start(&json!("1")).is_ok(), "a string is another id than a number");
        assert_eq!(ticket.run(async { 5 }).await, Some(5));
        assert!(running.start(&json!(1)).is_ok());
    }

    #[tokio::test]
    async fn a_cancelled_request_ends_without_a_result() {
        let running = Arc::new(Running::default());
        let ticket = running.start(&json!(1)).unwrap();
        running.cancel(&json!(2));
        running.cancel(&json!(1));
        assert_eq!(ticket.run(std::future::pending::<()>()).await, None);
    }

    #[test]
    fn there_is_a_limit_to_open_requests() {
        let running = Arc::new(Running::default());
        let tickets: Vec<_> = (0..OPEN_MAX).map(|n| running.start(&json!(n)).unwrap()).collect();
        assert_eq!(running.start(&json!("more")).unwrap_err(), Busy::TooMany);
        drop(tickets);
        assert!(running.start(&json!("more")).is_ok());
    }
}
