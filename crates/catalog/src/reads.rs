//! Contents of resources, kept as long as the upstream says they may be (server/utilities/caching).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::Principal;
use protocol::Raw;
use tokio::time::Instant;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// At most, whatever the upstream says; zero keeps nothing.
    pub ttl_max: Duration,
    /// Answers of one upstream, in bytes.
    pub bytes_max: u64,
    /// A larger answer is not kept.
    pub entry_bytes_max: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    uri: Arc<str>,
    /// `None`: for everybody.
    principal: Option<Principal>,
}

#[derive(Clone)]
struct Kept {
    result: Raw,
    until: Instant,
    public: bool,
    epoch: u64,
}

/// The kept answers of one upstream.
pub(crate) struct Reads {
    kept: moka::sync::Cache<Key, Kept>,
    options: ReadOptions,
    epoch: AtomicU64,
}

impl Reads {
    pub fn new(options: ReadOptions) -> Self {
        let size = |key: &Key, kept: &Kept| {
            u32::try_from(key.uri.len() + kept.result.as_bytes().len() + 128).unwrap_or(u32::MAX)
        };
        let kept = moka::sync::Cache::builder()
            .max_capacity(options.bytes_max)
            .weigher(size)
            .time_to_live(options.ttl_max.max(Duration::from_millis(1)))
            .build();
        Self { kept, options, epoch: AtomicU64::new(0) }
    }

    /// What is kept for everybody, or for this principal, with the time that is left.
    pub fn get(&self, uri: &str, principal: &Principal) -> Option<Raw> {
        let (uri, now) = (Arc::<str>::from(uri), Instant::now());
        let epoch = self.epoch.load(Ordering::Acquire);
        let look = |principal| {
            let kept = self.kept.get(&Key { uri: Arc::clone(&uri), principal })?;
            (kept.epoch == epoch && now < kept.until).then_some(kept)
        };
        let kept = look(None).or_else(|| look(Some(principal.clone())))?;
        let left = kept.until.saturating_duration_since(now).as_millis();
        let left = Raw::parse(left.to_string().into()).ok()?;
        Some(kept.result.object().ok()??.edit().set("ttlMs", left).finish())
    }

    /// Keeps an answer as its hints say. `asked_at` is when the question left, and the epoch then.
    pub fn put(&self, uri: &str, principal: &Principal, result: &Raw, asked_at: (Instant, u64)) {
        let Ok(Some(object)) = result.object() else { return };
        let complete = object.get("resultType").is_none_or(|t| t.as_bytes() == b"\"complete\"");
        let ttl =
            object.get("ttlMs").and_then(|t| t.as_i64()).and_then(|t| u64::try_from(t).ok()).unwrap_or(0);
        let ttl = Duration::from_millis(ttl).min(self.options.ttl_max);
        if !complete || ttl.is_zero() || result.as_bytes().len() > self.options.entry_bytes_max {
            return;
        }
        let public = object.get("cacheScope").is_some_and(|s| s.as_bytes() == b"\"public\"");
        let (from, epoch) = asked_at;
        let kept = Kept { result: result.clone(), until: from + ttl, public, epoch };
        let principal = (!kept.public).then(|| principal.clone());
        self.kept.insert(Key { uri: Arc::from(uri), principal }, kept);
    }

    /// Drops everything.
    pub fn shrink(&self) {
        self.kept.invalidate_all();
        self.kept.run_pending_tasks();
    }

    /// The moment and epoch at which a question leaves.
    pub fn asking(&self) -> (Instant, u64) {
        (Instant::now(), self.epoch.load(Ordering::Acquire))
    }

    /// Ends everything that is kept: a change may concern a part of what was read.
    pub fn invalidate(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads() -> Reads {
        Reads::new(ReadOptions { ttl_max: Duration::from_secs(60), bytes_max: 10_000, entry_bytes_max: 200 })
    }

    fn result(scope: &str, ttl: u64) -> Raw {
        let text =
            format!(r#"{{"contents":[],"ttlMs":{ttl},"cacheScope":"{scope}","resultType":"complete"}}"#);
        Raw::parse(text.into()).expect("JSON")
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_as_long_as_its_hint_and_the_limit_say() {
        let (reads, me) = (reads(), Principal::anonymous());
        reads.put("a", &me, &result("private", 10_000), reads.asking());
        tokio::time::advance(Duration::from_secs(4)).await;
        let kept = reads.get("a", &me).expect("fresh");
        assert_eq!(kept.get("ttlMs").and_then(|t| t.as_i64()), Some(6_000));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(reads.get("a", &me).is_none());
        reads.put("b", &me, &result("private", 0), reads.asking());
        assert!(reads.get("b", &me).is_none(), "stale at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_private_answer_is_for_its_principal_alone() {
        let (reads, me, you) = (reads(), Principal::anonymous(), Principal::new("t", "you"));
        reads.put("a", &me, &result("private", 10_000), reads.asking());
        reads.put("b", &me, &result("public", 10_000), reads.asking());
        assert!(reads.get("a", &you).is_none() && reads.get("a", &me).is_some());
        assert!(reads.get("b", &you).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_it_also_for_answers_under_way() {
        let (reads, me) = (reads(), Principal::anonymous());
        let asked = reads.asking();
        reads.invalidate();
        reads.put("a", &me, &result("public", 10_000), asked);
        assert!(reads.get("a", &me).is_none());
    }

    #[test]
    fn what_asks_or_is_too_large_is_not_kept() {
        let (reads, me) = (reads(), Principal::anonymous());
        let question = Raw::literal(r#"{"resultType":"input_required","ttlMs":1000}"#);
        reads.put("a", &me, &question, reads.asking());
        let large = format!(r#"{{"contents":["{}"],"ttlMs":1000}}"#, "x".repeat(300));
        reads.put("b", &me, &Raw::parse(large.into()).expect("JSON"), reads.asking());
        assert!(reads.get("a", &me).is_none() && reads.get("b", &me).is_none());
    }
}
