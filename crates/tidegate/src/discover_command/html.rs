//! A report as a page: one file, no script, nothing fetched. All that others wrote is escaped.

use std::fmt::Write as _;

use discovery::contradict::Contradiction;
use discovery::moment_to_text;
use model::Timestamp;
use scout::{CardReport, Report};

use super::severity;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;\
padding:0 1rem;color:#1c1c1c;background:#fff}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:\
top;padding:.35rem .6rem;border-bottom:1px solid #ddd;overflow-wrap:anywhere}th{font-weight:600}\
.serious{color:#a40000}.warning{color:#8a5a00}.note,.why{color:#555}code{font-size:.92em}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}th,td{border-color:#333}\
.serious{color:#ff8a80}.warning{color:#ffcc80}.note,.why{color:#aaa}}";

/// The page.
pub fn page(report: &Report, at: Timestamp) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ");
    out.push_str("style-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n");
    let sum = &report.summary;
    let _ = write!(
        out,
        "<title>What is published</title>\n<style>{STYLE}</style>\n<h1>What is published</h1>\n<p>{} asked \
         on {}: {} with something published, {} without, {} refused, {} unreachable; {} cards, {} servers \
         answered; {} serious contradictions, {} warnings.</p>\n",
        sum.seeds,
        escaped(&moment_to_text(at)),
        sum.found,
        sum.absent,
        sum.refused,
        sum.unreachable,
        sum.cards,
        sum.answered,
        sum.serious,
        sum.warnings
    );
    domains(&mut out, report);
    out.push_str("<h2>Cards</h2>\n");
    for (url, card) in &report.cards {
        one(&mut out, url, card);
    }
    out
}

fn domains(out: &mut String, report: &Report) {
    out.push_str("<h2>Domains</h2>\n<table>\n<tr><th>Domain<th>State<th>Cards\n");
    for seed in &report.seeds {
        let _ = write!(out, "<tr><td>{}<td>{}", escaped(&seed.seed), seed.state.word());
        if let Some(why) = &seed.why {
            let _ = write!(out, " <span class=\"why\">{}</span>", escaped(why));
        }
        for fault in seed.catalog.iter().flat_map(|catalog| &catalog.faults) {
            let _ = write!(out, "<br><span class=\"why\">{}</span>", escaped(fault));
        }
        out.push_str("<td>");
        for entry in &seed.entries {
            let name = report.cards.get(&entry.url).map_or(entry.url.as_str(), |card| &card.name);
            let _ = write!(out, "{}: {}", escaped(name), entry.state.word());
            if let Some(why) = &entry.why {
                let _ = write!(out, " <span class=\"why\">{}</span>", escaped(why));
            }
            out.push_str("<br>");
            contradictions(out, &entry.contradictions);
        }
        out.push('\n');
    }
    out.push_str("</table>\n");
}

fn one(out: &mut String, url: &str, card: &CardReport) {
    let title = card.title.as_deref().unwrap_or(&card.name);
    let _ = write!(
        out,
        "<h3>{}</h3>\n<p>{}<br><code>{}</code> {} from <code>{}</code></p>\n",
        escaped(title),
        escaped(&card.description),
        escaped(&card.name),
        escaped(&card.version),
        escaped(url)
    );
    for fault in &card.faults {
        let _ = writeln!(out, "<p class=\"why\">{}</p>", escaped(fault));
    }
    if !card.remotes.is_empty() {
        out.push_str("<table>\n<tr><th>URL<th>Transport<th>Promised<th>Live\n");
    }
    for remote in &card.remotes {
        let live = remote.live.as_ref().map_or_else(String::new, |live| {
            let name = live.name.as_deref().unwrap_or_default();
            let why = live.why.as_deref().unwrap_or_default();
            format!("{} {name} {} {why}", live.standing.word(), live.versions.join(", "))
        });
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code><td>{}<td>{}<td>{}",
            escaped(&remote.url),
            escaped(remote.kind),
            escaped(&remote.versions.join(", ")),
            escaped(live.trim())
        );
    }
    if !card.remotes.is_empty() {
        out.push_str("</table>\n");
    }
    contradictions(out, &card.contradictions);
}

fn contradictions(out: &mut String, all: &[Contradiction]) {
    for one in all {
        let class = severity(one.severity);
        let _ = writeln!(
            out,
            "<div class=\"{class}\">{class}: {}: {}</div>",
            escaped(one.about),
            escaped(&one.what)
        );
    }
}

/// Text that is text in every place of a page, also between quotes, and stays in its order.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::out::plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text_wherever_it_stands() {
        let evil = "</td><script>alert('1')</script>\" onload=\"x\u{202e}";
        let escaped = escaped(evil);
        for mark in ['<', '>', '"', '\'', '\u{202e}'] {
            assert!(!escaped.contains(mark), "{escaped}");
        }
    }
}
