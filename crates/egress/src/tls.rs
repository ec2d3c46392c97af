//! TLS towards upstreams: rustls with the system's certificates and the operator's own.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
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
}

/// The client side of TLS, read when the first `https` URL is dialled: a gateway in front of plain upstreams
/// should neither spend the time nor the memory.
pub(crate) struct Tls {
    extra: Vec<CertificateDer<'static>>,
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
        Ok(Self { extra, connector: OnceCell::new() })
    }

    /// Agrees on TLS over `tcp`, with `h2` and `http/1.1` on offer.
    pub(crate) async fn handshake(
        &self,
        target: &Target<'_>,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, EgressError> {
        let failed =
            |source: io::Error| EgressError::Tls { authority: target.authority(), source: source.into() };
        let connector = self.connector.get_or_try_init(|| self.load()).await.map_err(failed)?;
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
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
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
