//! IBM ContextForge: the JSON of `mcpgateway export` and `import`, and the YAML of its catalog.

mod written;

use indexmap::IndexMap;

use super::doc::{self, Node, Value};
use super::reading::{Reading, variable_name};
use super::table::Table;
use super::write;
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Endpoint, Server, Tools, Transport};
use crate::reduce::reduce;
use crate::report::Report;
use crate::text::{Piece, Text};

/// ContextForge.
pub(crate) struct ContextForge;

/// What stands between the words of its tools' names: the first one, unless GATEWAY_TOOL_NAME_SEPARATOR says
/// another.
const SEPARATORS: [&str; 4] = ["-", "--", "_", "."];

impl Format for ContextForge {
    fn name(&self) -> &'static str {
        "contextforge"
    }

    fn title(&self) -> &'static str {
        "IBM ContextForge"
    }

    fn known(&self) -> &'static [Known] {
        &[]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        if !text.contains("entities") && !text.contains("catalog_servers") {
            return Likeness::No;
        }
        let Ok(root) = doc::parse(text, file_name) else { return Likeness::No };
        let exported = root.get("entities").is_some() && root.get("version").is_some();
        if exported || root.get("catalog_servers").is_some() { Likeness::Surely } else { Likeness::No }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let root = doc::parse(text, origin.file)?;
        let mut reading = Reading::new(self.name(), origin);
        let mut table = Table::of(&root, "", origin.file)?;
        if table.has("catalog_servers") {
            catalog(&mut reading, &mut table)?;
        } else {
            exported(&mut reading, &mut table)?;
        }
        reading.deployment.unknown = reading.unknown(table);
        Ok(reading.done())
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        write::only_new(target, self.title())?;
        let (deployment, report) = reduce(deployment, self);
        Ok(Exported { text: written::text(&deployment), beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        written::support(field)
    }

    fn narrow(&self, deployment: &mut Deployment, lists: &IndexMap<String, Tools>, report: &mut Report) {
        written::narrow(deployment, lists, report);
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        written::adjust(deployment, report);
    }

    fn tested(&self) -> Tested {
        Tested::Program(
            "1.0.7.post20260921 of PyPI, whose import takes it and which connects and calls by it",
        )
    }
}

/// A list of entities as nodes, each with its path.
fn entities<'a>(table: &mut Table<'a>, key: &str) -> Result<Vec<(String, &'a Node)>, Fault> {
    let path = table.at(key);
    let items = table.list(key)?.unwrap_or_default();
    Ok(items.iter().enumerate().map(|(index, node)| (format!("{path}[{index}]"), node)).collect())
}

fn named<'a>(reading: &Reading<'a>, node: &'a Node, path: &str) -> Result<&'a str, Fault> {
    let found = node.get("name").and_then(Node::text).filter(|name| !name.is_empty());
    found.ok_or_else(|| doc::fault(reading.origin.file, node.line, node.column, path, "it has no \"name\""))
}

fn exported<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    let of_itself =
        ["version", "exported_at", "exported_by", "source_gateway", "encryption_method", "metadata"];
    reading.drop_all(table, &of_itself, "it says how the file was made");
    let Some(mut all) = table.table("entities")? else {
        return Err(table.fault("there are no \"entities\" and no \"catalog_servers\""));
    };
    for (path, node) in entities(&mut all, "gateways")? {
        let name = named(reading, node, &path)?;
        reading.server(name, node, &path, |reading, table| gateway(reading, table, name))?;
    }
    let mut rest = Vec::new();
    for (path, node) in entities(&mut all, "tools")? {
        rest.push(named(reading, node, &path)?);
        let meaning =
            "a tool over a web API is an upstream of its own kind: write `openapi` for it (docs/openapi.md)";
        reading.report.dropped(path, false, meaning);
    }
    for (path, node) in entities(&mut all, "servers")? {
        virtual_server(reading, node, &path, &rest)?;
    }
    of_servers_and_own(reading, &mut all)?;
    for (kind, meaning) in [("roots", "roots are a client's to give"), ("a2a_agents", "only MCP is served")] {
        for (path, _) in entities(&mut all, kind)? {
            reading.report.dropped(path, false, meaning);
        }
    }
    let meaning = "users, teams, roles and tokens are in ContextForge's database and not in what it exports: \
                   write `auth` and `policy` for them";
    reading.report.dropped("entities.users", true, meaning);
    reading.unknown(all);
    Ok(())
}

/// Prompts and resources: those of its servers are listed with its own.
fn of_servers_and_own<'a>(reading: &mut Reading<'a>, all: &mut Table<'a>) -> Result<(), Fault> {
    for (path, node) in entities(all, "prompts")? {
        // One of a server's has no text there.
        if node.get("template").and_then(Node::text).is_some_and(str::is_empty) {
            reading.report.kept(path, false);
        } else {
            let meaning = "the gateway has no prompts of its own: they need a server";
            reading.report.dropped(path, false, meaning);
        }
    }
    let path = all.at("resources");
    let count = entities(all, "resources")?.len();
    if count > 0 {
        let meaning = format!(
            "those of servers are offered as they were, and others need a server: which of the {count} are \
             others is not told"
        );
        reading.report.dropped(path, false, meaning);
    }
    Ok(())
}

/// A server that is federated there.
fn gateway<'a>(reading: &mut Reading<'a>, mut table: Table<'a>, name: &str) -> Result<Option<Server>, Fault> {
    table.take("name");
    let url = reading.text(&mut table, "url")?.ok_or_else(|| table.fault("it has no \"url\""))?;
    let mut server = Server { url: Some(Text::plain(url)), transport: Transport::Auto, ..Server::default() };
    if let Some(transport) = reading.transport(&mut table, "transport")? {
        server.transport = transport;
    }
    server.description = reading.text(&mut table, "description")?;
    for key in ["is_active", "enabled"] {
        if let Some(active) = table.flag(key)? {
            reading.report.kept(table.at(key), true);
            server.enabled &= active;
        }
    }
    for header in reading.texts(&mut table, "passthrough_headers", false)?.unwrap_or_default() {
        if header.eq_ignore_ascii_case("authorization") || header.eq_ignore_ascii_case("cookie") {
            let meaning = "a caller's own credential is never passed on: see `auth` of upstreams";
            reading.report.dropped(table.at("passthrough_headers"), false, meaning);
        } else {
            server.forward_headers.push(header);
        }
    }
    authentication(reading, &mut table, name, &mut server)?;
    let meaning = "what a server can do is asked of it, and how it does is looked at in use";
    reading.drop_all(&mut table, &["capabilities", "health_check", "federation_enabled"], meaning);
    reading.drop(&mut table, "tags", false, "servers have no tags: `labels` of tools are for policies");
    reading.drop(&mut table, "ca_certificate", false, "write it into a file, and name that in `tls.ca`");
    for key in ["team_id", "owner_email", "visibility"] {
        let meaning = "who sees a server is not in it: write a policy (docs/policy.md)";
        reading.drop(&mut table, key, true, meaning);
    }
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}

/// Credentials are encrypted there, by a key that stays there.
fn authentication<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    name: &str,
    server: &mut Server,
) -> Result<(), Fault> {
    let at = table.at("auth_value");
    table.take("auth_value");
    reading.drop(table, "oauth_config", false, "write it into `auth` of the upstream (docs/auth.md)");
    let kind = table.text("auth_type")?.unwrap_or_default();
    let (prefix, what) = match kind {
        "" | "none" => return Ok(()),
        "bearer" => ("Bearer ", "TOKEN"),
        "basic" => ("Basic ", "BASIC"),
        "authheaders" | "query_param" | "oauth" | "one_time_auth" => {
            let meaning = "what it is encrypted with stays there: write `headers` or `auth` for the upstream";
            reading.report.dropped(at, false, meaning);
            return Ok(());
        }
        _ => return Err(table.fault("its \"auth_type\" is none that is known")),
    };
    reading.report.kept(table.at("auth_type"), false);
    let variable = variable_name(name, what);
    let meaning =
        format!("what it is encrypted with stays there: put the value into the variable {variable}");
    reading.report.approximated(at, false, meaning);
    let value = Text::plain(prefix).with(Piece::Env { name: variable, default: None });
    server.headers.insert("Authorization".to_owned(), value);
    Ok(())
}

/// The names that ContextForge makes of names: small letters, and a separator between words.
fn slug(name: &str, separator: &str) -> String {
    let mut slug = String::new();
    let mut gap = false;
    for c in name.chars() {
        if c.is_alphanumeric() {
            if gap && !slug.is_empty() {
                slug.push_str(separator);
            }
            gap = false;
            slug.extend(c.to_lowercase());
        } else {
            gap = true;
        }
    }
    slug
}

/// Whose tool a name is there, by the names of the servers: the server, what the name is there without it,
/// and what stands between words.
fn owner<'s>(
    servers: impl Iterator<Item = &'s String>,
    tool: &str,
) -> Option<(&'s String, &str, &'static str)> {
    let each = servers.flat_map(|server| SEPARATORS.map(|separator| (server, separator)));
    let found = each.filter_map(|(server, separator)| {
        let own = tool.strip_prefix(&slug(server, separator))?.strip_prefix(separator)?;
        (!own.is_empty()).then_some((server, own, separator))
    });
    // The longest beginning is the server's.
    found.min_by_key(|(_, own, _)| own.len())
}

/// Whether a name there is one of these tools'.
fn is_of(tools: &[&str], name: &str) -> bool {
    tools.iter().any(|tool| SEPARATORS.iter().any(|separator| slug(tool, separator) == name))
}

/// A virtual server: tools by the names that it gives them.
fn virtual_server<'a>(
    reading: &mut Reading<'a>,
    node: &'a Node,
    path: &str,
    rest_tools: &[&str],
) -> Result<(), Fault> {
    let name = named(reading, node, path)?;
    let mut table = Table::of(node, path, reading.origin.file)?;
    table.take("name");
    let mut endpoint = Endpoint { enabled: true, ..Endpoint::default() };
    endpoint.description = reading.text(&mut table, "description")?;
    for key in ["is_active", "enabled"] {
        if let Some(active) = table.flag(key)? {
            reading.report.kept(table.at(key), true);
            endpoint.enabled &= active;
        }
    }
    let mut allow = Vec::new();
    for (index, tool) in table.texts("tool_ids")?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("{path}.tool_ids[{index}]");
        match owner(reading.deployment.servers.keys(), &tool) {
            Some((server, own, separator)) => {
                // Its names have `-` for whatever a server's own name has there. A pattern would fit others.
                let spelled = ["_", "-", ".", "/"].map(|c| format!("{server}/{}", own.replace(separator, c)));
                let count = if own.contains(separator) { 4 } else { 1 };
                for name in spelled.into_iter().take(count) {
                    if !allow.contains(&name) {
                        allow.push(name);
                    }
                }
                let meaning = "each \"-\" of its name is taken for the same one of - _ . and /, and each \
                               letter for a small one";
                reading.report.approximated(at, true, meaning);
                if !endpoint.servers.contains(server) {
                    endpoint.servers.push(server.clone());
                }
            }
            None if is_of(rest_tools, &tool) => {
                reading.report.dropped(at, false, "the tool itself is not carried over");
            }
            None => {
                let meaning = "it is not known which server has it: it is not offered";
                reading.report.approximated(at, true, meaning);
            }
        }
    }
    endpoint.tools = Tools { allow: Some(allow), deny: Vec::new() };
    for key in ["resource_ids", "prompt_ids"] {
        reading.drop(&mut table, key, false, "resources and prompts are those of the servers");
    }
    let places = ["sse_endpoint", "websocket_endpoint", "jsonrpc_endpoint", "capabilities", "id"];
    reading.drop_all(&mut table, &places, "it is served at /NAME/mcp, and can what its servers can");
    reading.drop(&mut table, "tags", false, "endpoints have no tags");
    for key in ["team_id", "owner_email", "visibility"] {
        let meaning = "who may come in is not in it: write `auth.endpoints` and a policy";
        reading.drop(&mut table, key, true, meaning);
    }
    endpoint.unknown = reading.unknown(table);
    if reading.deployment.gateway.endpoints.insert(name.to_owned(), endpoint).is_some() {
        return Err(doc::fault(
            reading.origin.file,
            node.line,
            node.column,
            path,
            "another virtual server has this name",
        ));
    }
    Ok(())
}

/// The catalog: servers that can be registered.
fn catalog<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    for (path, node) in entities(table, "catalog_servers")? {
        let id = node.get("id").and_then(Node::text).filter(|id| !id.is_empty());
        let name = match id {
            Some(id) => id,
            None => named(reading, node, &path)?,
        };
        reading.server(name, node, &path, |reading, table| listed(reading, table, name))?;
    }
    reading.drop_all(table, &["categories", "auth_types"], "it is shown in its pages alone");
    Ok(())
}

fn listed<'a>(reading: &mut Reading<'a>, mut table: Table<'a>, name: &str) -> Result<Option<Server>, Fault> {
    table.take("id");
    let url = reading.text(&mut table, "url")?.ok_or_else(|| table.fault("it has no \"url\""))?;
    let mut server =
        Server { url: Some(Text::plain(url.as_str())), transport: Transport::Auto, ..Server::default() };
    server.title = reading.text(&mut table, "name")?;
    server.description = reading.text(&mut table, "description")?;
    if let Some(transport) = reading.transport(&mut table, "transport")? {
        server.transport = transport;
    } else if url.starts_with("ws://") || url.starts_with("wss://") {
        server.transport = Transport::WebSocket;
    }
    // A catalog lists what can be registered, and nothing of it is in use until somebody does.
    server.enabled = false;
    reading.report.approximated(
        table.path.clone(),
        true,
        "a catalog lists what can be used: it is switched off",
    );
    let at = table.at("auth_type");
    let needs_key = table.flag("requires_api_key")?.unwrap_or_default();
    match table.take("auth_type").map(|node| &node.value) {
        None => {}
        Some(Value::Text(kind)) if kind == "Open" && !needs_key => reading.report.kept(at, false),
        Some(Value::Text(kind)) if kind.contains("OAuth") && !needs_key => {
            let meaning = "write how a token is had into `auth` of the upstream (docs/auth.md)";
            reading.report.dropped(at, false, meaning);
        }
        Some(Value::Text(_)) => {
            let variable = variable_name(name, "TOKEN");
            let meaning = format!("the key is expected in the variable {variable}");
            reading.report.approximated(at, false, meaning);
            let value = Text::plain("Bearer ").with(Piece::Env { name: variable, default: None });
            server.headers.insert("Authorization".to_owned(), value);
        }
        Some(_) => return Err(table.fault("its \"auth_type\" is no text")),
    }
    let shown = ["category", "provider", "logo_url", "documentation_url", "is_registered", "is_available"];
    reading.drop_all(&mut table, &shown, "it is shown in its pages alone");
    reading.drop(&mut table, "secure", true, "it says that more is needed, and not what: see docs/auth.md");
    reading.drop(&mut table, "tags", false, "servers have no tags: `labels` of tools are for policies");
    reading.drop(&mut table, "oauth_config", false, "write it into `auth` of the upstream (docs/auth.md)");
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_what_contextforge_makes_of_a_name() {
        for (name, separator, expected) in [
            ("CRM east", "-", "crm-east"),
            ("find_customer", "-", "find-customer"),
            ("--a..b--", "-", "a-b"),
            ("CRM east", "--", "crm--east"),
            ("getSum", "_", "getsum"),
        ] {
            assert_eq!(slug(name, separator), expected);
        }
    }

    #[test]
    fn a_tool_is_of_the_server_with_the_longest_name_whatever_stands_between_words() {
        let servers = ["crm".to_owned(), "CRM east".to_owned()];
        for (tool, expected) in [
            ("crm-get-sum", Some((0, "get-sum", "-"))),
            ("crm-east-get-sum", Some((1, "get-sum", "-"))),
            ("crm--east--get--sum", Some((1, "get--sum", "--"))),
            ("crm_east_get_sum", Some((1, "get_sum", "_"))),
            ("crm.get.sum", Some((0, "get.sum", "."))),
            ("crm-", None),
            ("crmx-get", None),
        ] {
            let expected = expected.map(|(index, own, separator)| (&servers[index], own, separator));
            assert_eq!(owner(servers.iter(), tool), expected, "{tool}");
        }
    }
}
