//! Issuers are asked whether those who call are still their users. No request waits for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use identity::{Rechecked, Seen};
use model::Principal;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::{App, Generation};
use crate::barred::StoreBars;
use crate::drain::Phase;

/// How often is looked who is due.
const LOOK: Duration = Duration::from_secs(1);
/// Users of one issuer who are asked about at a time.
const ASKING_MAX: usize = 16;

/// Whom each issuer was asked about here, and when.
#[derive(Default)]
struct Asked(Mutex<HashMap<Principal, Instant>>);

impl Asked {
    /// Those who are due, who count as asked about from now on.
    fn due(&self, all: Vec<Principal>, every: Duration) -> Vec<Principal> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = |principal: &Principal| asked.get(principal).is_none_or(|at| now - *at >= every);
        let due: Vec<Principal> = all.into_iter().filter(is_due).collect();
        asked.extend(due.iter().map(|principal| (principal.clone(), now)));
        due
    }

    /// Forgets those who have not called for a while.
    fn forget(&self, seen: &Seen) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|principal, _| seen.has(principal));
    }
}

/// Asks again and again, each issuer apart from the others.
pub(crate) async fn follow(app: Arc<App>) {
    let mut looks = tokio::time::interval(LOOK);
    let (asked, mut rounds, mut busy) = (Asked::default(), JoinSet::new(), HashSet::new());
    loop {
        looks.tick().await;
        while let Some(done) = rounds.try_join_next() {
            // One that broke off would hold its issuer for ever.
            match done {
                Ok(issuer) => {
                    busy.remove(&issuer);
                }
                Err(error) => {
                    tracing::error!(%error, "a round of questions to an issuer broke off");
                    rounds.abort_all();
                    busy.clear();
                }
            }
        }
        if app.has_reached(Phase::Leaving) {
            continue;
        }
        asked.forget(&app.seen);
        let generation = app.generation();
        for (issuer, sign_in) in &generation.sign_ins {
            let Some(every) = sign_in.recheck.filter(|_| !busy.contains(issuer)) else { continue };
            let due = asked.due(app.seen.of(issuer), every);
            if !due.is_empty() {
                busy.insert(issuer.clone());
                let (issuer, generation) = (issuer.clone(), Arc::clone(&generation));
                rounds.spawn(round(issuer, generation, Arc::clone(&app.barred), due));
            }
        }
    }
}

async fn round(
    issuer: String,
    generation: Arc<Generation>,
    bars: Arc<StoreBars>,
    due: Vec<Principal>,
) -> String {
    let ask = |principal: Principal| ask(&issuer, &generation, &bars, principal);
    futures_util::stream::iter(due).for_each_concurrent(ASKING_MAX, ask).await;
    issuer
}

async fn ask(issuer: &str, generation: &Generation, bars: &StoreBars, principal: Principal) {
    let Some(sign_in) = generation.sign_ins.get(issuer) else { return };
    let Some(every) = sign_in.recheck else { return };
    // Each question has an end of its own; one that was broken off would lose what the issuer gave.
    match sign_in.recheck(&principal, every).await {
        Ok(Rechecked::Stays | Rechecked::Unasked) => {}
        Ok(Rechecked::Gone) => {
            tracing::info!(issuer, %principal, "a user is signed out, as his issuer knows him no more");
            // What could not be done is done at the next time, as his sign-in is still there then.
            if let Err(error) = bars.sign_out(&principal).await {
                tracing::warn!(issuer, %error, "a user could not be signed out");
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(issuer, error, "an issuer does not say whether a user is still there");
        }
    }
}

#[cfg(test)]
mod tests {
    use config::{Config, Issuer as IssuerSection, SignIn as SignInSection, Span};
    use identity::{Caller, Flow, Returned};
    use model::{ManualClock, SeededRng, Timestamp};
    use serde_json::json;
    use testkit::issuer::Issuer;
    use testkit::within;

    use super::*;
    use crate::gateway::Embedded;

    /// In seconds.
    const NOW: u64 = 1_785_196_800;

    struct World {
        issuer: Issuer,
        app: Arc<App>,
        clock: Arc<ManualClock>,
        _kept: Embedded,
    }

    /// A gateway that ann has signed in at, who calls.
    async fn world(recheck: Span) -> World {
        let issuer = Issuer::start().await;
        let mut config = Config::default();
        let sign_in = SignInSection { client_id: "gateway".to_owned(), recheck, ..SignInSection::default() };
        let section =
            IssuerSection { issuer: issuer.url.clone(), sign_in: Some(sign_in), ..IssuerSection::default() };
        config.auth.issuers.insert("corp".to_owned(), section);
        let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
        let rng = Arc::new(SeededRng::new(1));
        let embedded = Embedded::start(&config, Arc::clone(&clock) as _, rng).expect("a gateway");
        let app = Arc::clone(embedded.app());
        app.keep_grants(Arc::new(store::Memory::new()));
        let world = World { issuer, app, clock, _kept: embedded };
        world.sign_in().await;
        world
    }

    impl World {
        async fn sign_in(&self) {
            let generation = self.app.generation();
            let sign_in = &generation.sign_ins["corp"];
            let kept = Mutex::new(None);
            let seal = |flow: &Flow| {
                *kept.lock().expect("no panic") = Some(flow.clone());
                String::new()
            };
            sign_in.begin("http://localhost/oauth/callback", &seal).await.expect("a place to go");
            let flow = kept.into_inner().expect("no panic").expect("it was sealed");
            let now = self.app.clock.now().0 / 1_000;
            let id_token = self.issuer.token(&json!({
                "aud": "gateway", "sub": "ann", "iat": now, "exp": now + 300, "nonce": flow.nonce,
            }));
            self.issuer.answer(
                200,
                json!({
                    "access_token": "a", "token_type": "Bearer", "refresh_token": "r1", "id_token": id_token,
                }),
            );
            let caller =
                sign_in.finish(&flow, &Returned::of_query("code=c")).await.expect("she is signed in");
            self.app.seen.saw(&caller);
        }

        fn stays(&self) {
            let said = json!({"access_token": "a", "token_type": "Bearer", "refresh_token": "r2"});
            self.issuer.answer(200, said);
        }

        async fn ask(&self) {
            // The turn of the time before has ended.
            self.clock.advance(Duration::from_secs(30));
            ask("corp", &self.app.generation(), &self.app.barred, ann()).await;
        }

        /// Whether she is let in by what was issued to her when she signed in.
        fn is_out(&self) -> bool {
            let caller =
                Caller { principal: ann(), issued: Some(Timestamp(NOW * 1_000)), ..Caller::anonymous() };
            self.app.barred.list().refuses(&caller)
        }
    }

    fn ann() -> Principal {
        Principal::new("default", "corp:ann")
    }

    #[tokio::test]
    async fn who_is_no_user_of_the_issuer_any_more_is_signed_out_and_has_nothing_left() {
        let world = world(Span::from_secs(30)).await;
        world.stays();
        world.ask().await;
        assert!(!world.is_out());
        world.issuer.answer(400, json!({"error": "invalid_grant"}));
        world.ask().await;
        assert!(world.is_out());
        let office = world.app.barred.office();
        let bar = office.bar_of("default", "corp:ann").await.expect("read").expect("she is barred");
        assert!(!bar.is_disabled(), "she can sign in again");
        let generation = world.app.generation();
        let rechecked = generation.sign_ins["corp"].recheck(&ann(), Duration::ZERO).await;
        assert_eq!(rechecked.expect("an answer"), Rechecked::Unasked, "nothing is kept of her");
    }

    #[tokio::test]
    async fn while_the_issuer_says_nothing_of_her_nothing_changes() {
        let world = world(Span::from_secs(30)).await;
        for (status, said) in [(500, json!({})), (400, json!({"error": "invalid_client"}))] {
            world.issuer.answer(status, said);
            world.ask().await;
            assert!(!world.is_out(), "{status}");
        }
    }

    #[tokio::test]
    async fn whoever_calls_is_asked_about_by_itself() {
        let world = world(Span::from_secs(30)).await;
        world.issuer.answer(400, json!({"error": "invalid_grant"}));
        world.clock.advance(Duration::from_secs(1));
        let follower = tokio::spawn(follow(Arc::clone(&world.app)));
        within(async {
            while !world.is_out() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        follower.abort();
    }

    #[tokio::test]
    async fn where_nobody_is_to_be_asked_about_nothing_is_kept_for_it() {
        let world = world(Span::from_secs(0)).await;
        let generation = world.app.generation();
        let sign_in = &generation.sign_ins["corp"];
        assert!(sign_in.recheck.is_none() && sign_in.keeps.is_none());
        let rechecked = sign_in.recheck(&ann(), Duration::ZERO).await;
        assert_eq!(rechecked.expect("an answer"), Rechecked::Unasked);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_about_more_often_than_that() {
        let asked = Asked::default();
        let every = Duration::from_secs(30);
        assert_eq!(asked.due(vec![ann()], every), [ann()]);
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(asked.due(vec![ann()], every), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(asked.due(vec![ann()], every), [ann()]);
        asked.forget(&Seen::default());
        assert_eq!(asked.due(vec![ann()], every), [ann()], "she was away meanwhile");
    }
}
