//! What becomes of a document: `cargo run -p tidegate-openapi --example tools -- FILE [TOOL|all]`.

use std::collections::BTreeMap;

use openapi::{Document, Limits, Options};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        println!("usage: tools FILE [TOOL|all]");
        return;
    };
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) => return println!("{file}: {error}"),
    };
    let document = match Document::read(&bytes, &Limits::default()) {
        Ok(document) => document,
        Err(fault) => return println!("{file}: {fault}"),
    };
    let tools = match document.tools(&Options::default()) {
        Ok(tools) => tools,
        Err(fault) => return println!("{file}: {fault}"),
    };
    if arguments.len() == 0 {
        return overview(&document, bytes.len(), &tools);
    }
    let wanted = arguments.next().unwrap_or_default();
    for tool in tools.tools.iter().filter(|tool| wanted == "all" || tool.name == wanted) {
        println!("{}", tool.definition.as_text());
    }
}

fn overview(document: &Document, bytes: usize, tools: &openapi::Tools) {
    let sizes: Vec<usize> = tools.tools.iter().map(|tool| tool.definition.as_bytes().len()).collect();
    let count = |f: &dyn Fn(&openapi::Tool) -> bool| tools.tools.iter().filter(|tool| f(tool)).count();
    println!(
        "{}: {:?}, {} bytes, {} tools ({} bytes, the largest {}), {} left out",
        document.title,
        document.openapi(),
        bytes,
        tools.tools.len(),
        sizes.iter().sum::<usize>(),
        sizes.iter().max().copied().unwrap_or_default(),
        tools.left_out.len(),
    );
    println!(
        "  {} with an output schema, {} paged, {} with demands, {} deprecated, {} with notes; {} servers, \
         schemes {:?}",
        count(&|tool| tool.definition.get("outputSchema").is_some()),
        count(&|tool| tool.definition.as_text().contains("\"paging\":{")),
        count(&|tool| !tool.requirements.is_empty()),
        count(&|tool| tool.deprecated),
        count(&|tool| !tool.notes.is_empty()),
        document.servers.len(),
        document.schemes.values().map(openapi::Scheme::word).collect::<Vec<_>>(),
    );
    let mut why: BTreeMap<String, usize> = BTreeMap::new();
    for left in &tools.left_out {
        *why.entry(left.reason.to_string()).or_default() += 1;
    }
    for note in tools.tools.iter().flat_map(|tool| &tool.notes) {
        *why.entry(format!("note: {note}")).or_default() += 1;
    }
    for (reason, count) in why.iter().take(12) {
        println!("  {count} x {reason}");
    }
}
