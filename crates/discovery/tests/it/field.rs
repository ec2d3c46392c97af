//! Entries as they stand in the field, shortened: the official registry's seed of 2025-12-11 and the examples
//! of its documentation of 2025-07-09.

use discovery::launch::{Answers, PackagePlan, Rules, package, remote};
use discovery::server_json::read;
use serde_json::{Value, json};

use crate::{bytes, lines};

fn airtable() -> Value {
    let key = json!([{"description": "Airtable personal access token", "isRequired": true, "isSecret": true,
                      "name": "AIRTABLE_API_KEY"}]);
    let bundle =
        "https://github.com/domdomegg/airtable-mcp-server/releases/download/v1.7.2/airtable-mcp-server.mcpb";
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.domdomegg/airtable-mcp-server",
        "description": "Read and write access to Airtable database schemas, tables, and records.",
        "repository": {"url": "https://github.com/domdomegg/airtable-mcp-server.git", "source": "github"},
        "version": "1.7.2",
        "packages": [
            {"registryType": "npm", "identifier": "airtable-mcp-server", "version": "1.7.2",
             "runtimeHint": "npx", "transport": {"type": "stdio"}, "environmentVariables": key},
            {"registryType": "oci", "identifier": "docker.io/domdomegg/airtable-mcp-server:1.7.2",
             "runtimeHint": "docker", "transport": {"type": "stdio"}, "environmentVariables": key},
            {"registryType": "mcpb", "transport": {"type": "stdio"},
             "identifier": bundle,
             "fileSha256": "8220de07a08ebe908f04da139ea03dbfe29758141347e945da60535fb7bcca20"},
        ],
    })
}

fn time(kind: &str, identifier: &str, version: &str, hint: &str) -> Value {
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.domdomegg/time-mcp", "version": version,
        "description": "Get the current UTC time in RFC 3339 format.",
        "packages": [{"registryType": kind, "identifier": identifier, "version": version, "runtimeHint": hint,
                      "transport": {"type": "stdio"}}],
    })
}

/// With what the documentation's examples left out: `version` and `transport`.
fn filesystem() -> Value {
    json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-07-09/server.schema.json",
        "name": "io.github.modelcontextprotocol/filesystem", "version": "1.0.2", "status": "active",
        "description": "Node.js server implementing Model Context Protocol (MCP) for filesystem operations.",
        "packages": [{
            "registry_type": "oci", "registry_base_url": "https://docker.io", "identifier": "mcp/filesystem",
            "version": "1.0.2", "transport": {"type": "stdio"},
            "runtime_arguments": [{
                "type": "named", "name": "--mount", "value": "type=bind,src={source_path},dst={target_path}",
                "is_required": true, "is_repeated": true,
                "variables": {
                    "source_path": {"format": "filepath", "is_required": true},
                    "target_path": {"is_required": true, "default": "/project"},
                },
            }],
            "package_arguments": [{"type": "positional", "value_hint": "target_dir", "value": "/project"}],
            "environment_variables": [{"name": "LOG_LEVEL", "default": "info"}],
        }],
    })
}

/// The plans of all packages, one in a line.
fn plans(document: &Value, answers: &Answers) -> Vec<String> {
    let server = read(&bytes(document)).unwrap_or_else(|faults| panic!("{:?}", lines(&faults))).value;
    let plan = |one| match package(one, "/packages", answers, &Rules::default()).plan {
        Some(PackagePlan::Command(command)) => {
            command.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        Some(PackagePlan::Bundle(bundle)) => format!("fetch {} {}", bundle.url.host(), &bundle.sha256[..8]),
        None => "refused".to_owned(),
    };
    server.packages.iter().map(plan).collect()
}

#[test]
fn packages_of_the_field_become_plans() {
    let mut answers = Answers::default();
    assert_eq!(plans(&airtable(), &answers)[..2], ["refused", "refused"], "without its key");
    assert_eq!(
        [
            plans(&time("nuget", "TimeMcpServer", "1.0.8", "dnx"), &answers),
            plans(&time("pypi", "time-mcp-pypi", "1.0.6", "python"), &answers),
        ]
        .concat(),
        ["dnx TimeMcpServer@1.0.8 --yes --", "uvx time-mcp-pypi@1.0.6"]
    );
    answers.secrets.insert("AIRTABLE_API_KEY".to_owned());
    assert_eq!(
        plans(&airtable(), &answers)[..2],
        [
            "npx --yes airtable-mcp-server@1.7.2",
            "docker run -i --rm -e AIRTABLE_API_KEY docker.io/domdomegg/airtable-mcp-server:1.7.2",
        ]
    );
    assert_eq!(plans(&airtable(), &Answers::default())[2], "fetch github.com 8220de07");
    let mut answers = Answers::default();
    answers.values.insert("source_path".to_owned(), vec!["/srv/data".to_owned()]);
    let mount = "type=bind,src=/srv/data,dst=/project";
    let line = format!("docker run -i --rm -e LOG_LEVEL --mount {mount} mcp/filesystem:1.0.2 /project");
    assert_eq!(plans(&filesystem(), &answers), [line]);
    answers.values.insert("source_path".to_owned(), vec!["/srv/data,readonly=false,src=/etc".to_owned()]);
    assert_eq!(plans(&filesystem(), &answers), ["refused"], "a value that adds a field of its own");
    answers.values.insert("source_path".to_owned(), vec!["/srv,volume-driver=x".to_owned()]);
    assert_eq!(plans(&filesystem(), &answers), ["refused"], "whichever field");
}

#[test]
fn remotes_of_the_field_become_plans() {
    let document = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.getcyphrex/cyphrex-mcp", "title": "Cyphrex", "version": "0.1.0",
        "description": "Blockchain SSN for AI agents.",
        "remotes": [{"type": "streamable-http", "url": "https://mcp.cyphrex.io/mcp"}],
    });
    let server = read(&bytes(&document)).expect("an entry").value;
    let draft = remote(&server.remotes[0], "/remotes/0", &Answers::default(), &Rules::default());
    let plan = draft.plan.expect("a plan");
    assert_eq!((plan.url.as_str(), plan.headers.len()), ("https://mcp.cyphrex.io/mcp", 0));
    assert!(draft.needed.is_empty() && draft.faults.is_empty() && draft.risks.is_empty());
}

#[test]
fn documents_from_before_the_first_dated_schema_are_refused_with_a_word_about_it() {
    let document = json!({
        "name": "io.github.example/weather-mcp", "description": "Python MCP server for weather data access",
        "version_detail": {"version": "0.5.0"},
        "remotes": [{"transport_type": "sse", "url": "https://mcp.example/sse"}],
    });
    let faults = lines(&read(&bytes(&document)).expect_err("too old"));
    let word = "is how it was said before the first dated schema, of 2025-07-09 (publisher)";
    assert_eq!(
        faults,
        [
            format!("document: \"version\" is missing; \"version_detail\" {word}"),
            format!("/remotes/0: \"type\" is missing; \"transport_type\" {word}"),
        ]
    );
}
