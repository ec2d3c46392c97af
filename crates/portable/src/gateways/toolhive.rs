//! ToolHive: the run configuration of a workload, the configuration of a virtual server (`vmcp`), and the
//! registry in its own form.

mod registry;
mod run;
mod vmcp;
mod written;

use super::doc::{self, Node};
use super::reading::{Reading, milliseconds};
use super::table::Table;
use super::{cedar, write};
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{
    Deployment, Effect, Isolation, Issuer, Limit, LimitKind, Network, Per, Rule, Transport, Unknown, Who,
};
use crate::reduce::reduce;
use crate::report::Report;
use crate::text::{Piece, Text};

/// ToolHive.
pub(crate) struct ToolHive;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Vmcp,
    Registry,
}

fn kind(root: &Node) -> Option<Kind> {
    let has = |key: &str| root.get(key).is_some();
    if has("schema_version") && (has("image") || has("remote_url")) {
        Some(Kind::Run)
    } else if has("groupRef") || has("incomingAuth") || (has("backends") && has("aggregation")) {
        Some(Kind::Vmcp)
    } else if (has("servers") || has("remote_servers")) && (has("last_updated") || has("version")) {
        Some(Kind::Registry)
    } else {
        None
    }
}

impl Format for ToolHive {
    fn name(&self) -> &'static str {
        "toolhive"
    }

    fn title(&self) -> &'static str {
        "ToolHive"
    }

    fn known(&self) -> &'static [Known] {
        &[]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        let words =
            ["schema_version", "groupRef", "incomingAuth", "remote_servers", "last_updated", "aggregation"];
        if !words.iter().any(|word| text.contains(word)) {
            return Likeness::No;
        }
        match doc::parse(text, file_name).ok().as_ref().and_then(kind) {
            Some(Kind::Run | Kind::Vmcp) => Likeness::Surely,
            Some(Kind::Registry) => Likeness::Likely,
            None => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let root = doc::parse(text, origin.file)?;
        let mut reading = Reading::new(self.name(), origin);
        let mut table = Table::of(&root, "", origin.file)?;
        let unknown = match kind(&root) {
            Some(Kind::Run) => {
                run::read(&mut reading, &root, table)?;
                Unknown::new()
            }
            Some(Kind::Vmcp) => {
                vmcp::read(&mut reading, &mut table)?;
                reading.unknown(table)
            }
            Some(Kind::Registry) => {
                registry::read(&mut reading, &mut table)?;
                reading.unknown(table)
            }
            None => {
                return Err(
                    table.fault("it is no run configuration, no configuration of vmcp and no registry")
                );
            }
        };
        reading.deployment.unknown = unknown;
        Ok(reading.done())
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        write::only_new(target, self.title())?;
        let (deployment, report) = reduce(deployment, self);
        Ok(Exported { text: write::yaml(&written::all(&deployment)), beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Http | Field::Sse | Field::CallTimeout | Field::EnvInValues => Support::Kept,
            Field::TlsCa => Support::Partly("authorities are named, and no certificate of the client's"),
            Field::Stdio => {
                Support::Dropped("programs are workloads: run them with `thv run`, and name their URLs")
            }
            Field::Container => Support::Dropped("containers are workloads: run them with `thv run`"),
            Field::Headers => Support::Partly("one header of each server"),
            Field::ToolsAllow => Support::Kept,
            Field::ToolsDeny => {
                Support::Dropped("only what is offered can be named: name that in `tools.allow`")
            }
            Field::Rules => Support::Partly("rules for all endpoints and servers, in ToolHive's Cedar"),
            Field::Issuers => Support::Partly("one issuer with one audience"),
            Field::Limits => Support::Partly(
                "requests in a time, of all or of each caller, for tools by their names; it keeps them \
                     in Redis, and starts with `sessionStorage` alone",
            ),
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        written::adjust(deployment, report);
    }

    fn tested(&self) -> Tested {
        Tested::Documentation(
            "github.com/stacklok/toolhive, pkg/runner/config.go and pkg/vmcp/config/config.go",
        )
    }
}

/// A secret of ToolHive's own store.
fn secret(name: &str) -> Text {
    Text::default().with(Piece::Vault { scheme: "toolhive".to_owned(), reference: name.to_owned() })
}

/// Reads limits of a bucket that fills again.
fn limits<'a>(
    reading: &mut Reading<'a>,
    table: Option<Table<'a>>,
    servers: Option<&str>,
) -> Result<(), Fault> {
    let Some(mut table) = table else { return Ok(()) };
    buckets(reading, &mut table, servers, None)?;
    for mut tool in table.tables("tools")? {
        let name = tool.text("name")?.ok_or_else(|| tool.fault("it has no \"name\""))?.to_owned();
        buckets(reading, &mut tool, servers, Some(&name))?;
        reading.unknown(tool);
    }
    reading.unknown(table);
    Ok(())
}

fn buckets<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: Option<&str>,
    tool: Option<&str>,
) -> Result<(), Fault> {
    for (key, per) in [("shared", Per::All), ("perUser", Per::Caller), ("global", Per::All)] {
        let Some(mut bucket) = table.table(key)? else { continue };
        let count = bucket.number("maxTokens")?.filter(|count| *count > 0);
        let count = count.ok_or_else(|| bucket.fault("\"maxTokens\" has to be there, and not 0"))?;
        let window = bucket.text("refillPeriod")?.and_then(milliseconds).filter(|ms| *ms > 0);
        let window_ms = window.ok_or_else(|| bucket.fault("\"refillPeriod\" has to be a time, and not 0"))?;
        reading.report.kept(bucket.path.clone(), true);
        reading.unknown(bucket);
        reading.deployment.gateway.limits.push(Limit {
            name: None,
            per,
            servers: server.map(|name| vec![name.to_owned()]),
            tools: tool.map(|name| vec![name.to_owned()]),
            kind: LimitKind::Requests,
            count,
            window_ms,
            burst: Some(count),
            unknown: Unknown::new(),
        });
    }
    Ok(())
}

/// Reads policies in Cedar.
fn policies<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    servers: Option<&str>,
) -> Result<(), Fault> {
    let path = table.at("policies");
    for (index, text) in table.texts("policies")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{path}[{index}]");
        let rule = match cedar::rule(text) {
            Ok(rule) => {
                reading.report.kept(at, true);
                rule
            }
            Err(rule) => {
                let meaning = match rule.effect {
                    Effect::Allow => {
                        "it permits nothing until it is written for the gateway's entities (docs/policy.md)"
                    }
                    Effect::Deny | Effect::Ask => {
                        "it forbids everything until it is written for the gateway (docs/policy.md)"
                    }
                };
                reading.report.approximated(at, true, meaning);
                *rule
            }
        };
        let rule = Rule { servers: servers.map(|name| vec![name.to_owned()]), ..rule };
        reading.deployment.gateway.rules.push(rule);
    }
    for key in ["entities_json", "entitiesJson"] {
        if table.text(key)?.is_some_and(|text| !matches!(text.trim(), "" | "[]")) {
            let meaning =
                "groups and attributes come with tokens: policies that need entities permit nothing";
            reading.report.dropped(table.at(key), true, meaning);
        }
    }
    Ok(())
}

/// Reads whose tokens are taken, under the names of either file.
fn issuer<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    let mut text = |keys: &[&str]| -> Result<Option<String>, Fault> {
        for key in keys {
            if let Some(text) = table.text(key)?.filter(|text| !text.is_empty()) {
                reading.report.kept(table.at(key), true);
                return Ok(Some(text.to_owned()));
            }
        }
        Ok(None)
    };
    let found = text(&["issuer", "Issuer"])?;
    let audience = text(&["audience", "Audience"])?;
    let jwks_url = text(&["jwksUrl", "JWKSURL", "jwks_url"])?;
    let issuer = found.ok_or_else(|| table.fault("it has no \"issuer\""))?;
    for key in
        ["clientId", "ClientID", "clientSecretEnv", "ClientSecret", "introspectionUrl", "IntrospectionURL"]
    {
        let meaning = "tokens are looked at as such: see `introspection` of issuers for opaque ones";
        reading.drop(&mut table, key, false, meaning);
    }
    for key in ["resource", "ResourceURL", "scopes", "Scopes"] {
        reading.drop(
            &mut table,
            key,
            false,
            "what is published of an endpoint follows from its configuration",
        );
    }
    for key in ["caBundlePath", "CACertPath", "AuthTokenFile"] {
        reading.drop(&mut table, key, false, "write it at the issuer (docs/auth.md)");
    }
    let risky = ["insecureAllowHttp", "InsecureAllowHTTP", "jwksAllowPrivateIp", "AllowPrivateIP"];
    for key in risky.into_iter().chain(["protectedResourceAllowPrivateIp"]) {
        if table.flag(key)? == Some(true) {
            let meaning = "issuers have https, but on this machine";
            reading.report.approximated(table.at(key), true, meaning);
        }
    }
    let unknown = reading.unknown(table);
    let audiences = audience.into_iter().collect();
    reading.deployment.gateway.issuers.push(Issuer {
        issuer,
        jwks_url,
        audiences,
        unknown,
        ..Issuer::default()
    });
    Ok(())
}

/// Reads a profile of permissions.
fn isolation<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<Isolation, Fault> {
    let mut isolation = Isolation {
        read: reading.texts(&mut table, "read", true)?,
        write: reading.texts(&mut table, "write", true)?,
        ..Isolation::default()
    };
    reading.drop(&mut table, "name", false, "the profile itself is read");
    if table.flag("privileged")? == Some(true) {
        reading.report.approximated(table.at("privileged"), true, "no container is privileged");
    }
    if let Some(mut network) = table.table("network")? {
        if network.text("mode")?.is_some_and(|mode| mode == "none") {
            reading.report.kept(network.at("mode"), true);
            isolation.network = Some(Network::default());
        }
        if let Some(mut outbound) = network.table("outbound")? {
            let mut found = Network::default();
            if let Some(all) = outbound.flag("insecure_allow_all")? {
                reading.report.kept(outbound.at("insecure_allow_all"), true);
                found.all = all;
            }
            found.hosts = reading.texts(&mut outbound, "allow_host", true)?.unwrap_or_default();
            let at = outbound.at("allow_port");
            for node in outbound.list("allow_port")?.unwrap_or_default() {
                match node.value {
                    doc::Value::Int(port) if (1..=65_535).contains(&port) => {
                        found.ports.extend(u16::try_from(port));
                    }
                    _ => return Err(outbound.fault("\"allow_port\" has something that is no port")),
                }
            }
            if !found.ports.is_empty() {
                reading.report.kept(at, true);
            }
            reading.unknown(outbound);
            isolation.network = Some(found);
        }
        reading.drop(&mut network, "inbound", true, "who reaches the container is not limited by it");
        reading.unknown(network);
    }
    isolation.unknown = reading.unknown(table);
    Ok(isolation)
}

/// Whether two say the same of everybody.
fn anybody(who: &[Who]) -> bool {
    who.iter().all(|who| *who == Who::Anybody)
}

fn transport(word: &str) -> Option<Transport> {
    Transport::from_word(word)
}
