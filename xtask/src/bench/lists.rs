//! `tools/list` over many upstreams with many tools each.

use super::Measured;
use super::figure::{Bound, Figure, median, rounded};
use super::stage::{Gateway, Stage, Upstream, number};
use crate::Result;
use serde_json::{Map, Value, json};

/// Upstreams, and the tools of each. The last one is the largest in both.
const SHAPES: [(usize, usize); 5] = [(5, 500), (10, 500), (20, 125), (20, 250), (20, 500)];
/// Quadratic would be 2, proportional is 1.
const EXPONENT_MAX: f64 = 1.5;

/// Lists of one shape, round by round.
struct Shape {
    upstreams: usize,
    tools: usize,
    gateway: Gateway,
    samples: Vec<Value>,
}

impl Shape {
    fn start(stage: &Stage, (upstreams, tools): (usize, usize)) -> Result<Self> {
        let all: Vec<Upstream> =
            (0..upstreams).map(|i| (format!("u{i:02}"), format!("modern/{tools}/u{i:02}/mcp"))).collect();
        let gateway = stage.gateway(&format!("tidegate-{upstreams}-{tools}"), &all)?;
        Ok(Self { upstreams, tools, gateway, samples: Vec::new() })
    }

    fn measure(&mut self, stage: &Stage) -> Result {
        let url = format!("{}/mcp", self.gateway.url);
        let walks = stage.choose("50", "10");
        let measured = stage.client(&["list", "--url", &url, "--walks", walks])?;
        let (seen, expected) = (number(&measured, "/tools")?, self.upstreams * self.tools);
        #[expect(clippy::float_cmp, reason = "both are whole and small")]
        if seen != expected as f64 {
            return Err(format!("{seen} tools where {expected} are offered"));
        }
        self.samples.push(measured);
        Ok(())
    }

    /// The median over the rounds, in milliseconds.
    fn milliseconds(&self, pointer: &str) -> Result<f64> {
        let all: Result<Vec<f64>> = self.samples.iter().map(|sample| number(sample, pointer)).collect();
        Ok(median(all?) / 1_000.0)
    }

    fn to_json(&self) -> Result<Value> {
        let last = self.samples.last().cloned().unwrap_or_default();
        Ok(json!({
            "upstreams": self.upstreams, "tools_each": self.tools,
            "pages": last["pages"], "bytes": last["bytes"],
            "first_page_p50_ms": rounded(self.milliseconds("/first_page/p50_us")?),
            "first_page_p99_ms": rounded(self.milliseconds("/first_page/p99_us")?),
            "all_pages_p50_ms": rounded(self.milliseconds("/all_pages/p50_us")?),
        }))
    }
}

pub fn run(stage: &Stage) -> Result<Measured> {
    let mut shapes = SHAPES.iter().map(|shape| Shape::start(stage, *shape)).collect::<Result<Vec<_>>>()?;
    for _ in 0..stage.options.rounds {
        for shape in &mut shapes {
            shape.measure(stage)?;
        }
    }
    let all = |wanted: (usize, usize)| -> Result<f64> {
        let shape = shapes.iter().find(|shape| (shape.upstreams, shape.tools) == wanted);
        shape.ok_or("no such shape")?.milliseconds("/all_pages/p50_us")
    };
    let full = shapes.last().ok_or("no shape")?;
    let first = full.milliseconds("/first_page/p50_us")?;
    let growth = |small: f64, large: f64| (large / small).log2() / 2.0;
    let by_upstreams = growth(all((5, 500))?, all((20, 500))?);
    let by_tools = growth(all((20, 125))?, all((20, 500))?);
    let limit = Bound::AtMost(5.0);
    let straight = Bound::AtMost(EXPONENT_MAX);
    let figures = vec![
        Figure::new(
            "list_first_page",
            "tools/list, 20 × 500 from cache, first page, p50",
            first,
            "ms",
            limit,
        ),
        Figure::new("list_all_pages", "the same, all pages, p50", all((20, 500))?, "ms", limit),
        Figure::new(
            "list_growth_upstreams",
            "power of the number of upstreams that all pages take",
            by_upstreams,
            "",
            straight,
        ),
        Figure::new(
            "list_growth_tools",
            "power of the number of tools that all pages take",
            by_tools,
            "",
            straight,
        ),
    ];
    let mut details = Map::new();
    for shape in &shapes {
        details.insert(format!("{}x{}", shape.upstreams, shape.tools), shape.to_json()?);
    }
    Ok(Measured { figures, details: details.into() })
}
