//! Which process: the names of replicas, and of what lives in one of them.

use std::fmt;
use std::sync::Arc;

use crate::Rng;

/// Half as many random bytes as characters.
const BYTES: usize = 6;
const CHARS: usize = 2 * BYTES;

/// The name of one running gateway process, made anew at each start.
///
/// What lives in a process (a stream, a parked call, an open question) has a name that begins with its
/// replica's, so that any other replica knows where to send a request about it. The name says nothing but
/// that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(Arc<str>);

impl ReplicaId {
    /// A new name.
    #[must_use]
    pub fn random(rng: &dyn Rng) -> Self {
        let mut bytes = [0; BYTES];
        rng.fill(&mut bytes);
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into())
    }

    /// Reads a name: twelve lower-case hexadecimal digits. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == CHARS && text.bytes().all(digit)).then(|| Self(text.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of something that lives here.
    #[must_use]
    pub fn owns(&self, name: &str) -> String {
        format!("{}-{name}", self.0)
    }

    /// Where the thing of this name lives. `None`: the name says nothing of it.
    #[must_use]
    pub fn owner_of(name: &str) -> Option<Self> {
        let (owner, _) = name.split_once('-')?;
        Self::parse(owner)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRng;

    #[test]
    fn a_name_tells_where_it_lives() {
        let rng = SeededRng::new(7);
        let (a, b) = (ReplicaId::random(&rng), ReplicaId::random(&rng));
        assert_ne!(a, b);
        assert_eq!(ReplicaId::owner_of(&a.owns("0123-x.7")), Some(a.clone()));
        assert_eq!(ReplicaId::parse(a.as_str()), Some(a));
        for nobody in ["", "0123", "-", "0123456789AB-x", "0123456789abc-x", "0123456789ag-x", "é-x"] {
            assert_eq!(ReplicaId::owner_of(nobody), None, "{nobody}");
        }
    }
}
