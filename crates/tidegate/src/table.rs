//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

use crate::out;

/// A table with these headings.
pub fn new(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().map(|h| h.to_uppercase()));
    table
}

/// The table as text, without the blanks that only fill its last column.
pub fn text(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// What the upstreams are and how they do, with what is wrong below.
pub fn upstreams(rows: &[server::UpstreamRow]) -> String {
    let kinds = ["tools", "resources", "prompts"];
    let mut table =
        new(&[&["upstream", "transport", "era", "revision"], &kinds[..], &["latency", "health"]].concat());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        table.add_row(vec![
            row.name.clone(),
            row.transport.to_owned(),
            or_dash(row.revision.map(|r| r.era().to_string())),
            or_dash(row.revision.map(|r| r.to_string())),
            or_dash(row.tools.map(|n| n.to_string())),
            or_dash(row.resources.map(|n| n.to_string())),
            or_dash(row.prompts.map(|n| n.to_string())),
            or_dash(row.latency.map(|l| format!("{:.1} ms", l.as_secs_f64() * 1_000.0))),
            row.state.replace('_', " "),
        ]);
    }
    // Causes are too long for a column.
    let causes = rows.iter().filter_map(|row| Some((&row.name, out::plain(row.error.as_ref()?))));
    let causes: String = causes.map(|(name, cause)| format!("\n {name}: {cause}")).collect();
    let gap = if causes.is_empty() { "" } else { "\n" };
    format!("{}{gap}{causes}", text(&table))
}
