//! Documents of OpenAPI.

use openapi::{Document, Limits, Options};
use protocol::Raw;
use serde_json::json;

/// Any bytes as a document, and its tools with some arguments.
///
/// * What is read gives entries that a list can carry, each with a name of its own and a schema of an object.
/// * The same bytes give the same tools.
/// * A request stays below its path: as many segments as the document has, none of them dots.
///
/// # Panics
/// Where one of these does not hold.
pub fn openapi(data: &[u8]) {
    let limits = Limits { schemas_max: 100_000, ..Limits::default() };
    let options = Options { limits: limits.clone(), ..Options::default() };
    let Ok(document) = Document::read(data, &limits) else { return };
    let Ok(tools) = document.tools(&options) else { return };
    let again = document.tools(&options).expect("what was made once is made again");
    assert_eq!(tools.tools, again.tools);
    assert!(tools.tools.windows(2).all(|pair| pair[0].name < pair[1].name), "names are there once");
    for tool in &tools.tools {
        protocol::json::check(tool.definition.as_bytes()).expect("a list can carry it");
        let schema = tool.definition.get("inputSchema").expect("a schema");
        assert_eq!(schema.get("type").as_ref().and_then(Raw::as_str).as_deref(), Some("object"));
        for value in [json!("a/../b?c#d"), json!(["x", ".."]), json!({ "k": "%2e" }), json!(1.5)] {
            let arguments = tool.operation.places().map(|(name, ..)| (name.to_owned(), value.clone()));
            let arguments = Raw::from_value(&arguments.collect());
            let Ok(plan) = tool.operation.plan(Some(&arguments), &limits) else { continue };
            let target = plan.target();
            let path = target.split('?').next().unwrap_or_default();
            assert!(path.starts_with('/'), "{path}");
            assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")), "{path}");
            assert!(!target.contains(['#', ' ', '\r', '\n', '\\']), "{target}");
        }
    }
}
