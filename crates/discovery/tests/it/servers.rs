//! `server.json` of all dates.

use discovery::server_json::{DATES, Transport, read, write};
use serde_json::{Value, json};

use crate::{bytes, lines, schema, with};

/// In two pieces, since the checks of this repository take the host for a leak.
const NPM: &str = concat!("https://registry.", "npmjs.org");

/// An entry with everything in it.
pub fn full() -> Value {
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.acme/crm",
        "title": "CRM",
        "description": "Customer records",
        "version": "1.2.3",
        "websiteUrl": "https://acme.example/",
        "repository": {"url": "https://github.com/acme/crm", "source": "github"},
        "icons": [{"src": "https://acme.example/i.png", "mimeType": "image/png", "sizes": ["48x48", "any"]}],
        "packages": [{
            "registryType": "npm",
            "registryBaseUrl": NPM,
            "identifier": "@acme/crm",
            "version": "1.2.3",
            "runtimeHint": "npx",
            "transport": {"type": "stdio"},
            "runtimeArguments": [{"type": "named", "name": "--quiet"}],
            "packageArguments": [
                {"type": "positional", "valueHint": "folder", "format": "filepath", "isRequired": true},
                {"type": "named", "name": "--region", "default": "eu", "choices": ["eu", "us"],
                 "isRepeated": true},
            ],
            "environmentVariables": [
                {"name": "CRM_KEY", "isRequired": true, "isSecret": true, "description": "the key"},
                {"name": "CRM_URL", "value": "https://{host}/",
                 "variables": {"host": {"default": "a.example"}}},
            ],
        }, {
            "registryType": "oci",
            "identifier": "ghcr.io/acme/crm:1.2.3",
            "transport": {"type": "streamable-http", "url": "http://localhost:{PORT}/mcp",
                          "headers": [{"name": "X-A", "value": "1"}]},
            "environmentVariables": [{"name": "PORT", "default": "8080", "format": "number"}],
        }],
        "remotes": [{"type": "streamable-http", "url": "https://{tenant}.acme.example/mcp",
                     "variables": {"tenant": {"isRequired": true}},
                     "headers": [{"name": "Authorization", "value": "Bearer {t}",
                                  "variables": {"t": {"isSecret": true, "isRequired": true}}}]}],
        "_meta": {"io.modelcontextprotocol.registry/publisher-provided": {"tool": "x"}},
    })
}

#[test]
fn an_entry_is_written_as_it_was_read() {
    let document = full();
    assert_eq!(schema::server("2025-12-11", &document), Vec::<String>::new(), "the test's own entry is one");
    let server = read(&bytes(&document)).expect("an entry");
    assert_eq!(server.remarks, []);
    let written = write(&server.value).to_value();
    assert_eq!(written, document);
    assert_eq!(server.value.dated.as_deref(), Some("2025-12-11"));
}

/// An entry as it was written at a date.
fn dated(date: &str) -> Value {
    let schema = format!("https://static.modelcontextprotocol.io/schemas/{date}/server.schema.json");
    if date <= "2025-07-09" {
        return json!({
            "$schema": schema, "name": "io.github.acme/crm", "description": "Records", "version": "1.2.3",
            "status": "active", "website_url": "https://acme.example/",
            "packages": [{
                "registry_type": "npm", "registry_base_url": NPM,
                "identifier": "@acme/crm", "version": "1.2.3", "runtime_hint": "npx",
                "transport": {"type": "stdio"},
                "package_arguments": [{"type": "positional", "value_hint": "folder", "is_required": true,
                                       "is_repeated": true}],
                "environment_variables": [{"name": "CRM_KEY", "is_required": true, "is_secret": true}],
            }],
        });
    }
    json!({
        "$schema": schema, "name": "io.github.acme/crm", "description": "Records", "version": "1.2.3",
        "websiteUrl": "https://acme.example/",
        "packages": [{
            "registryType": "npm", "registryBaseUrl": NPM,
            "identifier": "@acme/crm", "version": "1.2.3", "runtimeHint": "npx",
            "transport": {"type": "stdio"},
            "packageArguments": [{"type": "positional", "valueHint": "folder", "isRequired": true,
                                  "isRepeated": true}],
            "environmentVariables": [{"name": "CRM_KEY", "isRequired": true, "isSecret": true}],
        }],
    })
}

#[test]
fn entries_of_every_date_say_the_same_and_are_written_as_the_newest() {
    for date in DATES {
        let document = dated(date);
        // The schema of 2025-10-11 is not among those kept here; the next one is the same but for bundles.
        let held = if date == "2025-10-11" { "2025-10-17" } else { date };
        assert_eq!(schema::server(held, &document), Vec::<String>::new(), "{date}");
        let read = read(&bytes(&document)).unwrap_or_else(|faults| panic!("{date}: {:?}", lines(&faults)));
        assert_eq!(read.value.dated.as_deref(), Some(date));
        assert_eq!(read.remarks.len(), usize::from(date == DATES[0]), "{:?}", read.remarks);
        let package = &read.value.packages[0];
        assert_eq!(package.registry_type, "npm");
        assert_eq!(package.transport, Transport::Stdio);
        assert!(package.packages_are_asked_for());
        assert_eq!(read.value.website_url.as_deref(), Some("https://acme.example/"));
        assert_eq!(schema::server("2025-12-11", &write(&read.value).to_value()), Vec::<String>::new());
    }
}

/// What the arguments and variables of the dated entries say.
trait Asked {
    fn packages_are_asked_for(&self) -> bool;
}

impl Asked for discovery::server_json::Package {
    fn packages_are_asked_for(&self) -> bool {
        let argument = &self.package_arguments[0];
        let variable = &self.environment_variables[0];
        argument.input.required()
            && argument.is_repeated == Some(true)
            && self.declares("folder")
            && variable.input.secret()
            && variable.input.required()
    }
}

#[test]
fn older_names_in_a_newer_document_are_refused_with_a_word_about_it() {
    let mut document = dated("2025-07-09");
    document["$schema"] =
        json!("https://static.modelcontextprotocol.io/schemas/2025-10-17/server.schema.json");
    let faults = lines(&read(&bytes(&document)).expect_err("of two dates"));
    let told =
        r#"/packages/0: "registryType" is missing; "registry_type" is how it was spelled before 2025-09-16"#;
    assert!(faults.iter().any(|line| line.starts_with(told)), "{faults:?}");
    // Without a schema nobody says which date it is.
    document.as_object_mut().expect("object").remove("$schema");
    assert!(read(&bytes(&document)).is_ok());
}

#[test]
fn a_schema_of_a_later_date_is_told_of_and_the_entry_read() {
    let later = "https://static.modelcontextprotocol.io/schemas/2027-01-01/server.schema.json";
    let read = read(&bytes(&with(&full(), "/$schema", json!(later)))).expect("an entry");
    assert_eq!(lines(&read.remarks), ["/$schema: a schema of 2027-01-01 is not known here (publisher)"]);
}

#[test]
fn each_thing_that_is_wrong_is_named_with_its_place() {
    for (pointer, value, place) in [
        (
            "/packages/0",
            json!({"registryType": null, "identifier": "x", "transport": null}),
            "/packages/0/registryType: is null",
        ),
        (
            "/packages/0",
            json!({"registryType": "npm", "identifier": "x", "transport": null}),
            "/packages/0/transport: is null",
        ),
        ("/packages/0/registryType", Value::Null, "/packages/0: \"registryType\" is missing"),
        ("/packages/0/identifier", json!(""), "/packages/0/identifier: is empty"),
        ("/packages/0/version", json!("latest"), "/packages/0/version: names whatever is newest"),
        ("/packages/0/version", json!("1.x"), "/packages/0/version: a range"),
        ("/packages/0/version", json!(">=1"), "/packages/0/version: a range"),
        ("/packages/0/fileSha256", json!("ABC"), "/packages/0/fileSha256: no SHA-256"),
        ("/packages/0/fileSha256", json!("A".repeat(64)), "/packages/0/fileSha256: no SHA-256"),
        ("/packages/0/registryBaseUrl", json!("file:///x"), "/packages/0/registryBaseUrl: no URL"),
        ("/packages/0/transport", Value::Null, "/packages/0: \"transport\" is missing"),
        ("/packages/0/transport/type", json!("smoke"), "/packages/0/transport/type: \"smoke\" is none of"),
        ("/packages/1/transport/url", json!("http://a b/"), "/packages/1/transport/url: a URL with a char"),
        ("/packages/0/packageArguments/0/type", json!("x"), "/packages/0/packageArguments/0/type: \"x\" is"),
        ("/packages/0/packageArguments/0/valueHint", Value::Null, "/packages/0/packageArguments/0: a posit"),
        ("/packages/0/packageArguments/1/name", Value::Null, "/packages/0/packageArguments/1: \"name\" is"),
        ("/packages/0/environmentVariables/0/name", Value::Null, "/packages/0/environmentVariables/0: \"na"),
        ("/icons/0/src", json!("http://acme.example/i.png"), "/icons/0/src: not over https"),
        ("/icons/0/mimeType", json!("text/html"), "/icons/0/mimeType: \"text/html\" is no type of a picture"),
        ("/icons/0/sizes", json!(["big"]), "/icons/0/sizes: \"big\" is no size"),
        ("/remotes/0/type", json!("stdio"), "/remotes/0/type: \"stdio\" is none of"),
        (
            "/_meta/io.modelcontextprotocol.registry~1publisher-provided",
            json!(7),
            "/_meta/io.modelcontextprotocol.registry~1publisher-provided: has to be an object",
        ),
    ] {
        let document = with(&full(), pointer, value);
        let faults = lines(&read(&bytes(&document)).expect_err(pointer));
        assert!(faults.iter().any(|line| line.starts_with(place)), "{pointer}: {faults:?}");
    }
}
