//! From what an issuer says of somebody to who that is here.

use model::Principal;
use serde_json::Value;

use crate::caller::{Caller, Kind};
use crate::jose::Claims;
use crate::token::{self, TokenError};

/// The longest name of a tenant, subject or group, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Groups of one caller.
const GROUPS_MAX: usize = 512;
/// Actors of one caller (RFC 8693, section 4.1).
const ACTORS_MAX: usize = 8;

/// Where something stands among the claims: a claim by its name, or, beginning with `/`, a JSON Pointer (RFC
/// 6901) into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(pub String);

impl Claim {
    fn of<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        let (first, rest) = match pointer.split_once('/') {
            Some((first, rest)) => (first, format!("/{rest}")),
            None => (pointer, String::new()),
        };
        claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(&rest)
    }
}

/// Which tenant an issuer's users are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenant {
    /// All of this one.
    Fixed(String),
    /// That which a claim names.
    Claim(Claim),
}

/// The operator's rules for one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The tenant.
    pub tenant: Tenant,
    /// Where the subject is; `sub` by itself.
    pub subject: Claim,
    /// Where groups are; `None`: there are none.
    pub groups: Option<Claim>,
}

impl Default for Mapping {
    fn default() -> Self {
        let subject = Claim("sub".to_owned());
        Self { tenant: Tenant::Fixed("default".to_owned()), subject, groups: None }
    }
}

/// Why somebody is nobody here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// A claim that must be there is not, or is no name.
    #[error("the token has no usable {claim}, which says the {what} of its caller")]
    Missing {
        /// Which claim.
        claim: String,
        /// What of the caller: `tenant`, `subject`.
        what: &'static str,
    },
    /// There is more of something than anybody needs.
    #[error("the token names more than {max} {what}")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

fn name(value: Option<&Value>) -> Option<&str> {
    let text = value?.as_str()?;
    let plain = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    plain.then_some(text)
}

impl Mapping {
    /// Who a token is of. Its subject begins with the operator's name for the issuer, so that no two issuers
    /// have one in common.
    ///
    /// # Errors
    /// [`MappingError`]
    pub fn caller(&self, issuer: &str, claims: &Claims) -> Result<Caller, MappingError> {
        let missing = |claim: &Claim, what| MappingError::Missing { claim: claim.0.clone(), what };
        let tenant = match &self.tenant {
            Tenant::Fixed(tenant) => tenant.as_str(),
            Tenant::Claim(claim) => name(claim.of(claims)).ok_or_else(|| missing(claim, "tenant"))?,
        };
        let subject = name(self.subject.of(claims)).ok_or_else(|| missing(&self.subject, "subject"))?;
        let groups = self.groups.as_ref().map(|claim| groups(claim.of(claims))).transpose()?;
        let client = ["client_id", "azp", "appid", "cid"].iter().find_map(|known| name(claims.get(*known)));
        let actors = actors(claims)?;
        let issued = token::time(claims, "iat").ok().flatten();
        Ok(Caller {
            principal: Principal::new(tenant, &format!("{issuer}:{subject}")),
            kind: kind(claims, &actors, client),
            actors,
            groups: groups.unwrap_or_default(),
            scopes: token::scopes(claims),
            client: client.map(str::to_owned),
            issuer: Some(issuer.to_owned()),
            grant: None,
            issued,
            signed_in: token::time(claims, "auth_time").ok().flatten().or(issued),
            expires: None,
            key: None,
            bound_certificate: None,
            certificate: None,
            fingerprint: [0; 32],
        })
    }
}

fn groups(value: Option<&Value>) -> Result<Vec<String>, MappingError> {
    let all: Vec<&Value> = match value {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    // Some of many groups would be some of the caller's rights, chosen by chance.
    if all.len() > GROUPS_MAX {
        return Err(MappingError::TooMany { what: "groups", max: GROUPS_MAX });
    }
    Ok(all.into_iter().filter_map(|group| name(Some(group))).map(str::to_owned).collect())
}

/// The chain of those who act, the nearest first.
fn actors(claims: &Claims) -> Result<Vec<String>, MappingError> {
    let mut actors = Vec::new();
    let mut next = claims.get("act");
    while let Some(actor) = next {
        let claim = || MappingError::Missing { claim: "act.sub".to_owned(), what: "actor" };
        actors.push(name(actor.get("sub")).ok_or_else(claim)?.to_owned());
        if actors.len() > ACTORS_MAX {
            return Err(MappingError::TooMany { what: "actors", max: ACTORS_MAX });
        }
        next = actor.get("act");
    }
    Ok(actors)
}

/// What kind of caller a token is of, by the marks of the usual issuers: a client that is its own subject
/// (RFC 9068, section 2.2), `idtyp` of Entra, `gty` of Auth0.
fn kind(claims: &Claims, actors: &[String], client: Option<&str>) -> Kind {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let own = client.is_some() && text("sub") == client;
    if own || text("idtyp") == Some("app") || text("gty") == Some("client-credentials") {
        return Kind::Workload;
    }
    if actors.is_empty() { Kind::Person } else { Kind::Agent }
}

impl From<MappingError> for TokenError {
    fn from(_: MappingError) -> Self {
        Self::Form("claims")
    }
}
