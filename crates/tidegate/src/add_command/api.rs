//! A web API, by its OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use config::Glob;
use discovery::input::Format;
use discovery::launch::{Needed, Place as Goes};
use discovery::{Address, shown};
use openapi::{Document, Limits, Place, Requirement, Scheme, Tool};
use serde_json::json;

use super::edit::Line;
use super::plan::{Proposal, name_of};
use super::{Arguments, SecretPlace};
use crate::exit::{Coded, REFUSED, USAGE};

/// Tools beyond which a list is a long one for a model.
const TOOLS_MANY: usize = 40;

/// A document, and what is made of it.
pub struct Api {
    document: Document,
    tools: Vec<Tool>,
    left_out: Vec<String>,
    /// Where it is, as the configuration says it.
    place: String,
    /// Its URL, if it is not in a file.
    url: Option<Address>,
    sha256: String,
}

impl Api {
    /// Reads a document that was found at a URL, or in a file.
    pub fn read(
        arguments: &Arguments,
        bytes: &[u8],
        origin: &str,
        url: Option<Address>,
    ) -> anyhow::Result<Self> {
        let refused = |fault: openapi::Fault| Coded::new(REFUSED, format!("take {origin}: {fault}"));
        let document = Document::read(bytes, &Limits::default()).map_err(refused)?;
        let section = config::OpenApi {
            include: (!arguments.include.is_empty()).then(|| globs(&arguments.include)).transpose()?,
            exclude: globs(&arguments.exclude)?,
            ..config::OpenApi::default()
        };
        let select =
            |view: &openapi::View<'_>| section.selects(view.operation_id, view.method, view.path, view.tags);
        let options = openapi::Options { select: Some(&select), ..openapi::Options::default() };
        let made = document.tools(&options).map_err(refused)?;
        let left_out = made.left_out.iter();
        let left_out = left_out.map(|left| format!("{} {}: {}", left.method, left.path, left.reason));
        let left_out = left_out.collect();
        let place = match &url {
            Some(url) => url.as_str().to_owned(),
            None => {
                let path = std::path::absolute(Path::new(origin));
                path.with_context(|| format!("find {origin}"))?.display().to_string()
            }
        };
        let sha256 = seal::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { document, tools: made.tools, left_out, place, url, sha256 })
    }

    /// What it is, in words.
    pub fn gist(&self) -> String {
        let (title, version) = (shown(&self.document.title), shown(&self.document.version));
        format!("it describes {title}, version {version}: {} tools", self.tools.len())
    }

    /// The upstream that would be made of it.
    pub fn proposal(&self, arguments: &Arguments) -> anyhow::Result<Proposal> {
        let (server, reached) = self.server(arguments)?;
        let (needed, fits) = self.needed(arguments)?;
        let mut members = serde_json::Map::new();
        members.insert("document".to_owned(), json!(self.place));
        if let Some(server) = &server {
            members.insert("server".to_owned(), json!(server));
        }
        for (key, patterns) in [("include", &arguments.include), ("exclude", &arguments.exclude)] {
            if !patterns.is_empty() {
                members.insert(key.to_owned(), json!(patterns));
            }
        }
        let credentials: BTreeMap<&str, serde_json::Value> =
            arguments.secrets.iter().map(|(name, place)| (name.as_str(), kept(place))).collect();
        if !credentials.is_empty() {
            members.insert("credentials".to_owned(), json!(credentials));
        }
        let title: String = self.document.title.chars().take(200).collect();
        let lines: Vec<Line> = vec![
            ("openapi".to_owned(), serde_json::Value::Object(members)),
            ("description".to_owned(), json!(crate::out::plain(&title))),
        ];
        let name = arguments.name.clone().unwrap_or_else(|| name_of(&self.document.title));
        Ok(Proposal {
            name,
            lines,
            argv: None,
            url: Some(reached),
            sandbox: None,
            needed,
            faults: Vec::new(),
            risks: self.risks(),
            hashes: vec![format!("the document's SHA-256 is {}, and it may change", self.sha256)],
            fits,
        })
    }

    fn risks(&self) -> Vec<String> {
        let count = self.tools.len();
        let mut risks = Vec::new();
        if count > TOOLS_MANY {
            risks
                .push(format!("it has {count} tools, a long list for a model: --include takes some of them"));
        }
        if let [first, ..] = &*self.left_out {
            let left = self.left_out.len();
            risks.push(format!("{left} of its operations are no tools, the first of them {first}"));
        }
        risks
    }

    /// Where the API is, if that has to be written, and in any case. A document does not say to which host
    /// credentials go.
    fn server(&self, arguments: &Arguments) -> anyhow::Result<(Option<String>, String)> {
        if let Some(server) = &arguments.server {
            return Ok((Some(server.clone()), server.clone()));
        }
        let none = BTreeMap::new();
        let first = self.document.servers.first();
        let said = first.map(|server| server.address(&none, self.url.as_ref().map(Address::as_str)));
        let said = match said {
            Some(Ok(address)) => Some(address),
            None => self.url.as_ref().map(Address::origin),
            Some(Err(_)) => None,
        };
        let same = |address: &str| {
            let there = Address::parse(address).map(|there| there.origin());
            there.ok() == self.url.as_ref().map(Address::origin)
        };
        match said {
            Some(address) if same(&address) => Ok((None, address)),
            Some(address) => {
                let text = format!(
                    "know where the API is: the document says {}, which is not where it is itself; if that \
                     is right, write --server with it",
                    shown(&address)
                );
                Err(Coded::new(REFUSED, text).into())
            }
            None => {
                let text = "know where the API is: the document does not say it; give --server URL";
                Err(Coded::new(REFUSED, text.to_owned()).into())
            }
        }
    }

    /// What its tools demand, and whether what is given is enough for each of them.
    fn needed(&self, arguments: &Arguments) -> anyhow::Result<(Vec<Needed>, bool)> {
        let given: BTreeSet<&str> = arguments.secrets.iter().map(|(name, _)| name.as_str()).collect();
        let known = &self.document.schemes;
        if let Some(name) = given.iter().find(|name| !known.contains_key(**name)) {
            let all: Vec<String> = known.keys().take(8).map(|name| shown(name)).collect();
            let text =
                format!("use the secret {}: the document's schemes are {}", shown(name), all.join(", "));
            return Err(Coded::new(USAGE, text).into());
        }
        if let Some((key, _)) = arguments.set.first() {
            let text = format!("use --set {key}: a document asks for secrets alone; name where it is kept");
            return Err(Coded::new(USAGE, text).into());
        }
        let (mut wanted, mut lacking) = (BTreeSet::new(), BTreeSet::new());
        for tool in &self.tools {
            let all = tool.requirements.iter().flatten();
            wanted.extend(all.map(|need| need.scheme.clone()));
            let lacks = |all: &Requirement| -> Vec<String> {
                let names = all.iter().map(|need| need.scheme.clone());
                names.filter(|name| !given.contains(&**name)).collect()
            };
            let mut lacks = tool.requirements.iter().map(lacks);
            // Any one of them is enough; where none is met, the first one is asked for.
            if let Some(first) = lacks.next()
                && !first.is_empty()
                && lacks.all(|other| !other.is_empty())
            {
                lacking.extend(first);
            }
        }
        let needed = wanted.into_iter().map(|key| Needed {
            place: goes(known.get(&key)),
            description: Some(words(known.get(&key))),
            required: lacking.contains(&key),
            secret: true,
            format: Format::String,
            default: None,
            placeholder: None,
            choices: Vec::new(),
            repeated: false,
            answered: given.contains(&*key),
            key,
        });
        Ok((needed.collect(), lacking.is_empty()))
    }
}

fn globs(patterns: &[String]) -> anyhow::Result<Vec<Glob>> {
    let read = |text: &String| {
        Glob::new(text)
            .map_err(|error| Coded::new(USAGE, format!("use the pattern {text:?}: {error}")).into())
    };
    patterns.iter().map(read).collect()
}

fn kept(place: &SecretPlace) -> serde_json::Value {
    match place {
        SecretPlace::Env(name) => json!({ "env": name }),
        SecretPlace::File(file) => json!({ "file": file }),
    }
}

fn goes(scheme: Option<&Scheme>) -> Goes {
    match scheme {
        Some(Scheme::ApiKey { place: Place::Query, .. }) => Goes::Url,
        _ => Goes::Header,
    }
}

/// What a credential is.
fn words(scheme: Option<&Scheme>) -> String {
    match scheme {
        Some(Scheme::ApiKey { place, name }) => format!("a key in the {} {}", place.word(), shown(name)),
        Some(Scheme::Basic) => "a name and a password, as name:password".to_owned(),
        Some(Scheme::Bearer) => "a bearer token".to_owned(),
        Some(Scheme::OAuth2 { .. }) => "a token of OAuth 2.0, or \"auth\" later".to_owned(),
        Some(Scheme::OpenIdConnect { .. }) => "a token of OpenID Connect, or \"auth\" later".to_owned(),
        Some(Scheme::Http(_) | Scheme::MutualTls | Scheme::Unknown) | None => {
            "which the gateway cannot show: leave its operations out (--exclude)".to_owned()
        }
    }
}
