//! The handles that go through clients' hands: request states and task ids.
//!
//! What an upstream wants back is sealed together with the upstream's name and, for a request state, with
//! a digest of the call that it belongs to. So a state cannot be moved to another tool, other arguments or
//! another upstream.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Principal, ReplicaId, Rng, Timestamp, UpstreamName};
use protocol::json::Object;
use protocol::{Call, Raw, RpcError};
use seal::{Binding, KeyRing, Purpose};
use serde_json::Value;

/// Seals and opens what clients carry for upstreams.
#[derive(Clone)]
pub struct Handles {
    /// The keys.
    pub keys: Arc<KeyRing>,
    /// For expiry.
    pub clock: Arc<dyn Clock>,
    /// For nonces.
    pub rng: Arc<dyn Rng>,
    /// How long an answer to a question may take.
    pub state_time: Duration,
}

/// To whom and where a handle is given.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// At which endpoint.
    pub endpoint: &'a str,
}

impl Holder<'_> {
    fn binding(&self, purpose: Purpose) -> Binding<'_> {
        Binding { principal: self.principal, endpoint: self.endpoint, purpose }
    }
}

/// What a retry brings back.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// The upstream's own.
    pub own: &'a str,
    /// The replica that holds the call open, where one does.
    pub owner: Option<&'a ReplicaId>,
    /// What was asked and answered so far, as JSON, where the call may be made again.
    pub record: &'a str,
    /// What was decided before it was asked.
    pub pass: &'a Pass,
    /// Until when it is good; `None`: as long as any.
    pub until: Option<Timestamp>,
}

/// What an earlier round of a call leaves to the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// The operation that it goes on with, as the audit log knows it; empty where none is recorded.
    pub operation: String,
    /// For what somebody has said yes, as [`crate::may`] names it; empty where nobody was asked.
    pub granted: String,
}

/// What a sealed state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The upstream's own state.
    pub own: String,
    /// What was asked and answered so far.
    pub record: String,
    /// What was decided before.
    pub pass: Pass,
}

/// What begins a pass. A state of an older version has none, and no state of an upstream's begins so.
const PASS: char = '\u{1}';

const DIGEST_BYTES: usize = 32;

impl Handles {
    /// Seals an upstream's request state for this call.
    #[must_use]
    pub fn seal_state(
        &self,
        holder: Holder<'_>,
        upstream: &UpstreamName,
        call: &Call,
        state: &State<'_>,
    ) -> String {
        let mut payload = digest(call).to_vec();
        payload.extend_from_slice(upstream.as_str().as_bytes());
        payload.push(0);
        payload.extend_from_slice(state.owner.map_or("", ReplicaId::as_str).as_bytes());
        payload.push(0);
        // JSON has no zero byte in it.
        payload.extend_from_slice(state.record.as_bytes());
        payload.push(0);
        if *state.pass != Pass::default() {
            let Pass { operation, granted } = state.pass;
            payload.extend_from_slice(format!("{PASS}{operation}\n{granted}\0").as_bytes());
        }
        payload.extend_from_slice(state.own.as_bytes());
        let now = self.clock.now();
        let expires = state.until.unwrap_or_else(|| now.plus(self.state_time));
        self.keys.seal(&*self.rng, now, &holder.binding(Purpose::RequestState), expires, &payload)
    }

    /// Opens the request state of a retry: the upstream's own and the record, if this is the call and the
    /// upstream that it was sealed for.
    ///
    /// # Errors
    /// -32602 for anything else; nobody learns what was wrong.
    pub fn open_state(
        &self,
        holder: Holder<'_>,
        upstream: &UpstreamName,
        call: &Call,
        sealed: &Raw,
    ) -> Result<Opened, RpcError> {
        let opened = sealed.as_str().and_then(|text| {
            let payload = self.keys.open(&holder.binding(Purpose::RequestState), self.clock.now(), &text)?;
            let (found, rest) = payload.split_at_checked(DIGEST_BYTES)?;
            let (name, rest) = split_name(rest)?;
            let (_owner, rest) = rest.split_once('\0')?;
            let (record, state) = rest.split_once('\0')?;
            let same = found == digest(call) && name == upstream.as_str();
            let (pass, own) = match state.strip_prefix(PASS).and_then(|rest| rest.split_once('\0')) {
                Some((pass, own)) => (pass.split_once('\n')?, own),
                None => (("", ""), state),
            };
            let pass = Pass { operation: pass.0.to_owned(), granted: pass.1.to_owned() };
            same.then(|| Opened { own: own.to_owned(), record: record.to_owned(), pass })
        });
        opened.ok_or_else(|| RpcError::invalid_params("Invalid requestState: make the call again without it"))
    }

    /// The replica that holds the call of a request state open. `None`: none does, or it is no state.
    #[must_use]
    pub fn state_owner(&self, holder: Holder<'_>, sealed: &Raw) -> Option<ReplicaId> {
        let text = sealed.as_str()?;
        let payload = self.keys.open(&holder.binding(Purpose::RequestState), self.clock.now(), &text)?;
        let (_digest, rest) = payload.split_at_checked(DIGEST_BYTES)?;
        let (_upstream, rest) = split_name(rest)?;
        ReplicaId::parse(rest.split_once('\0')?.0)
    }

    /// Seals what names a session with an upstream, for as long.
    #[must_use]
    pub fn seal_session(&self, holder: Holder<'_>, payload: &[u8], time: Duration) -> String {
        let now = self.clock.now();
        self.keys.seal(&*self.rng, now, &holder.binding(Purpose::UpstreamSession), now.plus(time), payload)
    }

    /// What names a session with an upstream. `None` for anything else.
    #[must_use]
    pub fn open_session(&self, holder: Holder<'_>, sealed: &str) -> Option<Vec<u8>> {
        self.keys.open(&holder.binding(Purpose::UpstreamSession), self.clock.now(), sealed)
    }

    /// Seals an upstream's task id, or with an empty name for the upstream one of the gateway's own. The same
    /// id gives the same handle as long as the same key is active, and the upstream decides how long it is
    /// good.
    #[must_use]
    pub fn seal_task(&self, holder: Holder<'_>, upstream: &str, task: &str) -> String {
        let payload = [upstream.as_bytes(), &[0], task.as_bytes()].concat();
        // The cipher forgives a repeated nonce: all it tells is that two handles are equal, which is what
        // we want.
        let nonce = Derived(seal::sha256(&payload));
        let (now, never) = (self.clock.now(), Timestamp(u64::MAX));
        self.keys.seal(&nonce, now, &holder.binding(Purpose::Task), never, &payload)
    }

    /// The upstream and its own id for a task.
    ///
    /// # Errors
    /// -32602 for an id that was not given to this principal at this endpoint.
    pub fn open_task(&self, holder: Holder<'_>, sealed: &str) -> Result<(String, String), RpcError> {
        let payload = self.keys.open(&holder.binding(Purpose::Task), self.clock.now(), sealed);
        let found =
            payload.and_then(|p| split_name(&p).map(|(name, task)| (name.to_owned(), task.to_owned())));
        found.ok_or_else(|| RpcError::invalid_params("Unknown task"))
    }
}

/// Bytes that follow from what is sealed.
struct Derived([u8; 32]);

impl Rng for Derived {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(self.0.iter().cycle()).for_each(|(out, byte)| *out = *byte);
    }
}

fn split_name(bytes: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(bytes).ok()?.split_once('\0')
}

/// What makes two calls the same call: method and parameters, but for what a retry adds and the envelope's
/// metadata.
fn digest(call: &Call) -> [u8; DIGEST_BYTES] {
    let mut text = format!("{}\n", call.method);
    let rest = call.params.edit().remove("_meta").remove("inputResponses").remove("requestState").finish();
    canonical(&rest.object().ok().flatten().unwrap_or_else(Object::empty).raw().to_value(), &mut text);
    seal::sha256(text.as_bytes())
}

/// JSON with its members in order: clients may write the same arguments anew.
pub(crate) fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            out.push('{');
            for name in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(&members[name], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use model::{ManualClock, SeededRng};
    use protocol::Method;

    use super::*;

    fn handles() -> Handles {
        let rng = SeededRng::new(1);
        Handles {
            keys: Arc::new(KeyRing::generate(&rng)),
            clock: Arc::new(ManualClock::at(Timestamp(1_000))),
            rng: Arc::new(rng),
            state_time: Duration::from_secs(60),
        }
    }

    fn own(own: &str) -> State<'_> {
        static PASS: Pass = Pass { operation: String::new(), granted: String::new() };
        State { own, owner: None, record: "{}", pass: &PASS, until: None }
    }

    fn opened_as(own: &str) -> Opened {
        Opened { own: own.to_owned(), record: "{}".to_owned(), pass: Pass::default() }
    }

    fn call(params: &'static str) -> Call {
        Call::read(Method::ToolsCall, Some(&Raw::literal(params))).expect("params")
    }

    #[test]
    fn a_state_opens_for_the_same_call_only() {
        let (h, me, you) = (handles(), Principal::anonymous(), Principal::new("default", "you"));
        let (crm, files) =
            (UpstreamName::new("crm").expect("valid"), UpstreamName::new("files").expect("valid"));
        let first = call(r#"{"name":"a","arguments":{"x":1,"y":[2]},"_meta":{"t":1}}"#);
        let at = |principal, endpoint| Holder { principal, endpoint };
        let sealed = Raw::string(&h.seal_state(at(&me, "all"), &crm, &first, &own("inner\0state")));
        let open = |holder, upstream, call: &Call| h.open_state(holder, upstream, call, &sealed);
        let again =
            call(r#"{"arguments":{"y":[2],"x":1},"name":"a","inputResponses":{},"requestState":"s"}"#);
        let opened = open(at(&me, "all"), &crm, &again);
        assert_eq!(opened, Ok(opened_as("inner\0state")));
        assert!(open(at(&you, "all"), &crm, &again).is_err(), "another principal");
        assert!(open(at(&me, "crm"), &crm, &again).is_err(), "another endpoint");
        assert!(open(at(&me, "all"), &files, &again).is_err(), "another upstream");
        for other in
            [r#"{"name":"b","arguments":{"x":1,"y":[2]}}"#, r#"{"name":"a","arguments":{"x":2,"y":[2]}}"#]
        {
            assert!(open(at(&me, "all"), &crm, &call(other)).is_err(), "{other}");
        }
        assert!(h.open_state(at(&me, "all"), &crm, &again, &Raw::literal("7")).is_err());
    }

    #[test]
    fn a_state_tells_its_holder_alone_where_its_call_is_held() {
        let (h, me, you) = (handles(), Principal::anonymous(), Principal::new("default", "you"));
        let crm = UpstreamName::new("crm").expect("valid");
        let holder = |principal| Holder { principal, endpoint: "all" };
        let owner = ReplicaId::parse("0123456789ab").expect("twelve digits");
        let seal =
            |owner| Raw::string(&h.seal_state(holder(&me), &crm, &call("{}"), &State { owner, ..own("s") }));
        assert_eq!(h.state_owner(holder(&me), &seal(Some(&owner))), Some(owner.clone()));
        assert_eq!(h.state_owner(holder(&you), &seal(Some(&owner))), None);
        assert_eq!(h.state_owner(holder(&me), &seal(None)), None);
        assert_eq!(h.state_owner(holder(&me), &Raw::literal("7")), None);
        let opened = h.open_state(holder(&me), &crm, &call("{}"), &seal(Some(&owner)));
        assert_eq!(opened, Ok(opened_as("s")));
    }

    #[test]
    fn a_task_id_is_no_request_state() {
        let (h, me) = (handles(), Principal::anonymous());
        let crm = UpstreamName::new("crm").expect("valid");
        let holder = Holder { principal: &me, endpoint: "all" };
        let task = h.seal_task(holder, crm.as_str(), "t-1");
        assert_eq!(h.open_task(holder, &task), Ok(("crm".to_owned(), "t-1".to_owned())));
        assert_eq!(h.seal_task(holder, crm.as_str(), "t-1"), task, "a task keeps its name");
        assert_ne!(h.seal_task(holder, crm.as_str(), "t-2"), task);
        let state = h.seal_state(holder, &crm, &call("{}"), &own("t-1"));
        assert!(h.open_task(holder, &state).is_err());
    }
}
