//! Configurations of clients and gateways: read, written, and what gets lost between them.
//!
//! * [`Deployment`] is what all of them have in common: servers, and what a gateway adds to them.
//! * A [`Format`] reads a program's own text into it and writes it as such, also into a text that is there.
//! * A [`Report`] says of each field that did not go over unchanged what became of it and what that means.
//!
//! Nothing here reads a file, a clock or the environment, starts anything or looks a secret up: text in, text
//! out.

mod clients;
mod deploy;
mod field;
mod format;
mod gateways;
mod matrix;
mod model;
mod patterns;
mod reduce;
mod report;
mod secret;
mod syntax;
mod text;
mod tidegate;
mod variables;

pub use clients::clients;
pub use deploy::{Deployed, RunsAt, deploy};
pub use field::{Field, Part, Support};
pub use format::{
    DEPTH_MAX, Exported, FILE_BYTES_MAX, Fault, Format, Imported, Known, Likeness, Origin, Refused,
    SERVERS_MAX, Target, Tested,
};
pub use gateways::{GATEWAYS, Migrated, POLICY_FILE, migrate, migrate_into};
pub use gateways::{tree as yaml_value, yaml as yaml_text};
pub use matrix::matrix;
pub use model::{
    ApiKey, Check, CheckAction, Code, Container, Deployment, Effect, Endpoint, Gateway, Input, Isolation,
    Issuer, Limit, LimitKind, Network, Oauth, Package, Per, Provenance, Rule, Scope, Server, Timeouts, Tls,
    Tools, Transport, Trust, Unknown, Who,
};
pub use reduce::reduce;
pub use report::{Fate, Loss, Report};
pub use secret::{Inline, Moved, SecretValue, hide, inline, move_inline};
pub use text::{Piece, Place, Text};
pub use tidegate::{SCHEMA_LINE, Tidegate};
