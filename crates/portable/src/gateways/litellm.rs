//! LiteLLM: `mcp_servers` in the proxy's `config.yaml`.

use serde_json::{Map, Value as Json, json};

use super::doc;
use super::reading::{Reading, after, argv};
use super::table::Table;
use super::variable::{self, Style};
use super::write;
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{ApiKey, Deployment, Effect, Oauth, Rule, Server, Tools, Transport, Who};
use crate::reduce::reduce;
use crate::report::Report;
use crate::text::Text;

/// LiteLLM's proxy.
pub(crate) struct LiteLlm;

const STYLE: Style = Style::OsEnviron;

/// The key by which others are made, as it is read; and the variable that it is in.
const MASTER: &str = "master";
const MASTER_VARIABLE: &str = "LITELLM_MASTER_KEY";

/// Sections of the file that are about models and the proxy itself.
const OF_MODELS: &[&str] = &[
    "model_list",
    "router_settings",
    "environment_variables",
    "callback_settings",
    "vector_store_registry",
    "search_tools",
    "credential_list",
    "files_settings",
    "finetune_settings",
    "assistant_settings",
    "include",
];

impl Format for LiteLlm {
    fn name(&self) -> &'static str {
        "litellm"
    }

    fn title(&self) -> &'static str {
        "LiteLLM"
    }

    fn known(&self) -> &'static [Known] {
        &[]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        if !text.contains("mcp_servers") || file_name.ends_with(".toml") {
            return Likeness::No;
        }
        match doc::parse(text, file_name) {
            Ok(root) if root.get("mcp_servers").is_some() => {
                let more = ["model_list", "litellm_settings", "general_settings"];
                if more.iter().any(|key| root.get(key).is_some()) {
                    Likeness::Surely
                } else {
                    Likeness::Likely
                }
            }
            _ => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let root = doc::parse(text, origin.file)?;
        // The tree lives as long as what is read from it.
        let origin = Origin { file: origin.file, ..*origin };
        let mut reading = Reading::new(self.name(), &origin);
        let mut table = Table::of(&root, "", origin.file)?;
        if !table.has("mcp_servers") {
            return Err(table.fault("there is no \"mcp_servers\""));
        }
        for (name, node) in table.named("mcp_servers")? {
            reading.server(name, node, &format!("mcp_servers.{name}"), |reading, table| {
                server(reading, table, name)
            })?;
        }
        settings(&mut reading, &mut table)?;
        rules(&mut reading);
        let meaning = "it is about models or the proxy itself, and not about servers of MCP";
        reading.drop_all(&mut table, OF_MODELS, meaning);
        reading.deployment.unknown = reading.unknown(table);
        Ok(reading.done())
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        write::only_new(target, self.title())?;
        let (deployment, mut report) = reduce(deployment, self);
        let mut servers = Map::new();
        for (name, server) in &deployment.servers {
            let named = name.replace('-', "_");
            if named != *name {
                let meaning =
                    format!("its name is {named:?} there, as \"-\" ends a server's name in its tools");
                report.approximated(format!("servers.{name}"), false, meaning);
            }
            servers.insert(named, written(server));
        }
        let mut all = Map::from_iter([("mcp_servers".to_owned(), Json::Object(servers))]);
        if let Some(key) = deployment.gateway.keys.iter().find_map(|key| key.value.as_ref()) {
            let key = variable::write(key, STYLE).unwrap_or_default();
            all.insert("general_settings".to_owned(), json!({ "master_key": key }));
        }
        let text = write::yaml(&Json::Object(all));
        Ok(Exported { text, beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Stdio => Support::Partly(
                "LITELLM_ENABLE_MCP_STDIO has to be true there, and the program in \
                 LITELLM_MCP_STDIO_EXTRA_COMMANDS unless it is npx, uvx, python, node, docker or deno",
            ),
            Field::Http
            | Field::Sse
            | Field::Description
            | Field::Env
            | Field::Headers
            | Field::ForwardHeaders
            | Field::OauthClient
            | Field::OauthSecret
            | Field::OauthScopes
            | Field::OauthGrant
            | Field::ToolsAllow
            | Field::ToolsDeny
            | Field::EnvInValues => Support::Kept,
            Field::OauthPlaces => {
                Support::Partly("the places for signing in and for tokens alone are said there")
            }
            Field::Rules | Field::Endpoints | Field::EndpointWho => {
                Support::Dropped("who may use what is in LiteLLM's keys and teams: give it there")
            }
            Field::Issuers | Field::Keys => {
                Support::Partly("nobody comes in but with keys of LiteLLM's: make them there")
            }
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        master_key(deployment, report);
        for (name, server) in &mut deployment.servers {
            no_empty_list(name, server, report);
            no_mixed_values(name, server, report);
        }
        deployment.servers.retain(|name, server| {
            let stays = server.enabled && server.tools.allow.as_ref().is_none_or(|tools| !tools.is_empty());
            if !stays {
                let meaning = "an empty list stands for all there: the server is left out";
                report.approximated(format!("servers.{name}.tools.allow"), true, meaning);
            }
            stays
        });
    }

    fn tested(&self) -> Tested {
        Tested::Program("1.108.7 of PyPI, which connects and calls by it")
    }
}

/// Where LiteLLM knows a key, nobody comes in without one that it knows or has made; where it knows none,
/// everybody does. It does not start where the variable is not set.
fn master_key(deployment: &mut Deployment, report: &mut Report) {
    let gateway = &mut deployment.gateway;
    if gateway.issuers.is_empty() && gateway.keys.is_empty() {
        return;
    }
    let known = gateway.keys.iter().find(|key| key.name == MASTER);
    let known = known.and_then(|key| key.value.as_ref()).and_then(Text::as_env).map(str::to_owned);
    let variable = known.unwrap_or_else(|| MASTER_VARIABLE.to_owned());
    let meaning = format!("put a key into the variable {variable}: by it keys for callers are made there");
    report.approximated("gateway.keys", true, meaning);
    gateway.issuers.clear();
    let value = Some(Text::env(variable));
    gateway.keys = vec![ApiKey { name: MASTER.to_owned(), value, ..ApiKey::default() }];
}

/// An empty list of OAuth scopes says nothing, and none is written.
fn no_empty_list(name: &str, server: &mut Server, report: &mut Report) {
    if let Some(oauth) = &mut server.oauth {
        let places = [oauth.metadata_url.take(), oauth.issuer.take(), oauth.audience.take()];
        if places.iter().any(Option::is_some) {
            let meaning = "the metadata, the issuer and the audience have no place there";
            report.dropped(format!("servers.{name}.oauth.metadata_url"), false, meaning);
        }
        if *oauth == Oauth::default() {
            server.oauth = None;
        }
    }
}

/// A variable is a whole value there or none.
fn no_mixed_values(name: &str, server: &mut Server, report: &mut Report) {
    let bearer = server.oauth.is_none();
    for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
        values.retain(|key, value| {
            // The header of a token is written as the kind of authentication that it is.
            let is_token = bearer && part == "headers" && key == "Authorization" && token(value).is_some();
            let stays = is_token || variable::write(value, STYLE).is_some();
            if !stays {
                let meaning = "a variable is a whole value there: put all of it into the variable";
                report.dropped(format!("servers.{name}.{part}.{key}"), false, meaning);
            }
            stays
        });
    }
}

/// Reads one server. `None`: it is no server that the model has.
fn server<'a>(reading: &mut Reading<'a>, mut table: Table<'a>, name: &str) -> Result<Option<Server>, Fault> {
    table.either("url", "command")?;
    if table.has("spec_path") {
        let meaning = "a web API is an upstream of its own kind: write `openapi` for it (docs/openapi.md)";
        reading.report.dropped(table.path.clone(), false, meaning);
        return Ok(None);
    }
    let mut server = Server { description: reading.text(&mut table, "description")?, ..Server::default() };
    let said = reading.transport(&mut table, "transport")?;
    if let Some(command) = reading.text(&mut table, "command")? {
        server.argv = argv(&command, reading.texts(&mut table, "args", false)?.unwrap_or_default(), STYLE);
        server.env = reading.values(&mut table, "env", STYLE)?;
    } else {
        let url = reading
            .text(&mut table, "url")?
            .ok_or_else(|| table.fault("it has no \"url\" and no \"command\""))?;
        server.url = Some(variable::read(&url, STYLE));
        server.transport = said.unwrap_or(Transport::StreamableHttp);
        reading.drop(&mut table, "args", false, "there is no program to give them to");
        reading.drop(&mut table, "env", false, "there is no program to give them to");
    }
    if said.is_some_and(|said| said.is_remote() != server.url.is_some()) {
        return Err(table.fault("its \"transport\" does not fit what it has: \"url\" or \"command\""));
    }
    headers(reading, &mut table, &mut server)?;
    server.tools = tools(reading, &mut table)?;
    access(reading, &mut table, name)?;
    rest(reading, &mut table, &mut server)?;
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}

fn tools<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<Tools, Fault> {
    let allow = reading.allow(table, "allowed_tools")?;
    let deny = reading.texts(table, "disallowed_tools", true)?.unwrap_or_default();
    // There, a list of what is allowed has the last word.
    if allow.is_some() && !deny.is_empty() {
        let meaning = "both lists hold here: a tool of both is not offered";
        reading.report.approximated(table.at("disallowed_tools"), true, meaning);
    }
    Ok(Tools { allow, deny })
}

/// Headers, and how a server is authenticated to.
fn headers<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, server: &mut Server) -> Result<(), Fault> {
    server.headers = reading.values(table, "static_headers", STYLE)?;
    for name in reading.texts(table, "extra_headers", false)?.unwrap_or_default() {
        if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("cookie") {
            let meaning = "a caller's own credential is never passed on: see `auth` of upstreams";
            reading.report.dropped(table.at("extra_headers"), false, meaning);
        } else {
            server.forward_headers.push(name);
        }
    }
    table.either("auth_value", "authentication_token")?;
    let at = table.at("auth_value");
    let value = match reading.text(table, "auth_value")? {
        Some(value) => Some(value),
        None => reading.text(table, "authentication_token")?,
    };
    let value = value.map(|value| variable::read(&value, STYLE));
    let kind = reading.text(table, "auth_type")?.unwrap_or_default();
    let header = match kind.as_str() {
        "bearer_token" => Some(("Authorization", "Bearer ")),
        "authorization" => Some(("Authorization", "")),
        "token" => Some(("Authorization", "token ")),
        "api_key" => Some(("X-API-Key", "")),
        "basic" => {
            let meaning = "the value has to be the name and the password in Base64";
            reading.report.approximated(&at, false, meaning);
            Some(("Authorization", "Basic "))
        }
        "" | "none" => None,
        "oauth2" | "oauth2_token_exchange" | "oauth2_id_jag" | "oauth_delegate" => {
            server.oauth = Some(oauth(reading, table, &kind)?);
            None
        }
        "aws_sigv4" | "true_passthrough" => {
            let meaning = "there is no such way to prove oneself here: requests go without";
            reading.report.dropped(table.at("auth_type"), false, meaning);
            None
        }
        _ => return Err(table.fault("its \"auth_type\" is none that is known")),
    };
    match (header, value) {
        (Some((name, prefix)), Some(value)) => {
            if server.headers.keys().any(|key| key.eq_ignore_ascii_case(name)) {
                return Err(table.fault(format!("both \"static_headers\" and \"auth_value\" give {name:?}")));
            }
            server.headers.insert(name.to_owned(), after(prefix, &value));
        }
        (Some(_), None) => {
            let meaning =
                "callers give the credential there: give one to `headers`, or see `auth` of upstreams";
            reading.report.dropped(table.at("auth_type"), false, meaning);
        }
        (None, Some(_)) => reading.report.dropped(at, false, "nothing says what it is for: it is left out"),
        (None, None) => {}
    }
    Ok(())
}

fn oauth<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, kind: &str) -> Result<Oauth, Fault> {
    let mut value = |reading: &mut Reading<'a>, key: &str| -> Result<Option<Text>, Fault> {
        Ok(reading.text(table, key)?.map(|text| variable::read(&text, STYLE)))
    };
    let (client_id, client_secret) = (value(reading, "client_id")?, value(reading, "client_secret")?);
    let grant = match kind {
        "oauth2" => reading.text(table, "oauth2_flow")?.filter(|flow| flow == "client_credentials"),
        "oauth2_token_exchange" => Some("token_exchange".to_owned()),
        "oauth2_id_jag" => Some("id_jag".to_owned()),
        _ => None,
    };
    let token_url = match reading.text(table, "token_exchange_endpoint")? {
        Some(url) => Some(url),
        None => reading.text(table, "token_url")?,
    };
    reading.drop(table, "registration_url", false, "the client registers itself where the server says");
    Ok(Oauth {
        client_id,
        client_secret,
        scopes: reading.texts(table, "scopes", true)?.unwrap_or_default(),
        authorization_url: reading.text(table, "authorization_url")?,
        token_url,
        issuer: reading.text(table, "issuer")?,
        audience: reading.text(table, "audience")?,
        grant,
        ..Oauth::default()
    })
}

/// Who may use the server.
fn access<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, name: &str) -> Result<(), Fault> {
    let rule = |who: Who| {
        let mut rule = Rule::new(Effect::Allow);
        (rule.who, rule.servers) = (vec![who], Some(vec![name.to_owned()]));
        rule
    };
    let mut rules = Vec::new();
    for group in reading.texts(table, "access_groups", true)?.unwrap_or_default() {
        rules.push(rule(Who::Group(group)));
    }
    let at = table.at("allow_all_keys");
    if table.flag("allow_all_keys")? == Some(true) {
        reading.report.kept(at, true);
        rules.push(rule(Who::Authenticated));
    }
    reading.deployment.gateway.rules.extend(rules);
    Ok(())
}

/// What is said of servers without rules where others have some.
fn rules(reading: &mut Reading<'_>) {
    let rules = &reading.deployment.gateway.rules;
    if rules.is_empty() {
        return;
    }
    let named: Vec<&String> = rules.iter().flat_map(|rule| rule.servers.iter().flatten()).collect();
    let without = reading.deployment.servers.keys().filter(|name| !named.contains(name));
    for name in without.cloned().collect::<Vec<_>>() {
        let meaning = "who may use it is in LiteLLM's database: nobody may until a policy says so";
        reading.report.approximated(format!("mcp_servers.{name}.access_groups"), true, meaning);
    }
}

fn rest<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, server: &mut Server) -> Result<(), Fault> {
    if let Some(mut info) = table.table("mcp_info")? {
        server.title = reading.text(&mut info, "server_name")?;
        let meaning = "calls have no price here: `rates` can count them by `costs`";
        reading.drop(&mut info, "mcp_server_cost_info", false, meaning);
        reading.drop_all(&mut info, &["logo_url", "description"], "it is shown in LiteLLM's pages alone");
        reading.unknown(info);
    }
    if let Some(seconds) = table.number("timeout")? {
        reading.report.kept(table.at("timeout"), false);
        server.timeouts.call_ms = Some(seconds.saturating_mul(1000));
    }
    reading.drop(
        table,
        "allowed_params",
        true,
        "arguments are not limited: write a policy that looks at them",
    );
    reading.drop(table, "guardrails", true, "what passes is not looked at: write `checks`");
    reading.drop(table, "token_validation", true, "tokens of users are not looked at that way");
    reading.drop(table, "header_variables", false, "users give no values of their own");
    reading.drop(
        table,
        "tool_name_to_display_name",
        false,
        "tools have their own names: `aliases` gives others",
    );
    reading.drop(table, "tool_name_to_description", false, "tools have their servers' descriptions");
    reading.drop(
        table,
        "delegate_auth_to_upstream",
        false,
        "callers prove themselves to the gateway in any case",
    );
    reading.drop(table, "is_byok", false, "users bring no keys of their own: see `per_user` of upstreams");
    reading.drop(table, "alias", false, "the server has its name, and no other one");
    if table.flag("available_on_public_internet")? == Some(false) {
        let meaning = "callers from outside are not told apart: listen on the inner network alone";
        reading.report.dropped(table.at("available_on_public_internet"), true, meaning);
    }
    let of_itself = ["server_id", "spec_version", "instructions", "created_at", "updated_at"];
    reading.drop_all(table, &of_itself, "LiteLLM keeps it for itself");
    Ok(())
}

/// What the sections beside the servers say of them.
fn settings<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    if let Some(mut general) = table.table("general_settings")? {
        if let Some(key) = reading.text(&mut general, "master_key")? {
            let value = Some(variable::read(&key, STYLE));
            let key = ApiKey { name: MASTER.to_owned(), value, ..ApiKey::default() };
            reading.deployment.gateway.keys.push(key);
        }
        let meaning = "it is about the proxy itself: keys and teams that it keeps have to be made anew";
        while let Some((key, node)) = general.next() {
            if !node.is_empty() {
                let guards = crate::reduce::may_guard(key) || key.contains("mcp");
                reading.report.dropped(format!("general_settings.{key}"), guards, meaning);
            }
        }
    }
    if let Some(mut settings) = table.table("litellm_settings")? {
        reading.drop(&mut settings, "mcp_aliases", false, "servers have their names, and no other ones");
        while let Some((key, node)) = settings.next() {
            if !node.is_empty() {
                let path = format!("litellm_settings.{key}");
                let guards = key.contains("mcp") && crate::reduce::may_guard(key);
                reading.report.dropped(path, guards, "it is about models or the proxy itself");
            }
        }
    }
    if let Some(node) = table.take("guardrails")
        && !node.is_empty()
    {
        reading.report.dropped("guardrails", true, "what passes is not looked at: write `checks`");
    }
    reading.drop(table, "mcp_tools", false, "tools that LiteLLM runs itself need a server of their own");
    Ok(())
}

/// The token in a header, where it is nothing but one.
fn token(value: &Text) -> Option<String> {
    let mut pieces = value.pieces().iter().cloned();
    match pieces.next() {
        Some(crate::text::Piece::Plain(first)) => {
            let rest = first.strip_prefix("Bearer ")?;
            let token: Text =
                std::iter::once(crate::text::Piece::Plain(rest.to_owned())).chain(pieces).collect();
            variable::write(&token, STYLE)
        }
        _ => None,
    }
}

/// Writes one server.
fn written(server: &Server) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_owned(), value));
    let said = |text: &Text| variable::write(text, STYLE).unwrap_or_default();
    let values = |values: &indexmap::IndexMap<String, Text>| -> Json {
        values.iter().map(|(key, value)| (key.clone(), Json::from(said(value)))).collect()
    };
    match &server.url {
        Some(url) => {
            put("url", said(url).into());
            put("transport", if server.transport == Transport::Sse { "sse" } else { "http" }.into());
        }
        None => {
            put("transport", "stdio".into());
            let mut words = server.argv.iter().map(said);
            put("command", words.next().unwrap_or_default().into());
            put("args", words.collect());
        }
    }
    if let Some(description) = &server.description {
        put("description", description.as_str().into());
    }
    if !server.env.is_empty() {
        put("env", values(&server.env));
    }
    let mut headers = server.headers.clone();
    let bearer = headers.get("Authorization").and_then(token).filter(|_| server.oauth.is_none());
    if let Some(token) = bearer {
        headers.shift_remove("Authorization");
        put("auth_type", "bearer_token".into());
        put("auth_value", token.into());
    }
    if !headers.is_empty() {
        put("static_headers", values(&headers));
    }
    if !server.forward_headers.is_empty() {
        put("extra_headers", server.forward_headers.clone().into());
    }
    if let Some(allow) = &server.tools.allow {
        put("allowed_tools", allow.clone().into());
    }
    if !server.tools.deny.is_empty() {
        put("disallowed_tools", server.tools.deny.clone().into());
    }
    if let Some(oauth) = &server.oauth {
        written_oauth(oauth, &mut out);
    }
    out.extend(server.unknown.clone());
    Json::Object(out)
}

fn written_oauth(oauth: &Oauth, out: &mut Map<String, Json>) {
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    let said =
        |text: &Option<Text>| text.as_ref().and_then(|text| variable::write(text, STYLE)).map(Json::from);
    let (kind, flow) = match oauth.grant.as_deref() {
        Some("token_exchange") => ("oauth2_token_exchange", None),
        Some("id_jag") => ("oauth2_id_jag", None),
        Some(grant) => ("oauth2", Some(grant)),
        None => ("oauth2", None),
    };
    put("auth_type", Some(kind.into()));
    put("oauth2_flow", flow.map(Json::from));
    put("client_id", said(&oauth.client_id));
    put("client_secret", said(&oauth.client_secret));
    put("authorization_url", oauth.authorization_url.clone().map(Json::from));
    put("token_url", oauth.token_url.clone().map(Json::from));
    put("scopes", (!oauth.scopes.is_empty()).then(|| oauth.scopes.clone().into()));
}
