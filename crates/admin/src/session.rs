//! Somebody who has signed in: his cookie, what he may do, and when that is over.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use identity::{Caller, SignIn};
use model::{Clock, Principal, Rng, Timestamp};
use seal::{Binding, KeyId, KeyRing, Purpose};
use serde_json::{Map, Value, json};
use store::StoreError;

use crate::ledger::Ledger;
use crate::problem::Problem;
use crate::role::{Role, Roles};
use crate::text::{hex, random};

/// For which use the marks are that requests of a session have.
const CSRF: &str = "operator csrf";
/// What a cookie says is told anew after this long, or a tenth of the time in which it ends without use.
const TELL_AFTER: Duration = Duration::from_secs(60);

/// How operators sign in.
pub struct SignInPlace {
    /// Where, as the configuration in force has it; `None`: nobody can.
    pub at: Arc<dyn Fn() -> Option<SignIn> + Send + Sync>,
    /// What people call it.
    pub name: String,
    /// Whose groups count; `None`: the issuer has users of one tenant alone.
    pub tenant: Option<String>,
    /// Who may do what.
    pub roles: Roles,
    /// How long somebody stays signed in.
    pub session: Duration,
    /// How long without doing anything.
    pub idle: Duration,
    /// Whether somebody is let in no more, although his session would be good: a port.
    pub barred: Arc<dyn Fn(&Caller) -> bool + Send + Sync>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is known by, and nothing that opens it.
    pub id: String,
    /// Who.
    pub principal: Principal,
    groups: Vec<String>,
    began: Timestamp,
    seen: Timestamp,
}

impl Session {
    /// The groups with a role that he is in.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    fn to_value(&self) -> Value {
        json!({
            "id": self.id, "tenant": self.principal.tenant(), "subject": self.principal.subject(),
            "groups": self.groups, "began": self.began, "seen": self.seen,
        })
    }

    fn of_value(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let time = |name: &str| members.get(name).and_then(Value::as_u64).map(Timestamp);
        let groups = members.get("groups")?.as_array()?.iter();
        Some(Self {
            id: text("id")?.to_owned(),
            principal: Principal::new(text("tenant")?, text("subject")?),
            groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
            began: time("began")?,
            seen: time("seen")?,
        })
    }

    /// Whoever it is, as others know him.
    fn caller(&self) -> Caller {
        let (principal, groups) = (self.principal.clone(), self.groups.clone());
        Caller {
            principal,
            groups,
            issued: Some(self.began),
            signed_in: Some(self.began),
            ..Caller::anonymous()
        }
    }
}

/// Opens and ends sessions.
pub struct Sessions {
    pub place: SignInPlace,
    pub ledger: Ledger,
    pub keys: Arc<KeyRing>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

impl Sessions {
    /// The issuer's own name. Under another one, nobody who has signed in is who he was.
    fn issuer(&self) -> Option<String> {
        (self.place.at)().map(|at| at.issuer.options.issuer.clone())
    }

    /// Begins a session of somebody who has just proved himself, under a name that nobody knew before;
    /// `None`: he has no role.
    pub fn begin(&self, caller: &Caller) -> Option<(Session, Role)> {
        let ours = self.place.tenant.as_deref().is_none_or(|tenant| tenant == caller.principal.tenant());
        let role = self.place.roles.of(&caller.groups).filter(|_| ours && !(self.place.barred)(caller))?;
        let now = self.clock.now();
        let session = Session {
            id: random(&*self.rng),
            principal: caller.principal.clone(),
            groups: self.place.roles.kept(&caller.groups),
            began: now,
            seen: now,
        };
        Some((session, role))
    }

    /// What his browser keeps, and for how long.
    pub fn seal(&self, session: &Session) -> Option<(String, Duration)> {
        let (now, until) = (self.clock.now(), self.until(session));
        let sealed = self.seal_as(&self.issuer()?, until, &session.to_value());
        Some((sealed, until.since(now)))
    }

    /// When it ends, if nobody comes meanwhile.
    pub fn until(&self, session: &Session) -> Timestamp {
        self.end_of(session).min(session.seen.plus(self.place.idle))
    }

    /// When it ends, whatever he does.
    pub fn end_of(&self, session: &Session) -> Timestamp {
        session.began.plus(self.place.session)
    }

    /// Somebody who comes with this, and what he may do; `None`: nobody in particular.
    pub async fn open(&self, sealed: &str) -> Result<Option<(Session, Role)>, Problem> {
        let Some(issuer) = self.issuer() else { return Ok(None) };
        let Some((members, _)) = self.open_as(&issuer, sealed) else { return Ok(None) };
        let Some(session) = Session::of_value(&members) else { return Ok(None) };
        let ours = self.place.tenant.as_deref().is_none_or(|tenant| tenant == session.principal.tenant());
        // The rules of now, whatever they were when it was sealed.
        let role = self.place.roles.of(&session.groups).filter(|_| ours);
        let Some(role) = role.filter(|_| self.clock.now() < self.until(&session)) else { return Ok(None) };
        if (self.place.barred)(&session.caller()) {
            return Ok(None);
        }
        let over = self.ledger.is_over(&session.id).await.map_err(|error| unknown(&error))?;
        Ok((!over).then_some((session, role)))
    }

    /// The same session, of somebody who was seen now; `None`: that is known well enough.
    pub fn seen(&self, session: &Session) -> Option<Session> {
        let now = self.clock.now();
        let due = now.since(session.seen) >= TELL_AFTER.min(self.place.idle / 10);
        due.then(|| Session { seen: now, ..session.clone() })
    }

    /// Ends a session at all replicas.
    pub async fn end(&self, session: &Session) -> Result<(), Problem> {
        let ended = self.ledger.end(&session.id, self.end_of(session)).await;
        ended.map_err(|error| unknown(&error))
    }

    /// Ends a session that is known by its name alone.
    pub async fn end_named(&self, id: &str) -> Result<(), Problem> {
        let until = self.clock.now().plus(self.place.session);
        self.ledger.end(id, until).await.map_err(|error| unknown(&error))
    }

    /// What a request that changes something must have besides the cookie: who made it could read it here.
    pub fn csrf(&self, session: &Session) -> String {
        let (key, mark) = self.keys.mac(self.clock.now(), CSRF, &[session.id.as_bytes()]);
        format!("{key}{}", hex(&mark))
    }

    /// Whether this is such a mark of this session.
    pub fn is_csrf(&self, session: &Session, given: &str) -> bool {
        let parsed = given.split_at_checked(2 * KeyId::BYTES).and_then(|(key, mark)| {
            let mark: Option<Vec<u8>> =
                mark.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).ok()).map(byte).collect();
            Some((key.parse::<KeyId>().ok()?, mark?))
        });
        parsed.is_some_and(|(key, mark)| {
            self.keys.verify_mac(self.clock.now(), CSRF, &[session.id.as_bytes()], key, &mark)
        })
    }

    /// Seals something for a browser on its way, or at its end.
    pub fn seal_as(&self, place: &str, until: Timestamp, value: &Value) -> String {
        let nobody = Principal::new("", "");
        let binding = binding(&nobody, place);
        self.keys.seal(&*self.rng, self.clock.now(), &binding, until, value.to_string().as_bytes())
    }

    /// Opens it, and tells until when it is good.
    pub fn open_as(&self, place: &str, sealed: &str) -> Option<(Map<String, Value>, Timestamp)> {
        let nobody = Principal::new("", "");
        let opened = self.keys.open_with_expiry(&binding(&nobody, place), self.clock.now(), sealed);
        let (payload, until) = opened?;
        Some((serde_json::from_slice(&payload).ok()?, until))
    }
}

/// Who it is, is a part of what is sealed; where he has proved it is what it is bound to.
fn binding<'a>(nobody: &'a Principal, place: &'a str) -> Binding<'a> {
    Binding { principal: nobody, endpoint: place, purpose: Purpose::OperatorSession }
}

fn byte(text: Option<&str>) -> Option<u8> {
    let text = text.filter(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}

/// Nobody is let in of whom it is not known whether he has signed out.
pub fn unknown(error: &StoreError) -> Problem {
    tracing::warn!(%error, "nobody knows which operators have signed out");
    let text = format!("{error}; it is safe to try again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
}
