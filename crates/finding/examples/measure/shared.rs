//! The catalog and the questions that ship with this crate, read for examples and tests.

use bytes::Bytes;
use finding::{Entry, Index, Limits, Synonyms};
use protocol::Raw;
use serde_json::{Map, Value, json};

const CATALOG: [&str; 2] =
    [include_str!("../../data/catalog-1.txt"), include_str!("../../data/catalog-2.txt")];
const QUESTIONS: &str = include_str!("../../data/questions.txt");

/// The tools of the catalog, each with its server, named as an endpoint of all servers would.
pub fn catalog() -> Vec<(String, Raw)> {
    let mut out = Vec::new();
    let mut server = "";
    for line in CATALOG.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("server ") {
            server = name;
            continue;
        }
        let mut parts = line.splitn(3, " | ");
        let (Some(name), Some(description)) = (parts.next(), parts.next()) else { continue };
        let entry = tool(&exposed(server, name), description, parts.next().unwrap_or_default());
        out.push((server.to_owned(), entry));
    }
    out
}

/// The name of a server's tool where several servers meet.
pub fn exposed(server: &str, name: &str) -> String {
    format!("{server}_{name}")
}

fn tool(name: &str, description: &str, parameters: &str) -> Raw {
    let property = |parameter: &str| {
        let (name, about) = parameter.split_once(": ")?;
        Some((name.to_owned(), json!({ "type": "string", "description": about })))
    };
    let properties: Map<String, Value> = parameters.split("; ").filter_map(property).collect();
    let schema = json!({ "type": "object", "properties": properties });
    let entry = json!({ "name": name, "description": description, "inputSchema": schema });
    Raw::parse(Bytes::from(entry.to_string())).unwrap_or_else(|_| Raw::literal("{}"))
}

/// An index over the catalog.
pub fn index() -> Index {
    let mut index = Index::new(Limits::default(), Synonyms::shipped_and([]));
    let catalog = catalog();
    let mut servers: Vec<&String> = catalog.iter().map(|(server, _)| server).collect();
    servers.dedup();
    for server in servers {
        let entries = catalog.iter().filter(|(of, _)| of == server).filter_map(|(_, raw)| Entry::read(raw));
        index.update(server, entries.collect());
    }
    index
}

/// A question, and the tools of which any would do.
pub struct Question {
    /// What is asked.
    pub text: &'static str,
    /// The names of tools.
    pub right: Vec<String>,
    /// Whether weights were chosen without it.
    pub held: bool,
}

/// The questions that ship.
pub fn questions() -> Vec<Question> {
    let mut held = false;
    let mut out = Vec::new();
    for line in QUESTIONS.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(" | ") {
            Some((text, right)) => {
                let right = right.split(", ").filter_map(|one| one.split_once('/'));
                let right = right.map(|(server, name)| exposed(server, name)).collect();
                out.push(Question { text, right, held });
            }
            None => held = line == "part held",
        }
    }
    out
}

/// The place of the first right tool, from 1, among the first `limit`.
pub fn place(index: &Index, question: &Question, limit: usize) -> Option<usize> {
    let hits = index.search(question.text, limit, None, &|_, _| true);
    let at = hits.iter().position(|hit| question.right.contains(&hit.entry.name));
    at.map(|at| at + 1)
}
