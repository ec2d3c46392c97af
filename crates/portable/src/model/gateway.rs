//! What a gateway adds to its servers.

use indexmap::IndexMap;

use super::{Tools, Unknown};
use crate::text::Text;

/// What a gateway adds, as far as several of them have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gateway {
    /// Where it listens: `HOST:PORT`.
    pub listen: Option<String>,
    /// Virtual servers, by name.
    pub endpoints: IndexMap<String, Endpoint>,
    /// Who may do what, in the order of the file.
    pub rules: Vec<Rule>,
    /// How much of what callers may do.
    pub limits: Vec<Limit>,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// Keys that are taken.
    pub keys: Vec<ApiKey>,
    /// What is looked for in what passes.
    pub checks: Vec<Check>,
    /// Origins of web pages that may call; `None`: nothing is said of it.
    pub origins: Option<Vec<String>>,
    /// The certificate and the key that it serves with, as files.
    pub tls: Option<(String, String)>,
    /// The rest.
    pub unknown: Unknown,
}

impl Gateway {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A virtual server.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// What it is for.
    pub description: Option<String>,
    /// The path that it is at, where the format says one.
    pub path: Option<String>,
    /// Its servers. An empty list is none.
    pub servers: Vec<String>,
    /// Which of their tools are offered: `SERVER/TOOL`, or a name for all servers.
    pub tools: Tools,
    /// Other names: by `SERVER/TOOL` what it is called here.
    pub aliases: IndexMap<String, String>,
    /// Who may come in here, if not whoever may elsewhere: groups, scopes, teams.
    pub who: Option<Vec<Who>>,
    /// Whether it is served.
    pub enabled: bool,
    /// The rest.
    pub unknown: Unknown,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            description: None,
            path: None,
            servers: Vec::new(),
            tools: Tools::default(),
            aliases: IndexMap::new(),
            who: None,
            enabled: true,
            unknown: Unknown::new(),
        }
    }
}

/// A rule of who may do what.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What it is called.
    pub name: Option<String>,
    /// What it says.
    pub effect: Effect,
    /// To whom; several have to be all true. Empty: anybody.
    pub who: Vec<Who>,
    /// At which endpoints; `None`: all.
    pub endpoints: Option<Vec<String>>,
    /// Of which servers; `None`: all.
    pub servers: Option<Vec<String>>,
    /// Of which tools, by names or patterns; `None`: all.
    pub tools: Option<Vec<String>>,
    /// A condition in a language of the format's.
    pub when: Option<Code>,
    /// The rest.
    pub unknown: Unknown,
}

impl Rule {
    /// A rule about everything and everybody.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self {
            name: None,
            effect,
            who: Vec::new(),
            endpoints: None,
            servers: None,
            tools: None,
            when: None,
            unknown: Unknown::new(),
        }
    }
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may be done.
    Allow,
    /// It may not, whatever else allows it.
    Deny,
    /// Somebody is asked first.
    Ask,
}

/// Text in a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// `cel`, `cedar`, `rego`, or the format's name.
    pub language: String,
    /// The text.
    pub text: String,
}

/// Whom something is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody, also who says nothing of himself.
    Anybody,
    /// Everybody whose token or key was good.
    Authenticated,
    /// The user of this name.
    User(String),
    /// Whoever is in this group or team.
    Group(String),
    /// Whoever has this role.
    Role(String),
    /// Whoever was granted this scope.
    Scope(String),
    /// Whoever comes with the key of this name.
    Key(String),
    /// Whose token says this.
    Claim {
        /// The claim, as a name or a path of the format's.
        name: String,
        /// What it has to be, or to contain.
        value: String,
    },
}

/// How much of what a caller may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What it is called.
    pub name: Option<String>,
    /// Whose use is counted together.
    pub per: Per,
    /// Of which servers; `None`: all.
    pub servers: Option<Vec<String>>,
    /// Of which tools; `None`: all.
    pub tools: Option<Vec<String>>,
    /// What is counted.
    pub kind: LimitKind,
    /// How many.
    pub count: u64,
    /// In what time, in milliseconds; 0: at a time.
    pub window_ms: u64,
    /// How many may come at once beyond the even pace.
    pub burst: Option<u64>,
    /// The rest.
    pub unknown: Unknown,
}

/// Whose use is counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    /// Everybody's.
    All,
    /// Each caller's.
    Caller,
    /// Each tenant's or team's.
    Tenant,
    /// Each key's.
    Key,
    /// Each address's.
    Address,
    /// Each server's.
    Server,
    /// Each value's of this claim or expression.
    Other(String),
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Calls or requests.
    Requests,
    /// Those that run at the same time.
    Concurrent,
    /// Tokens of a model.
    Tokens,
    /// Money, in thousandths of the format's unit.
    Spend,
}

/// Whose tokens are taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Issuer {
    /// What the format calls it.
    pub name: Option<String>,
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_url: Option<String>,
    /// Whom its tokens must be for.
    pub audiences: Vec<String>,
    /// What they must grant.
    pub scopes: Vec<String>,
    /// How they may be signed.
    pub algorithms: Vec<String>,
    /// The claim that names a user.
    pub subject_claim: Option<String>,
    /// The claim that names his groups.
    pub groups_claim: Option<String>,
    /// Whether a request without a token is let in.
    pub optional: bool,
    /// The rest.
    pub unknown: Unknown,
}

/// A key that is taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiKey {
    /// What it is called.
    pub name: String,
    /// The key itself, or where it is.
    pub value: Option<Text>,
    /// Its digest, where the format has that alone: `sha256:…`.
    pub digest: Option<String>,
    /// Who has it.
    pub user: Option<String>,
    /// What it grants.
    pub scopes: Vec<String>,
    /// The rest.
    pub unknown: Unknown,
}

/// Something that is looked for in what passes.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What it is called.
    pub name: Option<String>,
    /// What the format calls its kind: `regex`, `pii`, `secrets`, `webhook`.
    pub kind: String,
    /// What becomes of what is found.
    pub action: CheckAction,
    /// What is looked for, in the format's own words.
    pub pattern: Option<String>,
    /// Of which servers; `None`: all.
    pub servers: Option<Vec<String>>,
    /// Of which tools; `None`: all.
    pub tools: Option<Vec<String>>,
    /// The rest.
    pub unknown: Unknown,
}

/// What becomes of what a check finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckAction {
    /// It does not pass.
    Deny,
    /// It passes without what was found.
    Mask,
    /// It passes, and is noted.
    Note,
}
