//! What travels through browsers: sealed, for a few minutes, and of use to nobody else.

use std::time::Duration;

use identity::{AuthRequest, Flow, User, Wanted};
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
pub(crate) struct Ticket {
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

/// What somebody was sent away for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// He is to let the gateway use a server for him.
    Connect(Ticket),
    /// A client wants to use the gateway for him, which he has let it.
    Authorize(Box<AuthRequest>),
    /// He wants to see what he has granted.
    Account,
    /// He is to say yes or no to a call of his own, which is known by this id.
    Agree(String),
}

impl Errand {
    fn to_value(&self) -> Value {
        match self {
            Self::Connect(ticket) => json!({"connect": ticket.to_value()}),
            Self::Authorize(request) => json!({"authorize": request.to_value()}),
            Self::Account => json!({"account": true}),
            Self::Agree(id) => json!({"agree": id}),
        }
    }

    fn of_value(value: &Value) -> Option<Self> {
        if let Some(ticket) = value.get("connect") {
            return Ticket::of_value(ticket.as_object()?).map(Self::Connect);
        }
        if let Some(request) = value.get("authorize") {
            return AuthRequest::of_value(request).map(|request| Self::Authorize(Box::new(request)));
        }
        if let Some(id) = value.get("agree") {
            return id.as_str().map(|id| Self::Agree(id.to_owned()));
        }
        value.get("account").map(|_| Self::Account)
    }
}

/// What is known of somebody who is away.
pub(super) struct Away {
    /// What he is to come back for.
    pub errand: Errand,
    /// The issuer that he signs in at, by the operator's name; `None`: he lets the gateway use something.
    pub signs_in: Option<String>,
    /// Where he is.
    pub flow: Flow,
    /// What his browser has and no other one.
    pub browser: String,
}

/// What a page asks somebody.
pub(crate) struct Question {
    /// What a client wants of him.
    pub request: AuthRequest,
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
const QUESTION: &str = "question";
const SHEET: &str = "sheet";

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
            "errand": self.errand.to_value(), "flow": self.flow.to_value(), "signs_in": self.signs_in,
            "browser": self.browser,
        });
        seal(handles, STATE, Purpose::Consent, TIME, &value)
    }

    /// Who is back, and until when he could be.
    pub fn open(handles: &Handles, sealed: &str) -> Option<(Self, Timestamp)> {
        let (members, until) = open(handles, STATE, Purpose::Consent, sealed)?;
        let away = Self {
            errand: Errand::of_value(members.get("errand")?)?,
            flow: Flow::of_value(members.get("flow")?)?,
            signs_in: members.get("signs_in").and_then(Value::as_str).map(str::to_owned),
            browser: members.get("browser")?.as_str()?.to_owned(),
        };
        Some((away, until))
    }
}

impl Question {
    pub fn seal(&self, handles: &Handles) -> String {
        let value = json!({"request": self.request.to_value(), "browser": self.browser});
        seal(handles, QUESTION, Purpose::Consent, TIME, &value)
    }

    /// The question, and until when it could be answered.
    pub fn open(handles: &Handles, sealed: &str) -> Option<(Self, Timestamp)> {
        let (members, until) = open(handles, QUESTION, Purpose::Consent, sealed)?;
        let request = AuthRequest::of_value(members.get("request")?)?;
        Some((Self { request, browser: members.get("browser")?.as_str()?.to_owned() }, until))
    }
}

/// What a user was shown of his own.
pub(crate) struct Sheet {
    /// Whose it is.
    pub user: User,
    /// What his browser has and no other one.
    pub browser: String,
}

impl Sheet {
    pub fn seal(&self, handles: &Handles) -> String {
        let value = json!({"user": self.user.to_value(), "browser": self.browser});
        seal(handles, SHEET, Purpose::Consent, TIME, &value)
    }

    pub fn open(handles: &Handles, sealed: &str) -> Option<Self> {
        let (members, _) = open(handles, SHEET, Purpose::Consent, sealed)?;
        let user = User::of_value(members.get("user")?)?;
        Some(Self { user, browser: members.get("browser")?.as_str()?.to_owned() })
    }
}

/// Somebody who has signed in with a browser, as its cookie has it.
pub(super) fn seal_signed_in(handles: &Handles, user: &User) -> String {
    seal(handles, SESSION, Purpose::SignedIn, SIGNED_IN, &json!({"user": user.to_value()}))
}

/// Who has signed in.
pub(super) fn open_signed_in(handles: &Handles, sealed: &str) -> Option<User> {
    let (members, _) = open(handles, SESSION, Purpose::SignedIn, sealed)?;
    User::of_value(members.get("user")?)
}
