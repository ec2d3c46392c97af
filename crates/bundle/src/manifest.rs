//! What a bundle says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BundleError, MEMBERS_MAX, path_fault};

/// The format and its version. Another one is refused.
pub const FORMAT: &str = "tidegate-bundle/1";
/// The largest manifest.
pub const MANIFEST_BYTES_MAX: usize = 1024 * 1024;

/// What is in a bundle, what it needs and what made it. It has no times and no names of machines, so that the
/// same deployment is the same bundle whenever and wherever it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The version of the program that made it.
    pub program: String,
    /// The path of the configuration among the files.
    pub config: String,
    /// The environments that have an overlay.
    pub environments: Vec<String>,
    /// The shipped policies and rules that the configuration names, and the SHA-256 of their texts.
    pub presets: BTreeMap<String, String>,
    /// The variables of the configuration.
    pub variables: BTreeMap<String, Parameter>,
    /// Secrets and files that stay where they are, by the key that names them.
    pub needs: BTreeMap<String, Need>,
    /// How many definitions are in it with what was approved of them.
    pub pins: u64,
    /// The audit logs that are in it, by the names of their tenants; none unless somebody asked for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<String, Log>,
    /// All members, by name.
    pub members: Vec<Member>,
}

/// An audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The name that stands in its checkpoints.
    pub origin: String,
    /// The first entry that was not pruned.
    pub first: u64,
    /// How many entries its checkpoint covers, those that were pruned among them.
    pub size: u64,
    /// The public keys that verify it, as `tidegate audit keys` prints them.
    pub keys: Vec<String>,
}

/// A variable of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// `text`, `number` or `flag`.
    pub r#type: String,
    /// Its value where no other is given; `None`: one has to be.
    pub default: Option<String>,
}

/// Something that a deployment needs and a bundle has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// `env`, `file`, `command` or `credential`.
    pub kind: String,
    /// The variable, the path, the program or the credential.
    pub name: String,
}

/// A member and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name in the archive.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Its one text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BundleError::Manifest`]; its text is only of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let wrong = |why: String| BundleError::Manifest(why);
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(wrong(format!("it has more than {MANIFEST_BYTES_MAX} bytes")));
        }
        let place = |error: serde_json::Error| {
            format!("it is not as this program knows it (line {}, column {})", error.line(), error.column())
        };
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| wrong(place(error)))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!("its format is not {FORMAT}")));
        }
        if manifest.members.len() > MEMBERS_MAX {
            return Err(BundleError::Many);
        }
        if manifest.text().as_bytes() != bytes {
            return Err(wrong("it is not in its one form".to_owned()));
        }
        if path_fault(&manifest.config).is_some() || manifest.config.contains('/') {
            return Err(wrong("its configuration is no file in the folder".to_owned()));
        }
        Ok(manifest)
    }
}
