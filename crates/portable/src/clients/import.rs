//! A client's JSON, read.

use indexmap::IndexMap;

use super::dialect::{Dialect, Remote, Switch};
use super::oauth;
use crate::format::{Fault, Imported, Origin, Refused, SERVERS_MAX};
use crate::model::{Input, Provenance, Scope, Server, Tools, Transport};
use crate::syntax::{Kind, Member, Node, Reader, Source, parse_json_apart};
use crate::text::Text;

/// Reads a file.
pub(super) fn import(dialect: &Dialect, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
    let source = Source::new(text, origin.file)?;
    let root = parse_json_apart(&source, dialect.root)?;
    if !matches!(root.kind, Kind::Map(_)) {
        return Err(source.fault(root.at, "", format!("expected a map, found {}", root.describe())));
    }
    let mut out = Imported::default();
    out.deployment.format = Some(dialect.name);
    let Some(servers) = find(dialect, &source, &root)? else {
        return rest(dialect, &source, &root, origin, out);
    };
    if servers.members().len() > SERVERS_MAX {
        let message = format!("there may be {SERVERS_MAX} servers");
        return Err(source.fault(servers.at, &dialect.root.join("."), message));
    }
    for member in servers.members() {
        let path = format!("{}.{}", dialect.root.join("."), member.key);
        match server(dialect, &source, &member.value, &path) {
            Ok((mut server, notes)) => {
                server.provenance = Some(provenance(dialect.name, origin, &member.key));
                for (at, meaning) in notes {
                    out.report.dropped(format!("servers.{}.{at}", member.key), false, meaning);
                }
                out.deployment.servers.insert(member.key.clone(), server);
            }
            Err(fault) => out.refused.push(Refused { name: member.key.clone(), fault }),
        }
    }
    rest(dialect, &source, &root, origin, out)
}

/// Where a server was read.
pub(super) fn provenance(format: &'static str, origin: &Origin<'_>, name: &str) -> Provenance {
    Provenance {
        format,
        file: origin.file.to_owned(),
        scope: origin.scope,
        name: name.to_owned(),
        digest: origin.digest.map(str::to_owned),
    }
}

/// The map of servers.
fn find<'a>(dialect: &Dialect, source: &Source<'_>, root: &'a Node) -> Result<Option<&'a Node>, Fault> {
    let mut node = root;
    for key in dialect.root {
        match node.get(key) {
            Some(inner) if matches!(inner.kind, Kind::Map(_)) => node = inner,
            Some(inner) if !matches!(inner.kind, Kind::Null) => {
                let message = format!("expected a map of servers, found {}", inner.describe());
                return Err(source.fault(inner.at, key, message));
            }
            // Settings may have none; a file of servers is another one then.
            _ if dialect.settings.holds(source.file) => return Ok(None),
            _ if root.members().is_empty() => return Ok(None),
            _ => {
                let message = format!("there is no {:?}", dialect.root.join("."));
                return Err(source.fault(root.at, "", message));
            }
        }
    }
    Ok(Some(node))
}

/// What is at the top besides the servers.
fn rest(
    dialect: &Dialect,
    source: &Source<'_>,
    root: &Node,
    origin: &Origin<'_>,
    mut out: Imported,
) -> Result<Imported, Fault> {
    let mut reader = Reader::new(source, root, "");
    if let Some(first) = dialect.root.first() {
        let _ = reader.get(first);
    }
    if dialect.inputs {
        inputs(dialect, source, &mut reader, &mut out)?;
    }
    if let Switch::Excluded { excluded, .. } = dialect.switch {
        switched_off(excluded, &mut reader, &mut out);
    }
    if dialect.name == "claude-code" {
        let projects = reader.get("projects").map(Node::members).unwrap_or_default();
        for project in projects {
            of_project(dialect, source, project, origin, &mut out)?;
        }
    }
    let unknown = reader.end()?;
    if !dialect.settings.holds(source.file) {
        out.deployment.unknown = unknown;
    }
    Ok(out)
}

/// Servers that a client has for one of its projects alone. Two that are called alike get the name of their
/// project at the end.
fn of_project(
    dialect: &Dialect,
    source: &Source<'_>,
    project: &Member,
    origin: &Origin<'_>,
    out: &mut Imported,
) -> Result<(), Fault> {
    let at = format!("projects.{}.mcpServers", project.key);
    let folder = project.key.rsplit(['/', '\\']).find(|name| !name.is_empty()).unwrap_or("project");
    for member in project.value.get("mcpServers").map(Node::members).unwrap_or_default() {
        if out.deployment.servers.len() >= SERVERS_MAX {
            return Err(source.fault(member.at, &at, format!("there may be {SERVERS_MAX} servers")));
        }
        let (mut server, notes) =
            match server(dialect, source, &member.value, &format!("{at}.{}", member.key)) {
                Ok(read) => read,
                Err(fault) => {
                    out.refused.push(Refused { name: member.key.clone(), fault });
                    continue;
                }
            };
        let servers = &mut out.deployment.servers;
        let is_same = |known: &Server| Server { provenance: None, ..known.clone() } == server;
        if servers.get(&member.key).is_some_and(is_same) {
            continue;
        }
        let mut name = member.key.clone();
        for number in 1_usize.. {
            if !servers.contains_key(&name) {
                break;
            }
            let nth = if number == 1 { String::new() } else { format!("-{number}") };
            name = format!("{}-{folder}{nth}", member.key);
        }
        let meaning = format!("it was for that project alone: here it is {name:?} for whoever may use it");
        out.report.approximated(format!("{at}.{}", member.key), false, meaning);
        for (at, meaning) in notes {
            out.report.dropped(format!("servers.{name}.{at}"), false, meaning);
        }
        let from = provenance(dialect.name, origin, &member.key);
        server.provenance = Some(Provenance { scope: Scope::Project, ..from });
        out.deployment.servers.insert(name, server);
    }
    Ok(())
}

/// Which servers are off by a list of names.
fn switched_off(path: &[&str], reader: &mut Reader<'_>, out: &mut Imported) {
    let Some(first) = path.first() else { return };
    let Some(mut inner) = reader.inner(first) else { return };
    let (allowed, excluded) = (inner.list("allowed"), inner.list("excluded"));
    let _ = reader.close(inner);
    for (name, server) in &mut out.deployment.servers {
        let is_off = excluded.as_ref().is_some_and(|names| names.contains(name))
            || allowed.as_ref().is_some_and(|names| !names.contains(name));
        if is_off {
            server.enabled = false;
        }
    }
}

fn inputs(
    dialect: &Dialect,
    source: &Source<'_>,
    reader: &mut Reader<'_>,
    out: &mut Imported,
) -> Result<(), Fault> {
    let Some(list) = reader.get("inputs") else { return Ok(()) };
    let Kind::List(items) = &list.kind else {
        reader.fail(list.at, "inputs", format!("expected a list, found {}", list.describe()));
        return Ok(());
    };
    for item in items {
        let mut one = Reader::new(source, item, "inputs");
        let id = one.text("id");
        let kind = one.text("type");
        let mut input = Input {
            description: one.text("description"),
            default: one.text("default").map(|text| dialect.variables.parse(&text)),
            secret: one.flag("password").unwrap_or_default(),
            options: Vec::new(),
            unknown: crate::model::Unknown::new(),
        };
        if kind.as_deref() == Some("pickString") {
            input.options = one.list("options").unwrap_or_default();
        }
        input.unknown = one.end()?;
        if let Some(kind) = kind.filter(|kind| !matches!(kind.as_str(), "promptString" | "pickString")) {
            input.unknown.insert("type".to_owned(), kind.into());
        }
        match id {
            Some(id) => {
                out.deployment.inputs.insert(id, input);
            }
            None => reader.fail(item.at, "inputs", "an input needs an \"id\""),
        }
    }
    Ok(())
}

type Notes = Vec<(String, &'static str)>;

/// One server, and what of it means nothing.
fn server(dialect: &Dialect, source: &Source<'_>, node: &Node, path: &str) -> Result<(Server, Notes), Fault> {
    let mut reader = Reader::new(source, node, path);
    let parse = |text: &str| dialect.variables.parse(text);
    // Where only values may have variables, all else is as it stands.
    let fixed = |text: &str| if dialect.variables.everywhere { parse(text) } else { Text::plain(text) };
    let own: Vec<&str> =
        node.get("env").map(Node::members).unwrap_or_default().iter().map(|m| &*m.key).collect();
    let word = |text: &str| match dialect.variables.everywhere {
        true => dialect.variables.parse_for(text, &own),
        false => Text::plain(text),
    };
    let mut server = Server::default();
    command(&mut reader, &mut server, &word);
    target(dialect, &mut reader, &mut server, &fixed);
    let mut notes = Notes::new();
    server.env.extend(values(reader.map("env"), &parse));
    server.headers = values(reader.map("headers"), &parse);
    let keyed = |key: &str, reader: &mut Reader<'_>| (!key.is_empty()).then(|| reader.text(key)).flatten();
    server.cwd = keyed(dialect.cwd, &mut reader).map(|text| fixed(&text));
    server.env_file = keyed(dialect.env_file, &mut reader).map(|text| fixed(&text));
    server.headers_command = keyed(dialect.headers_command, &mut reader);
    server.title = keyed(dialect.title_key, &mut reader);
    server.description = keyed(dialect.description, &mut reader);
    match dialect.switch {
        Switch::Disabled => server.enabled = !reader.flag("disabled").unwrap_or_default(),
        Switch::Enabled => server.enabled = reader.flag("enabled").unwrap_or(true),
        Switch::None | Switch::Excluded { .. } => {}
    }
    policy(dialect, &mut reader, &mut server);
    server.oauth = oauth::read(dialect, &mut reader);
    let nulls = reader.nulls().iter().map(|at| (at.clone(), "it is null, which is no value: it is left out"));
    notes.extend(nulls);
    server.unknown.extend(reader.end()?);
    foreign(&mut server, &mut notes);
    Ok((server, notes))
}

fn values(map: IndexMap<String, String>, parse: &dyn Fn(&str) -> Text) -> IndexMap<String, Text> {
    map.into_iter().map(|(name, text)| (name, parse(&text))).collect()
}

/// `command` and `args` as one list.
fn command(reader: &mut Reader<'_>, server: &mut Server, fixed: &dyn Fn(&str) -> Text) {
    // An older form of Zed's.
    if reader.is_map("command") {
        let Some(mut inner) = reader.inner("command") else { return };
        server.argv.extend(inner.text("path").as_deref().map(fixed));
        server.argv.extend(inner.list("args").unwrap_or_default().iter().map(|word| fixed(word)));
        server.env = values(inner.map("env"), &|text| fixed(text));
        let unknown = reader.close(inner);
        server.unknown.extend(unknown);
        return;
    }
    if let Some(command) = reader.text("command") {
        if command.is_empty() {
            reader.fail_at("command", "it is empty");
        }
        server.argv.push(fixed(&command));
    }
    let args = reader.list("args");
    if let Some(args) = args {
        if server.argv.is_empty() && !args.is_empty() {
            reader.fail_at("args", "there is no \"command\" to give these to");
        }
        server.argv.extend(args.iter().map(|word| fixed(word)));
    }
}

/// Where it is and how it is spoken to.
fn target(dialect: &Dialect, reader: &mut Reader<'_>, server: &mut Server, fixed: &dyn Fn(&str) -> Text) {
    let keys: [(&str, Option<Transport>); 4] = match dialect.remote {
        Remote::Keys { http, sse } => {
            [(http, Some(Transport::StreamableHttp)), (sse, Some(Transport::Sse)), ("", None), ("", None)]
        }
        Remote::Typed { url, .. } | Remote::Found(url) => {
            [(url, None), ("serverUrl", None), ("url", None), ("httpUrl", None)]
        }
        Remote::None => [("url", None), ("serverUrl", None), ("httpUrl", None), ("", None)],
    };
    let mut transport = None;
    let mut first = None;
    for (key, known) in keys.into_iter().filter(|(key, _)| !key.is_empty()) {
        if first == Some(key) {
            continue;
        }
        let Some(url) = reader.text(key) else { continue };
        match first {
            None => {
                first = Some(key);
                transport = known;
                server.url = Some(fixed(&url));
            }
            Some(first) => reader.fail_at(key, format!("the server has a {first:?} too: take one out")),
        }
    }
    let word_key = match dialect.remote {
        Remote::Typed { key, .. } => key,
        _ => "type",
    };
    let other = if word_key == "type" { "transport" } else { "type" };
    let key = if reader.has(word_key) { word_key } else { other };
    let word = reader.text(key);
    let said = match &word {
        None => None,
        Some(word) => {
            let known = Transport::from_word(word);
            if known.is_none() {
                reader.fail_at(key, "expected a kind of server: stdio, http or sse");
            }
            known
        }
    };
    let has_command = !server.argv.is_empty();
    match (has_command, server.url.is_some()) {
        (true, true) => reader.fail_at("command", "it has both a command and a URL: take one out"),
        (false, false) => reader.fail_at("", "it has neither a command nor a URL"),
        (true, false) if said.is_some_and(Transport::is_remote) => {
            reader.fail_at(key, "a server of this kind needs a URL");
        }
        (false, true) if said == Some(Transport::Stdio) => {
            reader.fail_at(key, "a server of this kind needs a command");
        }
        (true, false) => server.transport = Transport::Stdio,
        (false, true) => server.transport = said.or(transport).unwrap_or(Transport::Auto),
    }
}

fn policy(dialect: &Dialect, reader: &mut Reader<'_>, server: &mut Server) {
    let list = |key: &str, reader: &mut Reader<'_>| (!key.is_empty()).then(|| reader.list(key)).flatten();
    let is_all = |tools: &Vec<String>| dialect.allow_star && tools.iter().any(|tool| tool == "*");
    server.tools = Tools {
        allow: list(dialect.allow, reader).filter(|tools| !is_all(tools)),
        deny: list(dialect.deny, reader).unwrap_or_default(),
    };
    if !dialect.trust_all.is_empty() {
        server.trust.all = reader.flag(dialect.trust_all).unwrap_or_default();
    }
    let (key, star) = dialect.trust_tools;
    server.trust.tools = list(key, reader).unwrap_or_default();
    if star && server.trust.tools.iter().any(|tool| tool == "*") {
        server.trust.all = true;
        server.trust.tools.retain(|tool| tool != "*");
    }
    let time = |(key, scale): (&str, u64), reader: &mut Reader<'_>| {
        (!key.is_empty()).then(|| reader.scaled(key, scale)).flatten()
    };
    server.timeouts.start_ms = time(dialect.start_timeout, reader);
    server.timeouts.call_ms = time(dialect.call_timeout, reader);
    server.timeouts.read_ms = time(dialect.read_timeout, reader);
}

/// What programs write into every server, also where it means nothing.
pub(super) fn foreign(server: &mut Server, notes: &mut Notes) {
    const NOTHING: &str = "it means nothing for this kind of server";
    let mut note = |is_there: bool, at: &str| {
        if is_there {
            notes.push((at.to_owned(), NOTHING));
        }
    };
    if server.transport.is_remote() {
        note(!server.env.is_empty(), "env");
        note(server.cwd.take().is_some(), "cwd");
        note(server.env_file.take().is_some(), "env_file");
        server.env.clear();
    } else {
        note(!server.headers.is_empty(), "headers");
        note(server.headers_command.take().is_some(), "headers_command");
        note(server.oauth.take().is_some(), "oauth");
        server.headers.clear();
    }
}
