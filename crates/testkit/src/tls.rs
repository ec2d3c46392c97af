//! Certificates of authorities that are made for a test, and requests over connections that show one.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::{Method, Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
/// What a certificate is for.
pub use rcgen::ExtendedKeyUsagePurpose as Usage;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::within;

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// An authority.
pub struct Authority {
    own: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Holder {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An authority");
        let key = KeyPair::generate().expect("a key");
        Self { own: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    /// Its own certificate, in PEM form.
    #[must_use]
    pub fn pem(&self) -> String {
        self.own.pem()
    }

    fn issue(&self, params: &CertificateParams) -> Holder {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.own).expect("a certificate");
        Holder { certificate: certificate.der().clone(), key }
    }

    /// A server's, for the loopback address.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn server(&self) -> Holder {
        self.issue(&CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name"))
    }

    /// A client's, with changes.
    #[must_use]
    pub fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Holder {
        let mut params = CertificateParams::default();
        params.insert_extended_key_usage(Usage::ClientAuth);
        change(&mut params);
        self.issue(&params)
    }

    /// A client's, with one URI: a SPIFFE ID.
    #[must_use]
    pub fn client_of_uri(&self, uri: &str) -> Holder {
        self.client(|params| params.subject_alt_names = vec![uri_name(uri)])
    }

    /// The same, good until the beginning of a day.
    #[must_use]
    pub fn client_until(&self, uri: &str, (year, month, day): (i32, u8, u8)) -> Holder {
        self.client(|params| {
            params.subject_alt_names = vec![uri_name(uri)];
            params.not_after = date_time_ymd(year, month, day);
        })
    }

    /// Writes what a gateway's `tls` and `auth.mtls` name into a folder: `cert.pem`, `key.pem`, `ca.pem`.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn furnish(&self, folder: &Path) {
        let server = self.server();
        let files =
            [("cert.pem", server.pem()), ("key.pem", server.key.serialize_pem()), ("ca.pem", self.pem())];
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file can be written");
        }
    }

    /// The same in a new folder under this one.
    ///
    /// # Panics
    /// If they cannot be written.
    #[must_use]
    pub fn furnished(&self, under: &Path) -> PathBuf {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = under.join(format!("tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        self.furnish(&folder);
        folder
    }
}

/// A URI among the alternative names of a subject.
///
/// # Panics
/// If it is no ASCII.
#[must_use]
pub fn uri_name(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("ASCII"))
}

impl Holder {
    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> Bytes {
        Bytes::copy_from_slice(&self.certificate)
    }

    /// The certificate, in PEM form.
    #[must_use]
    pub fn pem(&self) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// What a token says that is bound to the certificate (RFC 8705, section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        BASE64.encode(seal::sha256(&self.certificate))
    }
}

/// A connection to a gateway.
pub struct Secure {
    sender: SendRequest<Full<Bytes>>,
}

impl Secure {
    /// Connects, and shows a certificate if there is one. A refusal may come with the first request only, as
    /// TLS 1.3 has it.
    ///
    /// # Errors
    /// If no connection comes about.
    ///
    /// # Panics
    /// If it hangs.
    pub async fn connect(
        address: SocketAddr,
        trusted: &Authority,
        shown: Option<&Holder>,
    ) -> io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.own.der().clone()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let builder = builder.with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.serialize_der()).map_err(io::Error::other)?;
                builder.with_client_auth_cert(vec![own.certificate.clone()], key).map_err(io::Error::other)?
            }
        };
        let stream = within(TcpStream::connect(address)).await?;
        let name = ServerName::IpAddress(address.ip().into());
        let stream = within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
        let (sender, connection) =
            within(http1::handshake(TokioIo::new(stream))).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request with these headers, and gives the answer once its head is there.
    ///
    /// # Errors
    /// If there is none.
    ///
    /// # Panics
    /// If it hangs, or is none that HTTP could carry.
    pub async fn send(
        &mut self,
        (method, path): (&Method, &str),
        headers: &[(&str, &str)],
        body: impl ToString,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if method == Method::POST {
            request = request.header("content-type", "application/json");
        }
        request = request.header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_string()))).expect("a request");
        within(self.sender.ready()).await?;
        within(self.sender.send_request(request)).await
    }

    /// Posts JSON and gives the status and the whole of the answer, which is null where it is no JSON.
    ///
    /// # Errors
    /// If there is no answer.
    ///
    /// # Panics
    /// If it hangs.
    pub async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<(u16, Value), hyper::Error> {
        let response = self.send((&Method::POST, path), headers, body).await?;
        let status = response.status().as_u16();
        let body = within(response.into_body().collect()).await?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}
