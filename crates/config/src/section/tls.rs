//! Certificates.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The certificate that clients see.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenTls {
    /// The file with the certificate and those between it and its authority, in PEM form. Required.
    ///
    /// Since 0.1.
    pub cert: PathBuf,

    /// The file with the certificate's private key, in PEM form. Required.
    ///
    /// Since 0.1.
    pub key: PathBuf,
}

/// Whom to trust as an upstream. Certificates are always checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTls {
    /// A file with further certificate authorities, in PEM form, besides those of the system.
    ///
    /// By default only those of the system. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl ListenTls {
    pub(super) fn anchor(&mut self, folder: &Path) {
        self.cert = folder.join(&self.cert);
        self.key = folder.join(&self.key);
    }
}

impl UpstreamTls {
    pub(super) fn anchor(&mut self, folder: &Path) {
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&*ca);
        }
    }
}
