//! `server.json`: what a registry knows of a server, in all its dated forms.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::Raw;

use crate::address::{Address, URL_BYTES_MAX};
use crate::fault::{By, Fault, shown};
use crate::input::{INPUTS_MAX, Input, NAME_CHARS_MAX, Named, variables, write_variables};
use crate::parts::{Head, Icon, Repository, version_fault};
use crate::read::{Desk, Members, Read, document};
use crate::remote::{Remote, RemoteKind, check_template};
use crate::write::{Extra, Out};

/// Bytes of a `server.json` that are read.
pub const SERVER_BYTES_MAX: usize = 262_144;
/// The schema that is written.
pub const SERVER_SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// The dates of the schemas that are read, oldest first. Up to the first, members were spelled `like_this`.
pub const DATES: [&str; 6] =
    ["2025-07-09", "2025-09-16", "2025-09-29", "2025-10-11", "2025-10-17", "2025-12-11"];

/// A server as a registry knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Its name: a domain backwards, a slash, a name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for, in at most 100 characters.
    pub description: String,
    /// Its name for people.
    pub title: Option<String>,
    /// Its page.
    pub website_url: Option<String>,
    /// Where its source is.
    pub repository: Option<Repository>,
    /// Its pictures.
    pub icons: Vec<Icon>,
    /// Ways to run it here.
    pub packages: Vec<Package>,
    /// Where it is reached.
    pub remotes: Vec<Remote>,
    /// The date of its schema, where it named one.
    pub dated: Option<String>,
    /// What others added.
    pub meta: Option<Raw>,
    /// All else.
    pub extra: Extra,
}

/// A way to run a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Where it comes from: `npm`, `pypi`, `oci`, `nuget`, `mcpb`.
    pub registry_type: String,
    /// The registry's URL, where it is not the usual one.
    pub registry_base_url: Option<String>,
    /// Its name there, or its URL.
    pub identifier: String,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of its file, in hexadecimal digits.
    pub file_sha256: Option<String>,
    /// What runs it: `npx`, `uvx`, `docker`, `dnx`.
    pub runtime_hint: Option<String>,
    /// How one speaks to it.
    pub transport: Transport,
    /// Arguments of what runs it.
    pub runtime_arguments: Vec<Argument>,
    /// Arguments of the server.
    pub package_arguments: Vec<Argument>,
    /// Variables of its environment.
    pub environment_variables: Vec<Named>,
    /// All else.
    pub extra: Extra,
}

/// How one speaks to a server that runs here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Transport {
    /// By its input and output.
    #[default]
    Stdio,
    /// Over HTTP, at a URL of this machine.
    Http(Remote),
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// What it is.
    pub kind: ArgumentKind,
    /// Whether it may stand there several times.
    pub is_repeated: Option<bool>,
    /// Its value.
    pub input: Input,
    /// What stands for names in its value.
    pub variables: BTreeMap<String, Input>,
}

/// The kinds of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A value, and what it is called.
    Positional {
        /// What it is called.
        hint: Option<String>,
    },
    /// An option with its dashes.
    Named {
        /// The option.
        name: String,
        /// What its value is called, in older documents.
        hint: Option<String>,
    },
}

/// Reads a `server.json`.
///
/// # Errors
/// All that is wrong with it.
pub fn read(bytes: &Bytes) -> Result<Read<Server>, Vec<Fault>> {
    let mut desk = Desk::new(By::Publisher);
    let Some(raw) = document(&mut desk, bytes, SERVER_BYTES_MAX) else {
        return desk.finish(Raw::literal("null"), None);
    };
    let server = read_raw(&mut desk, "", &raw);
    desk.finish(raw, server)
}

/// Reads the same where it stands in another document.
pub(crate) fn read_raw(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Server> {
    let mut members = Members::open(desk, at, raw)?;
    let schema = members.any_text(desk, "$schema", 300);
    let dated = schema.as_deref().and_then(|schema| date_of(desk, &members.at, schema));
    // Documents without a schema, and those of registries that kept old ones, are taken as they are.
    desk.old_names = dated.as_deref().is_none_or(|date| date <= DATES[0]);
    let head = Head::read(desk, &mut members, true);
    let packages = packages(desk, &mut members);
    let remotes = Remote::list(desk, &mut members);
    desk.old_names = false;
    let head = head?;
    check_meta(desk, &members.at, head.meta.as_ref());
    Some(Server {
        name: head.name,
        version: head.version,
        description: head.description,
        title: head.title,
        website_url: head.website_url,
        repository: head.repository,
        icons: head.icons,
        packages,
        remotes,
        dated,
        meta: head.meta,
        extra: members.rest(),
    })
}

/// What the publisher adds for registries has to be an object; what others add is theirs.
fn check_meta(desk: &mut Desk, at: &str, meta: Option<&Raw>) {
    let own = "io.modelcontextprotocol.registry/publisher-provided";
    if let Some(own) = meta.and_then(|meta| meta.get(own)) {
        let at = format!("{at}/_meta/io.modelcontextprotocol.registry~1publisher-provided");
        Members::open(desk, at, &own);
    }
}

/// The date in the URL of a schema. One that is not known is told of; the document is read all the same.
fn date_of(desk: &mut Desk, at: &str, schema: &str) -> Option<String> {
    let date = schema.split('/').find(|part| {
        let shape =
            |(n, byte): (usize, u8)| if n == 4 || n == 7 { byte == b'-' } else { byte.is_ascii_digit() };
        part.len() == 10 && part.bytes().enumerate().all(shape)
    });
    match date {
        Some(date) if DATES.contains(&date) => {}
        Some(date) => desk.remark(&format!("{at}/$schema"), format!("a schema of {date} is not known here")),
        None => desk.remark(&format!("{at}/$schema"), format!("{} has no date", shown(schema))),
    }
    date.map(str::to_owned)
}

fn packages(desk: &mut Desk, members: &mut Members) -> Vec<Package> {
    let items = members.items(desk, "packages", INPUTS_MAX).unwrap_or_default();
    items.iter().filter_map(|item| read_package(desk, &item.at, &item.raw)).collect()
}

fn read_package(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Package> {
    let mut members = Members::open(desk, at, raw)?;
    let registry_type = members.needed(desk, "registryType", NAME_CHARS_MAX);
    let identifier = members.needed(desk, "identifier", URL_BYTES_MAX);
    let registry_base_url = members.any_text(desk, "registryBaseUrl", URL_BYTES_MAX);
    if let Some(Err(error)) = registry_base_url.as_deref().map(Address::parse) {
        desk.refuse(&format!("{at}/registryBaseUrl"), error.to_string());
    }
    let version = members.text(desk, "version", NAME_CHARS_MAX);
    if let Some(what) = version.as_deref().and_then(version_fault) {
        desk.refuse(&format!("{at}/version"), what);
    }
    let file_sha256 = members.any_text(desk, "fileSha256", NAME_CHARS_MAX);
    if let Some(hash) = &file_sha256
        && !is_sha256(hash)
    {
        desk.refuse(&format!("{at}/fileSha256"), "no SHA-256 in 64 small hexadecimal digits");
    }
    let transport = read_transport(desk, &mut members);
    let package = Package {
        registry_type: registry_type.unwrap_or_default(),
        registry_base_url,
        identifier: identifier.unwrap_or_default(),
        version,
        file_sha256,
        runtime_hint: members.text(desk, "runtimeHint", NAME_CHARS_MAX),
        transport: transport?,
        runtime_arguments: arguments(desk, &mut members, "runtimeArguments"),
        package_arguments: arguments(desk, &mut members, "packageArguments"),
        environment_variables: Named::list(desk, &mut members, "environmentVariables"),
        extra: members.rest(),
    };
    check_transport(desk, at, &package);
    Some(package)
}

/// Whether this is a SHA-256 as registries write it.
pub(crate) fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn read_transport(desk: &mut Desk, members: &mut Members) -> Option<Transport> {
    let found = members.must(desk, "transport")?;
    let mut inner = Members::open(desk, found.at, &found.raw)?;
    let kind = inner.needed(desk, "type", NAME_CHARS_MAX)?;
    if kind == "stdio" {
        return Some(Transport::Stdio);
    }
    let kind = RemoteKind::of(desk, &format!("{}/type", inner.at), &kind);
    let url = inner.needed(desk, "url", URL_BYTES_MAX);
    let headers = Named::list(desk, &mut inner, "headers");
    let (kind, url) = (kind?, url?);
    Some(Transport::Http(Remote { kind, url, headers, extra: inner.rest(), ..Remote::default() }))
}

/// The names in the URL of a package are those of its arguments and variables.
fn check_transport(desk: &mut Desk, at: &str, package: &Package) {
    if let Transport::Http(remote) = &package.transport
        && let Err(what) = check_template(&remote.url, |name| package.declares(name))
    {
        desk.refuse(&format!("{at}/transport/url"), what);
    }
}

impl Package {
    /// Whether one of its arguments or variables is called this.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        let arguments = self.runtime_arguments.iter().chain(&self.package_arguments);
        let called = |argument: &Argument| match &argument.kind {
            ArgumentKind::Positional { hint } => hint.as_deref() == Some(name),
            ArgumentKind::Named { name: own, hint } => own == name || hint.as_deref() == Some(name),
        };
        arguments.into_iter().any(called) || self.environment_variables.iter().any(|own| own.name == name)
    }
}

fn arguments(desk: &mut Desk, members: &mut Members, name: &str) -> Vec<Argument> {
    let items = members.items(desk, name, INPUTS_MAX).unwrap_or_default();
    items.iter().filter_map(|item| read_argument(desk, &item.at, &item.raw)).collect()
}

fn read_argument(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Argument> {
    let mut members = Members::open(desk, at, raw)?;
    let kind = members.needed(desk, "type", NAME_CHARS_MAX)?;
    let hint = members.any_text(desk, "valueHint", NAME_CHARS_MAX);
    let kind = match kind.as_str() {
        "positional" => ArgumentKind::Positional { hint },
        "named" => ArgumentKind::Named { name: members.needed(desk, "name", NAME_CHARS_MAX)?, hint },
        other => {
            desk.refuse(&format!("{at}/type"), format!("{} is none of positional, named", shown(other)));
            return None;
        }
    };
    let is_repeated = members.flag(desk, "isRepeated");
    let input = Input::take(desk, &mut members);
    let variables = variables(desk, &mut members);
    let nameless = matches!(kind, ArgumentKind::Positional { hint: None }) && input.value.is_none();
    if nameless {
        desk.refuse(at, "a positional argument with neither \"value\" nor \"valueHint\"");
    }
    let input = Input { extra: members.rest(), ..input };
    Some(Argument { kind, is_repeated, input, variables })
}

/// Writes a server as the newest schema has it.
#[must_use]
pub fn write(server: &Server) -> Raw {
    let repository = server.repository.as_ref().map(Repository::write);
    Out::new()
        .text("$schema", SERVER_SCHEMA)
        .text("name", &server.name)
        .some_text("title", server.title.as_deref())
        .text("description", &server.description)
        .text("version", &server.version)
        .some_text("websiteUrl", server.website_url.as_deref())
        .maybe("repository", repository.as_ref())
        .list("icons", server.icons.iter().map(Icon::write))
        .list("packages", server.packages.iter().map(write_package))
        .list("remotes", server.remotes.iter().map(Remote::write))
        .maybe("_meta", server.meta.as_ref())
        .extra(&server.extra)
        .finish()
}

fn write_package(package: &Package) -> Raw {
    let transport = match &package.transport {
        Transport::Stdio => Out::new().text("type", "stdio").finish(),
        Transport::Http(remote) => remote.write(),
    };
    Out::new()
        .text("registryType", &package.registry_type)
        .some_text("registryBaseUrl", package.registry_base_url.as_deref())
        .text("identifier", &package.identifier)
        .some_text("version", package.version.as_deref())
        .some_text("fileSha256", package.file_sha256.as_deref())
        .some_text("runtimeHint", package.runtime_hint.as_deref())
        .raw("transport", &transport)
        .list("runtimeArguments", package.runtime_arguments.iter().map(write_argument))
        .list("packageArguments", package.package_arguments.iter().map(write_argument))
        .list("environmentVariables", package.environment_variables.iter().map(Named::write))
        .extra(&package.extra)
        .finish()
}

fn write_argument(argument: &Argument) -> Raw {
    let out = match &argument.kind {
        ArgumentKind::Positional { hint } => {
            Out::new().text("type", "positional").some_text("valueHint", hint.as_deref())
        }
        ArgumentKind::Named { name, hint } => {
            Out::new().text("type", "named").text("name", name).some_text("valueHint", hint.as_deref())
        }
    };
    let out = argument.input.write(out.some_flag("isRepeated", argument.is_repeated));
    write_variables(out, &argument.variables).finish()
}
