//! `tools/list` over many upstreams with many tools each.

use super::Measured;
use super::figure::{Bound, Figure, median, rounded};
use super::stage::{Gateway, Stage, Upstream, number};
use crate::Result;
use serde_json::{Map, Value, json};

/// Upstreams, and the tools of each.
const SHAPES: [(usize, usize); 5] = [(10, 500), (20, 500), (40, 500), (20, 125), (20, 250)];
/// The shape that is held to a limit.
const FULL: (usize, usize) = (20, 500);
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

    /// What the rounds gave, in milliseconds.
    fn milliseconds(&self, pointer: &str) -> Result<Vec<f64>> {
        self.samples.iter().map(|sample| Ok(number(sample, pointer)? / 1_000.0)).collect()
    }

    fn to_json(&self) -> Result<Value> {
        let last = self.samples.last().cloned().unwrap_or_default();
        Ok(json!({
            "upstreams": self.upstreams, "tools_each": self.tools,
            "pages": last["pages"], "bytes": last["bytes"],
            "first_page_p50_ms": rounded(median(self.milliseconds("/first_page/p50_us")?)),
            "first_page_p99_ms": rounded(median(self.milliseconds("/first_page/p99_us")?)),
            "all_pages_p50_ms": rounded(median(self.milliseconds("/all_pages/p50_us")?)),
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
    let of = |wanted: (usize, usize), pointer: &str| -> Result<Vec<f64>> {
        let shape = shapes.iter().find(|shape| (shape.upstreams, shape.tools) == wanted);
        shape.ok_or("no such shape")?.milliseconds(pointer)
    };
    let (first, all) = (of(FULL, "/first_page/p50_us")?, of(FULL, "/all_pages/p50_us")?);
    // Four times as many in each.
    let growth = |small, large| -> Result<Vec<f64>> {
        let (small, large) = (of(small, "/all_pages/p50_us")?, of(large, "/all_pages/p50_us")?);
        Ok(small.iter().zip(large).map(|(small, large)| (large / small).log2() / 2.0).collect())
    };
    let (by_upstreams, by_tools) = (growth((10, 500), (40, 500))?, growth((20, 125), (20, 500))?);
    let (limit, straight) = (Bound::AtMost(5.0), Bound::AtMost(EXPONENT_MAX));
    let figure = |name, what, rounds: &[f64], unit, bound| Figure::of_rounds(name, what, rounds, unit, bound);
    let figures = vec![
        figure("list_first_page", "tools/list, 20 × 500 from cache, first page, p50", &first, "ms", limit),
        figure("list_all_pages", "tools/list, 20 × 500 from cache, all pages, p50", &all, "ms", limit),
        figure(
            "list_growth_upstreams",
            "the power of the upstreams that a list takes",
            &by_upstreams,
            "",
            straight,
        ),
        figure("list_growth_tools", "the power of the tools that a list takes", &by_tools, "", straight),
    ];
    let mut details = Map::new();
    for shape in &shapes {
        details.insert(format!("{}x{}", shape.upstreams, shape.tools), shape.to_json()?);
    }
    Ok(Measured { figures, details: details.into() })
}
