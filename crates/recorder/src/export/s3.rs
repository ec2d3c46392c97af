//! To an object store that speaks S3: each batch is an object, whose name says which entries it has. What is
//! sent again takes its own place.

use std::fmt::Write as _;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use ::http::{Request, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use egress::EgressError;
use model::Timestamp;

use super::http::{Client, kind};
use super::{Batch, Refused, Sending, Taker};
use crate::Format;

/// Where objects go, and with whose right.
#[derive(Clone)]
pub struct Bucket {
    /// The service, as `https://s3.eu-central-1.amazonaws.com`. A path is kept.
    pub endpoint: Uri,
    /// The bucket, which is the first part of each object's path.
    pub name: String,
    /// What each object's name begins with.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The key's id.
    pub key_id: String,
    /// The key.
    pub secret: String,
    /// The token of a session, where the key is of one.
    pub token: Option<String>,
}

pub(super) struct S3 {
    client: Client,
    bucket: Bucket,
    format: Format,
}

impl S3 {
    pub(super) fn new(bucket: Bucket, ca: Option<Vec<u8>>, sending: &Sending) -> Result<Self, EgressError> {
        Ok(Self { client: Client::new(ca, sending.timeout)?, bucket, format: sending.format })
    }
}

#[async_trait]
impl Taker for S3 {
    fn names_batches(&self) -> bool {
        true
    }

    async fn take(&self, batch: &Batch<'_>) -> Result<u64, Refused> {
        let (Some(first), Some(last)) = (batch.rows.first(), batch.rows.last()) else { return Ok(0) };
        let end = match self.format {
            Format::JsonLines => "jsonl",
            Format::Ocsf => "ocsf.jsonl",
            Format::Cef => "cef",
        };
        let (prefix, log) = (&self.bucket.prefix, folder(&first.log));
        let object = format!("{prefix}{log}/{:020}-{:020}.{end}", first.index, last.index);
        let request = put(&self.bucket, &object, kind(self.format), batch.text(), batch.now)?;
        let (status, answer) = self.client.send(request).await?;
        if status.is_success() { Ok(0) } else { Err(Refused::Object(status.as_u16(), code(&answer))) }
    }
}

/// A tenant as a part of an object's name: `%` and two digits for what has a meaning there.
fn folder(tenant: &str) -> String {
    let dots = tenant.bytes().all(|byte| byte == b'.');
    let mut name = String::new();
    for byte in tenant.bytes() {
        if (byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && !dots {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

/// What the service calls its refusal: a word of its own, such as `NoSuchBucket`.
fn code(answer: &[u8]) -> String {
    let answer = String::from_utf8_lossy(answer);
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    if code.is_empty() { "without a word".to_owned() } else { code }
}

/// A PUT of an object, signed by the fourth version of the service's signatures.
fn put(
    bucket: &Bucket,
    object: &str,
    kind: &'static str,
    body: String,
    now: Timestamp,
) -> Result<Request<Bytes>, Refused> {
    let unusable = || Refused::Address;
    let authority = bucket.endpoint.authority().ok_or_else(unusable)?;
    let scheme = bucket.endpoint.scheme_str().unwrap_or("https");
    let before = bucket.endpoint.path().trim_end_matches('/');
    let path = format!("{before}/{}/{}", encoded(&bucket.name), encoded(object));
    let host = host(scheme, authority);
    let digest = audit::hex(&seal::sha256(body.as_bytes()));
    let at = moment(now);
    let mut signed = vec![
        ("content-type", kind.to_owned()),
        ("host", host.clone()),
        ("x-amz-content-sha256", digest.clone()),
        ("x-amz-date", at.clone()),
    ];
    signed.extend(bucket.token.iter().map(|token| ("x-amz-security-token", token.clone())));
    let authorization = Signing { bucket, at: &at }.authorization("PUT", &path, &signed, &digest);
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = ::http::Method::PUT;
    *request.uri_mut() = format!("{scheme}://{authority}{path}").parse().map_err(|_| unusable())?;
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| unusable());
    let headers = request.headers_mut();
    for (name, text) in &signed {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(HOST, value(&host)?);
    let mut authorization = value(&authorization)?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    Ok(request)
}

/// The host as clients write it: without the port that the scheme means anyway.
fn host(scheme: &str, authority: &::http::uri::Authority) -> String {
    let usual = if scheme == "http" { 80 } else { 443 };
    match authority.port_u16() {
        Some(port) if port != usual => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    }
}

/// Percent-encoded but for `/`, as the signature counts it.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `20130524T000000Z`
fn moment(now: Timestamp) -> String {
    let text = seal::time_to_text(now);
    text[..19].chars().filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
}

/// A signature (AWS Signature Version 4, in the header `Authorization`).
struct Signing<'a> {
    bucket: &'a Bucket,
    at: &'a str,
}

impl Signing<'_> {
    /// `headers` by name, in lower case.
    fn authorization(&self, method: &str, path: &str, headers: &[(&str, String)], digest: &str) -> String {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, text)| format!("{name}:{}\n", text.trim())).collect();
        // No query: nothing stands between the path and the headers.
        let request = format!("{method}\n{path}\n\n{lines}\n{names}\n{digest}");
        let day = &self.at[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.bucket.region);
        let hashed = audit::hex(&seal::sha256(request.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", self.at);
        let first = seal::hmac_sha256(format!("AWS4{}", self.bucket.secret).as_bytes(), &[day.as_bytes()]);
        let parts = [self.bucket.region.as_str(), "s3", "aws4_request", &to_sign];
        let mac = parts.iter().fold(first, |key, part| seal::hmac_sha256(&key, &[part.as_bytes()]));
        let id = &self.bucket.key_id;
        let signature = audit::hex(&mac);
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        Bucket {
            endpoint: "https://examplebucket.s3.amazonaws.com".parse().expect("a URL"),
            name: "examplebucket".to_owned(),
            prefix: String::new(),
            region: "us-east-1".to_owned(),
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        }
    }

    /// The example "PUT Object" of the service's documentation.
    #[test]
    fn a_signature_is_the_one_that_the_services_documentation_has() {
        let digest = audit::hex(&seal::sha256(b"Welcome to Amazon S3."));
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT".to_owned()),
            ("host", "examplebucket.s3.amazonaws.com".to_owned()),
            ("x-amz-content-sha256", digest.clone()),
            ("x-amz-date", "20130524T000000Z".to_owned()),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY".to_owned()),
        ];
        let (bucket, at) = (bucket(), moment(Timestamp(1_369_353_600_000)));
        let path = format!("/{}", encoded("test$file.text"));
        let text = Signing { bucket: &bucket, at: &at }.authorization("PUT", &path, &headers, &digest);
        assert_eq!(
            text,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,\
             Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
    }

    #[test]
    fn no_tenant_gets_out_of_its_folder() {
        for (tenant, name) in
            [("acme", "acme"), ("a.b/c", "a.b%2Fc"), ("..", "%2E%2E"), (".", "%2E"), ("", "%"), ("%", "%25")]
        {
            assert_eq!(folder(tenant), name);
        }
        let request =
            put(&bucket(), &format!("p/{}/1", folder("..")), "text/plain", String::new(), Timestamp(0));
        let uri = request.expect("a request").uri().to_string();
        assert_eq!(uri, "https://examplebucket.s3.amazonaws.com/examplebucket/p/%252E%252E/1");
    }

    #[test]
    fn a_refusal_is_called_by_the_services_own_word_and_no_more() {
        assert_eq!(code(b"<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>"), "NoSuchBucket");
        assert_eq!(code(b"<Code>a\n<b> c</Code>"), "abc");
        assert_eq!(code(b"gone"), "without a word");
    }
}
