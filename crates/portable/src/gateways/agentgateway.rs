//! agentgateway: its YAML, with `mcp` at the top or below `binds`.

mod callers;
mod policies;
mod target;
mod written;

use super::doc::{self, Node, Value};
use super::reading::Reading;
use super::table::Table;
use super::write;
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Effect, Endpoint, Transport, Who};
use crate::reduce::reduce;
use crate::report::Report;

/// agentgateway.
pub(crate) struct AgentGateway;

/// Where it listens where nothing is said.
const PORT: u16 = 3000;

impl Format for AgentGateway {
    fn name(&self) -> &'static str {
        "agentgateway"
    }

    fn title(&self) -> &'static str {
        "agentgateway"
    }

    fn known(&self) -> &'static [Known] {
        &[]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        if !text.contains("targets") {
            return Likeness::No;
        }
        let Ok(root) = doc::parse(text, file_name) else { return Likeness::No };
        let simple = root.get("mcp").is_some_and(|mcp| mcp.get("targets").is_some());
        let listeners = |bind: &Node| bind.get("listeners").is_some();
        let binds = matches!(root.get("binds").map(|node| &node.value), Some(Value::List(binds))
            if binds.iter().any(listeners));
        if simple || binds { Likeness::Surely } else { Likeness::No }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let root = doc::parse(text, origin.file)?;
        let mut reading = Reading::new(self.name(), origin);
        let mut table = Table::of(&root, "", origin.file)?;
        if !["mcp", "binds", "backends", "gateways", "routes"].iter().any(|key| table.has(key)) {
            return Err(table.fault("there is no \"mcp\" and there are no \"binds\""));
        }
        let backends = backends(&mut table)?;
        if let Some(mut simple) = table.table("mcp")? {
            let port = simple.port("port")?.unwrap_or(PORT);
            listen(&mut reading, "mcp.port", port);
            reading.drop(&mut simple, "gateways", false, "there is one address to listen on");
            let names = backend(&mut reading, &mut simple, None)?;
            let policies = simple.table("policies")?;
            policies::read(&mut reading, policies, &policies::Scope { endpoint: None, servers: &names })?;
            reading.unknown(simple);
        }
        for bind in table.tables("binds")? {
            read_bind(&mut reading, bind, &backends)?;
        }
        rest(&mut reading, &mut table)?;
        reading.deployment.unknown = reading.unknown(table);
        Ok(reading.done())
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        write::only_new(target, self.title())?;
        let (deployment, mut report) = reduce(deployment, self);
        let text = write::yaml(&written::all(&deployment, &mut report));
        Ok(Exported { text, beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Stdio
            | Field::Http
            | Field::Sse
            | Field::Env
            | Field::Headers
            | Field::EnvInValues
            | Field::EnvInCommand
            | Field::EnvDefault
            | Field::CallTimeout
            | Field::Rules
            | Field::ListenTls
            | Field::TlsCa => Support::Kept,
            Field::Listen => Support::Partly("it listens at this port on all addresses"),
            Field::Endpoints => Support::Partly("each is a route, with servers of its own"),
            Field::EndpointTools => Support::Partly("as rules of the route"),
            Field::ToolsAllow | Field::ToolsDeny => Support::Partly("as rules over the server's tools"),
            Field::File => Support::Partly("a file can have the token of `Authorization` alone"),
            Field::Limits => {
                Support::Partly("for all callers together, at each process, of all requests of MCP")
            }
            Field::Issuers => Support::Partly("scopes are looked for in the claim `scope` alone"),
            Field::Origins => Support::Partly("as CORS, and as a rule that refuses other pages"),
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        adjust(deployment, report);
    }

    fn tested(&self) -> Tested {
        Tested::Documentation("agentgateway's schema/config.json of August 2026")
    }
}

/// What only agentgateway has no words for.
fn adjust(deployment: &mut Deployment, report: &mut Report) {
    for (name, server) in &mut deployment.servers {
        if server.tls.as_ref().is_some_and(|tls| tls.insecure) {
            server.tls = None;
            report.approximated(format!("servers.{name}.tls"), true, "certificates are looked at");
        }
        if !server.transport.is_remote() {
            server.tls = None;
            if server.timeouts.call_ms.take().is_some() {
                let meaning = "programs have no time for a call there";
                report.dropped(format!("servers.{name}.timeouts.call_ms"), false, meaning);
            }
        }
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            values.retain(|key, value| {
                let is_token = part == "headers" && written::bearer(key, value).is_some();
                let stays =
                    is_token || super::variable::write(value, super::variable::Style::Shell).is_some();
                if !stays {
                    let meaning = "a file can have the token of `Authorization` alone: it is left out";
                    report.dropped(format!("servers.{name}.{part}.{key}"), false, meaning);
                }
                stays
            });
        }
    }
    callers::adjust(deployment, report);
    let gateway = &mut deployment.gateway;
    let mut index = 0;
    gateway.rules.retain(|rule| {
        let path = format!("gateway.rules[{index}]");
        index += 1;
        let stays = rule.effect != Effect::Ask && super::cel::write(rule).is_some();
        if stays {
            return true;
        }
        match rule.effect {
            // What nothing permits is denied where there are rules.
            Effect::Allow => {
                report.approximated(path, true, "it has no words for this rule: nothing is permitted by it")
            }
            Effect::Deny | Effect::Ask => report.dropped(path, true, "it has no words for this rule"),
        }
        false
    });
    for rule in &mut gateway.rules {
        rule.who.retain(|who| *who != Who::Anybody);
    }
}

/// Notes where it listens: on all addresses.
fn listen(reading: &mut Reading<'_>, path: &str, port: u16) {
    let gateway = &mut reading.deployment.gateway;
    if gateway.listen.is_none() {
        gateway.listen = Some(format!("0.0.0.0:{port}"));
        reading.report.kept(path, false);
    } else {
        reading.report.dropped(path, false, "there is one address to listen on: the first one");
    }
}

/// Backends that routes name.
fn backends<'a>(table: &mut Table<'a>) -> Result<Vec<(&'a str, Table<'a>)>, Fault> {
    let mut named = Vec::new();
    for mut backend in table.tables("backends")? {
        let name = backend.text("name")?.ok_or_else(|| backend.fault("it has no \"name\""))?;
        if named.iter().any(|(known, _)| *known == name) {
            return Err(backend.fault("another backend has this name"));
        }
        named.push((name, backend));
    }
    Ok(named)
}

fn read_bind<'a>(
    reading: &mut Reading<'a>,
    mut bind: Table<'a>,
    backends: &[(&'a str, Table<'a>)],
) -> Result<(), Fault> {
    let port = bind.port("port")?.unwrap_or(PORT);
    listen(reading, &bind.at("port"), port);
    reading.drop_all(&mut bind, &["tunnelProtocol", "mode"], "it takes connections as they come");
    let listeners = bind.tables("listeners")?;
    for mut listener in listeners {
        reading.drop_all(&mut listener, &["name", "namespace"], "it names nothing that is served");
        reading.drop(&mut listener, "hostname", true, "write it into `hosts`, which says what is served");
        read_tls(reading, &mut listener)?;
        reading.drop(&mut listener, "protocol", false, "it is TLS where there is a certificate");
        reading.drop(&mut listener, "tcpRoutes", false, "only MCP is served");
        let policies = listener.table("policies")?;
        policies::read(reading, policies, &policies::Scope { endpoint: None, servers: &[] })?;
        let routes = listener.tables("routes")?;
        let alone = routes.len() == 1;
        for (index, route) in routes.into_iter().enumerate() {
            read_route(reading, route, backends, (alone, index))?;
        }
        reading.unknown(listener);
    }
    reading.unknown(bind);
    Ok(())
}

fn read_tls<'a>(reading: &mut Reading<'a>, listener: &mut Table<'a>) -> Result<(), Fault> {
    let Some(mut tls) = listener.table("tls")? else { return Ok(()) };
    if let (Some(cert), Some(key)) = (reading.text(&mut tls, "cert")?, reading.text(&mut tls, "key")?) {
        reading.deployment.gateway.tls = Some((cert, key));
    }
    reading.drop(&mut tls, "root", true, "clients are asked for no certificate: see `auth.mtls`");
    reading.unknown(tls);
    Ok(())
}

fn read_route<'a>(
    reading: &mut Reading<'a>,
    mut route: Table<'a>,
    backends: &[(&'a str, Table<'a>)],
    (alone, index): (bool, usize),
) -> Result<(), Fault> {
    let path = paths(reading, &mut route)?;
    let said = route.text("name")?;
    reading.drop_all(&mut route, &["namespace", "ruleName"], "it names nothing that is served");
    reading.drop(&mut route, "hostnames", true, "write them into `hosts`, which says what is served");
    // One route for everything is the endpoint of everything.
    let everything = alone && path.as_deref().is_none_or(|path| path == "/mcp");
    let name = (!everything).then(|| endpoint_name(said, path.as_deref(), index));
    let mut servers = Vec::new();
    for mut one in route.tables("backends")? {
        reading.drop(&mut one, "weight", false, "requests are not shared out among backends: see `urls`");
        let mut inline = match (one.table("mcp")?, one.text("backend")?) {
            (Some(table), None) => Some(table),
            (None, Some(key)) => shared(backends, key, &one)?,
            (Some(_), Some(_)) => return Err(one.fault("it has both \"mcp\" and \"backend\"")),
            (None, None) => None,
        };
        match &mut inline {
            Some(table) => {
                servers.extend(backend(reading, table, name.as_deref())?);
                let policies = one.table("policies")?;
                let scope = policies::Scope { endpoint: name.as_deref(), servers: &servers };
                policies::read(reading, policies, &scope)?;
            }
            None => {
                let meaning = "it is no backend of MCP: only MCP is served";
                reading.report.dropped(one.path.clone(), false, meaning);
                continue;
            }
        }
        if let Some(table) = inline {
            reading.unknown(table);
        }
        reading.unknown(one);
    }
    let policies = route.table("policies")?;
    policies::read(reading, policies, &policies::Scope { endpoint: name.as_deref(), servers: &servers })?;
    if let Some(name) = name {
        if reading.deployment.gateway.endpoints.contains_key(&name) {
            return Err(route.fault("another route has this name or path"));
        }
        let endpoint = Endpoint { path, servers, enabled: true, ..Endpoint::default() };
        reading.deployment.gateway.endpoints.insert(name, endpoint);
    }
    reading.unknown(route);
    Ok(())
}

fn shared<'a>(
    backends: &[(&'a str, Table<'a>)],
    key: &str,
    at: &Table<'a>,
) -> Result<Option<Table<'a>>, Fault> {
    match backends.iter().find(|(name, _)| *name == key) {
        Some((_, table)) => table.copy().table("mcp"),
        None => Err(at.fault(format!("there is no backend {key:?}"))),
    }
}

/// The path at which a route is, where it is one. Other conditions are told.
fn paths<'a>(reading: &mut Reading<'a>, route: &mut Table<'a>) -> Result<Option<String>, Fault> {
    let mut found = None;
    for mut one in route.tables("matches")? {
        if let Some(mut path) = one.table("path")? {
            let word = match path.text("exact")? {
                Some(exact) => Some(exact),
                None => path.text("pathPrefix")?,
            };
            match word {
                Some(word) if word.starts_with("/.well-known/") => {
                    reading.report.kept(path.at("exact"), false);
                }
                Some(word) if found.is_none() => {
                    reading.report.kept(path.path.clone(), false);
                    found = Some(word.trim_end_matches('/').to_owned()).filter(|word| !word.is_empty());
                }
                Some(_) => reading.report.dropped(path.path.clone(), false, "an endpoint has one path"),
                None => {}
            }
            reading.unknown(path);
        }
        let meaning = "what is served does not depend on it: all requests at the path are";
        for key in ["headers", "method", "query"] {
            reading.drop(&mut one, key, true, meaning);
        }
        reading.unknown(one);
    }
    Ok(found)
}

/// What an endpoint is called: by the route's name, by its path, by its place.
fn endpoint_name(said: Option<&str>, path: Option<&str>, index: usize) -> String {
    if let Some(said) = said {
        return said.to_owned();
    }
    let word = path.and_then(|path| path.split('/').rfind(|word| !word.is_empty() && *word != "mcp"));
    word.map_or_else(|| format!("route-{index}"), str::to_owned)
}

/// Reads the targets of a backend, and gives their names in the deployment.
fn backend<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    endpoint: Option<&str>,
) -> Result<Vec<String>, Fault> {
    let path = table.at("targets");
    let targets = table.list("targets")?.ok_or_else(|| table.fault("it has no \"targets\""))?;
    let mut names = Vec::new();
    for (index, node) in targets.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let own = node.get("name").and_then(Node::text).unwrap_or_default();
        if own.is_empty() {
            return Err(doc::fault(reading.origin.file, node.line, node.column, &at, "it has no \"name\""));
        }
        let name = target::free_name(reading, own, endpoint);
        if name != own {
            let meaning = format!("it is called {name:?} here, as another route has a target {own:?}");
            reading.report.approximated(format!("{at}.name"), false, meaning);
        }
        reading.server(&name, node, &at, target::read)?;
        if reading.deployment.servers.contains_key(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    target::modes(reading, table, names.len())?;
    Ok(names)
}

/// The other sections.
fn rest<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    let meaning = "it is about the process itself: see `telemetry`, `limits` and `sessions`";
    reading.drop(table, "config", false, meaning);
    reading.drop(table, "llm", false, "models are not served");
    reading.drop(table, "ui", false, "its page is not served: see `admin`");
    reading.drop(table, "workloads", false, "there is no mesh");
    reading.drop(table, "services", false, "there is no mesh");
    let meaning = "targeted policies are not carried over: write them as `policy`, `auth` and `rates`";
    reading.drop(table, "policies", true, meaning);
    reading.drop(
        table,
        "frontendPolicies",
        true,
        "what it says of connections is not carried over: see `limits`",
    );
    for key in ["gateways", "routes", "tcpRoutes", "routeGroups"] {
        let meaning = "routes that name gateways are not read: write them below `binds`, and import again";
        reading.drop(table, key, true, meaning);
    }
    Ok(())
}

/// The kind of a target.
const KINDS: [(&str, Transport); 3] =
    [("stdio", Transport::Stdio), ("mcp", Transport::StreamableHttp), ("sse", Transport::Sse)];
