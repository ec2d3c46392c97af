//! Where a document says that its servers are. Whoever runs the gateway decides; this is what is offered.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A server of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address, with variables in braces.
    pub url: String,
    /// What it is.
    pub description: Option<String>,
    /// What the variables may be.
    pub variables: BTreeMap<String, Variable>,
}

/// A variable of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// What it is unless somebody says otherwise.
    pub default: String,
    /// All that it may be; anything where this is empty.
    pub values: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// Why an address cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerFault {
    /// A variable that the server does not have.
    #[error("the server has no variable {0:?}")]
    NoVariable(String),
    /// A value that is not one of those that are possible.
    #[error("the variable {name:?} may be {values:?}")]
    NotOne {
        /// Which variable.
        name: String,
        /// What it may be.
        values: Vec<String>,
    },
    /// A value that would change more of the address than its own part.
    #[error("the variable {0:?} may have letters, digits, '-', '.', '_', and '/' alone")]
    Characters(String),
    /// No address that can be called.
    #[error("the server's address {0:?} is no http or https address without query")]
    Address(String),
}

impl Server {
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let text = |object: &Map<String, Value>, name: &str| {
            object.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        let object = value.as_object()?;
        let variable = |(name, value): (&String, &Value)| {
            let object = value.as_object()?;
            let default = match object.get("default")? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let values = object.get("enum").and_then(Value::as_array).into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            Some((name.clone(), Variable { default, values, description: text(object, "description") }))
        };
        let variables = object.get("variables").and_then(Value::as_object).into_iter().flatten();
        Some(Self {
            url: text(object, "url")?,
            description: text(object, "description"),
            variables: variables.filter_map(variable).collect(),
        })
    }

    /// Its address with these values for variables, and defaults for the others; relative ones as seen from
    /// where the document was read.
    ///
    /// # Errors
    /// [`ServerFault`] where a value does not fit, or where this is no address that can be called.
    pub fn address(
        &self,
        values: &BTreeMap<String, String>,
        document: Option<&str>,
    ) -> Result<String, ServerFault> {
        if let Some(name) = values.keys().find(|name| !self.variables.contains_key(*name)) {
            return Err(ServerFault::NoVariable(name.clone()));
        }
        let mut url = self.url.clone();
        for (name, variable) in &self.variables {
            let value = values.get(name).unwrap_or(&variable.default);
            if !variable.values.is_empty() && !variable.values.contains(value) {
                return Err(ServerFault::NotOne { name: name.clone(), values: variable.values.clone() });
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
            // What the document offers may be an address whole; a value of somebody's own may not.
            let offered = *value == variable.default || variable.values.contains(value);
            if !offered && !value.chars().all(plain) || value.contains("..") {
                return Err(ServerFault::Characters(name.clone()));
            }
            url = url.replace(&format!("{{{name}}}"), value);
        }
        absolute(&url, document).ok_or(ServerFault::Address(url))
    }
}

fn absolute(url: &str, document: Option<&str>) -> Option<String> {
    let whole = match url.starts_with("http://") || url.starts_with("https://") {
        true => url.to_owned(),
        // With two strokes it would be another host, with a colon another scheme.
        false if url.starts_with("//") || url.split('/').next().is_some_and(|p| p.contains(':')) => {
            return None;
        }
        false => {
            let base: http::Uri = document?.parse().ok()?;
            let origin = format!("{}://{}", base.scheme_str()?, base.authority()?);
            match url.strip_prefix('/') {
                Some(_) => format!("{origin}{url}"),
                None => {
                    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
                    format!("{origin}{folder}/{}", url.trim_start_matches("./"))
                }
            }
        }
    };
    let parsed: http::Uri = whole.parse().ok()?;
    let web = matches!(parsed.scheme_str(), Some("http" | "https"));
    let plain = parsed.query().is_none() && !whole.contains(['#', '{', '}', '\\']);
    let no_user = parsed.authority().is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
    let dots = parsed.path().split('/').any(|segment| matches!(segment, "." | ".."));
    (web && plain && no_user && !dots).then(|| whole.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(json: Value) -> Server {
        Server::read(&json).expect("a server")
    }

    fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn variables_are_put_in_and_cannot_leave_their_part() {
        let s = server(serde_json::json!({
            "url": "https://{region}.api.example/{base}/",
            "variables": { "region": { "default": "eu", "enum": ["eu", "us"] }, "base": { "default": "v2" } },
        }));
        assert_eq!(s.address(&with(&[]), None).as_deref(), Ok("https://eu.api.example/v2"));
        assert_eq!(
            s.address(&with(&[("region", "us"), ("base", "v3")]), None).as_deref(),
            Ok("https://us.api.example/v3")
        );
        assert!(matches!(s.address(&with(&[("region", "evil")]), None), Err(ServerFault::NotOne { .. })));
        for bad in ["a@b", "x?y", "#", "..", "a/../b", "a b", "%2e"] {
            assert!(
                matches!(s.address(&with(&[("base", bad)]), None), Err(ServerFault::Characters(_))),
                "{bad}"
            );
        }
        assert!(matches!(s.address(&with(&[("no", "x")]), None), Err(ServerFault::NoVariable(_))));
    }

    #[test]
    fn a_relative_address_is_seen_from_the_document() {
        let at = Some("https://shop.example/docs/openapi.json");
        let address = |url: &str| server(serde_json::json!({ "url": url })).address(&with(&[]), at);
        assert_eq!(address("/v1").as_deref(), Ok("https://shop.example/v1"));
        assert_eq!(address("v1").as_deref(), Ok("https://shop.example/docs/v1"));
        assert_eq!(address("/").as_deref(), Ok("https://shop.example"));
        for bad in [
            "ftp://x.example",
            "https://u:p@x.example",
            "https://x.example/?a=b",
            "//x.example/",
            "/../x",
            "https://{h}.x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
