//! A client's request, packed to be sent to another replica as it came.
//!
//! Method, target, client certificate, headers and body are one sequence of bytes, each part with its length
//! before it, so that a proof over these bytes covers everything, and nothing of it can be taken for a header
//! of the hop.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use identity::Certificate;

use super::Received;
use crate::http::From;

/// Headers in a parcel: what the listener lets through, and some room.
const HEADERS_MAX: usize = 1_024;

/// Why a parcel cannot be unpacked. The peer runs another version, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the forwarded request cannot be read: {0}")]
pub(crate) struct ParcelError(&'static str);

/// Packs a request. The certificate is that of the client's connection here, which ends here: it travels
/// beside the headers, among which a client could write what it likes.
pub(crate) fn pack(request: &Received<'_>) -> Bytes {
    let Received { method, target, headers, certificate, address, body } = request;
    let own = certificate.map_or(&[][..], |own| own.der());
    let target = target.path_and_query().map_or("/", |target| target.as_str());
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 8).sum();
    let mut out = BytesMut::with_capacity(size + target.len() + own.len() + body.len() + 32);
    put(&mut out, method.as_str().as_bytes());
    put(&mut out, target.as_bytes());
    put(&mut out, own);
    put(&mut out, address.map(|address| address.to_string()).unwrap_or_default().as_bytes());
    out.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    for (name, value) in *headers {
        put(&mut out, name.as_str().as_bytes());
        put(&mut out, value.as_bytes());
    }
    out.extend_from_slice(body);
    out.freeze()
}

fn put(out: &mut BytesMut, part: &[u8]) {
    // A part comes from a request's head, whose size is limited to far less.
    out.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(part);
}

/// Unpacks a request.
pub(crate) fn unpack(mut bytes: Bytes) -> Result<Request<Full<Bytes>>, ParcelError> {
    let method = Method::from_bytes(&take(&mut bytes)?).map_err(|_| ParcelError("its method is none"))?;
    let target = Uri::from_maybe_shared(take(&mut bytes)?).map_err(|_| ParcelError("its target is none"))?;
    let own = take(&mut bytes)?;
    let own = (!own.is_empty()).then(|| Certificate::read(Bytes::copy_from_slice(&own))).transpose();
    let own = own.map_err(|_| ParcelError("its certificate is none"))?;
    let address = take(&mut bytes)?;
    let address = std::str::from_utf8(&address).ok().and_then(|text| text.parse().ok());
    let count = number(&mut bytes)?;
    if count > HEADERS_MAX {
        return Err(ParcelError("it has too many headers"));
    }
    let mut headers = HeaderMap::with_capacity(count);
    for _ in 0..count {
        let name = HeaderName::from_bytes(&take(&mut bytes)?);
        let name = name.map_err(|_| ParcelError("a header's name is none"))?;
        let value = HeaderValue::from_maybe_shared(take(&mut bytes)?);
        headers.append(name, value.map_err(|_| ParcelError("a header's value is none"))?);
    }
    let mut request = Request::new(Full::new(bytes));
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    if let Some(own) = own {
        request.extensions_mut().insert(Arc::new(own));
    }
    if let Some(address) = address {
        request.extensions_mut().insert(From(address));
    }
    Ok(request)
}

fn number(bytes: &mut Bytes) -> Result<usize, ParcelError> {
    let number = bytes.try_get_u32().map_err(|_| ParcelError("it ends too early"))?;
    usize::try_from(number).map_err(|_| ParcelError("a part is too long"))
}

fn take(bytes: &mut Bytes) -> Result<Bytes, ParcelError> {
    let length = number(bytes)?;
    if length > bytes.len() {
        return Err(ParcelError("it ends too early"));
    }
    Ok(bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn parcel() -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        headers.append("accept", HeaderValue::from_static("text/event-stream"));
        headers.append("x", HeaderValue::from_static("1"));
        headers.append("x", HeaderValue::from_bytes(b"\xe9").expect("obs-text is allowed"));
        let target = Uri::from_static("http://somewhere:7400/crm/mcp?a=b");
        let body = Bytes::from_static(b"{}\r\n");
        let (method, certificate, address) = (&Method::POST, None, None);
        let bytes =
            pack(&Received { method, target: &target, headers: &headers, certificate, address, body });
        (headers, bytes)
    }

    #[tokio::test]
    async fn a_request_arrives_as_it_was_packed() {
        let (headers, bytes) = parcel();
        let request = unpack(bytes).expect("packed by us");
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/crm/mcp?a=b"));
        assert_eq!(*request.headers(), headers);
        assert!(request.extensions().get::<Arc<Certificate>>().is_none());
        let body = request.into_body().collect().await.expect("it is there").to_bytes();
        assert_eq!(body, "{}\r\n");
    }

    #[test]
    fn a_certificate_arrives_beside_the_headers_or_the_request_does_not() {
        let own = testkit::tls::Authority::new().client_of_uri("spiffe://example.org/a").certificate();
        let own = Arc::new(Certificate::read(own).expect("a certificate"));
        let (target, headers, body) = (Uri::from_static("/mcp"), HeaderMap::new(), Bytes::new());
        let (method, certificate, address) = (&Method::GET, Some(&own), Some([192, 0, 2, 7].into()));
        let bytes =
            pack(&Received { method, target: &target, headers: &headers, certificate, address, body });
        let request = unpack(bytes.clone()).expect("packed by us");
        assert_eq!(request.extensions().get::<Arc<Certificate>>(), Some(&own));
        assert_eq!(request.extensions().get::<From>(), Some(&From([192, 0, 2, 7].into())));
        assert!(request.headers().is_empty());
        let mut altered = bytes.to_vec();
        // The first byte of the certificate, after the method, the target and three lengths.
        altered[3 + 4 + 3 * 4] = 0;
        assert_eq!(unpack(altered.into()).unwrap_err(), ParcelError("its certificate is none"));
    }

    #[test]
    fn what_is_cut_or_altered_is_refused_or_is_another_request_but_never_a_panic() {
        let (_, whole) = parcel();
        let head = whole.len() - 4;
        for at in 0..head {
            assert!(unpack(whole.slice(..at)).is_err(), "cut at {at}");
            for byte in [0, 1, 0x7f, 0xff] {
                let mut altered = whole.to_vec();
                altered[at] = byte;
                let _ = unpack(altered.into());
            }
        }
        let mut endless = BytesMut::new();
        put(&mut endless, b"GET");
        put(&mut endless, b"/");
        put(&mut endless, b"");
        put(&mut endless, b"");
        endless.put_u32(u32::MAX);
        assert_eq!(unpack(endless.freeze()).unwrap_err(), ParcelError("it has too many headers"));
    }
}
