//! TLS towards upstreams: rustls with the system's certificates and the operator's own.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::EgressError;
use crate::guard::{Host, Target};

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Certificate authorities to trust besides the system's, as PEM; a company's own, usually.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Take any certificate of who answers at a loopback address: for a question to a listener of this
    /// machine, whose certificate is for the name that clients know. Elsewhere certificates are checked.
    pub any_on_loopback: bool,
}

/// The client side of TLS, read when the first `https` URL is dialled: a gateway in front of plain upstreams
/// should neither spend the time nor the memory.
pub(crate) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    any_on_loopback: bool,
    /// What is on offer (ALPN). Nothing, where it is not HTTP that is spoken.
    protocols: &'static [&'static [u8]],
    connector: OnceCell<TlsConnector>,
}

impl Tls {
    /// Checks the operator's certificates now, so that a mistake is found at the start and not at the first
    /// call.
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, EgressError> {
        let bad = |reason: String| EgressError::Options { option: "extra_ca_pem", reason };
        let mut extra = Vec::new();
        if let Some(pem) = &options.extra_ca_pem {
            let mut checked = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| bad(format!("it is not PEM: {e}")))?;
                checked
                    .add(certificate.clone())
                    .map_err(|e| bad(format!("a certificate cannot be used: {e}")))?;
                extra.push(certificate);
            }
            if extra.is_empty() {
                return Err(bad("it holds no certificate".to_owned()));
            }
        }
        let any_on_loopback = options.any_on_loopback;
        Ok(Self { extra, any_on_loopback, protocols: &[b"h2", b"http/1.1"], connector: OnceCell::new() })
    }

    /// The same, for a protocol that has no name in TLS.
    pub(crate) fn without_protocols(options: &TlsOptions) -> Result<Self, EgressError> {
        Ok(Self { protocols: &[], ..Self::new(options)? })
    }

    /// Agrees on TLS over `tcp`; for HTTP, `h2` and `http/1.1` are on offer.
    pub(crate) async fn handshake(
        &self,
        target: &Target<'_>,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, EgressError> {
        let failed =
            |source: io::Error| EgressError::Tls { authority: target.authority(), source: source.into() };
        let near = || tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let unchecked;
        let connector = if self.any_on_loopback && near() {
            unchecked = any_certificate(self.protocols).map_err(failed)?;
            &unchecked
        } else {
            self.connector.get_or_try_init(|| self.load()).await.map_err(failed)?
        };
        let name = match target.host {
            Host::Address(ip) => ServerName::from(ip),
            Host::Name(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
                .map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidInput, e)))?,
        };
        connector.connect(name, tcp).await.map_err(failed)
    }

    async fn load(&self) -> io::Result<TlsConnector> {
        let extra = self.extra.clone();
        let roots = tokio::task::spawn_blocking(move || roots(extra)).await.map_err(io::Error::other)??;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(connector(config, self.protocols))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn connector(mut config: ClientConfig, protocols: &[&[u8]]) -> TlsConnector {
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// One for a server on this machine, whoever its certificate is for.
fn any_certificate(protocols: &[&[u8]]) -> io::Result<TlsConnector> {
    let provider = provider();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(connector(config, protocols))
}

/// Holds only the handshake against the certificate, and the certificate against nothing.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The system's certificates and the operator's. One that cannot be read is logged and left out, as browsers
/// do.
fn roots(extra: Vec<CertificateDer<'static>>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "read the system's certificates");
    }
    let (_added, ignored) = roots.add_parsable_certificates(native.certs.into_iter().chain(extra));
    if ignored > 0 {
        tracing::debug!(ignored, "some of the system's certificates cannot be used");
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no certificate authority to trust"));
    }
    Ok(roots)
}
