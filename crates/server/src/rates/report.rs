//! Limits for whoever looks at them from outside of the process.

use config::Rate;
use model::Timestamp;
use store::BudgetRow;

use super::keeper::Spec;
use super::share::SLICE_MS;

/// What the names of a limit's budgets begin with in the store.
#[must_use]
pub fn budget_prefix(rule: &Rate) -> String {
    Spec::of(rule).map(|spec| format!("{}/{}/", spec.letter(), rule.name)).unwrap_or_default()
}

/// What a limit lets through, in a few words.
#[must_use]
pub fn budget_words(rule: &Rate) -> String {
    let per = |time| if time == config::QuotaTime::Day { "day" } else { "month" };
    match (&rule.rate, rule.concurrency, &rule.quota) {
        (Some(rate), ..) => format!("{rate}, {} at once", rule.burst()),
        (None, Some(max), _) => format!("{max} at a time"),
        (None, None, Some(quota)) => {
            let what = match (quota.calls, quota.bytes, quota.cost) {
                (Some(calls), ..) => format!("{calls} calls"),
                (None, Some(bytes), _) => bytes.to_string(),
                (None, None, cost) => format!("cost {}", cost.unwrap_or_default()),
            };
            format!("{what} a {}", per(quota.per))
        }
        (None, None, None) => String::new(),
    }
}

/// Until when a quota is; `None` for other limits.
#[must_use]
pub fn budget_ends(rule: &Rate, now: Timestamp) -> Option<Timestamp> {
    rule.quota.as_ref().map(|quota| super::window::around(now, quota.per).1)
}

/// How much of a budget is used, as far as the store knows: what replicas have leased.
#[must_use]
pub fn budget_used(rule: &Rate, row: &BudgetRow, now: Timestamp) -> Option<u64> {
    let (budget, _) = Spec::of(rule)?.budget(now, SLICE_MS, 1);
    Some(row.used_at(budget, now))
}
