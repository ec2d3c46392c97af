//! How many calls run at a time, and in which order the others wait.
//!
//! A place is an atomic addition for the tenant and one for the whole, as long as there is one. Else the call
//! waits in its tenant's queue, and the queues take turns: a tenant that asks for much waits behind itself.
//! Where no more can wait, the longest queue loses its last call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::tenant::Tenants;
use super::{Reason, Shed, Tenant};

/// How many calls run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateLimits {
    /// Calls that run.
    pub calls_max: usize,
    /// Of them, those of one tenant.
    pub tenant_max: usize,
    /// Calls that wait.
    pub queue_max: usize,
    /// How long one waits.
    pub queue_time: Duration,
}

/// The places of one process.
pub(crate) struct Gate {
    calls_max: AtomicUsize,
    tenant_max: AtomicUsize,
    queue_max: AtomicUsize,
    queue_ms: AtomicU64,
    running: AtomicUsize,
    waiting: AtomicUsize,
    tenants: Tenants,
    /// The tenants that wait, the next one first.
    line: Mutex<VecDeque<Queue>>,
}

struct Queue {
    tenant: Arc<Tenant>,
    calls: VecDeque<oneshot::Sender<Result<Place, Shed>>>,
}

/// A place of a call that runs; dropping it gives it back.
pub(crate) struct Place {
    gate: Arc<Gate>,
    tenant: Arc<Tenant>,
    held: AtomicBool,
}

fn add_below(count: &AtomicUsize, max: usize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < max).then_some(n + 1)).is_ok()
}

impl Gate {
    pub fn new(limits: GateLimits) -> Arc<Self> {
        let gate = Self {
            calls_max: 0.into(),
            tenant_max: 0.into(),
            queue_max: 0.into(),
            queue_ms: 0.into(),
            running: 0.into(),
            waiting: 0.into(),
            tenants: Tenants::default(),
            line: Mutex::default(),
        };
        let gate = Arc::new(gate);
        gate.set(limits);
        gate
    }

    /// Goes on with other limits; calls that have a place keep it.
    pub fn set(self: &Arc<Self>, limits: GateLimits) {
        self.calls_max.store(limits.calls_max, Ordering::SeqCst);
        self.tenant_max.store(limits.tenant_max, Ordering::SeqCst);
        self.queue_max.store(limits.queue_max, Ordering::SeqCst);
        let ms = u64::try_from(limits.queue_time.as_millis()).unwrap_or(u64::MAX);
        self.queue_ms.store(ms, Ordering::SeqCst);
        self.grant();
    }

    /// The tenant of this name.
    pub fn tenant(&self, name: &str) -> Arc<Tenant> {
        self.tenants.of(name)
    }

    /// How many calls run.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, at once or once the turn has come.
    ///
    /// # Errors
    /// [`Shed`]: there is none, and none came free.
    pub async fn enter(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<Place, Shed> {
        // Who waits already does not overtake itself; that others wait does not hold this one up, as they
        // would run if they could.
        if !tenant.waits() && self.take(tenant) {
            return Ok(self.place(tenant));
        }
        let turn = self.queue(tenant)?;
        let wait = Duration::from_millis(self.queue_ms.load(Ordering::SeqCst));
        let given_up = GivenUp { gate: self, tenant };
        let granted = tokio::time::timeout(wait, turn).await;
        match granted {
            Ok(Ok(granted)) => {
                std::mem::forget(given_up);
                granted
            }
            // The queue lets go of a call only with a word to it.
            Ok(Err(_)) | Err(_) => Err(self.shed(tenant, Reason::QueueTime)),
        }
    }

    fn place(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Place {
        Place { gate: Arc::clone(self), tenant: Arc::clone(tenant), held: AtomicBool::new(true) }
    }

    fn take(self: &Arc<Self>, tenant: &Tenant) -> bool {
        if !add_below(&tenant.running, self.tenant_max.load(Ordering::SeqCst)) {
            return false;
        }
        if add_below(&self.running, self.calls_max.load(Ordering::SeqCst)) {
            return true;
        }
        tenant.running.fetch_sub(1, Ordering::SeqCst);
        false
    }

    fn give_back(self: &Arc<Self>, tenant: &Tenant) {
        tenant.running.fetch_sub(1, Ordering::SeqCst);
        self.running.fetch_sub(1, Ordering::SeqCst);
        // Who queues counts itself first and looks for places then: one of the two sees the other.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.grant();
        }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Queue>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, tenant: &Tenant, more: bool) {
        for count in [&self.waiting, &tenant.waiting] {
            if more {
                count.fetch_add(1, Ordering::SeqCst);
            } else {
                count.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn shed(&self, tenant: &Tenant, reason: Reason) -> Shed {
        let tenant_max = self.tenant_max.load(Ordering::SeqCst);
        let own = tenant.running.load(Ordering::SeqCst) >= tenant_max;
        let max = if own { tenant_max } else { self.calls_max.load(Ordering::SeqCst) };
        Shed { reason, tenant: own.then(|| tenant.name.to_string()), max }
    }

    /// Waits in line from now on; where the line is full, somebody of the longest queue leaves it.
    fn queue(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<oneshot::Receiver<Result<Place, Shed>>, Shed> {
        let (sender, turn) = oneshot::channel();
        let mut line = self.line();
        let own = line.iter().find(|queue| Arc::ptr_eq(&queue.tenant, tenant)).map_or(0, |q| q.calls.len());
        let mut left = None;
        if self.waiting.load(Ordering::SeqCst) >= self.queue_max.load(Ordering::SeqCst) {
            let longest = line.iter_mut().max_by_key(|queue| queue.calls.len());
            let Some(longest) = longest.filter(|queue| queue.calls.len() > own + 1) else {
                return Err(self.shed(tenant, Reason::QueueFull));
            };
            self.count(&longest.tenant, false);
            left = longest.calls.pop_back().map(|call| (call, Arc::clone(&longest.tenant)));
        }
        self.count(tenant, true);
        match line.iter_mut().find(|queue| Arc::ptr_eq(&queue.tenant, tenant)) {
            Some(queue) => queue.calls.push_back(sender),
            None => line.push_back(Queue { tenant: Arc::clone(tenant), calls: VecDeque::from([sender]) }),
        }
        drop(line);
        if let Some((call, whose)) = left {
            // One that has given up meanwhile hears nothing.
            let _ = call.send(Err(self.shed(&whose, Reason::QueueFull)));
        }
        self.grant();
        Ok(turn)
    }

    /// Gives places to those who wait, a tenant after the other, as long as there are some.
    fn grant(self: &Arc<Self>) {
        let mut back = Vec::new();
        let mut line = self.line();
        // How many tenants are still to be looked at without one that could run.
        let mut left = line.len();
        while left > 0 && self.running.load(Ordering::SeqCst) < self.calls_max.load(Ordering::SeqCst) {
            let Some(mut queue) = line.pop_front() else { break };
            if queue.calls.is_empty() {
                left -= 1;
                continue;
            }
            if self.take(&queue.tenant) {
                self.count(&queue.tenant, false);
                let place = self.place(&queue.tenant);
                // Who gave up in this moment does not take it.
                if let Some(Err(Ok(place))) = queue.calls.pop_front().map(|call| call.send(Ok(place))) {
                    back.push(place);
                }
                left = line.len() + 1;
            } else {
                left -= 1;
            }
            if !queue.calls.is_empty() {
                line.push_back(queue);
            }
        }
        drop(line);
        // What was not taken looks for the next one by itself.
        drop(back);
    }

    /// Takes those out of the line who no longer wait.
    fn forget(&self, tenant: &Arc<Tenant>) {
        let mut line = self.line();
        if let Some(queue) = line.iter_mut().find(|queue| Arc::ptr_eq(&queue.tenant, tenant)) {
            queue.calls.retain(|call| {
                let waits = !call.is_closed();
                if !waits {
                    self.count(tenant, false);
                }
                waits
            });
        }
        line.retain(|queue| !queue.calls.is_empty());
    }
}

/// A call that waits; dropping this takes it out of the line.
struct GivenUp<'a> {
    gate: &'a Gate,
    tenant: &'a Arc<Tenant>,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.gate.forget(self.tenant);
    }
}

impl Place {
    /// Gives the place back while the call waits for its own client.
    pub fn pause(&self) {
        if self.held.swap(false, Ordering::SeqCst) {
            self.gate.give_back(&self.tenant);
        }
    }

    /// Takes it again, also where that is one too many: what has begun is not to wait for what has not.
    pub fn resume(&self) {
        if !self.held.swap(true, Ordering::SeqCst) {
            self.tenant.running.fetch_add(1, Ordering::SeqCst);
            self.gate.running.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pause();
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
