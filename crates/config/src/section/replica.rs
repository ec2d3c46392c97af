//! This process among others.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{replica_listen_fault, replica_url_fault};
use crate::value::{Address, SecretErrorKind, parse_listen};

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
    /// `localhost` stands for 127.0.0.1; other names are refused. `{env: NAME}` takes it from the
    /// environment, where each replica has its own. By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Address>,

    /// What other replicas reach this one by, as in `http://10.0.0.7:7401`: the way to `listen`.
    ///
    /// `{env: NAME}` takes it from the environment, where each replica has its own. By default `http://` and
    /// the address of `listen`; needed where that is `0.0.0.0` or `[::]`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Address>,
}

/// Where a replica listens for others, and what they reach it by: looked up, and good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaPlace {
    /// The internal address.
    pub listen: SocketAddr,
    /// What others reach it by, where that is not said by `listen`.
    pub url: Option<String>,
}

/// An address of a replica that cannot be had or used. The text completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// It stands elsewhere, and is not there.
    #[error("read the value of replica.{key}")]
    Read {
        /// `listen` or `url`.
        key: &'static str,
        /// Why not.
        #[source]
        source: SecretErrorKind,
    },
    /// It makes no sense.
    #[error("use the value of replica.{key}: {fault}")]
    Use {
        /// `listen` or `url`.
        key: &'static str,
        /// What is wrong with it.
        fault: String,
    },
}

impl Replica {
    /// Looks up where this replica is: variables with `env`. `None` where others do not reach it. `clients`
    /// is where clients are served, which cannot be the same place.
    ///
    /// # Errors
    /// [`ReplicaError`]
    pub fn place(
        &self,
        clients: SocketAddr,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<ReplicaPlace>, ReplicaError> {
        let Some(listen) = &self.listen else { return Ok(None) };
        let read = |key, address: &Address| {
            address.resolve(env).map_err(|source| ReplicaError::Read { key, source })
        };
        let no_use = |key| {
            move |(message, hint): (String, Option<String>)| {
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                ReplicaError::Use { key, fault: format!("{message}{hint}") }
            }
        };
        let text = read("listen", listen)?;
        let listen = parse_listen(&text).map_err(|error| no_use("listen")((error.to_string(), None)))?;
        let url = self.url.as_ref().map(|url| read("url", url)).transpose()?;
        if let Some(fault) = replica_listen_fault(listen, url.is_some(), clients) {
            return Err(no_use("listen")(fault));
        }
        if let Some(fault) = url.as_deref().and_then(replica_url_fault) {
            return Err(no_use("url")(fault));
        }
        Ok(Some(ReplicaPlace { listen, url }))
    }
}

impl ReplicaPlace {
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

    fn place(listen: Address, url: Option<Address>) -> Result<Option<ReplicaPlace>, String> {
        let env = |name: &str| match name {
            "LISTEN" => Some("0.0.0.0:7401".to_owned()),
            "CLIENTS" => Some("127.0.0.1:7400".to_owned()),
            "URL" => Some("http://10.0.0.7:7401".to_owned()),
            "PATH" => Some("http://10.0.0.7:7401/inside".to_owned()),
            "ODD" => Some("10.0.0.7:7401".to_owned()),
            _ => None,
        };
        let replica = Replica { listen: Some(listen), url };
        replica.place(SocketAddr::from(([127, 0, 0, 1], 7400)), &env).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    }

    fn env(name: &str) -> Address {
        Address::Env(name.to_owned())
    }

    fn here(text: &str) -> Address {
        Address::Here(text.to_owned())
    }

    #[test]
    fn a_replica_is_reached_by_its_url_or_where_it_listens() {
        let bound = "[::1]:7401".parse().expect("an address");
        let found = |url| place(here("[::1]:0"), url).map(|place| place.expect("a place").url_at(bound));
        assert_eq!(found(None).as_deref(), Ok("http://[::1]:7401"));
        assert_eq!(found(Some(here("http://a:1"))).as_deref(), Ok("http://a:1"));
        assert_eq!(found(Some(env("URL"))).as_deref(), Ok("http://10.0.0.7:7401"));
    }

    #[test]
    fn a_replica_that_others_cannot_reach_has_no_place() {
        let none = Replica::default().place(SocketAddr::from(([0; 4], 1)), &|_| None);
        assert_eq!(none.expect("nothing is asked for"), None);
    }

    #[test]
    fn an_address_from_the_environment_is_held_against_the_same_rules() {
        let good = place(env("LISTEN"), Some(env("URL"))).expect("it is good").expect("a place");
        assert_eq!((good.listen.port(), good.url.as_deref()), (7401, Some("http://10.0.0.7:7401")));
        for (listen, url, said) in [
            (env("NO"), None, "read the value of replica.listen: the environment variable NO is not set"),
            (env("URL"), None, "use the value of replica.listen: expected an address and a port such as"),
            (
                env("LISTEN"),
                None,
                "use the value of replica.listen: others cannot reach 0.0.0.0; give \"url\"",
            ),
            (env("CLIENTS"), None, "use the value of replica.listen: this is where clients are served"),
            (
                env("LISTEN"),
                Some(env("NO")),
                "read the value of replica.url: the environment variable NO is not set",
            ),
            (
                env("LISTEN"),
                Some(env("PATH")),
                "use the value of replica.url: expected no path after the port",
            ),
            (
                env("LISTEN"),
                Some(env("ODD")),
                "use the value of replica.url: expected a URL with http or https; perhaps http://10.0.0.7",
            ),
        ] {
            let found = place(listen, url).expect_err(said);
            assert!(found.starts_with(said), "{found}");
        }
    }
}
