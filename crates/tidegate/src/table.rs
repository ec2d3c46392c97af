//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// A table with these headings.
pub fn new(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().map(|h| h.to_uppercase()));
    table
}

/// What the upstreams are and how they do.
pub fn upstreams(rows: &[server::UpstreamRow]) -> Table {
    let mut table =
        new(&["upstream", "transport", "era", "revision", "tools", "resources", "prompts", "health"]);
    let number = |n: &Option<usize>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for row in rows {
        let health = match &row.error {
            None => row.state.to_owned(),
            Some(error) => format!("{}: {error}", row.state),
        };
        table.add_row(vec![
            row.name.clone(),
            row.transport.to_owned(),
            row.revision.map_or_else(|| "-".to_owned(), |r| r.era().to_string()),
            row.revision.map_or_else(|| "-".to_owned(), |r| r.to_string()),
            number(&row.tools),
            number(&row.resources),
            number(&row.prompts),
            health,
        ]);
    }
    table
}
