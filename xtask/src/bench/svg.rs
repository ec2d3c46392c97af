//! A drawing in SVG, as little of it as a plot needs. It is readable on light and on dark ground.

use std::fmt::Write as _;

/// Where a text begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows.
#[derive(Debug)]
pub struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

/// Classes that shapes and texts can have; their colours follow the reader's choice of light or dark.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#3d4450}\
.title{font-size:15px;font-weight:600}\
.note{font-size:11px;fill:#6b7280}\
.grid{stroke:#9aa1ac;stroke-opacity:.35}\
.limit{stroke:#3d4450;stroke-width:1.5;stroke-dasharray:3 3}\
.direct{fill:#9aa1ac}.nginx{fill:#5b8c5a}.own{fill:#2f6fb3}.missed{fill:#c4572f}\
.line{fill:none;stroke:#2f6fb3;stroke-width:2}.line2{fill:none;stroke:#c4872f;stroke-width:2}\
.dot{fill:#2f6fb3}.dot2{fill:#c4872f}\
@media(prefers-color-scheme:dark){text{fill:#d6dae0}.note{fill:#9aa1ac}.limit{stroke:#d6dae0}\
.nginx{fill:#7fb37e}.own,.dot{fill:#6aa5e3}.missed{fill:#e5875f}.line{stroke:#6aa5e3}\
.line2{stroke:#e3ae6a}.dot2{fill:#e3ae6a}}";

impl Drawing {
    pub fn new(width: f64) -> Self {
        Self { width, height: 0.0, body: String::new() }
    }

    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.reach(y + 8.0);
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        );
    }

    pub fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.reach(y + height);
        let width = width.max(0.5);
        let _ = writeln!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2"/>"#
        );
    }

    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.reach(y1.max(y2));
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// A line through points, with a dot on each.
    pub fn path(&mut self, points: &[(f64, f64)], line: &str, dot: &str) {
        let all: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, r#"<polyline class="{line}" points="{}"/>"#, all.join(" "));
        for (x, y) in points {
            self.reach(*y);
            let _ = writeln!(self.body, r#"<circle class="{dot}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#);
        }
    }

    fn reach(&mut self, y: f64) {
        self.height = self.height.max(y);
    }

    /// How far down something is drawn.
    pub fn bottom(&self) -> f64 {
        self.height
    }

    pub fn finish(self) -> String {
        let (width, height) = (self.width, self.height + 12.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n{}</svg>\n",
            self.body
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_as_high_as_what_is_in_it() {
        let mut drawing = Drawing::new(100.0);
        drawing.bar((0.0, 10.0), (5.0, 20.0), "own");
        drawing.text((1.0, 100.0), Anchor::Start, "title", "a < b & c");
        drawing.path(&[(1.0, 2.0), (3.0, 4.0)], "line", "dot");
        assert_eq!(drawing.bottom(), 108.0);
        let text = drawing.finish();
        assert!(text.contains("viewBox=\"0 0 100 120\""), "{text}");
        assert!(text.contains("a &lt; b &amp; c"), "{text}");
        assert!(text.contains("points=\"1.0,2.0 3.0,4.0\""), "{text}");
        assert_eq!(text.matches("<circle").count(), 2);
    }
}
