//! This process among others.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::some_listen_from_text;

/// How the replicas of one gateway reach this one.
///
/// What lives in one process, such as a call that waits for an answer, is found by any replica: the one
/// that gets the request sends it on. By default a replica cannot be reached by others, which is right
/// where it is the only one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replica {
    /// The internal address and port to listen on for other replicas; never for clients.
    ///
    /// `localhost` stands for 127.0.0.1; other names are refused. By default there is none. Since 0.1.
    #[serde(deserialize_with = "some_listen_from_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,

    /// What other replicas reach this one by, as in `http://10.0.0.7:7401`: the way to `listen`.
    ///
    /// By default `http://` and the address of `listen`; needed where that is `0.0.0.0` or `[::]`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Replica {
    /// What others reach this replica by, once it listens at `bound`: `listen` with the port that the
    /// operating system chose.
    #[must_use]
    pub fn url_at(&self, bound: SocketAddr) -> String {
        self.url.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_reached_by_its_url_or_where_it_listens() {
        let bound = "[::1]:7401".parse().expect("an address");
        assert_eq!(Replica::default().url_at(bound), "http://[::1]:7401");
        let named = Replica { url: Some("http://a:1".to_owned()), ..Replica::default() };
        assert_eq!(named.url_at(bound), "http://a:1");
    }
}
