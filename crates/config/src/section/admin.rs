//! Where operators come in.

use std::net::SocketAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{admin_listen_fault, admin_token_fault};
use crate::value::{Address, Fetch, Secret, SecretErrorKind, SecretText, Span, parse_listen};

/// The operators' interface over HTTP, apart from clients.
///
/// `docs/admin.md` says what is served. By default nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The address and port to listen on, on the loopback interface: others on a network cannot come.
    ///
    /// `localhost` stands for 127.0.0.1. `{env: NAME}` takes it from the environment, where each replica has
    /// its own. Needs `token` or `sign_in`. By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Address>,

    /// What browsers of operators reach it by where that is not `listen`, without a path:
    /// `https://tidegate.ops.example.com`, of a proxy on this machine.
    ///
    /// Its host is answered to besides this machine's own names, and whoever signs in comes back there.
    /// By default that is the name of this machine that the browser uses. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// What programs prove themselves by with each request: `Authorization: Bearer TOKEN`. At least 32
    /// characters. Whoever has it may do everything.
    ///
    /// It belongs into a file or the environment. By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,

    /// How people sign in with a browser (OpenID Connect).
    ///
    /// The redirect URI, which the issuer must know, is `/callback` of `url`; without that, of what the
    /// browser uses, such as `http://localhost:7402`. By default nobody can. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<AdminSignIn>,
}

/// How operators sign in with a browser (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSignIn {
    /// Where: the name of one of `auth.issuers` that has `sign_in` and `groups_claim`.
    ///
    /// Since 0.1.
    pub issuer: String,

    /// Whose groups count: a tenant.
    ///
    /// Needed where the issuer has users of several tenants (`tenant_claim`), as each names its groups as it
    /// likes. By default the one that the issuer's users are of. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,

    /// Which groups may do what. Who is in none of them is not let in.
    ///
    /// Since 0.1.
    pub roles: AdminRoles,

    /// How long somebody stays signed in, whatever he does; `1m` to `7d`.
    ///
    /// Since 0.1.
    pub session: Span,

    /// How long somebody stays signed in who does nothing; at least `1m`, at most `session`.
    ///
    /// Since 0.1.
    pub idle: Span,
}

impl Default for AdminSignIn {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            tenant: None,
            roles: AdminRoles::default(),
            session: Span::from_hours(8),
            idle: Span::from_mins(30),
        }
    }
}

/// Groups of operators, by what they may do. Whoever is in several may do what the highest one may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminRoles {
    /// Groups whose members may do everything.
    ///
    /// An empty list is nobody. Since 0.1.
    pub admin: Vec<String>,

    /// Groups whose members see everything, and act on what runs: cancel and retry tasks.
    ///
    /// An empty list is nobody. Since 0.1.
    pub operator: Vec<String>,

    /// Groups whose members see everything and change nothing.
    ///
    /// An empty list is nobody. Since 0.1.
    pub viewer: Vec<String>,
}

/// Where operators come in, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPlace {
    /// The address.
    pub listen: SocketAddr,
    /// What programs prove themselves by; `None`: by nothing.
    pub token: Option<SecretText>,
}

/// An operators' interface that cannot be served. The text completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// A value stands elsewhere, and is not there.
    #[error("read the value of admin.{key}")]
    Read {
        /// `listen` or `token`.
        key: &'static str,
        /// Why not.
        #[source]
        source: SecretErrorKind,
    },
    /// It makes no sense. It has nothing of a token.
    #[error("use the value of admin.{key}: {fault}")]
    Use {
        /// `listen` or `token`.
        key: &'static str,
        /// What is wrong with it.
        fault: String,
    },
}

impl Admin {
    /// Looks up where operators come in: variables with `env`, files with `read`. `None` where they do not.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn place(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &Fetch<'_>,
    ) -> Result<Option<AdminPlace>, AdminError> {
        let Some(listen) = &self.listen else { return Ok(None) };
        let no_use = |key, fault: String| AdminError::Use { key, fault };
        if self.token.is_none() && self.sign_in.is_none() {
            return Err(no_use("token", "it is missing".to_owned()));
        }
        let text = listen.resolve(env).map_err(|source| AdminError::Read { key: "listen", source })?;
        let listen = parse_listen(&text).map_err(|error| no_use("listen", error.to_string()))?;
        let token = self.token.as_ref().map(|token| token.resolve(env, read)).transpose();
        let token = token.map_err(|source| AdminError::Read { key: "token", source })?;
        if let Some(fault) = admin_listen_fault(listen) {
            return Err(no_use("listen", fault));
        }
        match token.as_ref().and_then(|token| admin_token_fault(token.expose())) {
            Some(fault) => Err(no_use("token", fault)),
            None => Ok(Some(AdminPlace { listen, token })),
        }
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        if let Some(token) = &mut self.token {
            token.anchor(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(listen: &str, token: Option<Secret>) -> Result<SocketAddr, String> {
        let env = |name: &str| match name {
            "LISTEN" => Some("127.0.0.1:7402".to_owned()),
            "OUTSIDE" => Some("10.0.0.1:7402".to_owned()),
            "TOKEN" => Some("t".repeat(32)),
            "SHORT" => Some("hunter2".to_owned()),
            _ => None,
        };
        let admin = Admin { listen: Some(Address::Env(listen.to_owned())), token, ..Admin::default() };
        let place = admin.place(&env, &|_| Err(std::io::ErrorKind::NotFound.into()));
        place.map(|place| place.expect("a place").listen).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    }

    #[test]
    fn operators_come_in_with_a_token_on_the_loopback_interface() {
        assert_eq!(place("LISTEN", Some(Secret::env("TOKEN"))), Ok(SocketAddr::from(([127, 0, 0, 1], 7402))));
        let refused = |listen, token| place(listen, token).expect_err("a reason");
        let text = refused("OUTSIDE", Some(Secret::env("TOKEN")));
        assert!(text.starts_with("use the value of admin.listen: "), "{text}");
        let text = refused("LISTEN", Some(Secret::env("SHORT")));
        assert!(text.starts_with("use the value of admin.token: ") && !text.contains("hunter"), "{text}");
        assert_eq!(refused("LISTEN", None), "use the value of admin.token: it is missing");
        let text = refused("NONE", Some(Secret::env("TOKEN")));
        assert!(text.starts_with("read the value of admin.listen: "), "{text}");
        assert_eq!(Admin::default().place(&|_| None, &|_| Ok(Vec::new())).expect("nothing"), None);
    }

    #[test]
    fn operators_who_sign_in_need_no_token() {
        let listen = Some(Address::Env("127.0.0.1:7402".to_owned()));
        let admin = Admin { listen, sign_in: Some(AdminSignIn::default()), ..Admin::default() };
        let place = admin.place(&|name| Some(name.to_owned()), &|_| Ok(Vec::new())).expect("a place");
        assert_eq!(place.map(|place| place.token), Some(None));
    }
}
