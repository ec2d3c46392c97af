//! The address to listen on.

use std::net::SocketAddr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::Serializer;

/// Why a text is not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address and a port such as \"127.0.0.1:7400\" or \"[::1]:7400\"")]
pub struct ListenError;

/// Reads an address to listen on, for the key `listen` and for the command line.
///
/// `localhost` is 127.0.0.1; other names are refused, because what they mean is decided elsewhere.
///
/// # Errors
/// [`ListenError`], where the text is not an IP address with a port.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ListenError> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse().map_err(|_| ListenError),
        None => text.parse().map_err(|_| ListenError),
    }
}

pub(crate) fn listen_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_listen(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

pub(crate) fn listen_to_text<S: Serializer>(listen: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_port_and_no_lookup() {
        for (text, read) in [
            ("127.0.0.1:7400", "127.0.0.1:7400"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:7400", "127.0.0.1:7400"),
        ] {
            assert_eq!(parse_listen(text).map(|a| a.to_string()), Ok(read.to_owned()));
        }
        for text in
            ["", "7400", ":7400", "127.0.0.1", "example.com:80", "127.0.0.1:70000", "localhost", "::1:80 "]
        {
            assert_eq!(parse_listen(text), Err(ListenError), "{text}");
        }
    }
}
