//! A browser that comes, goes to somebody who issues tokens, and comes back.

use http::{HeaderMap, StatusCode};
use identity::{Bars as _, Flow, SignIn, User, Users};
use model::Timestamp;

use super::CALLBACK;
use super::page::{Cookies, page, redirect};
use super::sealed::{Away, Errand, SIGNED_IN, TIME, Ticket, open_signed_in, seal_signed_in};
use crate::answer::Answer;
use crate::app::{App, Generation};
use crate::door;

/// The cookie of somebody who has signed in.
const SIGNED: &str = "tidegate-signed-in";
/// What begins the name of the cookie of somebody who is away, or who is asked something.
const AWAY: &str = "tidegate-away-";
/// The longest query that is looked at, in bytes.
pub(crate) const QUERY_BYTES_MAX: usize = 16 * 1024;

/// A request of a browser.
pub(crate) struct Visit<'a> {
    pub app: &'a App,
    pub generation: &'a Generation,
    pub headers: &'a HeaderMap,
    /// What the gateway is reached by.
    pub base: String,
    cookies: Cookies,
}

/// Where somebody is sent.
pub(crate) enum To<'a> {
    /// To sign in, at this issuer.
    SignIn(&'a str, &'a SignIn),
    /// To whoever issues tokens for a server.
    Consent(&'a Users, &'a Ticket),
}

impl<'a> Visit<'a> {
    pub fn new(app: &'a App, generation: &'a Generation, headers: &'a HeaderMap) -> Self {
        let base = door::base(app, generation, headers);
        let cookies = Cookies { tls: base.starts_with("https:") };
        Self { app, generation, headers, base, cookies }
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.base)
    }

    /// Who sits at this browser, if he has signed in.
    pub fn user(&self) -> Option<User> {
        let user = open_signed_in(&self.app.handles, &self.cookies.get(self.headers, SIGNED)?);
        // Whoever was signed out or disabled has to say anew who he is.
        user.filter(|user| !self.app.barred.bars(&user.principal, None, user.since))
    }

    /// Remembers who sits at this browser. Whatever it had before is of no use any more.
    pub fn remember(&self, answer: &mut Answer, user: &User) {
        self.cookies.set(answer, SIGNED, &seal_signed_in(&self.app.handles, user), SIGNED_IN);
    }

    /// Forgets who sits at this browser.
    pub fn forget(&self, answer: &mut Answer) {
        self.cookies.set(answer, SIGNED, "", std::time::Duration::ZERO);
    }

    /// What no other browser has.
    pub fn random(&self) -> String {
        let mut random = [0; 32];
        self.app.rng.fill(&mut random);
        random.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Lets a browser be known by this until it comes back.
    pub fn mark(&self, answer: &mut Answer, browser: &str) {
        self.cookies.set(answer, &away_name(browser), browser, TIME);
    }

    /// The opposite.
    pub fn unmark(&self, answer: &mut Answer, browser: &str) {
        self.cookies.set(answer, &away_name(browser), "", std::time::Duration::ZERO);
    }

    /// Whether this browser is the one that was marked so.
    pub fn is_marked(&self, browser: &str) -> bool {
        self.cookies.get(self.headers, &away_name(browser)).is_some_and(|found| found == browser)
    }

    /// Sends him on, and remembers by a cookie that it was this browser.
    pub async fn send(&self, errand: &Errand, to: To<'_>) -> Answer {
        let (browser, redirect_uri) = (self.random(), self.redirect_uri());
        let signs_in = match to {
            To::SignIn(name, _) => Some(name.to_owned()),
            To::Consent(..) => None,
        };
        let seal = |flow: &Flow| {
            let (errand, flow, browser) = (errand.clone(), flow.clone(), browser.clone());
            Away { errand, signs_in: signs_in.clone(), flow, browser }.seal(&self.app.handles)
        };
        let url = match to {
            To::SignIn(_, sign_in) => sign_in.begin(&redirect_uri, &seal).await,
            To::Consent(users, ticket) => {
                users.begin(&ticket.principal, &ticket.wanted, &redirect_uri, &seal).await
            }
        };
        let sent = match url {
            Ok(url) => redirect(&url.to_string()),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a user cannot be sent on");
                None
            }
        };
        let Some(mut answer) = sent else { return not_now() };
        self.mark(&mut answer, &browser);
        answer
    }

    /// Whether this browser is the one that was sent away, and comes back where it should.
    pub(super) fn was_sent(&self, away: &Away) -> bool {
        self.is_marked(&away.browser) && away.flow.redirect == self.redirect_uri()
    }

    /// Whether something that was sealed is used for the first time, as far as anybody knows.
    ///
    /// # Errors
    /// The page for somebody whose link was used before, or where nobody knows.
    pub async fn once(&self, sealed: &str, until: Timestamp) -> Result<(), Answer> {
        use identity::Vault as _;
        let hash = seal::sha256(sealed.as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.app.vault.once(&hash, until).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(over()),
            Err(error) => {
                tracing::warn!(%error, "nobody knows whether a link was used before");
                Err(not_now())
            }
        }
    }
}

/// A browser may be on several ways at once.
fn away_name(browser: &str) -> String {
    let hash = seal::sha256(browser.as_bytes());
    let short: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{AWAY}{short}")
}

pub(crate) fn over() -> Answer {
    let text = "It was used already, it is older than ten minutes, or it was begun in another browser. \
                Begin anew where you came from.";
    page(StatusCode::BAD_REQUEST, "This link is of no use any more", text)
}

pub(crate) fn not_now() -> Answer {
    let text = "The gateway could not do what you came for. Nothing was changed. The operator finds the \
                reason in the gateway's log.";
    page(StatusCode::BAD_GATEWAY, "That did not work", text)
}
