//! How long things took, as the few numbers that are reported.

use std::time::Duration;

use serde_json::{Value, json};

/// Times, each kept: a run is bounded.
#[derive(Debug, Default)]
pub struct Quantiles(Vec<Duration>);

impl Quantiles {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The numbers, in microseconds.
    pub fn to_json(&self) -> Value {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |q: f64| micros(at(&sorted, q));
        json!({"p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": at(1.0)})
    }
}

/// The smallest value that is not exceeded by a share of `q` of all.
fn at(sorted: &[Duration], q: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// With a tenth of a microsecond.
pub fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut all = Quantiles::default();
        for ms in (1..=100).rev() {
            all.add(Duration::from_millis(ms));
        }
        let json = all.to_json();
        assert_eq!(json["p50_us"], 50_000.0);
        assert_eq!(json["p99_us"], 99_000.0);
        assert_eq!(json["max_us"], 100_000.0);
        assert_eq!(Quantiles::default().to_json()["p50_us"], 0.0);
    }
}
