//! The results as a picture: what becomes of it with each replica more.

use crate::bench::plot::{heading, panel, subtitle};
use crate::bench::svg::{Anchor, Drawing};
use serde_json::Value;

const WIDTH: f64 = 860.0;

/// A line of the picture: its label, and a value for one replica and more.
type Series<'a> = (&'a str, Vec<f64>);

/// Draws everything.
pub fn draw(results: &Value) -> String {
    let mut drawing = Drawing::new(WIDTH);
    drawing.text((20.0, 24.0), Anchor::Start, "note", &subtitle(results));
    let column = |era: &str, name: &str| -> Vec<f64> {
        let rows = results["details"][era].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(|row| row[name].as_f64()).collect()
    };
    let of =
        |name: &str| [("modern clients", column("modern", name)), ("legacy clients", column("legacy", name))];
    row(&mut drawing, "Calls per second by replicas, all on the machine of the clients", &of("per_second"));
    row(&mut drawing, "p99 of a call at 1,000 calls/s by replicas, µs", &of("paced_p99"));
    let plain: Vec<f64> = column("modern", "forwarded");
    let mix = results["details"]["mix"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mix = mix.iter().filter_map(Value::as_f64).map(|share| share * 100.0).collect();
    let series = [("plain calls", plain), ("all revisions, with questions and streams", mix)];
    row(&mut drawing, "Requests that were sent on to another replica by replicas, %", &series);
    drawing.finish()
}

/// Two panels beside one another.
fn row(drawing: &mut Drawing, title: &str, series: &[Series<'_>]) {
    let top = heading(drawing, title);
    for (index, (label, values)) in series.iter().enumerate() {
        let points: Vec<_> = (1_u32..).map(f64::from).zip(values.iter().copied()).collect();
        let classes = if index == 0 { ("line", "dot") } else { ("line2", "dot2") };
        panel(drawing, (70.0 + index as f64 * 420.0, top), label, &points, classes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_number_of_replicas_is_a_dot() {
        let row = json!({"per_second": 10.0, "paced_p99": 5.0, "forwarded": 0.0});
        let results = json!({
            "machine": {"cores": 2}, "run": {"rounds": 5},
            "details": {"modern": [row, row, row], "legacy": [row, row, row], "mix": [0.0, 0.1, 0.2]},
        });
        let text = draw(&results);
        assert_eq!(text.matches("<circle").count(), 6 * 3);
        assert!(!text.contains("NaN"), "plain calls are never sent on");
        assert!(text.contains("Calls per second") && text.contains("plain calls"));
    }
}
