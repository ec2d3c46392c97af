//! The results as a picture.

use super::figure::rounded;
use super::svg::{Anchor, Drawing};
use serde_json::Value;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 20.0;
/// Where bars begin; labels end before.
const BARS: f64 = 250.0;
/// Where the longest bar ends; values follow.
const END: f64 = 740.0;
const ROW: f64 = 19.0;
const BAR: f64 = 13.0;

/// A bar: its label, its value, what is written behind it, and its class.
struct Bar {
    label: String,
    value: f64,
    text: String,
    class: &'static str,
}

/// Draws what there is; a part that was not measured is left out.
pub fn draw(results: &Value) -> String {
    let mut drawing = Drawing::new(WIDTH);
    drawing.text((LEFT, 24.0), Anchor::Start, "note", &subtitle(results));
    calls(
        &mut drawing,
        results,
        "throughput",
        "Calls per second, 64 connections, 1 KiB in and out",
        "per_second",
    );
    calls(&mut drawing, results, "throughput", "Processor time of a call, µs", "cpu_us");
    calls(&mut drawing, results, "single", "One client: p50 of a call, µs", "p50_us");
    calls(&mut drawing, results, "paced", "1,000 calls/s: p99 of a call, µs", "p99_us");
    lists(&mut drawing, &results["details"]["lists"]);
    limits(&mut drawing, results);
    drawing.finish()
}

pub fn subtitle(results: &Value) -> String {
    let (machine, run) = (&results["machine"], &results["run"]);
    let memory = machine["memory_mib"].as_f64().unwrap_or_default() / 1024.0;
    format!(
        "{} cores, {} GiB, nginx {}; medians of {} rounds; load average {} before",
        machine["cores"],
        rounded(memory.round()),
        machine["nginx"].as_str().unwrap_or("missing"),
        run["rounds"],
        machine["load_average_before"],
    )
}

/// Room for a new part under what is there; gives back where its content begins.
pub fn heading(drawing: &mut Drawing, title: &str) -> f64 {
    let y = drawing.bottom() + 34.0;
    drawing.text((LEFT, y), Anchor::Start, "title", title);
    y + 14.0
}

/// One value of every site of a part.
fn calls(drawing: &mut Drawing, results: &Value, part: &str, title: &str, key: &str) {
    let Some(sites) = results["details"][part].as_object() else { return };
    let bars: Vec<Bar> = sites.iter().filter_map(|(name, site)| bar(name, site[key].as_f64()?)).collect();
    if bars.is_empty() {
        return;
    }
    let top = heading(drawing, title);
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    for (row, bar) in bars.iter().enumerate() {
        let y = top + row as f64 * ROW;
        drawing.text((BARS - 8.0, y + 10.0), Anchor::End, "", &bar.label);
        let width = bar.value / most * (END - BARS);
        drawing.bar((BARS, y), (width, BAR), bar.class);
        drawing.text((BARS + width + 6.0, y + 10.0), Anchor::Start, "", &bar.text);
    }
}

fn bar(name: &str, value: f64) -> Option<Bar> {
    let (kind, rest) = name.split_once('_')?;
    let (class, label) = match kind {
        "direct" => ("direct", format!("direct, {rest}")),
        "nginx" => ("nginx", format!("nginx, {rest}")),
        _ => ("own", format!("Tidegate, {}", rest.replace('_', " → "))),
    };
    Some(Bar { label, value, text: thousands(value), class })
}

/// A number with its thousands apart.
pub fn thousands(value: f64) -> String {
    if value < 1_000.0 {
        return rounded(value).to_string();
    }
    let digits = value.round().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How the time of a list grows.
fn lists(drawing: &mut Drawing, lists: &Value) {
    let Some(shapes) = lists.as_object() else { return };
    let series = |by: &str, fixed: &str, at: f64| -> Vec<(f64, f64)> {
        let all = shapes.values().filter(|shape| shape[fixed].as_f64() == Some(at));
        let mut points: Vec<_> =
            all.filter_map(|s| Some((s[by].as_f64()?, s["all_pages_p50_ms"].as_f64()?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let top = heading(drawing, "tools/list from cache, all pages, ms");
    let panels = [
        ("upstreams with 500 tools each", series("upstreams", "tools_each", 500.0), ("line", "dot")),
        ("tools of each of 20 upstreams", series("tools_each", "upstreams", 20.0), ("line2", "dot2")),
    ];
    for (index, (label, points, classes)) in panels.into_iter().enumerate() {
        let left = LEFT + 50.0 + index as f64 * 420.0;
        panel(drawing, (left, top), label, &points, classes);
    }
}

/// A line through the origin's corner, with both axes beginning at zero.
pub fn panel(
    drawing: &mut Drawing,
    (left, top): (f64, f64),
    label: &str,
    points: &[(f64, f64)],
    (line, dot): (&str, &str),
) {
    let (width, height) = (310.0, 130.0);
    let most = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(f64::MIN_POSITIVE, f64::max);
    let (most_x, most_y) = (most(|p| p.0), most(|p| p.1) * 1.15);
    // Where all is zero, so is the line.
    let most_y = if most_y < 1e-9 { 1.0 } else { most_y };
    let place = |(x, y): (f64, f64)| (left + x / most_x * width, top + height - y / most_y * height);
    for share in [0.0, 0.5, 1.0] {
        let y = top + height * (1.0 - share);
        drawing.line((left, y), (left + width, y), "grid");
        drawing.text((left - 6.0, y + 4.0), Anchor::End, "note", &rounded(most_y * share).to_string());
    }
    for (x, y) in points {
        let (at, _) = place((*x, *y));
        drawing.text((at, top + height + 15.0), Anchor::Middle, "note", &x.to_string());
    }
    let placed: Vec<_> = points.iter().map(|point| place(*point)).collect();
    drawing.path(&placed, line, dot);
    drawing.text((left + width / 2.0, top + height + 31.0), Anchor::Middle, "", label);
}

/// Every figure that has a limit, as a share of it.
fn limits(drawing: &mut Drawing, results: &Value) {
    let figures = results["figures"].as_array().map(Vec::as_slice).unwrap_or_default();
    let held: Vec<&Value> = figures.iter().filter(|figure| figure.get("met").is_some()).collect();
    if held.is_empty() {
        return;
    }
    let top = heading(drawing, "Figures and their limits");
    // The limit lies in the middle; what is far beyond ends at the border.
    let (begin, middle, end) = (480.0, 600.0, 720.0);
    for (row, figure) in held.iter().enumerate() {
        let y = top + row as f64 * ROW;
        let value = figure["value"].as_f64().unwrap_or_default();
        let (word, limit) = match (figure["at_most"].as_f64(), figure["at_least"].as_f64()) {
            (Some(limit), _) => ("≤", limit),
            (None, limit) => ("≥", limit.unwrap_or_default()),
        };
        let class = if figure["met"] == true { "own" } else { "missed" };
        let share = (value / limit.max(1e-9)).clamp(0.0, 2.0);
        drawing.text((LEFT, y + 10.0), Anchor::Start, "", figure["what"].as_str().unwrap_or_default());
        drawing.bar((begin, y), (share * (middle - begin), BAR), class);
        let unit = figure["unit"].as_str().unwrap_or_default();
        let text = format!("{} {unit} ({word} {limit})", thousands(value));
        drawing.text((end + 6.0, y + 10.0), Anchor::Start, "note", &text);
    }
    drawing.line((middle, top - 4.0), (middle, top + held.len() as f64 * ROW), "limit");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_measured_is_drawn_and_the_rest_left_out() {
        let results = json!({
            "machine": {"cores": 2, "memory_mib": 2048, "nginx": "1.0", "load_average_before": 0.5},
            "run": {"rounds": 5},
            "figures": [
                {"name": "a", "what": "a thing", "value": 1234.0, "unit": "µs",
                    "at_most": 1000.0, "met": false},
                {"name": "b", "what": "another", "value": 3.0, "unit": ""},
            ],
            "details": {"throughput": {
                "nginx_modern": {"per_second": 20_000.0, "cpu_us": 20.0},
                "tidegate_legacy_modern": {"per_second": 9_999.0, "cpu_us": 60.0},
            }},
        });
        let text = draw(&results);
        for part in ["Calls per second", "nginx, modern", "Tidegate, legacy → modern", "20,000", "9,999"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(text.contains("a thing") && text.contains("class=\"missed\"") && text.contains("1,234 µs"));
        assert!(!text.contains("another") && !text.contains("tools/list"));
    }

    #[test]
    fn large_numbers_have_their_thousands_apart() {
        assert_eq!(thousands(999.94), "999.9");
        assert_eq!(thousands(1_000.0), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
