//! A check by webhook: a signed POST that shows a text, and an answer that says what becomes of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::CheckWebhook;
use egress::{EgressError, Http, Timeouts};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use policy::content::{redact_pointers, redact_result_pointers};
use protocol::Raw;
use protocol::json::{Kind, Object};
use serde_json::json;

use super::passing::Shape;
use super::remote::{About, CheckError, Failure, Said, Turns, client, kind_of, operation, text_of, words};
use crate::compose::Shared;

/// How the names of Standard Webhooks begin.
const SECRET_PREFIX: &str = "whsec_";
/// How many bytes a secret may have.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many places one answer may have blanked.
const POINTERS_MAX: usize = 1_000;
/// How long a denial's code may be.
const CODE_BYTES_MAX: usize = 64;

pub(super) struct Webhook {
    http: Http,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    secret: Option<Vec<u8>>,
    timeout: Duration,
    pub(super) bytes_max: usize,
    turns: Turns,
    clock: Arc<dyn model::Clock>,
    rng: Arc<dyn model::Rng>,
}

impl Webhook {
    pub(super) fn new(section: &CheckWebhook, shared: &Shared) -> Result<Self, CheckError> {
        let env = |name: &str| std::env::var(name).ok();
        let read = crate::secret::fetch;
        let (headers, secret) = section.resolve(&env, &read)?;
        let secret = secret.map(|secret| key(secret.expose()).ok_or(CheckError::NoSecret)).transpose()?;
        let timeout = section.timeout.duration();
        let (url, http) = client(&section.url, section.ca.as_ref(), (timeout, section.concurrency_max))?;
        Ok(Self {
            http,
            url,
            headers,
            secret,
            timeout,
            bytes_max: section.bytes_max.as_usize(),
            turns: Turns::new(section.concurrency_max),
            clock: Arc::clone(&shared.handles.clock),
            rng: Arc::clone(&shared.handles.rng),
        })
    }

    pub(super) async fn ask(&self, about: &About<'_>, text: &Raw) -> Result<Said, Failure> {
        let shown = about.shape.shown(text);
        if shown.as_bytes().len() > self.bytes_max {
            return Err(Failure::TooLarge);
        }
        let body = self.body(about, shown);
        let answer = tokio::time::timeout(self.timeout, self.post(body)).await;
        let answer = answer.map_err(|_elapsed| Failure::Late)??;
        said(about.shape, text, &answer)
    }

    /// What is sent: as Standard Webhooks recommends it, a type, a time and data.
    fn body(&self, about: &About<'_>, shown: Raw) -> Raw {
        let x = about.x;
        let principal = &x.caller.principal;
        let data = Raw::from_value(&json!({
            "on": about.part,
            "phase": about.shape.phase().word(),
            "method": about.method.as_str(),
            "endpoint": about.place.endpoint,
            "upstream": about.place.upstream,
            "name": about.place.name,
            "operation": operation(x).as_deref(),
            "principal": {
                "tenant": principal.tenant(), "subject": principal.subject(), "kind": kind_of(x),
            },
        }));
        // The payload as it is spelled: a number that a reader of ours would write anew may be another one.
        let data = data.object().ok().flatten().map(|data| data.edit().set("payload", shown).finish());
        let at = seal::time_to_text(self.clock.now());
        let head = Raw::from_value(&json!({"type": "tidegate.check", "timestamp": at}));
        let head = head.object().ok().flatten().unwrap_or_else(Object::empty);
        head.edit().put("data", data).finish()
    }

    async fn post(&self, body: Raw) -> Result<Raw, Failure> {
        let _turn = self.turns.take().await?;
        let mut request = Request::new(egress::Body::from(body.bytes()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut random = [0; 16];
        self.rng.fill(&mut random);
        let id = format!("msg_{}", audit::hex(&random));
        let seconds = (self.clock.now().0 / 1_000).to_string();
        let mut signed = vec![("webhook-id", id.clone()), ("webhook-timestamp", seconds.clone())];
        if let Some(secret) = &self.secret {
            signed.push(("webhook-signature", signature(secret, (&id, &seconds), body.as_bytes())));
        }
        for (name, value) in signed {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        let timeouts = Timeouts { total: Some(self.timeout), ..Timeouts::default() };
        let response = self.http.send(request, &timeouts).await.map_err(|error| failure(&error))?;
        if response.status() != http::StatusCode::OK {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let answer = response.into_body().collect(self.bytes_max).await.map_err(|error| failure(&error))?;
        Raw::parse(answer).map_err(|_| Failure::Garbage("it is no JSON"))
    }
}

fn failure(error: &EgressError) -> Failure {
    match error {
        EgressError::BodyTooLarge { .. } => Failure::AnswerTooLarge,
        EgressError::FirstByteTimeout { .. }
        | EgressError::IdleTimeout { .. }
        | EgressError::TotalTimeout { .. }
        | EgressError::ConnectTimeout { .. } => Failure::Late,
        other => Failure::Unreachable(other.to_string()),
    }
}

/// The bytes of a secret.
fn key(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// The signature of a message (Standard Webhooks, version 1).
fn signature(secret: &[u8], (id, seconds): (&str, &str), body: &[u8]) -> String {
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", seconds.as_bytes(), b".", body];
    format!("v1,{}", STANDARD.encode(seal::hmac_sha256(secret, &parts)))
}

/// What an answer says of a text. What is not understood is no answer.
fn said(shape: &Shape<'_>, text: &Raw, answer: &Raw) -> Result<Said, Failure> {
    let object = answer.object().ok().flatten().ok_or(Failure::Garbage("it is no object"))?;
    let action = text_of(answer, "action").ok_or(Failure::Garbage("it has no action"))?;
    match &*action {
        "allow" => Ok(Said::Pass),
        "deny" => Ok(Said::Denied {
            reason: text_of(answer, "reason").and_then(|reason| words(&reason)),
            code: text_of(answer, "code").filter(|code| is_code(code)).map(Cow::into_owned),
        }),
        "mutate" => {
            let made = match (object.get("payload"), object.get("blank")) {
                (Some(made), None) => made,
                (None, Some(blank)) => blanked(shape, text, &blank)?,
                _ => return Err(Failure::Garbage("it has not one of payload and blank")),
            };
            let made = shape.put(text, made)?;
            Ok(if made == *text { Said::Pass } else { Said::Changed(made) })
        }
        _ => Err(Failure::Garbage("its action is unknown")),
    }
}

/// What was shown without what stands at these pointers.
fn blanked(shape: &Shape<'_>, text: &Raw, blank: &Raw) -> Result<Raw, Failure> {
    let pointers = blank.items().filter(|items| items.len() <= POINTERS_MAX && !items.is_empty());
    let pointers = pointers.ok_or(Failure::Garbage("blank is no list of some pointers"))?;
    if pointers.iter().any(|pointer| pointer.kind() != Kind::String) {
        return Err(Failure::Garbage("a pointer is no text"));
    }
    let pointers: Vec<String> =
        pointers.iter().filter_map(|pointer| pointer.as_str().map(Cow::into_owned)).collect();
    let shown = shape.shown(text);
    let made = match shape {
        Shape::Result => redact_result_pointers(&shown, &pointers),
        _ => redact_pointers(&shown, &pointers),
    };
    made.map_err(|_| Failure::Garbage("a pointer is none"))
}

/// Whether a code is one word of letters, digits and a few marks: it goes to logs.
fn is_code(code: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_standard_webhooks_has_it() {
        // The example that the libraries of Standard Webhooks are tested with.
        let secret = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let message = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let made = signature(&secret, message, br#"{"test": 2432232314}"#);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for none in ["whsec_", "whsec_YQ==", "whsec_%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""] {
            assert_eq!(key(none), None, "{none}");
        }
    }

    fn answer(text: &'static str) -> Result<Said, Failure> {
        let call =
            protocol::Call::read(protocol::Method::ToolsCall, Some(&Raw::literal(r#"{"arguments":{}}"#)));
        let call = call.expect("parameters");
        let shape = Shape::Member(&call, "arguments");
        said(&shape, &Raw::literal(r#"{"a":{"b":1,"c":2.0}}"#), &Raw::literal(text))
    }

    #[test]
    fn an_answer_is_one_of_three_or_none() {
        assert_eq!(answer(r#"{"action":"allow"}"#), Ok(Said::Pass));
        let denied = |reason: Option<&str>, code: Option<&str>| {
            Ok(Said::Denied { reason: reason.map(str::to_owned), code: code.map(str::to_owned) })
        };
        assert_eq!(answer(r#"{"action":"deny"}"#), denied(None, None));
        assert_eq!(
            answer(r#"{"action":"deny","reason":" no\nway ","code":"pii.card"}"#),
            denied(Some("no way"), Some("pii.card"))
        );
        assert_eq!(answer(r#"{"action":"deny","code":"a b"}"#), denied(None, None));
        let changed = |text: &'static str| Ok(Said::Changed(Raw::literal(text)));
        assert_eq!(answer(r#"{"action":"mutate","payload":{"x": 1.50}}"#), changed(r#"{"x": 1.50}"#));
        let blanked = changed(r#"{"a":{"b":"[redacted]","c":2.0}}"#);
        assert_eq!(answer(r#"{"action":"mutate","blank":["/a/b"]}"#), blanked);
        assert_eq!(answer(r#"{"action":"mutate","blank":["/none"]}"#), Ok(Said::Pass));
        for garbage in [
            "[]",
            "{}",
            r#"{"action":"maybe"}"#,
            r#"{"action":true}"#,
            r#"{"action":"allow","action":"deny"}"#,
            r#"{"action":"mutate"}"#,
            r#"{"action":"mutate","payload":{},"blank":["/a"]}"#,
            r#"{"action":"mutate","blank":[]}"#,
            r#"{"action":"mutate","blank":[1]}"#,
            r#"{"action":"mutate","blank":["a"]}"#,
        ] {
            assert!(matches!(answer(garbage), Err(Failure::Garbage(_))), "{garbage}");
        }
        assert!(matches!(answer(r#"{"action":"mutate","payload":[]}"#), Err(Failure::Unfit(_))));
    }
}
