//! What is to be added: where it comes from, and what its document says.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use discovery::card::{self, CARD_BYTES_MAX, Card};
use discovery::registry::{Entry, Status};
use discovery::server_json::{self, SERVER_BYTES_MAX, Server};
use discovery::{Address, CARD_SUFFIX, Fault, Reach};
use scout::{BUNDLE_BYTES_MAX, Bundle, Fetcher, Got, Reaching, Wanted};

use super::api::Api;
use super::{Arguments, Kind};
use crate::exit::{Coded, REFUSED, USAGE, failed};
use crate::registry_command;

/// How URLs of OpenAPI documents end.
const API_NAMES: [&str; 4] = ["openapi.json", "swagger.json", ".yaml", ".yml"];

/// Redirects that are followed for one document.
const MOVES_MAX: usize = 3;

/// What is to be added.
pub enum Subject {
    /// A server whose URL somebody knows.
    Url(Address),
    /// A server by its card.
    Card(Box<Card>),
    /// A server as a registry knows it.
    Server(Box<Server>),
    /// A bundle.
    Bundle(Box<Bundle>),
    /// A web API by its OpenAPI document.
    Api(Box<Api>),
}

/// A document that was found, and what a person should know of it.
pub struct Found {
    pub subject: Subject,
    /// Where it comes from, in words.
    pub origin: String,
    pub remarks: Vec<String>,
}

/// Finds what somebody means.
pub async fn find(arguments: &Arguments) -> anyhow::Result<Found> {
    let what = arguments.what.as_str();
    let path = Path::new(what);
    if what.starts_with("http://") || what.starts_with("https://") {
        return by_url(arguments, what).await;
    }
    if path.is_file() {
        return by_file(arguments, path);
    }
    if arguments.kind.is_none_or(|kind| kind == Kind::Server) && what.contains('/') {
        return by_name(arguments, what);
    }
    let text = format!("find {what:?}: it is no URL, no file, and no name of a registry's entry");
    Err(Coded::new(USAGE, text).into())
}

async fn by_url(arguments: &Arguments, text: &str) -> anyhow::Result<Found> {
    let url = Address::parse(text).map_err(|error| Coded::new(USAGE, format!("use it: {error}")))?;
    let path = url.path_and_query();
    let guessed = match arguments.kind {
        Some(kind) => kind,
        None if path.ends_with(CARD_SUFFIX) => Kind::Card,
        None if path.ends_with(".mcpb") || path.ends_with(".dxt") => Kind::Bundle,
        None if path.ends_with("/server.json") => Kind::Server,
        None if API_NAMES.iter().any(|name| path.ends_with(name)) => Kind::OpenApi,
        None => Kind::Url,
    };
    let origin = url.as_str().to_owned();
    if guessed == Kind::Url {
        let mut remarks = Vec::new();
        if !url.is_https() && url.reach() != Reach::Loopback {
            remarks.push(
                "it is not reached over https: whoever is on the way can read and change all".to_owned(),
            );
        }
        return Ok(Found { subject: Subject::Url(url), origin, remarks });
    }
    let max = match guessed {
        Kind::Bundle => BUNDLE_BYTES_MAX,
        Kind::Card => CARD_BYTES_MAX,
        Kind::Server | Kind::Url => SERVER_BYTES_MAX,
        Kind::OpenApi => openapi::Limits::default().document_bytes_max,
    };
    let bytes = fetch(&url, arguments.private, max).await?;
    document(arguments, guessed, bytes, origin, Some(url))
}

/// Fetches one document. Each place to which it leads is held against the same guard.
pub async fn fetch(url: &Address, private: bool, bytes_max: usize) -> anyhow::Result<Bytes> {
    let total = std::time::Duration::from_secs(120);
    let fetcher = Fetcher::new(&Reaching { private, total, ..Reaching::default() }).map_err(failed)?;
    let mut at = url.clone();
    for _ in 0..=MOVES_MAX {
        let accept = "*/*";
        let wanted = Wanted { url: &at, accept, etag: None, bytes_max, authorization: None };
        match fetcher.get(&wanted).await {
            Got::Document(document) => return Ok(document.bytes),
            Got::Moved(to) => at = to,
            Got::Refused { why, .. } | Got::Later { why, .. } => {
                let hint = if private { "" } else { " (--private also goes to addresses of an own network)" };
                return Err(Coded::new(REFUSED, format!("fetch {}: {why}{hint}", at.as_str())).into());
            }
            Got::NotModified { .. } => break,
        }
    }
    Err(Coded::new(REFUSED, format!("fetch {}: it is moved in a circle", url.as_str())).into())
}

fn by_file(arguments: &Arguments, path: &Path) -> anyhow::Result<Found> {
    let size = path.metadata().with_context(|| format!("read {}", path.display()))?.len();
    if size > BUNDLE_BYTES_MAX as u64 {
        let text = format!("read {}: it is larger than {BUNDLE_BYTES_MAX} bytes", path.display());
        return Err(Coded::new(REFUSED, text).into());
    }
    let bytes = Bytes::from(std::fs::read(path).with_context(|| format!("read {}", path.display()))?);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let guessed = match arguments.kind {
        Some(Kind::Url) => {
            return Err(Coded::new(USAGE, format!("use {}: it is a file", path.display())).into());
        }
        Some(kind) => kind,
        None if bytes.starts_with(b"PK") => Kind::Bundle,
        None if is_api(name, &bytes) => Kind::OpenApi,
        None if name.contains("card") => Kind::Card,
        None => Kind::Server,
    };
    document(arguments, guessed, bytes, path.display().to_string(), None)
}

/// Whether a file is an OpenAPI document rather than an entry of a registry: none of those is YAML, and no
/// entry says which OpenAPI it follows.
fn is_api(name: &str, bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        openapi: Option<serde::de::IgnoredAny>,
        swagger: Option<serde::de::IgnoredAny>,
    }
    let head = || serde_json::from_slice::<Head>(bytes).ok();
    [".yaml", ".yml"].iter().any(|end| name.ends_with(end))
        || head().is_some_and(|head| head.openapi.is_some() || head.swagger.is_some())
}

fn document(
    arguments: &Arguments,
    kind: Kind,
    bytes: Bytes,
    origin: String,
    url: Option<Address>,
) -> anyhow::Result<Found> {
    let words = |faults: &[Fault]| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    let refused = |faults: Vec<Fault>| {
        let faults = words(&faults).join("\n  ");
        Coded::new(REFUSED, format!("take {origin}:\n  {faults}"))
    };
    let (subject, remarks) = match kind {
        Kind::Card => {
            let read = card::read(&bytes, card::Options::default()).map_err(refused)?;
            (Subject::Card(Box::new(read.value)), words(&read.remarks))
        }
        Kind::Server | Kind::Url => {
            let read = server_json::read(&bytes).map_err(refused)?;
            (Subject::Server(Box::new(read.value)), words(&read.remarks))
        }
        Kind::OpenApi => {
            let api = Api::read(arguments, &bytes, &origin, url)?;
            let remarks = vec![api.gist()];
            (Subject::Api(Box::new(api)), remarks)
        }
        Kind::Bundle => {
            let bundle = Bundle::read(bytes, arguments.sha256.as_deref())
                .map_err(|error| Coded::new(REFUSED, error.to_string()))?;
            let remarks = words(&bundle.remarks);
            (Subject::Bundle(Box::new(bundle)), remarks)
        }
    };
    Ok(Found { subject, origin, remarks })
}

/// An entry of a registry of which there is a copy: `NAME` or `NAME@VERSION`.
fn by_name(arguments: &Arguments, what: &str) -> anyhow::Result<Found> {
    let (name, version) = what.split_once('@').unwrap_or((what, "latest"));
    let copy = registry_command::copy_of(arguments.registries.clone(), arguments.registry.clone())?;
    let Some(Entry { server, official, .. }) = copy.entry(name, version) else {
        let text = format!("find {name} {version} in the copy of {}", copy.url);
        return Err(Coded::new(REFUSED, text).into());
    };
    let mut remarks = Vec::new();
    if official.status != Status::Active {
        let why = official.status_message.as_deref().unwrap_or("no reason is given");
        let text = format!("the registry says that it is {}: {why}", official.status.word());
        if official.status == Status::Deleted {
            return Err(Coded::new(REFUSED, format!("take {name}: {text}")).into());
        }
        remarks.push(text);
    }
    let subject = Subject::Server(Box::new(server.clone()));
    Ok(Found { subject, origin: format!("{} of {}", server.name, copy.url), remarks })
}

/// Where bundles are unpacked.
pub fn bundles(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let folder = arguments.bundles.clone().or_else(|| crate::state::folder("bundles"));
    let folder =
        folder.ok_or_else(|| Coded::new(USAGE, "know where bundles are: give --bundles".to_owned()))?;
    std::path::absolute(&folder).with_context(|| format!("find {}", folder.display()))
}
