//! What a client's JSON looks like, as data.

use crate::field::{Field, Part, Support};
use crate::format::{Known, Tested};
use crate::model::Server;
use crate::report::Report;
use crate::variables::{Spelling, Variables};

/// A client's file: JSON, with a map of servers somewhere in it.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) known: &'static [Known],
    /// Where the map of servers is.
    pub(crate) root: &'static [&'static str],
    /// Whether the file is a program's settings, of which servers are a part. Then the rest is not reported.
    pub(crate) settings: Settings,
    pub(crate) remote: Remote,
    pub(crate) variables: Variables,
    /// Whether programs have variables, and which keys there are for what. `""`: none.
    pub(crate) cwd: &'static str,
    pub(crate) env_file: &'static str,
    pub(crate) headers_command: &'static str,
    pub(crate) title_key: &'static str,
    pub(crate) description: &'static str,
    pub(crate) switch: Switch,
    pub(crate) allow: &'static str,
    /// Whether `*` in it is all, and has to be said.
    pub(crate) allow_star: bool,
    pub(crate) deny: &'static str,
    pub(crate) trust_all: &'static str,
    /// Tools that are not asked about; with `true`, `*` is all of them.
    pub(crate) trust_tools: (&'static str, bool),
    /// The key of the time for a call, and how many milliseconds its unit has.
    pub(crate) call_timeout: (&'static str, u64),
    pub(crate) start_timeout: (&'static str, u64),
    pub(crate) read_timeout: (&'static str, u64),
    pub(crate) oauth: OauthStyle,
    /// What is asked for, as a list at the top.
    pub(crate) inputs: bool,
    /// Which names a server may have.
    pub(crate) names: fn(&str) -> bool,
    /// What only this client does not take.
    pub(crate) own: fn(&str, &mut Server, &mut Report),
    pub(crate) tested: Tested,
    /// What there is to say of a field besides.
    pub(crate) remarks: &'static [(Field, Support)],
}

/// Whether a file has much else than servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settings {
    /// It has servers alone.
    Never,
    /// It has if it is called so.
    Named(&'static str),
    /// It has.
    Always,
}

impl Settings {
    pub(crate) fn holds(self, file: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Named(name) => file.rsplit(['/', '\\']).next() == Some(name),
            Self::Always => true,
        }
    }
}

/// How servers at a URL are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Remote {
    /// They are not.
    None,
    /// By the key of the URL and a word for the transport.
    Typed {
        /// The key of the URL.
        url: &'static str,
        /// The key of the word.
        key: &'static str,
        /// The word for a program; `None`: nothing is written.
        stdio: Option<&'static str>,
        /// The word for Streamable HTTP.
        http: &'static str,
        /// The word for HTTP+SSE; `None`: not spoken.
        sse: Option<&'static str>,
    },
    /// By a URL, and the client finds out.
    Found(&'static str),
    /// By a key for each transport.
    Keys {
        /// Of Streamable HTTP.
        http: &'static str,
        /// Of HTTP+SSE.
        sse: &'static str,
    },
}

/// How a server is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    /// It cannot be.
    None,
    /// `disabled: true`
    Disabled,
    /// `enabled: false`
    Enabled,
    /// By its name in a list; and where there is a list of those that are on, by not being in that.
    Excluded {
        /// Where the list is of those that are off.
        excluded: &'static [&'static str],
        /// Where that is of those that are on.
        allowed: &'static [&'static str],
    },
}

/// How a token is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OauthStyle {
    /// Nothing is said of it.
    None,
    /// `oauth {clientId, callbackPort, authServerMetadataUrl, scopes: "a b"}`
    ClaudeCode,
    /// `auth {CLIENT_ID, CLIENT_SECRET, scopes: [..]}`
    Cursor,
    /// `oauth {clientId}`, `oauthScopes: [..]`
    Kiro,
    /// `oauth {enabled, clientId, clientSecret, authorizationUrl, tokenUrl, scopes, redirectUri, audiences}`
    Gemini,
    /// `oauth {clientId, scopes: [..], redirectUri}`
    Portable,
    /// `oauth {clientId, clientSecret}`
    Code,
}

impl Dialect {
    /// One with nothing but programs.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        title: "",
        known: &[],
        root: &["mcpServers"],
        settings: Settings::Never,
        remote: Remote::None,
        variables: Variables::NONE,
        cwd: "",
        env_file: "",
        headers_command: "",
        title_key: "",
        description: "",
        switch: Switch::None,
        allow: "",
        allow_star: false,
        deny: "",
        trust_all: "",
        trust_tools: ("", false),
        call_timeout: ("", 1),
        start_timeout: ("", 1),
        read_timeout: ("", 1),
        oauth: OauthStyle::None,
        inputs: false,
        names: |_| true,
        own: |_, _, _| (),
        tested: Tested::Documentation(""),
        remarks: &[],
    };

    pub(crate) fn supports(&self, field: Field) -> Support {
        if let Some((_, support)) = self.remarks.iter().find(|(known, _)| *known == field) {
            return *support;
        }
        let has = |there: bool| if there { Support::Kept } else { Support::Dropped("") };
        let remote = !matches!(self.remote, Remote::None);
        let variables = self.variables;
        match field {
            Field::Stdio | Field::Env => Support::Kept,
            Field::Http => match self.remote {
                Remote::Found(_) => Support::Partly("the client finds out how the server is spoken to"),
                Remote::Typed { .. } | Remote::Keys { .. } => Support::Kept,
                Remote::None => Support::Dropped(""),
            },
            Field::Sse => match self.remote {
                Remote::Found(_) => Support::Partly("the client finds out how the server is spoken to"),
                Remote::Typed { sse, .. } => has(sse.is_some()),
                Remote::Keys { .. } => Support::Kept,
                Remote::None => Support::Dropped(""),
            },
            Field::Auto => has(matches!(self.remote, Remote::Found(_))),
            Field::Title => has(!self.title_key.is_empty()),
            Field::Description => has(!self.description.is_empty()),
            Field::Cwd => has(!self.cwd.is_empty()),
            Field::EnvFile => has(!self.env_file.is_empty()),
            Field::Headers => has(remote),
            Field::HeadersCommand => has(!self.headers_command.is_empty()),
            Field::Enabled => has(self.switch != Switch::None),
            Field::ToolsAllow => has(!self.allow.is_empty()),
            Field::ToolsDeny => has(!self.deny.is_empty()),
            Field::TrustAll => has(!self.trust_all.is_empty() || self.trust_tools.1),
            Field::TrustTools => has(!self.trust_tools.0.is_empty()),
            Field::StartTimeout => timeout(self.start_timeout),
            Field::CallTimeout => timeout(self.call_timeout),
            Field::ReadTimeout => timeout(self.read_timeout),
            Field::OauthClient
            | Field::OauthSecret
            | Field::OauthScopes
            | Field::OauthReturn
            | Field::OauthPlaces => self.oauth.supports(field),
            Field::EnvInValues => has(variables.env != Spelling::None),
            Field::EnvInCommand => has(variables.env != Spelling::None && variables.everywhere),
            Field::EnvDefault => {
                has(matches!(variables.env, Spelling::BracesWithDefault | Spelling::SchemeWithDefault))
            }
            Field::Input => has(variables.inputs),
            Field::File => has(variables.files),
            Field::Vault if variables.vaults.is_empty() => Support::Dropped(""),
            Field::Vault => Support::Partly("its own vaults only; of others the value is left out"),
            Field::Place => has(variables.places),
            _ if field.part() == Part::Gateway => {
                Support::Dropped("a client has no place for it: the gateway keeps it")
            }
            _ => Support::Dropped(""),
        }
    }
}

fn timeout((key, scale): (&str, u64)) -> Support {
    match (key, scale) {
        ("", _) => Support::Dropped(""),
        (_, 1) => Support::Kept,
        (_, _) => Support::Partly("in whole seconds, rounded up"),
    }
}

impl OauthStyle {
    fn supports(self, field: Field) -> Support {
        let kept: &[Field] = match self {
            Self::None => &[],
            Self::ClaudeCode => &[Field::OauthClient, Field::OauthScopes],
            Self::Cursor => &[Field::OauthClient, Field::OauthSecret, Field::OauthScopes],
            Self::Kiro => &[Field::OauthClient, Field::OauthScopes],
            Self::Gemini => &[Field::OauthClient, Field::OauthSecret, Field::OauthScopes],
            Self::Portable => &[Field::OauthClient, Field::OauthScopes],
            Self::Code => &[Field::OauthClient, Field::OauthSecret],
        };
        let partly = match (self, field) {
            (Self::ClaudeCode, Field::OauthReturn) => "the port alone",
            (Self::ClaudeCode, Field::OauthPlaces) => "the place of the metadata alone",
            (Self::Gemini | Self::Portable, Field::OauthReturn) => "the URI alone",
            (Self::Gemini, Field::OauthPlaces) => "where users sign in, where tokens are issued, for whom",
            _ if kept.contains(&field) => return Support::Kept,
            _ => return Support::Dropped(""),
        };
        Support::Partly(partly)
    }
}
