//! Names of upstreams and endpoints: one namespace, one grammar.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {text:?} as a name: use 1 to 32 of a-z, 0-9 and '-'")]
pub struct NameError {
    /// The refused text, cut to 64 characters.
    pub text: String,
}

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

fn parse(text: &str) -> Result<Arc<str>, NameError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        Ok(Arc::from(text))
    } else {
        Err(NameError { text: text.chars().take(64).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name.
            ///
            /// # Errors
            /// [`NameError`] where the text is not 1 to 32 of `a-z`, `0-9` and `-`.
            pub fn new(text: &str) -> Result<Self, NameError> {
                parse(text).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A server behind the gateway. Never contains the separator of exposed tool names.
    UpstreamName
}
name! {
    /// A virtual server that the gateway offers; the empty path `/mcp` is the endpoint `all`.
    EndpointName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["crm", "a", "0-9", &"x".repeat(32)] {
            assert_eq!(UpstreamName::new(good).expect("valid").as_str(), good);
        }
        for bad in ["", "CRM", "a_b", "a/b", "ü", "a b", &"x".repeat(33)] {
            assert!(UpstreamName::new(bad).is_err(), "{bad:?}");
        }
    }
}
