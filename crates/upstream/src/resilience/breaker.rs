//! A circuit breaker: a server that fails too often is left alone for a while, then tried by a few.

use std::time::Duration;

use tokio::time::Instant;

/// The parts that the window is made of: what is older leaves it by one of them.
const PARTS: usize = 10;

/// When it opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// It opens where so many of a hundred calls failed.
    pub failures_percent: u32,
    /// But not before there were so many calls.
    pub calls_min: u64,
    /// Over how long calls are counted.
    pub window: Duration,
    /// How long it is open.
    pub open: Duration,
    /// How many calls try then whether the server is well again; so many have to succeed.
    pub probes: u64,
}

/// What the breaker lets happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// All calls go to the server.
    Closed,
    /// None does.
    Open,
    /// A few do, to see.
    HalfOpen,
}

impl Circuit {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How calls of a part of the window ended.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    number: u128,
    calls: u64,
    failures: u64,
}

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { running: u64, succeeded: u64 },
}

/// The breaker of one server.
#[derive(Debug)]
pub(crate) struct Breaker {
    options: BreakerOptions,
    began: Instant,
    parts: [Part; PARTS],
    state: State,
    /// How often it was opened. A call of before says nothing of the server after.
    turns: u64,
}

/// A call that the breaker let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    turn: u64,
    probe: bool,
}

/// How a call ended, as far as it says something of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
    /// Nobody waited for its end, or it had nothing to do with the server.
    Unknown,
}

impl Breaker {
    pub fn new(options: BreakerOptions, now: Instant) -> Self {
        Self { options, began: now, parts: [Part::default(); PARTS], state: State::Closed, turns: 0 }
    }

    /// Lets a call through, or says how long to wait.
    pub fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(until - now);
            }
            self.state = State::HalfOpen { running: 0, succeeded: 0 };
        }
        match &mut self.state {
            State::HalfOpen { running, succeeded } => {
                if *running + *succeeded >= self.options.probes {
                    // The probes under way say soon how it goes on.
                    return Err(self.options.open);
                }
                *running += 1;
                Ok(Pass { turn: self.turns, probe: true })
            }
            State::Closed | State::Open { .. } => Ok(Pass { turn: self.turns, probe: false }),
        }
    }

    /// Takes note of how a call ended. Whether the breaker opened by it.
    pub fn ended(&mut self, pass: Pass, verdict: Verdict, now: Instant) -> bool {
        if pass.turn != self.turns {
            return false;
        }
        match &mut self.state {
            State::HalfOpen { running, succeeded } if pass.probe => {
                *running = running.saturating_sub(1);
                match verdict {
                    Verdict::Unknown => {}
                    Verdict::Failed => return self.open(now),
                    Verdict::Succeeded => *succeeded += 1,
                }
                if *succeeded >= self.options.probes {
                    self.state = State::Closed;
                    self.parts = [Part::default(); PARTS];
                }
                false
            }
            State::Closed => {
                if verdict == Verdict::Unknown {
                    return false;
                }
                let part = self.part(now);
                part.calls += 1;
                part.failures += u64::from(verdict == Verdict::Failed);
                verdict == Verdict::Failed && self.is_too_much(now) && self.open(now)
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// What it lets happen now.
    pub fn circuit(&self, now: Instant) -> Circuit {
        match self.state {
            State::Closed => Circuit::Closed,
            State::Open { until } if now < until => Circuit::Open,
            State::Open { .. } | State::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }

    fn open(&mut self, now: Instant) -> bool {
        self.turns += 1;
        self.state = State::Open { until: now + self.options.open };
        self.parts = [Part::default(); PARTS];
        true
    }

    fn number(&self, now: Instant) -> u128 {
        let part = (self.options.window.as_millis() / PARTS as u128).max(1);
        // From 1 on, so that a part that was never used is none of the window's.
        now.saturating_duration_since(self.began).as_millis() / part + 1
    }

    fn part(&mut self, now: Instant) -> &mut Part {
        let number = self.number(now);
        let part = &mut self.parts[(number % PARTS as u128) as usize];
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        part
    }

    fn is_too_much(&self, now: Instant) -> bool {
        let number = self.number(now);
        let recent = self.parts.iter().filter(|part| part.number + PARTS as u128 > number);
        let (calls, failures) =
            recent.fold((0_u64, 0_u64), |sum, part| (sum.0 + part.calls, sum.1 + part.failures));
        calls >= self.options.calls_min && failures * 100 >= calls * u64::from(self.options.failures_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BreakerOptions = BreakerOptions {
        failures_percent: 50,
        calls_min: 4,
        window: Duration::from_secs(10),
        open: Duration::from_secs(5),
        probes: 2,
    };

    struct World {
        breaker: Breaker,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let now = Instant::now();
            Self { breaker: Breaker::new(OPTIONS, now), now }
        }

        fn call(&mut self, verdict: Verdict) -> bool {
            let Ok(pass) = self.breaker.admit(self.now) else { return false };
            self.breaker.ended(pass, verdict, self.now);
            true
        }

        fn after(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn opened() -> Self {
            let mut world = Self::new();
            for _ in 0..4 {
                world.call(Verdict::Failed);
            }
            assert_eq!(world.breaker.circuit(world.now), Circuit::Open);
            world
        }
    }

    #[test]
    fn it_opens_where_too_many_of_enough_calls_failed() {
        let mut world = World::new();
        for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Failed, Verdict::Unknown] {
            assert!(world.call(verdict));
            assert_eq!(world.breaker.circuit(world.now), Circuit::Closed, "too few calls say nothing");
        }
        assert!(world.call(Verdict::Failed));
        assert!(!world.call(Verdict::Succeeded), "it is open");
        let mut world = World::new();
        for n in 0..40 {
            assert!(world.call(if n % 3 == 2 { Verdict::Failed } else { Verdict::Succeeded }), "{n}");
        }
    }

    #[test]
    fn what_is_longer_ago_than_the_window_does_not_count() {
        let mut world = World::new();
        for _ in 0..20 {
            assert!(world.call(Verdict::Failed));
            world.after(4);
        }
    }

    #[test]
    fn it_is_tried_by_a_few_and_closes_once_they_succeeded() {
        let mut world = World::opened();
        assert_eq!(world.breaker.admit(world.now), Err(Duration::from_secs(5)));
        world.after(5);
        let probes = [world.breaker.admit(world.now), world.breaker.admit(world.now)];
        assert!(world.breaker.admit(world.now).is_err(), "two at a time");
        for probe in probes {
            let probe = probe.expect("a probe");
            assert_eq!(world.breaker.circuit(world.now), Circuit::HalfOpen);
            world.breaker.ended(probe, Verdict::Succeeded, world.now);
        }
        assert_eq!(world.breaker.circuit(world.now), Circuit::Closed);
        assert!(world.call(Verdict::Failed), "what was before is forgotten");
        assert_eq!(world.breaker.circuit(world.now), Circuit::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_and_one_that_nobody_waited_for_is_no_probe() {
        let mut world = World::opened();
        world.after(5);
        assert!(world.call(Verdict::Unknown) && world.call(Verdict::Unknown) && world.call(Verdict::Unknown));
        assert!(world.call(Verdict::Failed));
        assert_eq!(world.breaker.admit(world.now), Err(Duration::from_secs(5)));
    }

    #[test]
    fn a_call_of_before_it_opened_says_nothing_after() {
        let mut world = World::new();
        let old = world.breaker.admit(world.now).expect("closed");
        for _ in 0..4 {
            world.call(Verdict::Failed);
        }
        world.after(5);
        assert!(!world.breaker.ended(old, Verdict::Failed, world.now));
        assert_eq!(world.breaker.circuit(world.now), Circuit::HalfOpen);
    }
}
