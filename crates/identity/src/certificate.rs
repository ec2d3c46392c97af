//! Client certificates: what one says of its holder, and who that is here.
//!
//! Whoever makes a [`Certificate`] has verified its chain and that the client has its key: a TLS listener,
//! or another replica that had one.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use model::{Principal, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::caller::{Caller, Kind};

/// By what an operator names all of them, in place of an issuer's name.
pub(crate) const MTLS: &str = "mtls";

/// The largest certificate that is read.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// The longest name, as in tokens.
const NAME_BYTES_MAX: usize = 256;

/// Why a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is none, or says what cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// It is larger than any in use.
    #[error("the certificate has more than {CERTIFICATE_BYTES_MAX} bytes")]
    Large,
    /// Who its holder is cannot be said.
    #[error("the certificate must have one name that is {0}, and no second")]
    Name(NameKind),
    /// The operator does not take it.
    #[error("the certificate is of somebody who is not let in by one")]
    Stranger,
    /// Its time is over. Handshakes see to that too; a connection may last longer.
    #[error("the certificate has expired")]
    Expired,
}

/// A name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A URI among the subject's alternative names.
    Uri,
    /// A DNS name among them.
    Dns,
    /// An email address among them.
    Email,
    /// The common name of the subject.
    Common,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uri => "a URI (SAN)",
            Self::Dns => "a DNS name (SAN)",
            Self::Email => "an email address (SAN)",
            Self::Common => "the CN of its subject",
        })
    }
}

/// The names of one kind. Only one that stands alone says who the holder is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Names {
    #[default]
    None,
    One(String),
    Unfit,
}

impl Names {
    fn add(&mut self, name: Option<&str>) {
        let fits =
            |name: &&str| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        *self = match (&self, name.filter(fits)) {
            (Self::None, Some(name)) => Self::One(name.to_owned()),
            _ => Self::Unfit,
        };
    }
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Bytes,
    thumbprint: String,
    expires: Timestamp,
    uri: Names,
    dns: Names,
    email: Names,
    common: Names,
}

impl Certificate {
    /// Reads one. It is not verified here.
    ///
    /// # Errors
    /// [`CertificateError::Unreadable`], [`CertificateError::Large`]
    pub fn read(der: Bytes) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::Large);
        }
        let unreadable = CertificateError::Unreadable;
        let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| unreadable)?;
        if !rest.is_empty() {
            return Err(unreadable);
        }
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).map_err(|_| unreadable)?;
        let (mut uri, mut dns, mut email) = (Names::None, Names::None, Names::None);
        let others = parsed.subject_alternative_name().map_err(|_| unreadable)?;
        // They are ASCII (RFC 5280, section 4.2.1.6); anything else could look like another name.
        let ascii = |name: &'_ str| name.is_ascii();
        for name in others.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(name) => uri.add(Some(*name).filter(|name| ascii(name))),
                // Nobody in particular has a name with a wildcard; and case does not tell two hosts apart.
                GeneralName::DNSName(name) => {
                    let name = Some(*name).filter(|name| ascii(name) && !name.contains('*'));
                    dns.add(name.map(str::to_ascii_lowercase).as_deref());
                }
                GeneralName::RFC822Name(name) => email.add(Some(*name).filter(|name| ascii(name))),
                GeneralName::Invalid(..) => return Err(unreadable),
                _ => {}
            }
        }
        let mut common = Names::None;
        for name in parsed.subject().iter_common_name() {
            common.add(name.as_str().ok());
        }
        let thumbprint = URL_SAFE_NO_PAD.encode(seal::sha256(&der));
        let expires = Timestamp(seconds.saturating_mul(1_000));
        Ok(Self { thumbprint, expires, uri, dns, email, common, der })
    }

    /// The certificate itself.
    #[must_use]
    pub fn der(&self) -> &Bytes {
        &self.der
    }

    /// Its SHA-256, as tokens name it that are bound to it (RFC 8705, section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// When its time is over.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Its only name of a kind.
    fn name(&self, kind: NameKind) -> Option<&str> {
        let names = match kind {
            NameKind::Uri => &self.uri,
            NameKind::Dns => &self.dns,
            NameKind::Email => &self.email,
            NameKind::Common => &self.common,
        };
        match names {
            Names::One(name) => Some(name),
            Names::None | Names::Unfit => None,
        }
    }
}

/// Which names are taken.
pub type Accepts = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Who holders of certificates are.
pub struct Certificates {
    /// Which name says it.
    pub subject: NameKind,
    /// Which names are taken; `None`: all that were vouched for.
    pub accepts: Option<Accepts>,
    /// The tenant of all of them.
    pub tenant: String,
    /// What a certificate grants.
    pub scopes: Vec<String>,
}

impl Certificates {
    /// Whose certificate it is.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn caller(&self, certificate: &Arc<Certificate>, now: Timestamp) -> Result<Caller, CertificateError> {
        let name = certificate.name(self.subject).ok_or(CertificateError::Name(self.subject))?;
        if self.accepts.as_ref().is_some_and(|accepts| !accepts(name)) {
            return Err(CertificateError::Stranger);
        }
        if certificate.expires <= now {
            return Err(CertificateError::Expired);
        }
        Ok(Caller {
            principal: Principal::new(&self.tenant, &format!("{MTLS}:{name}")),
            kind: Kind::Workload,
            scopes: self.scopes.clone(),
            issuer: Some(MTLS.to_owned()),
            expires: Some(certificate.expires),
            certificate: Some(Arc::clone(certificate)),
            fingerprint: seal::sha256(&certificate.der),
            ..Caller::anonymous()
        })
    }
}
