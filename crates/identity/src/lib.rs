//! Who calls: what a request carries as proof is checked, and becomes a caller that the rest of the gateway
//! can decide by.
//!
//! The gateway is an OAuth 2.1 resource server for each of its endpoints (MCP authorization, 2026-07-28; RFC
//! 9728). [`Gate`] is the one place where a request becomes a [`Caller`] or is [`Denied`]; an error in any
//! check denies. A token ends here: nothing of it is in a caller but what it said, and its hash.

mod barred;
mod caller;
mod denied;
mod dpop;
mod explain;
mod fetch;
mod gate;
mod introspection;
mod issuer;
mod jose;
mod keys;
mod mapping;
mod metadata;
mod outbound;
mod seen;
mod token;
mod vault;

pub use barred::{Bar, Barred, Bars};
pub use caller::{Caller, Kind};
pub use denied::{Denied, Reason};
pub use dpop::{Dpop, DpopError, DpopOptions, ProofOf, Thumbprint};
pub use explain::{Explanation, Step, Terms};
pub use fetch::{EgressFetch, Fetch, FetchError};
pub use gate::{Allowed, EndpointRules, Gate, GateOptions, Possession, Presented};
pub use introspection::Introspection;
pub use issuer::{Issuer, IssuerError, IssuerOptions};
pub use jose::{Algorithm, JoseError, Jws, Key, algorithm};
pub use keys::{ApiKey, ApiKeys, KeyError, NewKey};
pub use mapping::{Claim, Mapping, MappingError, Tenant};
pub use metadata::{Metadata, MetadataError, discover};
pub use outbound::{
    Challenge as ServerChallenge, Client, ClientProof, Enterprise, Flow, Identity, NoToken, Rechecked,
    Refused, Returned, Service, ServiceError, ServiceOptions, SignIn, SignInError, Signer, SignerError,
    SubjectToken, Token, UserProof, Users, UsersOptions, Wanted,
};
pub use seen::Seen;
pub use token::{TokenError, TokenRules};
pub use vault::{Kept, Place, Vault, VaultError};
