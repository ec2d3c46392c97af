//! Several addresses of one server: the one with the least to do, and none that keeps failing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;

use super::condition::{Condition, Gauge, HealthOptions};

/// When an address is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectOptions {
    /// After so many failures in a row.
    pub after: u32,
    /// For so long, the first time; each time that long again.
    pub time: Duration,
    /// But never longer.
    pub time_max: Duration,
    /// So many of a hundred addresses at most at the same time.
    pub percent_max: usize,
}

/// An address as it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressHealth {
    /// Which.
    pub url: Uri,
    /// Requests that wait for its answers.
    pub pending: usize,
    /// Whether it is left alone after failures.
    pub ejected: bool,
    /// What checks say of it. One that is down is left alone as well.
    pub condition: Condition,
}

#[derive(Debug)]
struct Address {
    url: Uri,
    pending: usize,
    failures: u32,
    ejections: u32,
    until: Option<Instant>,
    gauge: Gauge,
}

impl Address {
    fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The lower, the sooner it is asked. What a check has found is surer than failures of a while ago.
    fn rank(&self, now: Instant) -> u8 {
        match self.gauge.condition() {
            Condition::Down => 2,
            Condition::Up | Condition::Unknown => u8::from(self.is_ejected(now)),
        }
    }
}

/// The addresses of one server.
#[derive(Debug)]
pub(crate) struct Balance {
    options: EjectOptions,
    addresses: Mutex<(Vec<Address>, usize)>,
}

/// A request on its way to an address.
#[derive(Debug)]
pub(crate) struct Sending {
    balance: Arc<Balance>,
    index: usize,
}

impl Balance {
    pub fn new(urls: impl IntoIterator<Item = Uri>, options: EjectOptions) -> Self {
        let address = |url| Address {
            url,
            pending: 0,
            failures: 0,
            ejections: 0,
            until: None,
            gauge: Gauge::default(),
        };
        Self { options, addresses: Mutex::new((urls.into_iter().map(address).collect(), 0)) }
    }

    fn addresses(&self) -> MutexGuard<'_, (Vec<Address>, usize)> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address for the next request. Where all are left alone, any: somebody has to try.
    pub fn pick(self: &Arc<Self>, now: Instant) -> Option<(Uri, Sending)> {
        let mut held = self.addresses();
        let (all, turn) = &mut *held;
        let count = all.len();
        let turns = (0..count).map(|n| (*turn + n) % count);
        let least = turns.min_by_key(|index| (all[*index].rank(now), all[*index].pending))?;
        // Of several with as little to do another one is the first next time.
        *turn = (least + 1) % count;
        all[least].pending += 1;
        Some((all[least].url.clone(), Sending { balance: Arc::clone(self), index: least }))
    }

    /// How they are doing.
    pub fn health(&self, now: Instant) -> Vec<AddressHealth> {
        let held = self.addresses();
        let of = |a: &Address| AddressHealth {
            url: a.url.clone(),
            pending: a.pending,
            ejected: a.is_ejected(now),
            condition: a.gauge.condition(),
        };
        held.0.iter().map(of).collect()
    }

    /// All of them, in their order.
    pub fn urls(&self) -> Vec<Uri> {
        self.addresses().0.iter().map(|address| address.url.clone()).collect()
    }

    /// What checks say of the server: one address that is up is enough, and it is down where all are.
    pub fn condition(&self) -> Condition {
        let held = self.addresses();
        let mut all = held.0.iter().map(|address| address.gauge.condition());
        if held.0.iter().any(|address| address.gauge.condition() == Condition::Up) {
            return Condition::Up;
        }
        if all.all(|condition| condition == Condition::Down) { Condition::Down } else { Condition::Unknown }
    }

    /// Takes note of a check of the address of this number.
    pub fn checked(&self, index: usize, well: bool, options: &HealthOptions) -> Option<Condition> {
        self.addresses().0.get_mut(index)?.gauge.learn(well, options)
    }
}

impl Sending {
    /// An answer begins, or none comes. Whether the address is left alone from now on.
    pub fn answered(&self, failed: bool, now: Instant) -> bool {
        let options = self.balance.options;
        let mut held = self.balance.addresses();
        let all = &mut held.0;
        let ejected = all.iter().filter(|address| address.is_ejected(now)).count();
        let room = (ejected + 1) * 100 <= options.percent_max * all.len();
        let Some(address) = all.get_mut(self.index) else { return false };
        if !failed {
            address.failures = 0;
            // One that does well for long enough is as good as new, step by step.
            address.ejections = address.ejections.saturating_sub(u32::from(address.until.is_some()));
            address.until = None;
            return false;
        }
        address.failures = address.failures.saturating_add(1);
        if address.failures < options.after || address.is_ejected(now) || !room {
            return false;
        }
        address.failures = 0;
        address.ejections = address.ejections.saturating_add(1);
        address.until = Some(now + options.time.saturating_mul(address.ejections).min(options.time_max));
        true
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut held = self.balance.addresses();
        if let Some(address) = held.0.get_mut(self.index) {
            address.pending = address.pending.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: EjectOptions = EjectOptions {
        after: 2,
        time: Duration::from_secs(10),
        time_max: Duration::from_secs(25),
        percent_max: 50,
    };

    fn of(hosts: &[&'static str]) -> Arc<Balance> {
        Arc::new(Balance::new(hosts.iter().map(|host| Uri::from_static(host)), OPTIONS))
    }

    fn send(balance: &Arc<Balance>, failing: &str, now: Instant) -> String {
        let (url, sending) = balance.pick(now).expect("an address");
        sending.answered(url.host() == Some(failing), now);
        url.host().expect("a host").to_owned()
    }

    #[test]
    fn the_address_with_the_least_to_do_gets_the_next_request() {
        let (balance, now) = (of(&["http://a", "http://b"]), Instant::now());
        let first = balance.pick(now).expect("one");
        let second = balance.pick(now).expect("one");
        assert_ne!(first.0, second.0);
        drop(first.1);
        assert_eq!(balance.pick(now).expect("one").0, first.0);
        drop(second);
        let mut hosts: Vec<_> = (0..4).map(|_| send(&balance, "none", now)).collect();
        hosts.sort();
        assert_eq!(hosts, ["a", "a", "b", "b"], "they take turns");
    }

    #[test]
    fn an_address_that_keeps_failing_is_left_alone_each_time_for_longer() {
        let (balance, mut now) = (of(&["http://a", "http://b"]), Instant::now());
        for seconds in [10, 20, 25] {
            while !balance.health(now)[0].ejected {
                send(&balance, "a", now);
            }
            let last = now + Duration::from_secs(seconds) - Duration::from_millis(1);
            for _ in 0..6 {
                assert_eq!(send(&balance, "a", last), "b", "{seconds}");
            }
            now += Duration::from_secs(seconds);
            assert!(!balance.health(now)[0].ejected, "{seconds}");
        }
    }

    #[test]
    fn an_address_that_is_down_gets_nothing_until_it_is_up_and_where_all_are_somebody_is_asked() {
        let (balance, now) = (of(&["http://a", "http://b"]), Instant::now());
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(1));
        let options = HealthOptions { interval, timeout, path: None, down_after: 1, up_after: 1 };
        assert_eq!(balance.checked(0, false, &options), Some(Condition::Down));
        let hosts: Vec<_> = (0..4).map(|_| send(&balance, "none", now)).collect();
        assert_eq!(hosts, ["b"; 4]);
        assert_eq!(balance.condition(), Condition::Unknown);
        balance.checked(1, false, &options);
        assert_eq!(balance.condition(), Condition::Down);
        assert!(balance.pick(now).is_some());
        // One that was left alone after failures is a better choice than one that is down.
        assert_eq!(balance.checked(0, true, &options), Some(Condition::Up));
        (0..2).for_each(|_| drop(send(&balance, "a", now)));
        assert!(balance.health(now)[0].ejected);
        assert_eq!(send(&balance, "none", now), "a");
        assert_eq!(balance.condition(), Condition::Up);
    }

    #[test]
    fn never_more_than_a_share_of_the_addresses_is_left_alone() {
        let (balance, now) = (of(&["http://a", "http://b", "http://c"]), Instant::now());
        for _ in 0..60 {
            let (_, sending) = balance.pick(now).expect("one");
            sending.answered(true, now);
        }
        assert_eq!(balance.health(now).iter().filter(|address| address.ejected).count(), 1);
        let one = of(&["http://a"]);
        (0..9).for_each(|_| drop(send(&one, "a", now)));
        assert!(!one.health(now)[0].ejected, "there is no other");
    }
}
