//! The documents that are made from the types are those in the repository.

use std::path::PathBuf;

use serde_json::json;

fn hold(name: &str, content: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, content).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == content,
        "docs/reference/{name} is old: run UPDATE_DOCS=1 cargo test -p tidegate-config"
    );
}

#[test]
fn the_reference_page_is_that_of_the_types() {
    hold("config.md", &tidegate_config::reference());
}

#[test]
fn the_schema_file_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&tidegate_config::schema()).expect("a schema is JSON");
    hold("config.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_schema_file_of_overlays_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&tidegate_config::overlay_schema()).expect("a schema is JSON");
    hold("config.overlay.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_usual_overlays_are_valid_as_overlays_and_nothing_wrong_is() {
    let overlays = jsonschema::validator_for(&tidegate_config::overlay_schema()).expect("a schema");
    let files = jsonschema::validator_for(&tidegate_config::schema()).expect("a schema");
    let file =
        json!({"upstreams": {"crm": {"url": "https://crm.example.com/mcp"}}, "rates": [{"name": "a"}]});
    assert!(files.is_valid(&file) && overlays.is_valid(&file));
    for overlay in [
        json!({"upstreams": {"crm": {"hide": ["delete_*"]}}}),
        json!({"upstreams": {"ops": null}}),
        json!({"upstreams": {"crm": {"url": null, "command": ["srv"], "timeouts": {"connect": null}}}}),
        json!({"upstreams": {"crm": {"headers": {"authorization": null, "x": {"env": "X"}}}}}),
        json!({"tls": {"cert": "/etc/ssl/other.pem"}, "auth": null, "listen": "${listen}"}),
        json!({"audit": {"exports": {"siem": {"s3": {"bucket": "other"}}}}}),
    ] {
        assert!(overlays.is_valid(&overlay), "{overlay}: {:?}", overlays.validate(&overlay).err());
        assert!(!files.is_valid(&overlay), "{overlay} is no overlay");
    }
    for wrong in [
        json!({"upstreams": {"crm": {"hide": "delete_*"}}}),
        json!({"upstreams": {"crm": {"hidden": []}}}),
        json!({"upstreams": []}),
        json!({"limits": {"page_size": 0}}),
        // What stands in place of a list is whole.
        json!({"rates": [{"per": "tenant"}]}),
        json!({"rates": [null]}),
    ] {
        assert!(!overlays.is_valid(&wrong), "{wrong}");
    }
}
