//! A document, and the tools that are made of it.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::refs::Doc;
use crate::schema::{Work, known_dialect};
use crate::security::{Scheme, schemes};
use crate::tool::{Found, tool};
use crate::{Fault, Limits, Reason, Server, Tool, Version, names, read};

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    doc: Doc,
    /// What the interface is called.
    pub title: String,
    /// Its version, which is not that of OpenAPI.
    pub version: String,
    /// Where it says that its servers are.
    pub servers: Vec<Server>,
    /// The schemes that its operations may demand, by name.
    pub schemes: BTreeMap<String, Scheme>,
}

/// What of an operation decides whether it becomes a tool.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The method in capital letters.
    pub method: &'a str,
    /// The path as the document has it.
    pub path: &'a str,
    /// Its own name.
    pub operation_id: Option<&'a str>,
    /// What it is filed under.
    pub tags: &'a [&'a str],
    /// Whether the document advises against it.
    pub deprecated: bool,
}

/// How tools are made.
#[derive(Clone)]
pub struct Options<'a> {
    /// How much there may be.
    pub limits: Limits,
    /// Which operations; all where this is left out.
    pub select: Option<&'a dyn Fn(&View<'_>) -> bool>,
    /// Whether answers are described. Servers that do not keep to their own document are then found out.
    pub outputs: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { limits: Limits::default(), select: None, outputs: true }
    }
}

/// The tools of a document.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// By name.
    pub tools: Vec<Tool>,
    /// The operations that are no tools.
    pub left_out: Vec<LeftOut>,
}

/// An operation that did not become a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The method in capital letters.
    pub method: String,
    /// The path as the document has it.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

impl Tools {
    /// The tool of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.binary_search_by(|tool| tool.name.as_str().cmp(name)).ok().map(|at| &self.tools[at])
    }
}

const METHODS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

impl Document {
    /// Reads a document in JSON or YAML.
    ///
    /// # Errors
    /// [`Fault`] where it is too large, cannot be read, or is no document of OpenAPI 3.0 or 3.1.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Fault> {
        let (root, version) = read::read(bytes, limits)?;
        let info = |name: &str| match root.pointer(&format!("/info/{name}")) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        if !root.get("paths").is_none_or(Value::is_object) {
            return Err(Fault::Form("\"paths\" is no object".to_owned()));
        }
        let doc_version = version;
        let (title, version) = (info("title"), info("version"));
        let list = root.get("servers").and_then(Value::as_array).into_iter().flatten();
        let servers = list.filter_map(Server::read).collect();
        let doc = Doc { root, version: doc_version };
        let schemes = schemes(&doc);
        Ok(Self { doc, title, version, servers, schemes })
    }

    /// Which version of OpenAPI it follows.
    #[must_use]
    pub fn openapi(&self) -> Version {
        self.doc.version
    }

    /// Makes tools of its operations.
    ///
    /// # Errors
    /// [`Fault`] where there are too many or none. One that cannot be a tool is left out and named.
    pub fn tools(&self, options: &Options<'_>) -> Result<Tools, Fault> {
        let mut out = Tools::default();
        let found = self.found(options, &mut out.left_out)?;
        let wanted: Vec<(String, String)> = found
            .iter()
            .map(|f| {
                let own = f.operation.get("operationId").and_then(Value::as_str);
                (names::wanted(own, f.method, f.path), names::key(f.method, f.path))
            })
            .collect();
        let dialect = self.doc.root.get("jsonSchemaDialect").and_then(Value::as_str);
        let foreign = dialect.filter(|dialect| !known_dialect(dialect));
        let (work, mut bytes) = (Work(Cell::new(options.limits.schemas_max)), 0);
        for (found, name) in found.into_iter().zip(names::tools(&wanted)) {
            let made = match (foreign, self.other_server(&found)) {
                (Some(dialect), _) => Err(Reason::Dialect(dialect.chars().take(128).collect())),
                (None, Some(server)) => Err(Reason::Server(server)),
                (None, None) => tool(&self.doc, &work, found, name, &self.schemes, options),
            };
            match made {
                Ok(tool) => {
                    bytes += tool.definition.as_bytes().len();
                    if bytes > options.limits.tools_bytes_max {
                        return Err(Fault::TooMuch { max: options.limits.tools_bytes_max });
                    }
                    out.tools.push(tool);
                }
                Err(reason) => out.left_out.push(left_out(found.method, found.path, reason)),
            }
        }
        if out.tools.is_empty() {
            let why =
                out.left_out.first().map(|left| format!(": {} {}: {}", left.method, left.path, left.reason));
            return Err(Fault::Nothing(why.unwrap_or_default()));
        }
        out.tools.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    fn found<'d>(&'d self, options: &Options<'_>, left: &mut Vec<LeftOut>) -> Result<Vec<Found<'d>>, Fault> {
        let mut out = Vec::new();
        let max = options.limits.operations_max;
        let paths = self.doc.root.get("paths").and_then(Value::as_object);
        for (path, item) in paths.into_iter().flatten().filter(|(path, _)| path.starts_with('/')) {
            let item = match self.doc.resolve(item) {
                Ok(item) => item,
                Err(reason) => {
                    left.push(left_out("any", path, reason));
                    if left.len() > max {
                        return Err(Fault::TooMany { max });
                    }
                    continue;
                }
            };
            for method in METHODS {
                let Some(Value::Object(operation)) = item.get(method) else { continue };
                if options.select.is_some_and(|select| !selected(select, method, path, operation)) {
                    continue;
                }
                if out.len() == max {
                    return Err(Fault::TooMany { max });
                }
                out.push(Found { method, path, item, operation });
            }
        }
        Ok(out)
    }

    /// The address of an operation that lies elsewhere than the document's. Credentials for one server are
    /// none of the other's business.
    fn other_server(&self, found: &Found<'_>) -> Option<String> {
        let addresses = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Server::read).map(|server| server.url).collect()
        };
        let own = found.operation.get("servers").or_else(|| found.item.get("servers")).map(addresses)?;
        let home: Vec<String> = match self.doc.root.get("servers").map(addresses) {
            Some(home) if !home.is_empty() => home,
            _ => vec!["/".to_owned()],
        };
        own.iter().find(|address| !home.contains(address)).map(|address| address.chars().take(128).collect())
    }
}

fn selected(
    select: &dyn Fn(&View<'_>) -> bool,
    method: &str,
    path: &str,
    operation: &Map<String, Value>,
) -> bool {
    let tags: Vec<&str> = operation
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    select(&View {
        method: &method.to_ascii_uppercase(),
        path,
        operation_id: operation.get("operationId").and_then(Value::as_str),
        tags: &tags,
        deprecated: operation.get("deprecated") == Some(&Value::Bool(true)),
    })
}

fn left_out(method: &str, path: &str, reason: Reason) -> LeftOut {
    LeftOut { method: method.to_ascii_uppercase(), path: path.to_owned(), reason }
}
