//! A client's request, packed to be sent to another replica as it came.
//!
//! Method, target, headers and body are one sequence of bytes, each part with its length before it, so that
//! a proof over these bytes covers everything, and nothing of it can be taken for a header of the hop.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

/// Headers in a parcel: what the listener lets through, and some room.
const HEADERS_MAX: usize = 1_024;

/// Why a parcel cannot be unpacked. The peer runs another version, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the forwarded request cannot be read: {0}")]
pub(crate) struct ParcelError(&'static str);

/// Packs a request.
pub(crate) fn pack(method: &Method, target: &Uri, headers: &HeaderMap, body: &Bytes) -> Bytes {
    let target = target.path_and_query().map_or("/", |target| target.as_str());
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 8).sum();
    let mut out = BytesMut::with_capacity(size + target.len() + body.len() + 32);
    put(&mut out, method.as_str().as_bytes());
    put(&mut out, target.as_bytes());
    out.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    for (name, value) in headers {
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
        let bytes = pack(&Method::POST, &target, &headers, &Bytes::from_static(b"{}\r\n"));
        (headers, bytes)
    }

    #[tokio::test]
    async fn a_request_arrives_as_it_was_packed() {
        let (headers, bytes) = parcel();
        let request = unpack(bytes).expect("packed by us");
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/crm/mcp?a=b"));
        assert_eq!(*request.headers(), headers);
        let body = request.into_body().collect().await.expect("it is there").to_bytes();
        assert_eq!(body, "{}\r\n");
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
        endless.put_u32(u32::MAX);
        assert_eq!(unpack(endless.freeze()).unwrap_err(), ParcelError("it has too many headers"));
    }
}
