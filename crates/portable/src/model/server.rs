//! One server.

use indexmap::IndexMap;

use super::Unknown;
use crate::text::Text;

/// A server: what is started or where it is, and what a client does with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// How it is spoken to.
    pub transport: Transport,
    /// The program and its arguments; empty for a server at a URL. No shell reads them.
    pub argv: Vec<Text>,
    /// The program's folder.
    pub cwd: Option<Text>,
    /// Where it is; `None` for a program.
    pub url: Option<Text>,
    /// Variables for the program: values or references.
    pub env: IndexMap<String, Text>,
    /// A file with further variables.
    pub env_file: Option<Text>,
    /// Headers of each request: values or references.
    pub headers: IndexMap<String, Text>,
    /// A program that prints further headers. It is never run here.
    pub headers_command: Option<String>,
    /// Headers of the client's that are passed on, which gateways know alone.
    pub forward_headers: Vec<String>,
    /// How a token is had for it.
    pub oauth: Option<Oauth>,
    /// Whether it is used.
    pub enabled: bool,
    /// Which of its tools are offered.
    pub tools: Tools,
    /// What is not asked about.
    pub trust: Trust,
    /// How long is waited for it.
    pub timeouts: Timeouts,
    /// The package that it is, where that is known beside the command.
    pub package: Option<Package>,
    /// The container that it runs in.
    pub container: Option<Container>,
    /// What it may reach.
    pub isolation: Option<Isolation>,
    /// Whom to trust as this server.
    pub tls: Option<Tls>,
    /// Where this was read.
    pub provenance: Option<Provenance>,
    /// Members that this model does not have.
    pub unknown: Unknown,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            title: None,
            description: None,
            transport: Transport::Stdio,
            argv: Vec::new(),
            cwd: None,
            url: None,
            env: IndexMap::new(),
            env_file: None,
            headers: IndexMap::new(),
            headers_command: None,
            forward_headers: Vec::new(),
            oauth: None,
            enabled: true,
            tools: Tools::default(),
            trust: Trust::default(),
            timeouts: Timeouts::default(),
            package: None,
            container: None,
            isolation: None,
            tls: None,
            provenance: None,
            unknown: Unknown::new(),
        }
    }
}

impl Server {
    /// A server at a URL, spoken to by Streamable HTTP.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { transport: Transport::StreamableHttp, url: Some(Text::plain(url)), ..Self::default() }
    }

    /// A program with its arguments.
    #[must_use]
    pub fn program(argv: &[&str]) -> Self {
        Self { argv: argv.iter().map(|word| Text::plain(*word)).collect(), ..Self::default() }
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A program, by its standard input and output.
    Stdio,
    /// One endpoint to post to.
    StreamableHttp,
    /// A stream of events, and an endpoint to post to (2024-11-05).
    Sse,
    /// At a URL, and the client finds out.
    Auto,
    /// By a WebSocket, which the protocol does not define.
    WebSocket,
}

impl Transport {
    /// Whether the server is at a URL.
    #[must_use]
    pub fn is_remote(self) -> bool {
        self != Self::Stdio
    }

    /// Reads a word for a transport, as any program writes it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().replace(['_', '-', ' '], "").as_str() {
            "stdio" | "local" => Some(Self::Stdio),
            "http" | "streamablehttp" | "streamable" | "httpstream" => Some(Self::StreamableHttp),
            "sse" | "httpsse" => Some(Self::Sse),
            "ws" | "wss" | "websocket" => Some(Self::WebSocket),
            _ => None,
        }
    }
}

/// How a token is had for a server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Oauth {
    /// What the client is called there.
    pub client_id: Option<Text>,
    /// What it proves that by.
    pub client_secret: Option<Text>,
    /// What is asked for. Empty: what the server asks for.
    pub scopes: Vec<String>,
    /// Where users come back to.
    pub redirect_uri: Option<String>,
    /// The port that they come back to, on this machine.
    pub callback_port: Option<u16>,
    /// Where the authorization server's metadata is.
    pub metadata_url: Option<String>,
    /// Where users sign in.
    pub authorization_url: Option<String>,
    /// Where tokens are issued.
    pub token_url: Option<String>,
    /// The authorization server, as it calls itself.
    pub issuer: Option<String>,
    /// Whom tokens are for.
    pub audience: Option<String>,
    /// The kind of grant, where it is not that of a user with a browser: `client_credentials`.
    pub grant: Option<String>,
    /// The rest.
    pub unknown: Unknown,
}

/// Which tools are offered, by names or patterns of the format's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// `None`: all. An empty list is none.
    pub allow: Option<Vec<String>>,
    /// Not these, even where `allow` has them.
    pub deny: Vec<String>,
}

/// What is not asked about before it is done. To lose it guards nothing less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// No call is asked about.
    pub all: bool,
    /// Calls of these tools are not.
    pub tools: Vec<String>,
}

/// How long is waited, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the server is there: a program has started, a connection stands.
    pub start_ms: Option<u64>,
    /// For a call.
    pub call_ms: Option<u64>,
    /// Between two pieces of an answer.
    pub read_ms: Option<u64>,
}

/// A package, as registries name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// `npm`, `pypi`, `oci`, `nuget`, `mcpb`.
    pub registry: String,
    /// Its name there.
    pub name: String,
    /// The one version that is meant.
    pub version: Option<String>,
    /// The SHA-256 that its file must have, in hexadecimal.
    pub sha256: Option<String>,
}

/// A container that a server runs in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    /// The image, with its tag or digest.
    pub image: String,
    /// Arguments for what runs in it, in place of [`Server::argv`].
    pub args: Vec<Text>,
    /// The port that the server listens on, in it.
    pub port: Option<u16>,
    /// `HOST:INSIDE[:ro]`
    pub volumes: Vec<String>,
    /// The rest.
    pub unknown: Unknown,
}

/// What a server may reach. To lose any of it guards less.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Isolation {
    /// `None`: nothing is said of it.
    pub network: Option<Network>,
    /// Paths that it may read. `None`: nothing is said.
    pub read: Option<Vec<String>>,
    /// Paths that it may write. `None`: nothing is said.
    pub write: Option<Vec<String>>,
    /// How many processors it may use, in thousandths.
    pub cpu_milli: Option<u64>,
    /// How much memory it may use, in bytes.
    pub memory_bytes: Option<u64>,
    /// The rest.
    pub unknown: Unknown,
}

/// Where a server may connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Anywhere.
    pub all: bool,
    /// These hosts.
    pub hosts: Vec<String>,
    /// These ports.
    pub ports: Vec<u16>,
}

/// Whom to trust as a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A file with certificate authorities.
    pub ca: Option<String>,
    /// A client certificate and its key, as files.
    pub certificate: Option<(String, String)>,
    /// Anybody is trusted. No format of ours writes this.
    pub insecure: bool,
}

/// Where a server was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The format, by its name.
    pub format: &'static str,
    /// The file, as the caller gave it.
    pub file: String,
    /// Whose file that is.
    pub scope: Scope,
    /// The server's name there.
    pub name: String,
    /// A digest of the file, as the caller gave it: `sha256:…`.
    pub digest: Option<String>,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A user's.
    #[default]
    User,
    /// A project's: whoever may change that may change it.
    Project,
    /// An administrator's.
    Managed,
}
