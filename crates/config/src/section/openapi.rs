//! A web API behind the gateway.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Glob, Secret, Span};

/// A web API that an OpenAPI document describes: its operations become tools.
///
/// The document is read at the start and again when it has changed. One that cannot be used leaves the tools
/// as they were.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OpenApi {
    /// Where its document is: a file, or a URL with `http` or `https`. Required.
    ///
    /// OpenAPI 3.0 or 3.1 in JSON or YAML, up to 10 MiB. Nothing else is fetched, whatever it refers to. The
    /// upstream's `headers` go along to a URL at the host of the API alone. Since 0.1.
    #[schemars(length(min = 1))]
    pub document: String,

    /// Where the API is: what goes before the paths of the document.
    ///
    /// By default the first of the document's `servers`, which must be at the scheme, host and port of the
    /// document itself: a document does not say where credentials go. One in a file needs this key, and so
    /// does `auth`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,

    /// Which operations become tools, as patterns over their `operationId`, over method and path as in
    /// `GET:/pets/*`, or over a tag as in `tag:pets`. One that fits is enough.
    ///
    /// By default all; an empty list takes none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<Glob>>,

    /// Which operations do not, even where `include` names them, by the same patterns.
    ///
    /// Since 0.1.
    pub exclude: Vec<Glob>,

    /// What is shown where an operation demands it, by the names that the document has for its security
    /// schemes: a key, a token, or `name:password` for HTTP Basic.
    ///
    /// A scheme of tokens can also be met by `auth`, and one of a header by `headers`. The upstream is not
    /// used as long as an operation that becomes a tool demands something that is not given; `tidegate
    /// upstreams` says what. Since 0.1.
    pub credentials: BTreeMap<String, Secret>,

    /// Whether tools say what their answers look like.
    ///
    /// An answer that is something else is an error then, as clients would refuse it. Switch it off for a
    /// server that does not keep to its own document. Since 0.1.
    pub outputs: bool,

    /// How often it is looked whether the document has changed: a file by its date and size, a URL by asking
    /// for what is new (`ETag`, `Last-Modified`).
    ///
    /// By default `1s` for a file and `5m` for a URL. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Span>,
}

impl Default for OpenApi {
    fn default() -> Self {
        Self {
            document: String::new(),
            server: None,
            include: None,
            exclude: Vec::new(),
            credentials: BTreeMap::new(),
            outputs: true,
            refresh: None,
        }
    }
}

impl OpenApi {
    /// Whether the document is behind a URL.
    #[must_use]
    pub fn is_url(&self) -> bool {
        self.document.contains("://")
    }

    /// How often it is looked whether the document has changed.
    #[must_use]
    pub fn refresh(&self) -> Span {
        let default = if self.is_url() { Span::from_mins(5) } else { Span::from_secs(1) };
        self.refresh.unwrap_or(default)
    }

    /// Whether an operation becomes a tool.
    #[must_use]
    pub fn selects(&self, operation_id: Option<&str>, method: &str, path: &str, tags: &[&str]) -> bool {
        let place = format!("{method}:{path}");
        let tags: Vec<String> = tags.iter().map(|tag| format!("tag:{tag}")).collect();
        let fits = |glob: &Glob| {
            operation_id.is_some_and(|id| glob.matches(id))
                || glob.matches(&place)
                || tags.iter().any(|tag| glob.matches(tag))
        };
        self.include.as_ref().is_none_or(|list| list.iter().any(fits)) && !self.exclude.iter().any(fits)
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        self.credentials.values_mut().for_each(|secret| secret.anchor(folder));
        if !self.is_url() && !self.document.is_empty() {
            self.document = folder.join(&self.document).to_string_lossy().into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(list: &[&str]) -> Vec<Glob> {
        list.iter().map(|text| Glob::new(text).expect("a pattern")).collect()
    }

    #[test]
    fn operations_are_chosen_by_name_by_place_or_by_tag_and_what_is_left_out_stays_out() {
        let chosen = |include: &[&str], exclude: &[&str]| {
            let section =
                OpenApi { include: Some(globs(include)), exclude: globs(exclude), ..OpenApi::default() };
            let all = [
                (Some("listPets"), "GET", "/pets", &["pets"][..]),
                (Some("dropPet"), "DELETE", "/pets/{id}", &["pets", "danger zone"][..]),
                (None, "GET", "/health", &[][..]),
            ];
            all.map(|(id, method, path, tags)| section.selects(id, method, path, tags))
        };
        assert_eq!(chosen(&["*Pet*"], &[]), [true, true, false]);
        assert_eq!(chosen(&["GET:*"], &[]), [true, false, true]);
        assert_eq!(chosen(&["tag:pets"], &["tag:danger?zone"]), [true, false, false]);
        assert_eq!(chosen(&["*"], &["DELETE:/pets/*"]), [true, false, true]);
        assert_eq!(chosen(&[], &[]), [false, false, false]);
        let all = OpenApi::default();
        assert!(all.selects(None, "POST", "/x", &[]));
    }

    #[test]
    fn a_file_is_looked_at_more_often_than_a_url_is_asked() {
        let of = |document: &str| OpenApi { document: document.to_owned(), ..OpenApi::default() };
        assert_eq!(of("pets.yaml").refresh(), Span::from_secs(1));
        assert_eq!(of("https://a.example/openapi.json").refresh(), Span::from_mins(5));
        let mut file = of("pets.yaml");
        file.anchor(Path::new("/etc/tidegate"));
        assert_eq!(file.document, "/etc/tidegate/pets.yaml");
        let mut url = of("https://a.example/openapi.json");
        url.anchor(Path::new("/etc/tidegate"));
        assert_eq!(url.document, "https://a.example/openapi.json");
    }
}
