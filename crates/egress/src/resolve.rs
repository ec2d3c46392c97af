//! From names to addresses.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

/// How many different names the system's resolver is asked for at once.
const LOOKUPS_MAX: usize = 128;

/// Finds the addresses of a name.
///
/// It is asked once for each new connection, and the connection goes to one of the addresses that it gave:
/// there is no second question whose answer could differ from the one that was checked. IP literals never get
/// here.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, best first. Only the first [`ADDRESSES_MAX`] are used.
    ///
    /// # Errors
    /// When the name has no address or the resolver cannot tell.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// How many addresses of one name are looked at.
pub const ADDRESSES_MAX: usize = 16;

type Answer = Result<Arc<[IpAddr]>, Arc<io::Error>>;
type Pending = Shared<oneshot::Receiver<Answer>>;

/// The operating system's resolver.
///
/// It blocks a thread for each lookup, so one name is looked up once at a time, however many connections wait
/// for it: a name whose server does not answer then holds one thread, and not all of them. Nothing is cached.
#[derive(Debug, Default)]
pub struct SystemResolver {
    running: Arc<Mutex<HashMap<Box<str>, Pending>>>,
}

impl SystemResolver {
    /// Joins the lookup of `host` that is under way, or starts one.
    fn lookup(&self, host: &str) -> io::Result<Pending> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = running.get(host) {
            return Ok(pending.clone());
        }
        if running.len() >= LOOKUPS_MAX {
            return Err(io::Error::other(format!("already looking up {LOOKUPS_MAX} names")));
        }
        let (answer, pending) = oneshot::channel();
        let pending = pending.shared();
        running.insert(host.into(), pending.clone());
        let finished = Finished { running: self.running.clone(), host: host.into() };
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((&*finished.host, 0)).await;
            let found =
                found.map(|list| list.map(|a| a.ip()).take(ADDRESSES_MAX).collect()).map_err(Arc::new);
            drop(finished);
            // Nobody may be waiting any more.
            let _ = answer.send(found);
        });
        Ok(pending)
    }
}

/// Takes a lookup off the list, also when its task is dropped with the runtime.
struct Finished {
    running: Arc<Mutex<HashMap<Box<str>, Pending>>>,
    host: Box<str>,
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.host);
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            match self.lookup(host)?.await {
                Ok(Ok(addresses)) => Ok(addresses.to_vec()),
                Ok(Err(error)) => Err(io::Error::new(error.kind(), error)),
                Err(_gone) => Err(io::Error::other("the lookup was dropped")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_found_and_the_lookup_is_taken_off_the_list() {
        let resolver = SystemResolver::default();
        let addresses = resolver.resolve("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty(), "{addresses:?}");
        assert!(resolver.running.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_however_many_wait() {
        let resolver = SystemResolver::default();
        let first = resolver.lookup("localhost").unwrap();
        let second = resolver.lookup("localhost").unwrap();
        assert!(first.ptr_eq(&second));
        assert_eq!(first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn more_names_than_the_limit_are_refused_by_name() {
        let resolver = SystemResolver::default();
        let (_never, pending) = oneshot::channel();
        let pending = pending.shared();
        let many = (0..LOOKUPS_MAX).map(|i| (format!("host-{i}").into(), pending.clone()));
        resolver.running.lock().unwrap().extend(many);
        let error = resolver.resolve("localhost").await.unwrap_err();
        assert_eq!(error.to_string(), "already looking up 128 names");
    }
}
