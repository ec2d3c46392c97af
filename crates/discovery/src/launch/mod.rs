//! From what a document says to what would be done: a command as a list of arguments, or a URL with headers.
//!
//! Nothing is run here and nothing is fetched. A plan is never a line for a shell: each value is one argument
//! whatever is in it. Secrets are named and never written.

mod asker;
mod command;
mod identifier;
mod remote;
mod runtime;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::address::{Address, Reach};
use crate::fault::{Fault, Weight};
use crate::input::{Format, Input};
use crate::remote::RemoteKind;
use crate::template::Value;

pub(crate) use asker::{Asker, Question};
pub(crate) use command::environment_fault;

pub use command::package;
pub use remote::remote;

/// What somebody gave for what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Values by key; several where an argument may be repeated.
    pub values: BTreeMap<String, Vec<String>>,
    /// Keys of secrets that are kept elsewhere. They are never given as values.
    pub secrets: BTreeSet<String>,
}

/// What this gateway lets a plan have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Base URLs of package registries besides the usual ones.
    pub registries: Vec<String>,
    /// Whether a remote may be of this machine, over plain HTTP: for development.
    pub loopback: bool,
}

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Into a URL.
    Url,
    /// Into a header.
    Header,
    /// Into an argument, which others on the same machine can read.
    Argument,
    /// Into a variable of the environment.
    Environment,
}

/// One thing that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// By what it is answered.
    pub key: String,
    /// Where it goes.
    pub place: Place,
    /// What it is, as its author says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether nothing works without it.
    pub required: bool,
    /// Whether it is a secret.
    pub secret: bool,
    /// How it is spelled.
    pub format: Format,
    /// What it is without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// An example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// What it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether several may be given.
    pub repeated: bool,
    /// Whether it was answered.
    pub answered: bool,
}

impl Needed {
    fn of(key: &str, place: Place, input: &Input, repeated: bool, answered: bool) -> Self {
        Self {
            key: key.to_owned(),
            place,
            description: input.description.clone(),
            required: input.required(),
            secret: input.secret(),
            format: input.format.unwrap_or_default(),
            default: input.default.clone(),
            placeholder: input.placeholder.clone(),
            choices: input.choices.clone(),
            repeated,
            answered,
        }
    }
}

/// What came of a document and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft<P> {
    /// All that is asked for, answered or not.
    pub needed: Vec<Needed>,
    /// What is wrong, also with the answers.
    pub faults: Vec<Fault>,
    /// What a person should know before he agrees.
    pub risks: Vec<String>,
    /// What would be done. `None`: something is a reason to refuse.
    pub plan: Option<P>,
}

impl<P> Draft<P> {
    pub(crate) fn new(asker: Asker<'_>, plan: Option<P>) -> Self {
        let (needed, faults, risks) = asker.finish();
        let refused = faults.iter().any(|fault| fault.weight == Weight::Refused);
        Self { needed, faults, risks, plan: plan.filter(|_| !refused) }
    }
}

/// What would be done with a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum PackagePlan {
    /// A process.
    Command(Command),
    /// A file to be fetched, hashed and looked at first.
    Bundle(Bundle),
}

/// A process that would be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The program and its arguments. Never a line for a shell.
    pub argv: Vec<Value>,
    /// What is added to an empty environment.
    pub environment: BTreeMap<String, Value>,
    /// Where it answers over HTTP; without, by its input and output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Address>,
    /// The hash that the publisher gives for the package's file. The runtimes that fetch by name do not check
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_sha256: Option<String>,
}

/// A bundle that would be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bundle {
    /// From where.
    pub url: Address,
    /// SHA-256 that its bytes must have before anything of it is read.
    pub sha256: String,
}

/// A remote that would be connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemotePlan {
    /// How it speaks.
    pub transport: RemoteKind,
    /// Where it is.
    pub url: Address,
    /// Whether its host can be one of the internet, as far as its name tells. Who may dial it is not decided
    /// here.
    #[serde(skip)]
    pub reach: Reach,
    /// Headers of every request.
    pub headers: BTreeMap<String, Value>,
}
