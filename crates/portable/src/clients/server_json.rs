//! `server.json`, an entry of a registry.

use serde_json::{Map, Value, json};

use super::image::{image, is_sha256};
use super::import::provenance;
use crate::field::{Field, Part, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Refused, Target, Tested};
use crate::model::{Container, Deployment, Input, Package, Scope, Server, Transport, Unknown};
use crate::reduce::reduce;
use crate::report::Report;
use crate::syntax::{Kind, Node, Reader, Source, parse_json};
use crate::text::{Piece, Text};

/// An entry of a registry: one server, by its packages and its URLs.
pub(super) struct ServerJson;

/// What is said at the top of each, and has no place in the model.
const HEAD: [&str; 3] = ["$schema", "name", "version"];
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

impl Format for ServerJson {
    fn name(&self) -> &'static str {
        "server-json"
    }

    fn title(&self) -> &'static str {
        "server.json"
    }

    fn known(&self) -> &'static [Known] {
        &[Known { path: "server.json", scope: Scope::Project }]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        let Ok(source) = Source::new(text, file_name) else { return Likeness::No };
        let Ok(root) = parse_json(&source) else { return Likeness::No };
        let has =
            root.get("name").is_some() && (root.get("packages").is_some() || root.get("remotes").is_some());
        match (has, file_name == "server.json") {
            (true, true) => Likeness::Surely,
            (true, false) => Likeness::Likely,
            (false, _) => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let source = Source::new(text, origin.file)?;
        let root = parse_json(&source)?;
        let mut reader = Reader::new(&source, &root, "");
        let Some(full) = reader.text("name") else {
            let fault = source.fault(root.at, "name", "an entry of a registry has a name");
            return Err(reader.end().err().unwrap_or(fault));
        };
        let (title, description) = (reader.text("title"), reader.text("description"));
        let base = full.rsplit('/').next().unwrap_or_default().to_owned();
        let mut out = Imported::default();
        out.deployment.format = Some(self.name());
        let mut number = 0;
        for (list, read) in [("remotes", remote as ReadOne), ("packages", package as ReadOne)] {
            let Some(node) = reader.get(list) else { continue };
            let Kind::List(items) = &node.kind else {
                reader.fail(node.at, list, format!("expected a list, found {}", node.describe()));
                continue;
            };
            for (index, item) in items.iter().enumerate().take(50) {
                number += 1;
                let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
                match read(&source, item, &format!("{list}[{index}]"), &mut out) {
                    Ok(mut server) => {
                        server.title.clone_from(&title);
                        server.description.clone_from(&description);
                        server.provenance = Some(provenance(self.name(), origin, &full));
                        out.deployment.servers.insert(name, server);
                    }
                    Err(fault) => out.refused.push(Refused { name, fault }),
                }
            }
        }
        out.deployment.unknown = reader.end()?;
        out.deployment.unknown.insert("name".to_owned(), full.into());
        Ok(out)
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        let (reduced, report) = reduce(deployment, self);
        let mut root = Map::new();
        for key in HEAD {
            root.extend(reduced.unknown.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        let Some((_, server)) = reduced.servers.first() else {
            let source = Source::new("", target.file)?;
            return Err(source.fault(0, "", "there is no server that can be an entry of a registry"));
        };
        root.extend(server.title.as_ref().map(|title| ("title".to_owned(), title.as_str().into())));
        let description = server.description.as_ref();
        root.extend(description.map(|text| ("description".to_owned(), text.as_str().into())));
        if server.transport.is_remote() {
            let kind = if server.transport == Transport::Sse { "sse" } else { "streamable-http" };
            let url = server.url.as_ref().and_then(Text::as_plain).unwrap_or_default();
            let mut entry = Map::new();
            entry.insert("type".to_owned(), kind.into());
            entry.insert("url".to_owned(), url.into());
            if !server.headers.is_empty() {
                entry.insert("headers".to_owned(), pairs(&server.headers, &reduced));
            }
            entry.extend(server.unknown.clone());
            root.insert("remotes".to_owned(), json!([entry]));
        } else {
            root.insert("packages".to_owned(), json!([package_entry(server, &reduced)]));
        }
        for (key, value) in &reduced.unknown {
            root.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let text = serde_json::to_string_pretty(&Value::Object(root)).unwrap_or_default() + "\n";
        Ok(Exported { text, beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Http
            | Field::Sse
            | Field::Title
            | Field::Description
            | Field::Env
            | Field::Headers
            | Field::Package
            | Field::Input => Support::Kept,
            Field::Stdio => Support::Partly("a package of npm or PyPI, started in the usual way"),
            Field::Container => Support::Partly("an image with a tag or a digest, with its arguments alone"),
            _ if field.part() == Part::Gateway => {
                Support::Dropped("an entry of a registry says what a server is, not who may use it")
            }
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        deployment.servers.retain(|name, server| {
            let start = server.package.as_ref().and_then(usual_start);
            let is_usual = start.is_some_and(|start| {
                server.argv.iter().take(start.len()).eq(start
                    .iter()
                    .map(Text::plain)
                    .collect::<Vec<_>>()
                    .iter())
            });
            let has_name = !name.is_empty() && !name.contains('/');
            // An entry's URL is a text for everybody.
            let plain = server.url.as_ref().and_then(Text::as_plain);
            let is_plain = plain.is_some_and(|url| !url.contains('{'));
            let is_image = is_usual_container(server);
            if is_image {
                // The image says all of it.
                server.package = None;
            }
            let is_program = server.container.is_none() && is_usual;
            if (server.transport.is_remote() && is_plain || is_program || is_image) && has_name {
                return true;
            }
            let meaning =
                "an entry is a URL that asks for nothing, or a package or an image started in the usual way";
            report.dropped(format!("servers.{name}"), false, meaning);
            false
        });
        for name in deployment.servers.keys().skip(1) {
            report.dropped(
                format!("servers.{name}"),
                false,
                "an entry is of one server: the first one is taken",
            );
        }
        deployment.servers.truncate(1);
        let Some((name, server)) = deployment.servers.first_mut() else { return };
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            values.retain(|key, value| {
                let stays = value.as_plain().is_some() || *value == asked(key);
                if !stays {
                    let meaning = "a value is written out there, or asked for by its name: it is left out";
                    report.dropped(format!("servers.{name}.{part}.{key}"), false, meaning);
                }
                stays
            });
        }
        let used: Vec<&String> = server.env.keys().chain(server.headers.keys()).collect();
        deployment.inputs.retain(|id, _| used.contains(&id));
        for (id, value) in server.env.iter().chain(&server.headers) {
            if value.as_plain().is_none() {
                deployment.inputs.entry(id.clone()).or_default();
            }
        }
        texts_that_fit(name, server, report);
        let version = server.package.as_ref().and_then(|package| package.version.clone());
        let full = deployment.unknown.get("name").and_then(Value::as_str);
        if full.and_then(|full| full.rsplit('/').next()) != Some(name.as_str()) {
            deployment.unknown.insert("name".to_owned(), format!("local.tidegate/{name}").into());
        }
        let mut put = |key: &str, value: String| {
            deployment.unknown.entry(key.to_owned()).or_insert_with(|| value.into());
        };
        put("$schema", SCHEMA.to_owned());
        put("version", version.unwrap_or_else(|| "0.0.1".to_owned()));
    }

    fn tested(&self) -> Tested {
        Tested::Parser(
            "jsonschema 4.26.0 of PyPI with the registry's schema of 2025-12-11, an entry at a URL",
        )
    }
}

/// The most that the schema takes for a title and for a description, in characters.
const TEXT_CHARS_MAX: usize = 100;

/// Texts as the schema wants them: there has to be a description, and neither is empty or long.
fn texts_that_fit(name: &str, server: &mut Server, report: &mut Report) {
    for (part, text) in [("title", &mut server.title), ("description", &mut server.description)] {
        if let Some(long) = text.as_mut().filter(|text| text.chars().count() > TEXT_CHARS_MAX) {
            *long = long.chars().take(TEXT_CHARS_MAX).collect();
            let meaning = format!("cut after {TEXT_CHARS_MAX} characters");
            report.approximated(format!("servers.{name}.{part}"), false, meaning);
        }
    }
    if server.title.as_ref().is_some_and(String::is_empty) {
        server.title = None;
        report.dropped(format!("servers.{name}.title"), false, "an empty one is none there");
    }
    if server.description.as_ref().is_none_or(String::is_empty) {
        server.description = Some(server.title.clone().unwrap_or_else(|| name.to_owned()));
        let meaning = "an entry has to have one: it is the server's title or name";
        report.approximated(format!("servers.{name}.description"), false, meaning);
    }
}

type ReadOne = fn(&Source<'_>, &Node, &str, &mut Imported) -> Result<Server, Fault>;

fn asked(name: &str) -> Text {
    Text::default().with(Piece::Input(name.to_owned()))
}

fn remote(source: &Source<'_>, node: &Node, path: &str, out: &mut Imported) -> Result<Server, Fault> {
    let mut reader = Reader::new(source, node, path);
    let mut server = Server::default();
    match reader.text("type").as_deref() {
        Some("streamable-http") => server.transport = Transport::StreamableHttp,
        Some("sse") => server.transport = Transport::Sse,
        _ => reader.fail_at("type", "expected streamable-http or sse"),
    }
    server.url = reader.text("url").map(Text::plain);
    match server.url.as_ref().and_then(Text::as_plain) {
        None => reader.fail_at("", "it has no URL"),
        Some(url) if url.contains('{') => reader.fail_at("url", "its URL asks for values: write it out"),
        Some(_) => {}
    }
    read_pairs(source, &mut reader, "headers", &mut server.headers, out);
    server.unknown = reader.end()?;
    Ok(server)
}

fn package(source: &Source<'_>, node: &Node, path: &str, out: &mut Imported) -> Result<Server, Fault> {
    let mut reader = Reader::new(source, node, path);
    let kind = reader.text("registryType").unwrap_or_default();
    let mut package = Package {
        registry: kind.clone(),
        name: reader.text("identifier").unwrap_or_default(),
        version: reader.text("version"),
        sha256: None,
    };
    let mut server = Server::default();
    match kind.as_str() {
        "oci" => {
            let registry = reader.text("registryBaseUrl");
            match image(&package.name, package.version.as_deref(), registry.as_deref()) {
                Ok(image) => server.container = Some(Container { image, ..Container::default() }),
                Err(why) => reader.fail_at("identifier", why),
            }
        }
        "mcpb" => {
            let sha256 = reader.text("fileSha256");
            reader.fail_at("registryType", bundle(&package.name, sha256.as_deref()));
        }
        _ => {
            package.sha256 = reader.text("fileSha256");
            match usual_start(&package) {
                Some(start) => server.argv = start.into_iter().map(Text::plain).collect(),
                None if matches!(kind.as_str(), "npm" | "pypi") => {
                    reader.fail_at("identifier", "it has no name that is one, or no version");
                }
                None => reader.fail_at(
                    "registryType",
                    "only packages of npm, PyPI and OCI are read: see `tidegate add`",
                ),
            }
        }
    }
    if let Some(mut inner) = reader.inner("transport") {
        let kind = inner.text("type");
        if kind.as_deref().is_some_and(|kind| kind != "stdio") {
            inner.fail_at("type", "only a package that is spoken to by stdio is read");
        }
        let _ = reader.close(inner);
    }
    if reader.has("runtimeArguments") {
        reader.fail_at("runtimeArguments", "they are not read: see `tidegate add`");
    }
    let _ = reader.text("runtimeHint");
    let words = arguments(source, &mut reader)?;
    match &mut server.container {
        Some(container) => container.args = words,
        None => {
            server.argv.extend(words);
            server.package = Some(package);
        }
    }
    read_pairs(source, &mut reader, "environmentVariables", &mut server.env, out);
    server.unknown = reader.end()?;
    Ok(server)
}

/// What to do with a bundle, which has to be fetched and unpacked. Its URL is shown where a shell takes every
/// character of it as it is.
fn bundle(url: &str, sha256: Option<&str>) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/%+@=,".contains(&b);
    let is_shown = url.starts_with("https://") && url.len() <= 512 && url.bytes().all(plain);
    match sha256 {
        Some(sha256) if is_sha256(sha256) && is_shown => {
            format!("it is a bundle, which `tidegate add {url} --sha256 {sha256}` takes")
        }
        Some(sha256) if is_sha256(sha256) => {
            "it is a bundle: fetch it, and give its file to `tidegate add FILE --sha256 …`".to_owned()
        }
        _ => "it is a bundle without a \"fileSha256\": nothing says which bytes are meant".to_owned(),
    }
}

/// Arguments that are written out.
fn arguments(source: &Source<'_>, reader: &mut Reader<'_>) -> Result<Vec<Text>, Fault> {
    let mut words = Vec::new();
    let Some(node) = reader.get("packageArguments") else { return Ok(words) };
    let Kind::List(items) = &node.kind else {
        reader.fail(node.at, "packageArguments", "expected a list");
        return Ok(words);
    };
    for item in items {
        let mut one = Reader::new(source, item, "packageArguments");
        let (kind, name, value) = (one.text("type"), one.text("name"), one.text("value"));
        one.end()?;
        let is_named = kind.as_deref() == Some("named");
        if is_named {
            words.extend(name.map(Text::plain));
        }
        match value {
            Some(value) => words.push(Text::plain(value)),
            None if is_named => {}
            None => reader.fail(item.at, "packageArguments", "it asks for a value: see `tidegate add`"),
        }
    }
    Ok(words)
}

/// How a package is started: that one version of it.
fn usual_start(package: &Package) -> Option<Vec<String>> {
    let version = package.version.as_ref()?;
    let (name, own) = (&package.name, |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect());
    match package.registry.as_str() {
        _ if name.is_empty() || name.starts_with('-') => None,
        "npm" => Some(own(&["npx", "-y", &format!("{name}@{version}")])),
        "pypi" => Some(own(&["uvx", &format!("{name}=={version}")])),
        _ => None,
    }
}

/// Values by name: written out, or asked for.
fn read_pairs(
    source: &Source<'_>,
    reader: &mut Reader<'_>,
    key: &str,
    values: &mut indexmap::IndexMap<String, Text>,
    out: &mut Imported,
) {
    let Some(node) = reader.get(key) else { return };
    let Kind::List(items) = &node.kind else {
        return reader.fail(node.at, key, format!("expected a list, found {}", node.describe()));
    };
    for item in items {
        let mut one = Reader::new(source, item, key.to_owned());
        let (name, value) = (one.text("name"), one.text("value"));
        let input = Input {
            description: one.text("description"),
            default: one.text("default").map(Text::plain),
            secret: one.flag("isSecret").unwrap_or_default(),
            options: one.list("choices").unwrap_or_default(),
            unknown: Unknown::new(),
        };
        match (one.end(), name) {
            (Err(fault), _) => reader.fail(item.at, key, fault.message),
            (Ok(_), None) => reader.fail(item.at, key, "it has no name"),
            (Ok(unknown), Some(name)) => match value {
                Some(value) => {
                    values.insert(name, Text::plain(value));
                }
                None => {
                    values.insert(name.clone(), asked(&name));
                    out.deployment.inputs.insert(name, Input { unknown, ..input });
                }
            },
        }
    }
}

fn pairs(values: &indexmap::IndexMap<String, Text>, deployment: &Deployment) -> Value {
    let one = |(name, value): (&String, &Text)| {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), name.as_str().into());
        if let Some(plain) = value.as_plain() {
            entry.insert("value".to_owned(), plain.into());
            return Value::Object(entry);
        }
        let input = deployment.inputs.get(name).cloned().unwrap_or_default();
        let mut put = |key: &str, value: Option<Value>| {
            entry.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("description", input.description.map(Value::from));
        put("isSecret", input.secret.then_some(Value::Bool(true)));
        put("default", input.default.as_ref().and_then(Text::as_plain).map(Value::from));
        put("choices", (!input.options.is_empty()).then(|| json!(input.options)));
        entry.extend(input.unknown);
        Value::Object(entry)
    };
    values.iter().map(one).collect()
}

fn package_entry(server: &Server, deployment: &Deployment) -> Value {
    let image = server.container.as_ref().map(|container| Package {
        registry: "oci".to_owned(),
        name: container.image.clone(),
        ..Package::default()
    });
    let package = image.as_ref().or(server.package.as_ref()).cloned().unwrap_or_default();
    let mut entry = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        entry.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("registryType", Some(package.registry.as_str().into()));
    put("identifier", Some(package.name.as_str().into()));
    put("version", package.version.as_deref().map(Value::from));
    put("fileSha256", package.sha256.as_deref().map(Value::from));
    put("transport", Some(json!({ "type": "stdio" })));
    let words: Vec<&Text> = match &server.container {
        Some(container) => container.args.iter().collect(),
        None => {
            let start = usual_start(&package).map_or(0, |start| start.len());
            server.argv.iter().skip(start).collect()
        }
    };
    let arguments: Vec<Value> = words
        .into_iter()
        .map(|word| json!({ "type": "positional", "value": word.as_plain().unwrap_or_default() }))
        .collect();
    put("packageArguments", (!arguments.is_empty()).then(|| json!(arguments)));
    put("environmentVariables", (!server.env.is_empty()).then(|| pairs(&server.env, deployment)));
    entry.extend(server.unknown.clone());
    Value::Object(entry)
}

/// Whether a server in a container is an image that is started in the usual way, and nothing else.
fn is_usual_container(server: &Server) -> bool {
    let Some(container) = &server.container else { return false };
    let image = image(&container.image, None, None);
    image.is_ok_and(|image| image == container.image)
        && container.volumes.is_empty()
        && container.port.is_none()
        && container.args.iter().all(|word| word.as_plain().is_some())
        && server.argv.is_empty()
}
