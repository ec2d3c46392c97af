//! A number, and what it should be.

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Recorded, and held to nothing.
    None,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub name: String,
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    pub bound: Bound,
    /// What each round gave, where there were several.
    pub rounds: Vec<f64>,
}

impl Figure {
    pub fn new(name: &str, what: &str, value: f64, unit: &'static str, bound: Bound) -> Self {
        let (name, what, value) = (name.to_owned(), what.to_owned(), rounded(value));
        Self { name, what, value, unit, bound, rounds: Vec::new() }
    }

    /// The median of what the rounds gave.
    pub fn of_rounds(name: &str, what: &str, rounds: &[f64], unit: &'static str, bound: Bound) -> Self {
        let figure = Self::new(name, what, median(rounds.iter().copied()), unit, bound);
        Self { rounds: rounds.iter().copied().map(rounded).collect(), ..figure }
    }

    /// Whether it is what it should be.
    pub fn met(&self) -> Option<bool> {
        match self.bound {
            Bound::AtMost(limit) => Some(self.value <= limit),
            Bound::AtLeast(limit) => Some(self.value >= limit),
            Bound::None => None,
        }
    }

    pub fn to_json(&self) -> Value {
        let mut json = json!({"name": self.name, "what": self.what, "value": self.value, "unit": self.unit});
        match self.bound {
            Bound::AtMost(limit) => json["at_most"] = json!(limit),
            Bound::AtLeast(limit) => json["at_least"] = json!(limit),
            Bound::None => {}
        }
        if let Some(met) = self.met() {
            json["met"] = json!(met);
        }
        if !self.rounds.is_empty() {
            json["rounds"] = json!(self.rounds);
        }
        json
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.met() {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "",
        };
        write!(f, "{mark:>6} {:<62} {:>10} {}", self.what, self.value, self.unit)?;
        match self.bound {
            Bound::AtMost(limit) => write!(f, " (at most {limit})"),
            Bound::AtLeast(limit) => write!(f, " (at least {limit})"),
            Bound::None => Ok(()),
        }
    }
}

/// Four digits are more than any of these measurements is good for.
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a double")]
    let digits = 3 - value.abs().log10().floor() as i32;
    if digits <= 0 {
        return value.round();
    }
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_includes_itself() {
        let figure = |bound| Figure::new("x", "x", 2.0, "s", bound).met();
        assert_eq!(figure(Bound::AtMost(2.0)), Some(true));
        assert_eq!(figure(Bound::AtMost(1.9)), Some(false));
        assert_eq!(figure(Bound::AtLeast(2.0)), Some(true));
        assert_eq!(figure(Bound::AtLeast(2.1)), Some(false));
        assert_eq!(figure(Bound::None), None);
    }

    #[test]
    fn a_figure_of_rounds_is_their_median_and_keeps_them() {
        let figure = Figure::of_rounds("x", "x", &[3.0, 1.0, 2.0], "s", Bound::None);
        assert_eq!(figure.value, 2.0);
        assert_eq!(figure.to_json()["rounds"], json!([3.0, 1.0, 2.0]));
        assert!(Figure::new("x", "x", 1.0, "s", Bound::None).to_json().get("rounds").is_none());
    }

    #[test]
    fn four_digits_are_kept_and_whole_numbers_stay_whole() {
        assert_eq!(rounded(0.123_456), 0.1235);
        assert_eq!(rounded(123_456.7), 123_457.0);
        assert_eq!(rounded(-1.234_56), -1.235);
        assert_eq!(rounded(0.0), 0.0);
        assert_eq!(rounded(f64::NAN), 0.0);
    }

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
