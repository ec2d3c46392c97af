//! `tidegate export`.

mod whole;

use std::path::{Path, PathBuf};

use clap::Args;
use config::Config;
use portable::{
    Deployment, Field, Format, Origin, Report, Scope, Server, Support, Target, Text as PlainText, Tools,
};
use serde_json::{Value, json};

use super::deployed::refuse_secrets;
use super::files::{self, Text};
use super::{code, diff, is_table, said, take, tell, undo};
use crate::by_hand::ByHand;
use crate::cli::{self, Output, Source};
use crate::exit::{Coded, FAILURE, USAGE};
use crate::{load, out, store_command};

/// What an entry that points at the gateway is called.
pub const NAME: &str = "tidegate";

/// To which program, and what of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program that is pointed at the gateway: `claude-code`, `cursor`, `codex`, …; or what is written of
    /// the configuration: `agentgateway`, `contextforge`, `docker`, `litellm`, `metamcp` or `toolhive` for
    /// another gateway; `kubernetes`, `systemd` or `compose` for where this one runs; `card` or `server-json`
    /// for what it publishes of an endpoint.
    #[arg(value_name = "TO", required_unless_present_any = ["all", "undo"])]
    #[arg(conflicts_with_all = ["all", "undo"])]
    to: Option<String>,
    /// Its file; the one in the user's home where none is named. The folder, for `kubernetes`, `systemd` and
    /// `compose`. What is written of the configuration goes to stdout where nothing is named.
    #[arg(value_name = "PATH", conflicts_with_all = ["all", "undo"])]
    path: Option<PathBuf>,
    /// Every program whose file is found in the home of the user who asks. What is behind the gateway now is
    /// taken out of those files.
    #[arg(long, conflicts_with = "undo")]
    all: bool,
    /// Write the files. Without it, what would change is shown.
    #[arg(long)]
    write: bool,
    /// Put back what the last export replaced, byte for byte. A file that was changed since is left alone,
    /// unless `--replace` is said too.
    #[arg(long)]
    undo: bool,
    /// Take out of the program's file what is behind the gateway, as `--all` does. For what is written of the
    /// configuration: write it over other files that are there.
    #[arg(long)]
    replace: bool,
    /// Write the servers themselves, past the gateway, in place of an entry that points at it. What the
    /// gateway adds stays behind.
    #[arg(long, conflicts_with_all = ["all", "undo", "replace", "endpoint", "url"])]
    direct: bool,
    /// The gateway's configuration; `tidegate.yaml` in this folder where none is named.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Lay the overlay of this environment over the configuration; several in their order.
    #[arg(long, value_name = "NAME", value_parser = cli::environment)]
    env: Vec<String>,
    /// Give a variable of the configuration its value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = cli::setting)]
    set: Vec<(String, String)>,
    /// The endpoint: the name of an upstream or of an endpoint; everything where none is named.
    #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
    endpoint: String,
    /// Where clients reach the gateway, without a path; what the configuration says where nothing is said.
    #[arg(long, value_name = "URL", value_parser = gateway_url)]
    url: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A file that is to be written.
struct Planned {
    /// What it is for.
    of: &'static str,
    /// By what secrets in it are found, so that they are not shown.
    format: &'static dyn Format,
    old: Text,
    new: String,
    /// Servers that are taken out of it.
    removed: Vec<String>,
}

impl Planned {
    fn is_changed(&self) -> bool {
        self.old.text.as_deref() != Some(self.new.as_str())
    }
}

/// All that is to be done.
#[derive(Default)]
struct Plan {
    files: Vec<Planned>,
    report: Report,
    failed: Vec<(String, String)>,
    /// Whether folders are made for files.
    makes_folders: bool,
}

impl Plan {
    /// The folders that have to be made, each after the one that it is in.
    fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut all: Vec<PathBuf> = Vec::new();
        for file in self.files.iter().filter(|file| self.makes_folders && file.is_changed()) {
            let missing = files::missing_folders(&file.old.path)?;
            all.extend(missing.into_iter().filter(|folder| !all.contains(folder)).collect::<Vec<_>>());
        }
        Ok(all)
    }
}

/// Shows, and writes where it is asked to.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    if arguments.undo {
        return recorded(&arguments, "--undo", || undo::undo(arguments.replace)).await;
    }
    let what = arguments.to.as_deref().unwrap_or("--all");
    if !arguments.write {
        return work(&arguments);
    }
    recorded(&arguments, what, || work(&arguments)).await
}

/// Does something of which the log is to know.
async fn recorded(
    arguments: &Arguments,
    what: &str,
    work: impl FnOnce() -> anyhow::Result<u8>,
) -> anyhow::Result<u8> {
    let source = source(arguments);
    let doing = match store_command::open_if_there(&source).await? {
        Some(store) => Some(ByHand::begin(&source, &store, "export", what).await?),
        None => None,
    };
    let done = work();
    match doing {
        Some(doing) => doing.end(done).await,
        None => done,
    }
}

fn source(arguments: &Arguments) -> Source {
    let (env, set) = (arguments.env.clone(), arguments.set.clone());
    Source { config: arguments.config.clone(), env, set, mcp_json: None }
}

fn work(arguments: &Arguments) -> anyhow::Result<u8> {
    let loaded = load::load(&source(arguments))?;
    let Some(file) = &loaded.file else {
        let text = "export: there is no configuration; give --config".to_owned();
        return Err(Coded::new(USAGE, text).into());
    };
    if let Some(to) = arguments.to.as_deref().and_then(whole::find) {
        return whole::work(arguments, to, &loaded.config, file);
    }
    if arguments.direct {
        refuse_secrets(&load::layered(&source(arguments), file)?)?;
    }
    let own = own(arguments, file)?;
    let mut plan = Plan::default();
    let places = match &arguments.to {
        None => files::known(&portable::clients())?,
        Some(to) => vec![place(program(to)?, arguments)?],
    };
    for (format, path) in places {
        let deployment = match arguments.direct {
            true => own.clone(),
            false => pointer(arguments, format, &loaded.config, file)?,
        };
        let replace = arguments.all || arguments.replace;
        if let Err(why) = plan_one(&mut plan, format, &path, &deployment, replace.then_some(&own)) {
            if !arguments.all {
                return Err(Coded::new(FAILURE, format!("write {}: {why}", path.display())).into());
            }
            plan.failed.push((path.display().to_string(), why));
        }
    }
    finish(arguments, &plan)
}

/// The program of this name, which can be pointed at the gateway.
fn program(name: &str) -> anyhow::Result<&'static dyn Format> {
    let all: Vec<_> = portable::clients().into_iter().filter(|format| format.exports()).collect();
    if let Some(format) = all.iter().find(|format| format.name() == name) {
        return Ok(*format);
    }
    let programs: Vec<&str> =
        all.iter().map(|format| format.name()).filter(|name| whole::find(name).is_none()).collect();
    let text = format!(
        "export to {:?}: there are the programs {}; and of the configuration {}",
        out::plain(name),
        programs.join(", "),
        whole::names().join(", ")
    );
    Err(Coded::new(USAGE, text).into())
}

/// What the gateway has, by its own file, what is laid over it, and the values of its variables.
fn own(arguments: &Arguments, file: &Path) -> anyhow::Result<Deployment> {
    said(&load::layered(&source(arguments), file)?, &file.display().to_string())
}

fn place(
    format: &'static dyn Format,
    arguments: &Arguments,
) -> anyhow::Result<(&'static dyn Format, PathBuf)> {
    if let Some(path) = &arguments.path {
        return Ok((format, path.clone()));
    }
    let mut found = files::known(&[format])?;
    if found.len() == 1
        && let Some(one) = found.pop()
    {
        return Ok(one);
    }
    let text = match found.as_slice() {
        [] => {
            format!("find the file of {}: there is none ({}); name it", format.title(), files::places(format))
        }
        several => {
            let all: Vec<String> = several.iter().map(|(_, path)| path.display().to_string()).collect();
            format!("find the file of {}: there are {}; name one", format.title(), all.join(", "))
        }
    };
    Err(Coded::new(USAGE, text).into())
}

/// An entry that points at the gateway: its URL, or the program for a client that reaches no URLs.
fn pointer(
    arguments: &Arguments,
    format: &dyn Format,
    config: &Config,
    file: &Path,
) -> anyhow::Result<Deployment> {
    let name = &arguments.endpoint;
    let is_there = config.upstreams.contains_key(name) || config.endpoints.contains_key(name);
    if name != server::EVERYTHING && !is_there {
        let text = format!("find the endpoint {:?}: the configuration has none", out::plain(name));
        return Err(Coded::new(USAGE, text).into());
    }
    let server = if matches!(format.support(Field::Http), Support::Dropped(_)) {
        let program = std::env::current_exe()?.display().to_string();
        let file = std::path::absolute(file)?.display().to_string();
        let mut words = vec![program, "stdio".to_owned(), "--config".to_owned(), file];
        words.extend(arguments.env.iter().flat_map(|env| ["--env".to_owned(), env.clone()]));
        let set = arguments.set.iter().map(|(name, value)| format!("{name}={value}"));
        words.extend(set.flat_map(|set| ["--set".to_owned(), set]));
        words.extend(["--endpoint".to_owned(), name.clone()]);
        Server::program(&words.iter().map(String::as_str).collect::<Vec<_>>())
    } else {
        let base = base(arguments, config)?;
        let path = if name == server::EVERYTHING { "/mcp".to_owned() } else { format!("/{name}/mcp") };
        Server::at(format!("{base}{path}"))
    };
    let entry = if name == server::EVERYTHING { NAME.to_owned() } else { format!("{NAME}-{name}") };
    let mut deployment = Deployment::default();
    deployment.servers.insert(entry, server);
    Ok(deployment)
}

/// Where a gateway can be: a URL of the web with nothing behind its host.
fn gateway_url(text: &str) -> Result<String, String> {
    let wrong = "write http:// or https:// and a host, with nothing behind it: https://gateway.example.com";
    let url: http::Uri = text.parse().map_err(|_| wrong.to_owned())?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && !text.contains(['#', '@']);
    if is_web && is_bare && !url.host().unwrap_or_default().is_empty() {
        return Ok(text.to_owned());
    }
    Err(wrong.to_owned())
}

fn base(arguments: &Arguments, config: &Config) -> anyhow::Result<String> {
    if let Some(url) = arguments.url.as_ref().or(config.auth.url.as_ref()) {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    if config.listen.port() == 0 {
        let text = "say where the gateway is: it listens on any free port; give --url".to_owned();
        return Err(Coded::new(USAGE, text).into());
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", config.listen))
}

fn plan_one(
    plan: &mut Plan,
    format: &'static dyn Format,
    path: &Path,
    deployment: &Deployment,
    own: Option<&Deployment>,
) -> Result<(), String> {
    let old = files::read(path)?;
    let name = path.display().to_string();
    let remove = match (own, &old.text) {
        (Some(own), Some(text)) => behind(format, text, &name, own)?,
        _ => Vec::new(),
    };
    let target = Target { file: &name, existing: old.text.as_deref(), remove: &remove };
    let written = format.export(deployment, &target).map_err(|fault| fault.to_string())?;
    take(&mut plan.report, format.name(), written.report);
    plan.files.push(Planned { of: format.name(), format, old, new: written.text, removed: remove });
    Ok(())
}

/// The servers of a client's text that the gateway has as well.
fn behind(format: &dyn Format, text: &str, file: &str, own: &Deployment) -> Result<Vec<String>, String> {
    let read = format.import(text, &Origin { file, ..Origin::default() });
    let read = read.map_err(|fault| fault.to_string())?;
    let is_there = |server: &Server| own.servers.values().any(|one| stands_for(one, server));
    // Those of a project stand elsewhere in the file, and stay.
    let of_project =
        |server: &Server| server.provenance.as_ref().is_some_and(|from| from.scope == Scope::Project);
    let names = read.deployment.servers.iter().filter(|(_, server)| is_there(server) && !of_project(server));
    Ok(names.map(|(name, _)| name.clone()).collect())
}

/// Whether whoever uses an upstream reaches what a server of a client's reaches, and no more of it: the same
/// program or URL with the same variables, headers and tools. Where the upstream has a secret by reference,
/// the client may have it written out.
fn stands_for(own: &Server, server: &Server) -> bool {
    let place = (&own.argv, &own.url, &own.cwd, &own.env_file)
        == (&server.argv, &server.url, &server.cwd, &server.env_file);
    let tools = server.tools == Tools::default() || server.tools == own.tools;
    let has = |own: &PlainText, other: Option<&PlainText>| {
        other.is_some_and(|other| other == own || own.as_plain().is_none())
    };
    let env = own.env.len() == server.env.len()
        && own.env.iter().all(|(name, value)| has(value, server.env.get(name)));
    let headers = own.headers.len() == server.headers.len()
        && own.headers.iter().all(|(name, value)| has(value, server.headers.get(name)));
    place && tools && env && headers
}

/// Makes folders, and writes files: all of them, or none.
fn write(changes: &[(Text, String)], folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders {
        std::fs::create_dir(folder)
            .map_err(|error| Coded::new(FAILURE, format!("make {}: {error}", folder.display())))?;
    }
    files::replace_all(changes)
}

fn finish(arguments: &Arguments, plan: &Plan) -> anyhow::Result<u8> {
    let changed: Vec<&Planned> = plan.files.iter().filter(|file| file.is_changed()).collect();
    let mut kept = None;
    if arguments.write && !changed.is_empty() {
        let changes: Vec<(Text, String)> =
            changed.iter().map(|file| (file.old.clone(), file.new.clone())).collect();
        let folders = plan.folders()?;
        let folder = undo::keep(&changes, &folders)?;
        if let Err(error) = write(&changes, &folders) {
            files::remove_empty(&folders);
            undo::forget(&folder);
            return Err(error);
        }
        kept = Some(folder);
    }
    let code = code(&plan.report, !plan.failed.is_empty());
    if !is_table(arguments.output) {
        let files = plan.files.iter().map(|file| {
            json!({ "client": file.of, "file": file.old.path, "changed": file.is_changed(),
                                "removed": file.removed })
        });
        let files: Vec<Value> = files.collect();
        let failed: Vec<Value> =
            plan.failed.iter().map(|(file, why)| json!({ "file": file, "why": why })).collect();
        let document = json!({ "files": files, "failed": failed, "report": plan.report.to_json(),
                               "written": kept.is_some(), "backup": kept });
        out::line(serde_json::to_string_pretty(&document)?);
        return Ok(code);
    }
    for file in &plan.files {
        let name = file.old.path.display().to_string();
        let old = file.old.text.as_deref().unwrap_or_default();
        diff::show(file.format, &name, old, &file.new);
    }
    for file in plan.files.iter().filter(|file| !file.removed.is_empty()) {
        let names = out::plain(&file.removed.join(", ")).into_owned();
        out::line(format!("behind the gateway now, and taken out of {}: {names}", file.of));
    }
    tell(&plan.report);
    for (file, why) in &plan.failed {
        out::line(format!("left as it is: {file}: {}", out::plain(why)));
    }
    match kept {
        Some(folder) => {
            out::line(format!("wrote {} files; what they were is in {}", changed.len(), folder.display()));
        }
        None if changed.is_empty() => out::line("nothing is to be changed"),
        None => out::line("nothing was written: --write does it"),
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_at_a_url_of_the_web() {
        for good in ["http://localhost:7400", "https://gateway.example.com/", "https://[::1]:7400"] {
            assert_eq!(gateway_url(good).as_deref(), Ok(good));
        }
        for bad in [
            "not a url",
            "ftp://x",
            "gateway.example.com",
            "https://",
            "https://h/mcp",
            "https://h?a=b",
            "https://u:p@h",
        ] {
            let error = gateway_url(bad).expect_err(bad);
            assert!(error.starts_with("write http"), "{error}");
        }
    }
}
