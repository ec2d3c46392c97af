//! From a document to the lines of an upstream.

use std::collections::BTreeMap;
use std::path::Path;

use discovery::launch::{self, Answers, Command, Draft, Needed, PackagePlan, RemotePlan, Rules};
use discovery::mcpb::{self, Folders};
use discovery::remote::{Remote, RemoteKind};
use discovery::server_json::{Package, Server};
use discovery::{Address, Fault, Part, Value};
use serde_json::json;

use super::edit::Line;
use super::subject::{self, Subject};
use super::{Arguments, SecretPlace, sandbox};
use crate::exit::{Coded, REFUSED, USAGE};

/// What would be added.
pub struct Proposal {
    /// What it would be called.
    pub name: String,
    /// The keys of the upstream.
    pub lines: Vec<Line>,
    /// The program and its arguments, where one would be started.
    pub argv: Option<Vec<String>>,
    /// Where it is reached, else.
    pub url: Option<String>,
    /// The sandbox in which it would be started, in words.
    pub sandbox: Option<String>,
    /// All that is asked for.
    pub needed: Vec<Needed>,
    /// What is wrong, also with the answers.
    pub faults: Vec<Fault>,
    /// What a person should know before he agrees.
    pub risks: Vec<String>,
    /// Hashes by which what is run was checked.
    pub hashes: Vec<String>,
    /// Whether nothing is a reason to refuse.
    pub fits: bool,
}

/// What a plan comes to, whichever kind it is.
struct Way {
    lines: Vec<Line>,
    argv: Option<Vec<String>>,
    url: Option<String>,
    sandbox: Option<String>,
    hashes: Vec<String>,
    risks: Vec<String>,
}

/// Makes a proposal of what was found. A bundle that an entry names takes the entry's place.
pub async fn proposal(arguments: &Arguments, subject: &mut Subject) -> anyhow::Result<Proposal> {
    if let Subject::Server(server) = subject
        && let Some((url, sha256)) = bundle_of(arguments, server)?
    {
        let bytes = subject::fetch(&url, arguments.private, scout::BUNDLE_BYTES_MAX).await?;
        let bundle = scout::Bundle::read(bytes, Some(&sha256));
        let bundle = bundle.map_err(|error| Coded::new(REFUSED, error.to_string()))?;
        *subject = Subject::Bundle(Box::new(bundle));
    }
    let answers = answers(arguments);
    let rules = Rules { registries: arguments.package_registries.clone(), loopback: arguments.private };
    let (name, description, draft) = match subject {
        Subject::Url(url) => {
            sandbox::refuse_without_a_program(arguments)?;
            let name = arguments.name.clone().unwrap_or_else(|| name_of(&url.host()));
            return Ok(of_url(name, url));
        }
        Subject::Api(api) => {
            sandbox::refuse_without_a_program(arguments)?;
            return api.proposal(arguments);
        }
        Subject::Card(card) => {
            let (at, remote) = pick_remote(arguments, &card.remotes)?;
            let draft = of_remote(arguments, launch::remote(remote, &at, &answers, &rules))?;
            (name_of(&card.name), card.description.clone(), draft)
        }
        Subject::Server(server) => {
            let draft = of_server(arguments, server, &answers, &rules)?;
            (name_of(&server.name), server.description.clone(), draft)
        }
        Subject::Bundle(bundle) => {
            let place = bundle.place(&subject::bundles(arguments)?);
            let folders = Folders { bundle: place.display().to_string(), others: BTreeMap::new() };
            let draft = mcpb::plan(&bundle.manifest, platform(), &folders, &answers, &rules);
            let mut draft = of_command(arguments, draft, Some(&place))?;
            if let Some(way) = &mut draft.plan {
                way.hashes.push(format!("the bundle's SHA-256 is {}", bundle.sha256));
            }
            (name_of(&bundle.manifest.name), bundle.manifest.description.clone(), draft)
        }
    };
    let name = arguments.name.clone().unwrap_or(name);
    Ok(finish(name, &description, draft))
}

fn platform() -> &'static str {
    if cfg!(target_os = "macos") { "darwin" } else { "linux" }
}

fn finish(name: String, description: &str, draft: Draft<Way>) -> Proposal {
    let fits = draft.plan.is_some();
    let mut risks = draft.risks;
    let (mut lines, argv, url, sandbox, hashes) = match draft.plan {
        Some(way) => {
            risks.extend(way.risks);
            (way.lines, way.argv, way.url, way.sandbox, way.hashes)
        }
        None => (Vec::new(), None, None, None, Vec::new()),
    };
    // One line for people: what is longer stands in the document.
    let description: String = description.lines().next().unwrap_or_default().chars().take(200).collect();
    let harmless = crate::out::plain(&description).into_owned();
    lines.push(("description".to_owned(), json!(harmless)));
    let Draft { needed, faults, .. } = draft;
    Proposal { name, lines, argv, url, sandbox, needed, faults, risks, hashes, fits }
}

fn of_url(name: String, url: &Address) -> Proposal {
    let lines = vec![("url".to_owned(), json!(url.as_str()))];
    Proposal {
        name,
        lines,
        argv: None,
        url: Some(url.as_str().to_owned()),
        sandbox: None,
        needed: Vec::new(),
        faults: Vec::new(),
        risks: Vec::new(),
        hashes: Vec::new(),
        fits: true,
    }
}

/// The last part of a name, as upstreams are called.
pub fn name_of(text: &str) -> String {
    let own = text.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let mut name = String::new();
    for c in own.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(model::NAME_BYTES_MAX);
    let name = name.trim_matches('-');
    if name.is_empty() { "server".to_owned() } else { name.to_owned() }
}

fn answers(arguments: &Arguments) -> Answers {
    let mut answers = Answers::default();
    for (key, value) in &arguments.set {
        answers.values.entry(key.clone()).or_default().push(value.clone());
    }
    answers.secrets = arguments.secrets.iter().map(|(key, _)| key.clone()).collect();
    answers
}

/// The place that was picked among several of one kind: `packages/1`.
fn picked(arguments: &Arguments) -> anyhow::Result<Option<(&str, usize)>> {
    let Some(text) = &arguments.pick else { return Ok(None) };
    let parts = text.split_once('/').and_then(|(kind, n)| Some((kind, n.parse::<usize>().ok()?)));
    match parts.filter(|(kind, _)| ["packages", "remotes"].contains(kind)) {
        Some(picked) => Ok(Some(picked)),
        None => {
            let text = format!("pick {text:?}: write packages/0 or remotes/0");
            Err(Coded::new(USAGE, text).into())
        }
    }
}

fn pick_remote<'r>(arguments: &Arguments, remotes: &'r [Remote]) -> anyhow::Result<(String, &'r Remote)> {
    let at = match picked(arguments)? {
        Some(("remotes", at)) => at,
        Some(_) => return Err(Coded::new(USAGE, "pick a package: there are remotes alone".to_owned()).into()),
        None => 0,
    };
    let remote = remotes.get(at).ok_or_else(|| {
        Coded::new(REFUSED, format!("find remotes/{at}: there are {} of them", remotes.len()))
    })?;
    Ok((format!("/remotes/{at}"), remote))
}

/// What of an entry is used: what was picked, else its first package that can be run here, else its first
/// remote.
fn chosen(arguments: &Arguments, server: &Server) -> anyhow::Result<(bool, usize)> {
    if let Some((kind, at)) = picked(arguments)? {
        return Ok((kind == "packages", at));
    }
    let runnable =
        |package: &Package| ["npm", "pypi", "oci", "nuget", "mcpb"].contains(&&*package.registry_type);
    match server.packages.iter().position(runnable) {
        Some(at) => Ok((true, at)),
        None if !server.remotes.is_empty() => Ok((false, 0)),
        None if !server.packages.is_empty() => Ok((true, 0)),
        None => {
            Err(Coded::new(REFUSED, format!("use {}: it has neither packages nor remotes", server.name))
                .into())
        }
    }
}

fn bundle_of(arguments: &Arguments, server: &Server) -> anyhow::Result<Option<(Address, String)>> {
    let (package, at) = chosen(arguments, server)?;
    let package = server.packages.get(at).filter(|found| package && found.registry_type == "mcpb");
    let Some(package) = package else { return Ok(None) };
    let draft = launch::package(package, &format!("/packages/{at}"), &Answers::default(), &Rules::default());
    match draft.plan {
        Some(PackagePlan::Bundle(bundle)) => Ok(Some((bundle.url, bundle.sha256))),
        _ => {
            let faults: Vec<String> = draft.faults.iter().map(ToString::to_string).collect();
            Err(Coded::new(REFUSED, format!("take the bundle: {}", faults.join("; "))).into())
        }
    }
}

fn of_server(
    arguments: &Arguments,
    server: &Server,
    answers: &Answers,
    rules: &Rules,
) -> anyhow::Result<Draft<Way>> {
    let (package, at) = chosen(arguments, server)?;
    if !package {
        let (at, remote) = pick_remote(arguments, &server.remotes)?;
        return of_remote(arguments, launch::remote(remote, &at, answers, rules));
    }
    let missing = || Coded::new(REFUSED, format!("find packages/{at}: there are {}", server.packages.len()));
    let found = server.packages.get(at).ok_or_else(missing)?;
    let draft = launch::package(found, &format!("/packages/{at}"), answers, rules);
    let Draft { needed, faults, risks, plan } = draft;
    let plan = match plan {
        Some(PackagePlan::Command(command)) => Some(command),
        Some(PackagePlan::Bundle(_)) | None => None,
    };
    of_command(arguments, Draft { needed, faults, risks, plan }, None)
}

fn of_remote(arguments: &Arguments, draft: Draft<RemotePlan>) -> anyhow::Result<Draft<Way>> {
    sandbox::refuse_without_a_program(arguments)?;
    let Draft { needed, faults, risks, plan } = draft;
    let way = match plan {
        None => None,
        Some(plan) => {
            let transport = match plan.transport {
                RemoteKind::StreamableHttp => "streamable-http",
                RemoteKind::Sse => "http-sse",
            };
            let mut lines = vec![
                ("url".to_owned(), json!(plan.url.as_str())),
                ("transport".to_owned(), json!(transport)),
            ];
            if !plan.headers.is_empty() {
                lines.push(("headers".to_owned(), values(arguments, "the header", &plan.headers)?));
            }
            let url = Some(plan.url.as_str().to_owned());
            Some(Way { lines, argv: None, url, sandbox: None, hashes: Vec::new(), risks: Vec::new() })
        }
    };
    Ok(Draft { needed, faults, risks, plan: way })
}

fn of_command(
    arguments: &Arguments,
    draft: Draft<Command>,
    bundle: Option<&Path>,
) -> anyhow::Result<Draft<Way>> {
    let Draft { needed, faults, risks, plan } = draft;
    let way = plan.map(|command| command_way(arguments, &command, bundle)).transpose()?;
    Ok(Draft { needed, faults, risks, plan: way })
}

fn command_way(arguments: &Arguments, command: &Command, bundle: Option<&Path>) -> anyhow::Result<Way> {
    if let Some(url) = &command.url {
        let text = format!(
            "use the package: it answers at {}, and is started by hand; then add that URL",
            url.as_str()
        );
        return Err(Coded::new(REFUSED, text).into());
    }
    let mut argv = Vec::new();
    for word in &command.argv {
        let text = word.as_text().ok_or_else(|| {
            let text = format!("write the argument {word}: a configuration has no secrets in arguments");
            Coded::new(REFUSED, text)
        })?;
        argv.push(text.to_owned());
    }
    let mut risks = Vec::new();
    let argv = super::runtime::present(argv, &mut risks);
    let mut lines = vec![("command".to_owned(), json!(argv))];
    if !command.environment.is_empty() {
        lines.push(("env".to_owned(), values(arguments, "the variable", &command.environment)?));
    }
    let mut said = None;
    if arguments.sandbox {
        let room = sandbox::room(arguments, &argv, bundle, &mut risks)?;
        lines.push(("sandbox".to_owned(), room.section()));
        said = Some(room.words());
    }
    Ok(Way { lines, argv: Some(argv), url: None, sandbox: said, hashes: Vec::new(), risks })
}

/// Variables or headers as the configuration has them: as they are, or by where a secret is kept.
fn values(
    arguments: &Arguments,
    what: &str,
    all: &BTreeMap<String, Value>,
) -> anyhow::Result<serde_json::Value> {
    let mut members = serde_json::Map::new();
    for (name, value) in all {
        let written = match value.parts() {
            [Part::Secret(key)] => secret(arguments, key, ""),
            [Part::Text(prefix), Part::Secret(key)] => secret(arguments, key, prefix),
            _ => value.as_text().map(|text| json!(text)),
        };
        let written = written.ok_or_else(|| {
            Coded::new(REFUSED, format!("write {what} {name}: a secret can stand at its end alone"))
        })?;
        members.insert(name.clone(), written);
    }
    Ok(serde_json::Value::Object(members))
}

fn secret(arguments: &Arguments, key: &str, prefix: &str) -> Option<serde_json::Value> {
    let (_, place) = arguments.secrets.iter().find(|(known, _)| known == key)?;
    let mut written = match place {
        SecretPlace::Env(name) => json!({ "env": name }),
        SecretPlace::File(file) => json!({ "file": file }),
    };
    if !prefix.is_empty() {
        written["prefix"] = json!(prefix);
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_called_by_the_last_part_of_a_name() {
        for (text, name) in [
            ("io.github.acme/crm_Server.v2", "crm-server-v2"),
            ("mcp.example.com", "mcp-example-com"),
            ("a/__", "server"),
            ("a/0123456789012345678901234567890123456789", "01234567890123456789012345678901"),
        ] {
            assert_eq!(name_of(text), name, "{text}");
        }
    }
}
