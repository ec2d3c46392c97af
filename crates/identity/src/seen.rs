//! Who was let in a moment ago.

use std::time::Duration;

use model::Principal;

use crate::caller::Caller;

/// How long somebody is remembered. Whoever goes on calling is let in anew at least every minute, as no proof
/// is remembered longer.
const SEEN: Duration = Duration::from_secs(300);
/// How many are.
const SEEN_MAX: u64 = 50_000;

/// The users who were let in at this replica within the last minutes, by whatever was proved of them.
#[derive(Debug)]
pub struct Seen(moka::sync::Cache<Principal, ()>);

impl Default for Seen {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(SEEN_MAX).time_to_live(SEEN).build())
    }
}

impl Seen {
    /// Somebody was let in.
    pub fn saw(&self, caller: &Caller) {
        self.0.insert(caller.principal.clone(), ());
    }

    /// Those of one issuer, by the operator's name for it.
    #[must_use]
    pub fn of(&self, issuer: &str) -> Vec<Principal> {
        let own = |principal: &Principal| {
            principal.subject().strip_prefix(issuer).is_some_and(|rest| rest.starts_with(':'))
        };
        self.0.iter().map(|(principal, ())| (*principal).clone()).filter(own).collect()
    }

    /// Whether somebody was.
    #[must_use]
    pub fn has(&self, principal: &Principal) -> bool {
        self.0.contains_key(principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_those_of_their_issuer() {
        let seen = Seen::default();
        let saw = |subject: &str| {
            seen.saw(&Caller { principal: Principal::new("acme", subject), ..Caller::anonymous() });
        };
        ["corp:ann", "corporate:ben", "keys:k", "corp:ann"].into_iter().for_each(saw);
        assert_eq!(seen.of("corp"), [Principal::new("acme", "corp:ann")]);
        assert_eq!(seen.of("cor"), []);
        assert!(seen.has(&Principal::new("acme", "keys:k")));
        assert!(!seen.has(&Principal::new("other", "corp:ann")));
    }
}
