//! What a format leaves of a deployment.

use indexmap::IndexMap;

use crate::field::{Field, Support};
use crate::format::Format;
use crate::model::{Deployment, Gateway, Issuer, Oauth, Server, Tools, Transport, Unknown};
use crate::patterns;
use crate::report::Report;
use crate::text::{Piece, Text};

/// What `format` can say of a deployment, and what becomes of the rest.
///
/// What comes out is written without further losses: to read what was written gives the same again, but for
/// where it was read.
#[must_use]
pub fn reduce(deployment: &Deployment, format: &dyn Format) -> (Deployment, Report) {
    let mut report = Report::default();
    let mut out = deployment.clone();
    let from = out.format;
    let is_own = from == Some(format.name());
    let servers = std::mem::take(&mut out.servers);
    let lists = servers.iter().map(|(name, server)| (name.clone(), server.tools.clone())).collect();
    for (name, mut server) in servers {
        let mut step = Step { format, path: format!("servers.{name}"), report: &mut report, from, is_own };
        if step.server(&mut server) {
            out.servers.insert(name, server);
        }
    }
    let mut step = Step { format, path: String::new(), report: &mut report, from, is_own };
    step.inputs(&mut out);
    step.gateway(&mut out.gateway);
    step.unknown(&mut out.unknown, "");
    format.narrow(&mut out, &lists, &mut report);
    format.adjust(&mut out, &mut report);
    out.format = Some(format.name());
    (out, report)
}

/// A field of a server: whether it is there, and how it goes.
type Row = (Field, fn(&Server) -> bool, fn(&mut Server));

/// The fields that go without the server.
const ROWS: &[Row] = &[
    (Field::Title, |s| s.title.is_some(), |s| s.title = None),
    (Field::Description, |s| s.description.is_some(), |s| s.description = None),
    (Field::Cwd, |s| s.cwd.is_some(), |s| s.cwd = None),
    (Field::Env, |s| !s.env.is_empty(), |s| s.env.clear()),
    (Field::EnvFile, |s| s.env_file.is_some(), |s| s.env_file = None),
    (Field::Headers, |s| !s.headers.is_empty(), |s| s.headers.clear()),
    (Field::HeadersCommand, |s| s.headers_command.is_some(), |s| s.headers_command = None),
    (Field::ForwardHeaders, |s| !s.forward_headers.is_empty(), |s| s.forward_headers.clear()),
    (Field::ToolsAllow, |s| s.tools.allow.is_some(), |s| s.tools.allow = None),
    (Field::ToolsDeny, |s| !s.tools.deny.is_empty(), |s| s.tools.deny.clear()),
    (Field::TrustAll, |s| s.trust.all, |s| s.trust.all = false),
    (Field::TrustTools, |s| !s.trust.tools.is_empty(), |s| s.trust.tools.clear()),
    (Field::StartTimeout, |s| s.timeouts.start_ms.is_some(), |s| s.timeouts.start_ms = None),
    (Field::CallTimeout, |s| s.timeouts.call_ms.is_some(), |s| s.timeouts.call_ms = None),
    (Field::ReadTimeout, |s| s.timeouts.read_ms.is_some(), |s| s.timeouts.read_ms = None),
    (Field::Package, |s| s.package.is_some(), |s| s.package = None),
    (Field::Isolation, |s| s.isolation.is_some(), |s| s.isolation = None),
    (Field::TlsCa, |s| s.tls.is_some(), |s| s.tls = None),
];

/// The same for how a token is had.
type OauthRow = (Field, fn(&Oauth) -> bool, fn(&mut Oauth));

const OAUTH_ROWS: &[OauthRow] = &[
    (Field::OauthClient, |o| o.client_id.is_some(), |o| o.client_id = None),
    (Field::OauthSecret, |o| o.client_secret.is_some(), |o| o.client_secret = None),
    (Field::OauthScopes, |o| !o.scopes.is_empty(), |o| o.scopes.clear()),
    (
        Field::OauthReturn,
        |o| o.redirect_uri.is_some() || o.callback_port.is_some(),
        |o| (o.redirect_uri, o.callback_port) = (None, None),
    ),
    (
        Field::OauthPlaces,
        |o| {
            let places = [&o.metadata_url, &o.authorization_url, &o.token_url, &o.issuer, &o.audience];
            places.iter().any(|place| place.is_some())
        },
        |o| {
            (o.metadata_url, o.authorization_url, o.token_url) = (None, None, None);
            (o.issuer, o.audience) = (None, None);
        },
    ),
    (Field::OauthGrant, |o| o.grant.is_some(), |o| o.grant = None),
];

/// Keys of this gateway's own configuration that keep somebody from something.
const OUR_GUARDS: [&str; 16] = [
    "auth",
    "policy",
    "rates",
    "checks",
    "pins",
    "origins",
    "hosts",
    "tls",
    "limits",
    "governance",
    "sandbox",
    "lifecycle",
    "lifecycles",
    "protocol",
    "typed",
    "tenant_claim",
];

struct Step<'a> {
    format: &'a dyn Format,
    path: String,
    report: &'a mut Report,
    /// The format that it comes from.
    from: Option<&'static str>,
    is_own: bool,
}

impl Step<'_> {
    /// Notes a field that is there. Whether it stays.
    fn stays(&mut self, field: Field, at: &str) -> bool {
        let path = match (self.path.as_str(), at) {
            ("", at) => at.to_owned(),
            (path, "") => path.to_owned(),
            (path, at) => format!("{path}.{at}"),
        };
        match self.format.support(field) {
            Support::Kept => self.report.kept(path, field.guards()),
            Support::Partly(how) => self.report.approximated(path, field.guards(), how),
            Support::Dropped(why) => {
                let why = if why.is_empty() { field.loss() } else { why };
                self.report.dropped(path, field.guards(), why);
                return false;
            }
        }
        true
    }

    /// The same for a reference. Where some of a kind can be said, the format takes out the others.
    fn refers(&mut self, field: Field, at: &str) -> bool {
        if matches!(self.format.support(field), Support::Partly(_)) {
            self.report.kept(format!("{}.{at}", self.path), false);
            return true;
        }
        self.stays(field, at)
    }

    /// Whether the server stays.
    fn server(&mut self, server: &mut Server) -> bool {
        server.provenance = None;
        let transport = match server.transport {
            Transport::Stdio => Field::Stdio,
            Transport::StreamableHttp => Field::Http,
            Transport::Sse => Field::Sse,
            Transport::Auto => Field::Auto,
            Transport::WebSocket => Field::WebSocket,
        };
        if transport == Field::Auto && matches!(self.format.support(Field::Auto), Support::Dropped(_)) {
            if !matches!(self.format.support(Field::Http), Support::Kept) {
                return self.stays(Field::Http, "transport");
            }
            server.transport = Transport::StreamableHttp;
            let path = format!("{}.transport", self.path);
            self.report.approximated(path, false, "the transport has to be said: Streamable HTTP is taken");
        } else if !self.stays(transport, "transport") {
            return false;
        } else if transport != Field::Stdio && matches!(self.format.support(transport), Support::Partly(_)) {
            server.transport = Transport::Auto;
        }
        self.foreign(server);
        if !server.enabled && !self.switched_off() {
            return false;
        }
        if server.container.is_some() && !self.stays(Field::Container, "container") {
            return false;
        }
        for (field, is_there, clear) in ROWS {
            if is_there(server) && !self.stays(*field, field.path()) {
                clear(server);
            }
        }
        let path = format!("{}.tools", self.path);
        self.tools(&mut server.tools, &path);
        self.oauth(server);
        self.unknown(&mut server.unknown, "");
        self.references(server)
    }

    /// Names of tools are patterns for some and none for others.
    fn tools(&mut self, tools: &mut Tools, path: &str) {
        let to = Some(self.format.name());
        match (patterns::has_patterns(self.from), patterns::has_patterns(to)) {
            (false, true) => patterns::as_patterns(tools, path, self.report),
            (true, false) => patterns::as_names(tools, path, self.report),
            (true, true) | (false, false) => {}
        }
    }

    /// What means nothing for the kind of server.
    fn foreign(&mut self, server: &mut Server) {
        let mut gone: Vec<&str> = Vec::new();
        let mut note = |is_there: bool, at: &'static str| {
            if is_there {
                gone.push(at);
            }
        };
        if server.transport.is_remote() {
            note(!server.argv.is_empty(), "command");
            note(!server.env.is_empty(), "env");
            note(server.cwd.take().is_some(), "cwd");
            note(server.env_file.take().is_some(), "env_file");
            server.argv.clear();
            server.env.clear();
        } else {
            note(server.url.take().is_some(), "url");
            note(!server.headers.is_empty(), "headers");
            note(server.headers_command.take().is_some(), "headers_command");
            note(!server.forward_headers.is_empty(), "forward_headers");
            note(server.oauth.take().is_some(), "oauth");
            server.headers.clear();
            server.forward_headers.clear();
        }
        for at in gone {
            let meaning = "it means nothing for this kind of server";
            self.report.dropped(format!("{}.{at}", self.path), false, meaning);
        }
    }

    /// A server that is switched off where nothing can be is left out, which keeps it from being used.
    fn switched_off(&mut self) -> bool {
        if matches!(self.format.support(Field::Enabled), Support::Dropped(_)) {
            let path = format!("{}.enabled", self.path);
            self.report.approximated(path, true, "servers cannot be switched off there: it is left out");
            return false;
        }
        self.stays(Field::Enabled, "enabled")
    }

    fn oauth(&mut self, server: &mut Server) {
        let Some(oauth) = &mut server.oauth else { return };
        for (field, is_there, clear) in OAUTH_ROWS {
            if is_there(oauth) && !self.stays(*field, field.path()) {
                clear(oauth);
            }
        }
        self.unknown(&mut oauth.unknown, "oauth");
        if *oauth == Oauth::default() {
            server.oauth = None;
        }
    }

    /// Members that only their own format has.
    fn unknown(&mut self, unknown: &mut Unknown, at: &str) {
        let at = |key: &str| {
            let parts = [self.path.as_str(), at, key];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
        };
        for key in unknown.keys() {
            let guards = if self.from == Some("tidegate") { is_guard(key) } else { may_guard(key) };
            if self.is_own {
                self.report.kept(at(key), guards);
            } else {
                let meaning = match self.from {
                    Some("tidegate") => "there is no place for it: write there what has to hold",
                    _ => "it is not known what it means, and this is another format",
                };
                self.report.dropped(at(key), guards, meaning);
            }
        }
        if !self.is_own {
            unknown.clear();
        }
    }

    /// Whether all of a server's command and URL can be said. Values that cannot be are left out.
    fn references(&mut self, server: &mut Server) -> bool {
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            let old: IndexMap<String, Text> = std::mem::take(values);
            for (name, mut value) in old {
                if self.text(&mut value, Field::EnvInValues, &format!("{part}.{name}")) {
                    values.insert(name, value);
                }
            }
        }
        if let Some(oauth) = &mut server.oauth {
            for (part, value) in
                [("client_id", &mut oauth.client_id), ("client_secret", &mut oauth.client_secret)]
            {
                let stays = value
                    .as_mut()
                    .is_none_or(|value| self.text(value, Field::EnvInValues, &format!("oauth.{part}")));
                if !stays {
                    *value = None;
                }
            }
            if *oauth == Oauth::default() {
                server.oauth = None;
            }
        }
        for (part, value) in [("cwd", &mut server.cwd), ("env_file", &mut server.env_file)] {
            if value.as_mut().is_some_and(|value| !self.text(value, Field::EnvInCommand, part)) {
                *value = None;
            }
        }
        let mut all = true;
        for (index, word) in server.argv.iter_mut().enumerate() {
            all &= self.text(word, Field::EnvInCommand, &format!("command[{index}]"));
        }
        if let Some(url) = &mut server.url {
            all &= self.text(url, Field::EnvInCommand, "url");
        }
        if !all {
            let meaning = "its command or URL cannot be said there: the server is left out";
            self.report.dropped(self.path.clone(), false, meaning);
        }
        all
    }

    /// Whether a text can be said. Defaults that cannot be go.
    fn text(&mut self, text: &mut Text, env: Field, at: &str) -> bool {
        let mut stays = true;
        let mut out = Text::default();
        for piece in text.pieces() {
            let field = match piece {
                Piece::Plain(_) => None,
                Piece::Env { .. } => Some(env),
                Piece::Input(_) => Some(Field::Input),
                Piece::File(_) => Some(Field::File),
                Piece::Vault { .. } => Some(Field::Vault),
                Piece::Place(_) => Some(Field::Place),
            };
            if let Some(field) = field {
                stays &= self.refers(field, at);
            }
            match piece {
                Piece::Env { name, default: Some(_) } if stays && !self.stays(Field::EnvDefault, at) => {
                    out.push(Piece::Env { name: name.clone(), default: None });
                }
                piece => out.push(piece.clone()),
            }
        }
        *text = out;
        stays
    }

    fn inputs(&mut self, deployment: &mut Deployment) {
        let ids: Vec<String> = deployment.inputs.keys().cloned().collect();
        for id in ids {
            if !self.stays(Field::Input, &format!("inputs.{id}")) {
                deployment.inputs.shift_remove(&id);
            }
        }
    }

    fn gateway(&mut self, gateway: &mut Gateway) {
        if self.from == Some("tidegate") && !self.is_own {
            crate::tidegate::for_others(gateway, self.format, self.report);
        }
        if gateway.listen.is_some() && !self.stays(Field::Listen, "gateway.listen") {
            gateway.listen = None;
        }
        if !gateway.endpoints.is_empty() && !self.stays(Field::Endpoints, "gateway.endpoints") {
            gateway.endpoints.clear();
        }
        let names = gateway.unknown.get("names").cloned();
        for (name, endpoint) in &mut gateway.endpoints {
            let path = format!("gateway.endpoints.{name}");
            let tools = &mut endpoint.tools;
            let has_tools = tools.allow.is_some() || !tools.deny.is_empty();
            if has_tools && !self.stays(Field::EndpointTools, &format!("{path}.tools")) {
                *tools = Tools::default();
            }
            self.endpoint_tools(
                &mut endpoint.tools,
                &endpoint.servers,
                names.as_ref(),
                &format!("{path}.tools"),
            );
            let has = !endpoint.aliases.is_empty();
            if has && !self.stays(Field::EndpointAliases, &format!("{path}.aliases")) {
                endpoint.aliases.clear();
            }
            if endpoint.who.is_some() && !self.stays(Field::EndpointWho, &format!("{path}.who")) {
                endpoint.who = None;
            }
            self.unknown(&mut endpoint.unknown, &path);
        }
        let origins = gateway.origins.is_some();
        if origins && !self.stays(Field::Origins, "gateway.origins") {
            gateway.origins = None;
        }
        if gateway.tls.is_some() && !self.stays(Field::ListenTls, "gateway.tls") {
            gateway.tls = None;
        }
        self.list(&mut gateway.rules, Field::Rules);
        self.list(&mut gateway.limits, Field::Limits);
        self.list(&mut gateway.issuers, Field::Issuers);
        self.issuers(&mut gateway.issuers);
        self.list(&mut gateway.keys, Field::Keys);
        self.list(&mut gateway.checks, Field::Checks);
        self.unknown(&mut gateway.unknown, "gateway");
    }

    /// Tools of an endpoint are named with their servers, and here by the names that they have there. How
    /// they are said here is known once servers have their names here.
    fn endpoint_tools(
        &mut self,
        tools: &mut Tools,
        servers: &[String],
        names: Option<&serde_json::Value>,
        path: &str,
    ) {
        let to_us = self.format.name() == "tidegate";
        if self.from == Some("tidegate") && !to_us {
            patterns::as_parted(tools, servers, names, path, self.report);
        }
        if !to_us {
            self.tools(tools, path);
        }
    }

    /// Members of issuers that only their own format has. Of other formats than ours, nobody writes them.
    fn issuers(&mut self, issuers: &mut [Issuer]) {
        if self.is_own && self.from != Some("tidegate") {
            return;
        }
        for (index, issuer) in issuers.iter_mut().enumerate() {
            self.unknown(&mut issuer.unknown, &format!("gateway.issuers[{index}]"));
        }
    }

    /// Each of a list by itself, so that a reader sees how many there were.
    fn list<T>(&mut self, list: &mut Vec<T>, field: Field) {
        let mut stays = true;
        for index in 0..list.len() {
            stays = self.stays(field, &format!("{}[{index}]", field.path()));
        }
        if !stays {
            list.clear();
        }
    }
}

/// Whether a key of this gateway's own keeps somebody from something: what they do is known, whatever they
/// are called.
pub(crate) fn is_guard(key: &str) -> bool {
    OUR_GUARDS.contains(&key) || may_guard(key)
}

/// Whether what nobody knows may keep somebody from something, by its name.
pub(crate) fn may_guard(name: &str) -> bool {
    let words = [
        "allow",
        "deny",
        "block",
        "exclude",
        "disable",
        "sandbox",
        "polic",
        "permission",
        "approv",
        "restrict",
        "guard",
        "auth",
        "limit",
        "confirm",
        "readonly",
        "read_only",
        "verify",
        "scope",
    ];
    let lower = name.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}
