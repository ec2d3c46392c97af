//! The run configuration of one workload.

use super::super::doc::Node;
use super::super::reading::Reading;
use super::super::table::Table;
use super::super::variable::{self, Style};
use super::{isolation, issuer, limits, policies, secret, transport};
use crate::format::Fault;
use crate::model::{Container, Endpoint, Oauth, Server, Tools, Transport};
use crate::text::Text;

/// What ToolHive keeps for itself.
const OF_ITSELF: &[&str] = &[
    "schema_version",
    "mcpserver_generation",
    "registry_api_url",
    "registry_url",
    "registry_server_name",
    "container_name",
    "base_name",
    "host",
    "port",
    "target_host",
    "publish",
    "permission_profile_name_or_path",
    "debug",
    "container_labels",
    "proxy_mode",
    "stateless",
    "session_ttl",
    "group",
    "endpoint_prefix",
    "rate_limit_namespace",
    "scaling_config",
    "runtime_config",
    "k8s_pod_template_patch",
    "thv_ca_bundle",
    "jwks_auth_token_file",
    "middleware_configs",
    "additional_middleware_configs",
    "trust_proxy_headers",
];

/// What has no counterpart and keeps somebody from something.
const GUARDS: &[(&str, &str)] = &[
    ("validating_webhooks", "nobody is asked about calls: write `checks` with a webhook"),
    ("mutating_webhooks", "nobody changes what passes: write `checks`"),
    ("ignore_config", "files are not hidden from the container: mount what it needs and no more"),
    ("strict_protocol_validation", "messages are held against the protocol in any case"),
    ("embedded_auth_server_config", "see `auth.broker` for the gateway as an authorization server"),
    ("authz_config_path", "write its policies for the gateway's entities (docs/policy.md)"),
    ("upstream_swap_config", "see `auth` of upstreams for tokens of each user"),
    ("token_exchange_config", "see `auth.exchange` of upstreams for tokens of each user"),
    ("aws_sts_config", "there is no such way to prove oneself here"),
];

/// Reads it.
pub(super) fn read<'a>(reading: &mut Reading<'a>, root: &'a Node, mut table: Table<'a>) -> Result<(), Fault> {
    let name = table.text("name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| table.fault("it has no \"name\""))?;
    reading.report.kept("name", false);
    let found = server(reading, &mut table);
    let failed = found.is_err();
    reading.found(name, root, name, found)?;
    if failed {
        return Ok(());
    }
    overrides(reading, &mut table, name)?;
    if let Some(oidc) = table.table("oidc_config")? {
        issuer(reading, oidc)?;
    }
    if let Some(mut authz) = table.table("authz_config")? {
        match authz.text("type")? {
            Some("cedarv1") | None => {
                if let Some(mut inner) = authz.table("cedar")? {
                    policies(reading, &mut inner, Some(name))?;
                    reading.unknown(inner);
                }
                authz.take("version");
                reading.unknown(authz);
            }
            Some(_) => {
                reading.report.dropped(
                    "authz_config",
                    true,
                    "only policies in Cedar are read: write a policy",
                );
            }
        }
    }
    let rates = table.table("rate_limit_config")?;
    limits(reading, rates, Some(name))?;
    reading.deployment.gateway.origins = reading.texts(&mut table, "allowed_origins", true)?;
    for (key, meaning) in GUARDS {
        reading.drop(&mut table, key, true, meaning);
    }
    reading.drop_all(&mut table, OF_ITSELF, "it is about how ToolHive runs it, and not about the server");
    reading.drop_all(
        &mut table,
        &["audit_config", "audit_config_path"],
        "calls are recorded as `audit` says",
    );
    reading.drop(&mut table, "telemetry_config", false, "traces are sent as `telemetry` says");
    let unknown = reading.unknown(table);
    if let Some(server) = reading.deployment.servers.get_mut(name) {
        server.unknown = unknown;
    }
    Ok(())
}

fn server<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<Option<Server>, Fault> {
    let remote = table.has("remote_url");
    let image = table.text("image")?.filter(|image| !image.is_empty());
    let word = table.text("transport")?;
    let said = word
        .map(transport)
        .map(|said| said.ok_or_else(|| table.fault("its \"transport\" is none that is known")));
    let said = said.transpose()?;
    let mut server = Server { transport: said.unwrap_or(Transport::Stdio), ..Server::default() };
    if remote {
        if image.is_some() {
            return Err(table.fault("it has both an \"image\" and a \"remote_url\""));
        }
        let url = reading.text(table, "remote_url")?.unwrap_or_default();
        server.url = Some(Text::plain(url));
        // The word is for what ToolHive's proxy speaks; the server's own is found out.
        server.transport = if server.transport.is_remote() { server.transport } else { Transport::Auto };
        remote_auth(reading, table, &mut server)?;
    } else {
        let image = image.ok_or_else(|| table.fault("it has no \"image\" and no \"remote_url\""))?;
        reading.report.kept("image", true);
        let args = reading.texts(table, "cmd_args", false)?.unwrap_or_default();
        let port = table.port("target_port")?.filter(|port| *port > 0);
        server.container = Some(Container {
            image: image.to_owned(),
            args: args.into_iter().map(Text::plain).collect(),
            port,
            volumes: reading.texts(table, "volumes", true)?.unwrap_or_default(),
            ..Container::default()
        });
    }
    server.env = reading.values(table, "env_vars", Style::OsEnviron)?;
    secrets(reading, table, &mut server)?;
    headers(reading, table, &mut server)?;
    if let Some(profile) = table.table("permission_profile")? {
        server.isolation = Some(isolation(reading, profile)?);
    }
    let isolated = table.flag("isolate_network")?.unwrap_or_default();
    if isolated {
        reading.report.kept("isolate_network", true);
        server.isolation.get_or_insert_default().network.get_or_insert_default();
    } else if server.isolation.as_ref().is_some_and(|isolation| isolation.network.is_some()) {
        // Without the switch, ToolHive does not enforce what the profile says of the network.
        let meaning =
            "ToolHive does not enforce the profile's network without it: it is enforced or told as lost";
        reading.report.approximated("isolate_network", true, meaning);
    }
    reading.drop(
        table,
        "allow_docker_gateway",
        false,
        "the container does not reach the machine that it is on",
    );
    reading.drop(table, "env_file_dir", false, "write the variables themselves");
    server.tools = Tools { allow: reading.allow(table, "tools_filter")?, deny: Vec::new() };
    Ok(Some(server))
}

/// `NAME,target=VARIABLE`
fn secrets<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, server: &mut Server) -> Result<(), Fault> {
    for (index, text) in table.texts("secrets")?.unwrap_or_default().into_iter().enumerate() {
        let Some((name, variable)) = text.split_once(",target=") else {
            return Err(table.fault("\"secrets\" has something that is not NAME,target=VARIABLE"));
        };
        if server.env.contains_key(variable) {
            return Err(table.fault(format!("both \"env_vars\" and \"secrets\" give {variable:?}")));
        }
        reading.report.kept(format!("secrets[{index}]"), false);
        server.env.insert(variable.to_owned(), secret(name));
    }
    Ok(())
}

fn headers<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, server: &mut Server) -> Result<(), Fault> {
    let Some(mut forward) = table.table("header_forward")? else { return Ok(()) };
    for (name, value) in reading.values(&mut forward, "add_plaintext_headers", Style::OsEnviron)? {
        server.headers.insert(name, value);
    }
    for (name, place) in forward.values("add_headers_from_secret")?.unwrap_or_default() {
        if server.headers.contains_key(&name) {
            return Err(forward.fault(format!("the header {name:?} is given twice")));
        }
        reading.report.kept(format!("header_forward.add_headers_from_secret.{name}"), false);
        server.headers.insert(name, secret(&place));
    }
    reading.unknown(forward);
    Ok(())
}

fn remote_auth<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
) -> Result<(), Fault> {
    let Some(mut auth) = table.table("remote_auth_config")? else { return Ok(()) };
    auth.either("bearer_token", "bearer_token_file")?;
    auth.either("client_secret", "client_secret_file")?;
    // What ToolHive writes there is `NAME,target=…`, the name of a secret; older files have the secret
    // itself.
    let stored = |text: String| match text.split_once(",target=") {
        Some((name, _)) => secret(name),
        None => variable::read(&text, Style::OsEnviron),
    };
    let mut token = reading.text(&mut auth, "bearer_token")?.map(stored);
    if let Some(file) = reading.text(&mut auth, "bearer_token_file")? {
        token = Some(Text::file(file));
    }
    if let Some(token) = token {
        server.headers.insert("Authorization".to_owned(), super::super::reading::after("Bearer ", &token));
    }
    let mut client_secret = reading.text(&mut auth, "client_secret")?.map(stored);
    if let Some(file) = reading.text(&mut auth, "client_secret_file")? {
        client_secret = Some(Text::file(file));
    }
    let oauth = Oauth {
        client_id: reading.text(&mut auth, "client_id")?.map(Text::plain),
        client_secret,
        scopes: reading.texts(&mut auth, "scopes", true)?.unwrap_or_default(),
        issuer: reading.text(&mut auth, "issuer")?,
        authorization_url: reading.text(&mut auth, "authorize_url")?,
        token_url: reading.text(&mut auth, "token_url")?,
        callback_port: auth.port("callback_port")?.filter(|port| *port > 0),
        ..Oauth::default()
    };
    auth.take("use_pkce");
    server.oauth = (oauth != Oauth::default()).then_some(oauth);
    let meaning = "ToolHive keeps it for itself: users sign in anew";
    while let Some((key, node)) = auth.next() {
        if !node.is_empty() {
            reading.report.dropped(auth.at(key), false, meaning);
        }
    }
    Ok(())
}

/// Other names of tools: an endpoint that has them.
fn overrides<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, name: &str) -> Result<(), Fault> {
    let mut aliases = indexmap::IndexMap::new();
    for (tool, node) in table.named("tools_override")? {
        let at = format!("tools_override.{tool}");
        let mut one = Table::of(node, &at, reading.origin.file)?;
        if let Some(other) = one.text("name")?.filter(|other| !other.is_empty()) {
            let meaning = format!("the tool is called that at the endpoint {name}-proxy");
            reading.report.approximated(format!("{at}.name"), false, meaning);
            aliases.insert(format!("{name}/{tool}"), other.to_owned());
        }
        reading.drop(&mut one, "description", false, "tools have their servers' descriptions");
        reading.unknown(one);
    }
    if !aliases.is_empty() {
        let servers = vec![name.to_owned()];
        let endpoint = Endpoint { servers, aliases, enabled: true, ..Endpoint::default() };
        reading.deployment.gateway.endpoints.insert(format!("{name}-proxy"), endpoint);
    }
    Ok(())
}
