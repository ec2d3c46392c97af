//! What travels through browsers: sealed, for a few minutes, and of use to nobody else.

use std::time::Duration;

use identity::{Flow, Wanted};
use model::{Principal, Timestamp};
use seal::{Binding, Purpose};
use serde_json::{Map, Value, json};

use crate::handles::Handles;

/// How long a link to the gateway's page is good, and how long somebody may be away (MCP security best
/// practices: at most ten minutes).
pub(super) const TIME: Duration = Duration::from_secs(600);
/// How long somebody stays signed in with a browser.
pub(super) const SIGNED_IN: Duration = Duration::from_secs(3_600);

/// Who is to let the gateway use what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub upstream: String,
    pub principal: Principal,
    /// Who says who that is; `None`: anybody is.
    pub issuer: Option<String>,
    pub wanted: Wanted,
}

impl Ticket {
    fn to_value(&self) -> Value {
        json!({
            "upstream": self.upstream, "tenant": self.principal.tenant(),
            "subject": self.principal.subject(), "issuer": self.issuer, "scopes": self.wanted.scopes,
            "metadata": self.wanted.metadata,
            "bound": self.wanted.bound,
        })
    }

    fn of_value(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let scopes = members.get("scopes")?.as_array()?.iter();
        Some(Self {
            upstream: text("upstream")?,
            principal: Principal::new(&text("tenant")?, &text("subject")?),
            issuer: text("issuer"),
            wanted: Wanted {
                scopes: scopes.filter_map(Value::as_str).map(str::to_owned).collect(),
                metadata: text("metadata"),
                bound: members.get("bound")?.as_bool()?,
            },
        })
    }
}

/// What is known of somebody who is away.
pub(super) struct Away {
    /// What he is to come to.
    pub ticket: Ticket,
    /// Where he is.
    pub flow: Flow,
    /// Whether he signs in; else he lets the gateway use something.
    pub signs_in: bool,
    /// What his browser has and no other one.
    pub browser: String,
}

/// The parts of a seal that no principal is needed for: he is a part of what is sealed.
fn binding<'a>(principal: &'a Principal, kind: &'a str, purpose: Purpose) -> Binding<'a> {
    Binding { principal, endpoint: kind, purpose }
}

fn nobody() -> Principal {
    Principal::new("", "")
}

fn seal(handles: &Handles, kind: &str, purpose: Purpose, time: Duration, value: &Value) -> String {
    let (nobody, now) = (nobody(), handles.clock.now());
    let binding = binding(&nobody, kind, purpose);
    handles.keys.seal(&*handles.rng, now, &binding, now.plus(time), value.to_string().as_bytes())
}

fn open(
    handles: &Handles,
    kind: &str,
    purpose: Purpose,
    sealed: &str,
) -> Option<(Map<String, Value>, Timestamp)> {
    let nobody = nobody();
    let binding = binding(&nobody, kind, purpose);
    let (payload, until) = handles.keys.open_with_expiry(&binding, handles.clock.now(), sealed)?;
    Some((serde_json::from_slice(&payload).ok()?, until))
}

const TICKET: &str = "ticket";
const STATE: &str = "state";
const SESSION: &str = "session";

impl Ticket {
    pub fn seal(&self, handles: &Handles) -> String {
        seal(handles, TICKET, Purpose::Consent, TIME, &self.to_value())
    }

    pub fn open(handles: &Handles, sealed: &str) -> Option<Self> {
        Self::of_value(&open(handles, TICKET, Purpose::Consent, sealed)?.0)
    }
}

impl Away {
    pub fn seal(&self, handles: &Handles) -> String {
        let value = json!({
            "ticket": self.ticket.to_value(), "flow": self.flow.to_value(), "signs_in": self.signs_in,
            "browser": self.browser,
        });
        seal(handles, STATE, Purpose::Consent, TIME, &value)
    }

    /// Who is back, and until when he could be.
    pub fn open(handles: &Handles, sealed: &str) -> Option<(Self, Timestamp)> {
        let (members, until) = open(handles, STATE, Purpose::Consent, sealed)?;
        let away = Self {
            ticket: Ticket::of_value(members.get("ticket")?.as_object()?)?,
            flow: Flow::of_value(members.get("flow")?)?,
            signs_in: members.get("signs_in")?.as_bool()?,
            browser: members.get("browser")?.as_str()?.to_owned(),
        };
        Some((away, until))
    }
}

/// Somebody who has signed in with a browser, as its cookie has it.
pub(super) fn seal_signed_in(handles: &Handles, principal: &Principal, issuer: &str) -> String {
    let value = json!({"tenant": principal.tenant(), "subject": principal.subject(), "issuer": issuer});
    seal(handles, SESSION, Purpose::SignedIn, SIGNED_IN, &value)
}

/// Who has signed in, and at which issuer.
pub(super) fn open_signed_in(handles: &Handles, sealed: &str) -> Option<(Principal, String)> {
    let (members, _) = open(handles, SESSION, Purpose::SignedIn, sealed)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    Some((Principal::new(text("tenant")?, text("subject")?), text("issuer")?.to_owned()))
}
