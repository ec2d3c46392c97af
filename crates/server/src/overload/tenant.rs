//! Who has a share of the gateway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One that shares the gateway with others: the tenant of whoever signed on, else the endpoint.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub name: Arc<str>,
    pub(super) running: AtomicUsize,
    pub(super) waiting: AtomicUsize,
}

impl Tenant {
    pub(super) fn waits(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

/// The tenants that are known. One that nobody knows of any more is forgotten.
#[derive(Debug, Default)]
pub(super) struct Tenants(Mutex<HashMap<Arc<str>, Weak<Tenant>>>);

impl Tenants {
    /// The tenant of this name: the same one as long as anybody has it, so that its count goes on.
    pub fn of(&self, name: &str) -> Arc<Tenant> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = known.get(name).and_then(Weak::upgrade) {
            return tenant;
        }
        known.retain(|_, tenant| tenant.strong_count() > 0);
        let name: Arc<str> = Arc::from(name);
        let tenant = Arc::new(Tenant { name: Arc::clone(&name), running: 0.into(), waiting: 0.into() });
        known.insert(name, Arc::downgrade(&tenant));
        tenant
    }
}
