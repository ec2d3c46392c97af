//! Callers who prove themselves by a certificate.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Glob;

/// Client certificates: whose are taken, and who their holders are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// The file with the certificates of the authorities that vouch for clients, in PEM form. Required.
    ///
    /// No others are trusted, also not those of the machine. It is read at the start. Since 0.1.
    pub ca: PathBuf,

    /// Which name of a certificate says who its holder is. A certificate that has none of that kind, or more
    /// than one, is no proof.
    ///
    /// Since 0.1.
    #[serde(default)]
    pub subject: CertificateName,

    /// Patterns of the names that are taken: `spiffe://example.org/ns/prod/*`. `*` is any text, also with
    /// `/` in it, and a space is written `?`.
    ///
    /// By default all that an authority vouches for. An empty list takes none. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<Glob>>,

    /// The tenant of all of them.
    ///
    /// By default `default`. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,

    /// Scopes that a certificate grants.
    ///
    /// Since 0.1.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A name in a certificate (RFC 5280, sections 4.1.2.6 and 4.2.1.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// A URI among the subject's alternative names: a SPIFFE ID.
    #[default]
    SanUri,
    /// A DNS name among them.
    SanDns,
    /// An email address among them.
    SanEmail,
    /// The common name of the subject.
    Cn,
}

impl Mtls {
    pub(super) fn anchor(&mut self, folder: &Path) {
        self.ca = folder.join(&self.ca);
    }
}
