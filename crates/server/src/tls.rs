//! The certificate that clients see, and those that they show.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use identity::Certificate;
use model::Clock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};

/// Why there can be no TLS as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The gateway's own certificate or its key cannot be used.
    #[error("use tls: {0}")]
    Own(String),
    /// Authorities of clients cannot be used.
    #[error("use auth.mtls: {0}")]
    Clients(String),
}

/// The process's clock, as handshakes want it.
#[derive(Clone)]
struct Time(Arc<dyn Clock>);

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(&*self.0))
    }
}

fn unix(clock: &dyn Clock) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(clock.now().0))
}

/// What a listener needs; `None`: it speaks plain HTTP.
pub(crate) fn server_config(
    config: &config::Config,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let Some(own) = &config.tls else { return Ok(None) };
    let (certs, private) = pair(&own.cert, &own.key).map_err(TlsError::Own)?;
    let clients = match &config.auth.mtls {
        Some(mtls) => verifier(&mtls.ca).map_err(TlsError::Clients)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(Time(Arc::clone(clock))));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| TlsError::Own(e.to_string()))?;
    let unfit = |error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Own(format!("{} is not the key of {}", own.key.display(), own.cert.display()))
        }
        other => TlsError::Own(other.to_string()),
    };
    let builder = builder.with_client_cert_verifier(clients);
    let mut made = builder.with_single_cert(certs, private).map_err(unfit)?;
    made.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(made)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn pair(cert: &Path, key: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let certs = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        let none = matches!(error, PemError::NoItemsFound);
        let why = if none { "there is no private key in it".to_owned() } else { error.to_string() };
        format!("{}: {why}", key.display())
    })?;
    Ok((certs, private))
}

/// The certificates of a file, of which there is at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let refuse = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let all = CertificateDer::pem_file_iter(file).map_err(|error| refuse(&error))?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|error| refuse(&error))?;
    if all.is_empty() { Err(refuse(&"there is no certificate in it")) } else { Ok(all) }
}

/// Who verifies clients' certificates by the authorities of a file. A client needs none: an endpoint may
/// take something else.
fn verifier(ca: &Path) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(ca)? {
        roots.add(authority).map_err(|error| format!("{}: {error}", ca.display()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    builder.allow_unauthenticated().build().map_err(|error| format!("{}: {error}", ca.display()))
}

/// The certificate that a client has shown in its handshake, which verified it.
pub(crate) fn shown(connection: &rustls::ServerConnection) -> io::Result<Option<Arc<Certificate>>> {
    let Some(own) = connection.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
    let read = Certificate::read(Bytes::copy_from_slice(own));
    // Who cannot be known is nobody, and not somebody who showed nothing.
    read.map(|own| Some(Arc::new(own))).map_err(io::Error::other)
}

/// The certificate at the head of a file, verified as a handshake would with those that follow it. Whether
/// somebody has its key is not asked.
pub(crate) fn verified(file: &Path, ca: &Path, clock: &dyn Clock) -> Result<Arc<Certificate>, String> {
    let chain = certificates(file)?;
    let Some((own, between)) = chain.split_first() else { return Err("there is none".to_owned()) };
    let verified = verifier(ca)?.verify_client_cert(own, between, unix(clock));
    verified.map_err(|error| error.to_string())?;
    let read = Certificate::read(Bytes::copy_from_slice(own));
    read.map(Arc::new).map_err(|error| error.to_string())
}
