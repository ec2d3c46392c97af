//! A call as it is stored: what the client asked for, in whose name, and what else it takes to ask again.

use bytes::Bytes;
use identity::Kind;
use model::{Principal, Timestamp};
use protocol::json::Object;
use protocol::{Call, Method, Raw};
use serde_json::json;

use crate::app::Exchange;

/// The version of this form.
const FORM: &[u8] = b"1";

/// A stored call.
#[derive(Debug, Clone)]
pub(crate) struct StoredCall {
    pub endpoint: String,
    pub principal: Principal,
    pub client_info: Raw,
    pub params: Raw,
    /// What the upstream is sent so that it knows the attempts for one.
    pub key: Option<String>,
    /// Who the caller was, for whoever decides on the attempts.
    pub who: Option<Raw>,
    /// The operation, as the audit log knows it.
    pub operation: Option<String>,
    /// For what somebody has said yes.
    pub granted: Option<String>,
    /// The approval that it waits for.
    pub approval: Option<String>,
}

/// Who a caller is, as it is stored: nothing of it proves anything.
fn who_of(who: &identity::Caller) -> Raw {
    Raw::from_value(&json!({
        "kind": who.kind.as_str(), "actors": who.actors, "groups": who.groups, "scopes": who.scopes,
        "client": who.client, "issuer": who.issuer, "grant": who.grant,
        "issued": who.issued.map(|at| at.0),
        "signed_in": who.signed_in.map(|at| at.0), "key": who.key, "certificate": who.bound_certificate,
    }))
}

/// The caller of a stored call. Of one of an older version nothing but the name is known.
fn read_who(principal: &Principal, stored: Option<&Raw>) -> identity::Caller {
    let nobody = identity::Caller { principal: principal.clone(), ..identity::Caller::anonymous() };
    let Some(stored) = stored.map(Raw::to_value) else { return nobody };
    let text = |name: &str| stored[name].as_str().map(str::to_owned);
    let words = |name: &str| {
        let all = stored[name].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let kinds = [Kind::Person, Kind::Workload, Kind::Agent];
    identity::Caller {
        kind: kinds.into_iter().find(|k| stored["kind"] == k.as_str()).unwrap_or(Kind::Anonymous),
        actors: words("actors"),
        groups: words("groups"),
        scopes: words("scopes"),
        client: text("client"),
        issuer: text("issuer"),
        grant: text("grant"),
        issued: stored["issued"].as_u64().map(Timestamp),
        signed_in: stored["signed_in"].as_u64().or(stored["issued"].as_u64()).map(Timestamp),
        key: text("key"),
        bound_certificate: text("certificate"),
        ..nobody
    }
}

impl StoredCall {
    /// This call of this client.
    pub fn of(x: &Exchange, call: &Call, key: Option<String>) -> Self {
        Self {
            endpoint: x.endpoint.name().to_owned(),
            principal: x.caller.principal.clone(),
            client_info: x.caller.client_info.clone(),
            params: call.params.edit().remove("task").finish(),
            key,
            who: Some(who_of(&x.who)),
            operation: x.noted.as_ref().map(|noted| noted.operation().to_string()),
            granted: None,
            approval: None,
        }
    }

    pub fn write(&self) -> Bytes {
        let empty = Object::empty();
        let text = Raw::string;
        let edit = empty
            .edit()
            .set("form", Raw::literal("1"))
            .set("endpoint", text(&self.endpoint))
            .set("tenant", text(self.principal.tenant()))
            .set("subject", text(self.principal.subject()))
            .put("key", self.key.as_deref().map(text))
            .put("who", self.who.clone())
            .put("operation", self.operation.as_deref().map(text))
            .put("granted", self.granted.as_deref().map(text))
            .put("approval", self.approval.as_deref().map(text))
            .set("clientInfo", self.client_info.clone())
            .set("params", self.params.clone());
        Bytes::copy_from_slice(edit.finish().as_bytes())
    }

    /// `None`: it is of another version, or damaged.
    pub fn read(bytes: &Bytes) -> Option<Self> {
        let object = Raw::parse(bytes.clone()).ok()?.object().ok()??;
        if object.get("form")?.as_bytes() != FORM {
            return None;
        }
        let text = |name: &str| Some(object.get(name)?.as_str()?.into_owned());
        Some(Self {
            endpoint: text("endpoint")?,
            principal: Principal::new(&text("tenant")?, &text("subject")?),
            client_info: object.get("clientInfo")?,
            params: object.get("params")?,
            key: text("key"),
            who: object.get("who"),
            operation: text("operation"),
            granted: text("granted"),
            approval: text("approval"),
        })
    }

    /// Who asked for it, as he was then.
    pub fn who(&self) -> identity::Caller {
        read_who(&self.principal, self.who.as_ref())
    }

    /// The call to make.
    pub fn call(&self) -> Option<Call> {
        Call::read(Method::ToolsCall, Some(&self.params)).ok()
    }
}

/// Who may ask for a task, as one text that tells nobody who that is.
pub(crate) fn holder(principal: &Principal, endpoint: &str) -> String {
    hex(&[principal.tenant().as_bytes(), principal.subject().as_bytes(), endpoint.as_bytes()])
}

/// A digest of these, each with its length.
pub(crate) fn hex(parts: &[&[u8]]) -> String {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    seal::hex(&seal::sha256(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written_number_spellings_and_all() {
        let params = r#"{"name":"t","arguments":{"n":1.0,"e":1e3},"_meta":{"a/b":[ 1 ]}}"#;
        let stored = StoredCall {
            endpoint: "work".to_owned(),
            principal: Principal::new("acme", "a\nb"),
            client_info: Raw::literal(r#"{"name":"c"}"#),
            params: Raw::literal(params),
            key: Some("k".to_owned()),
            who: None,
            operation: None,
            granted: None,
            approval: Some("a".to_owned()),
        };
        let read = StoredCall::read(&stored.write()).expect("a call");
        assert_eq!(read.params.as_text(), params);
        assert_eq!(read.approval, stored.approval);
        assert_eq!(
            (read.endpoint, read.principal, read.key),
            ("work".to_owned(), stored.principal, stored.key)
        );
        for other in ["", "{}", r#"{"form":2}"#, "[1]"] {
            assert!(StoredCall::read(&Bytes::from(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn holders_differ_where_any_part_does() {
        let of =
            |tenant: &str, subject: &str, endpoint: &str| holder(&Principal::new(tenant, subject), endpoint);
        assert_eq!(of("a", "b", "c"), of("a", "b", "c"));
        assert_ne!(of("a", "b", "c"), of("ab", "", "c"));
        assert_ne!(of("a", "b", "c"), of("a", "b", "d"));
    }
}
