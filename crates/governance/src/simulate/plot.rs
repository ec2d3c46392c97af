//! A plot of years beside each other, as SVG, readable on light and on dark ground.

use std::fmt::Write as _;

use super::figures::Figures;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#3d4450}.title{font-size:15px;font-weight:600}\
.note{font-size:11px;fill:#6b7280}.grid{stroke:#9aa1ac;stroke-opacity:.35}\
.line0{fill:none;stroke:#c4872f;stroke-width:2}.line1{fill:none;stroke:#2f6fb3;stroke-width:2}\
.bar0{fill:#c4872f}.bar1{fill:#2f6fb3}\
@media(prefers-color-scheme:dark){text{fill:#d6dae0}.note{fill:#9aa1ac}.line0{stroke:#e3ae6a}\
.bar0{fill:#e3ae6a}\
.line1{stroke:#6aa5e3}.bar1{fill:#6aa5e3}}";

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// The corner and the size of the curves' field.
const FIELD: (f64, f64, f64, f64) = (60.0, 50.0, 620.0, 200.0);

/// How many of all proposals were accepted after so many days, and what the core did for it.
#[must_use]
pub fn plot(title: &str, years: [(&str, &Figures); 2]) -> String {
    let all = years.iter().flat_map(|(_, figures)| &figures.rows).filter_map(|row| row.days_to_acceptance);
    let days = all.max().unwrap_or(0).div_ceil(30).max(1) * 30;
    let mut body = String::new();
    text(&mut body, (60.0, 24.0), "start", "title", title);
    axes(&mut body, days);
    for (index, (_, figures)) in years.iter().enumerate() {
        curve(&mut body, index, figures, days);
    }
    let most = years.iter().map(|(_, figures)| figures.core_acts()).max().unwrap_or(0).max(1);
    text(&mut body, (60.0, 318.0), "start", "note", "acts of the core in the year");
    for (index, (name, figures)) in years.iter().enumerate() {
        let y = 328.0 + 40.0 * index as f64;
        let width = 620.0 * f64::from(figures.core_acts()) / f64::from(most);
        let _ = writeln!(
            body,
            r#"<rect class="bar{index}" x="60" y="{:.0}" width="{width:.1}" height="14" rx="2"/>"#,
            y + 16.0
        );
        let waiting = figures.waiting();
        let words = format!(
            "{name}: {} acts; median {} days, p90 {}; {}% decided in domains",
            figures.core_acts(),
            waiting.median,
            waiting.p90,
            figures.by_domain_percent()
        );
        text(&mut body, (60.0, y + 11.0), "start", "", &words);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" \
            width=\"{WIDTH:.0}\" \
         height=\"{HEIGHT:.0}\" role=\"img\">\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn axes(body: &mut String, days: u32) {
    let (left, top, width, height) = FIELD;
    for tenth in [0, 25, 50, 75, 100] {
        let y = top + height - height * f64::from(tenth) / 100.0;
        line(body, (left, y), (left + width, y));
        text(body, (left - 6.0, y + 4.0), "end", "note", &format!("{tenth}%"));
    }
    let step = (days / 30).div_ceil(8).max(1) * 30;
    for day in (0..=days).step_by(step as usize) {
        let x = left + width * f64::from(day) / f64::from(days);
        text(body, (x, top + height + 16.0), "middle", "note", &day.to_string());
    }
    let words = "days from proposal to acceptance; share of all proposals that came";
    text(body, (left, top + height + 34.0), "start", "note", words);
}

fn curve(body: &mut String, index: usize, figures: &Figures, days: u32) {
    let (left, top, width, height) = FIELD;
    let count = figures.rows.len().max(1) as f64;
    let mut points = Vec::new();
    for day in 0..=days {
        let by_then = |taken: &u32| *taken <= day;
        let accepted = figures.rows.iter().filter_map(|row| row.days_to_acceptance).filter(by_then).count();
        let x = left + width * f64::from(day) / f64::from(days);
        let y = top + height - height * accepted as f64 / count;
        points.push(format!("{x:.1},{y:.1}"));
    }
    let _ = writeln!(body, r#"<polyline class="line{index}" points="{}"/>"#, points.join(" "));
}

fn line(body: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(body, r#"<line class="grid" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
}

fn text(body: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        body,
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#
    );
}
