//! The documents that are made from the types are those in the repository.

use std::path::PathBuf;

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
