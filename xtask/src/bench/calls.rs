//! Calls of 1 KiB: how many, how fast, and how many requests upstream they take.

use super::figure::{Bound, Figure, median, rounded};
use super::program::{Program, cpu_time};
use super::stage::{Gateway, Stage, both_eras, number};
use super::{Measured, nginx};
use crate::Result;
use serde_json::{Map, Value, json};

const CONNECTIONS: usize = 64;
const RATE: usize = 1_000;

/// Client's and upstream's era, in the order of the name.
pub const PAIRS: [(&str, &str); 4] =
    [("modern", "modern"), ("legacy", "modern"), ("modern", "legacy"), ("legacy", "legacy")];

/// Something that answers calls, and one way to call it.
struct Site {
    name: String,
    url: String,
    era: &'static str,
    tool: String,
    /// Whose processor time is taken.
    pid: Option<u32>,
}

/// The three that are compared; two where there is no nginx. The server is the stage's.
struct Sites {
    all: Vec<Site>,
    _gateway: Gateway,
    _nginx: Option<Program>,
}

impl Sites {
    /// The server and nginx in these eras, and the gateway with these clients and upstreams.
    fn start(stage: &Stage, eras: &[&'static str], pairs: &[(&'static str, &'static str)]) -> Result<Self> {
        let gateway = stage.gateway("tidegate", &both_eras())?;
        let nginx = match nginx::found() {
            Ok(program) => Some(nginx::start(&program, &stage.upstream, &stage.folder.0)?),
            Err(_) => None,
        };
        let mut all = Vec::new();
        for &era in eras {
            let direct = std::iter::once(("direct", &stage.upstream, None));
            let proxied = nginx.as_ref().map(|(program, url)| ("nginx", url, Some(program.pid())));
            all.extend(direct.chain(proxied).map(|(name, base, pid)| Site {
                name: format!("{name}_{era}"),
                url: format!("{base}/{era}/10/mcp"),
                era,
                tool: "echo".to_owned(),
                pid,
            }));
        }
        all.extend(pairs.iter().map(|&(client, upstream)| gateway_site(&gateway, client, upstream)));
        Ok(Self { all, _gateway: gateway, _nginx: nginx.map(|(program, _)| program) })
    }
}

/// A gateway's endpoint of everything, where names have the upstream's before them.
fn gateway_site(gateway: &Gateway, client: &'static str, upstream: &str) -> Site {
    Site {
        name: format!("tidegate_{client}_{upstream}"),
        url: format!("{}/mcp", gateway.url),
        era: client,
        tool: format!("{upstream}_echo"),
        pid: Some(gateway.program.pid()),
    }
}

/// What one measurement gave.
#[derive(Debug, Clone, Copy)]
struct Sample {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Processor time of what was measured, for each call.
    cpu_us: Option<f64>,
}

impl Site {
    fn measure(&self, stage: &Stage, args: &[&str]) -> Result<Sample> {
        let before = self.pid.map(cpu_time).transpose()?;
        let own = ["calls", "--url", &self.url, "--era", self.era, "--tool", &self.tool];
        let measured = stage.client(&[&own, args].concat())?;
        let calls = number(&measured, "/made")?;
        let cpu_us = match (self.pid, before) {
            (Some(pid), Some(before)) => Some((cpu_time(pid)? - before).as_secs_f64() * 1e6 / calls.max(1.0)),
            _ => None,
        };
        let (p50_us, p99_us) = (number(&measured, "/p50_us")?, number(&measured, "/p99_us")?);
        Ok(Sample { per_second: number(&measured, "/per_second")?, p50_us, p99_us, cpu_us })
    }
}

/// The samples of every site, by round.
struct Rounds {
    names: Vec<String>,
    samples: Vec<Vec<Sample>>,
}

impl Rounds {
    /// One sample of every site in every round; a first round that does not count warms everything up.
    fn measure(stage: &Stage, sites: &[Site], args: &[&str]) -> Result<Self> {
        for site in sites {
            site.measure(stage, &[args, &["--seconds", "0.5"]].concat())?;
        }
        let seconds = stage.choose("2.5", "0.7");
        let args = [args, &["--seconds", seconds]].concat();
        let mut samples = Vec::new();
        for _ in 0..stage.options.rounds {
            let round: Result<Vec<_>> = sites.iter().map(|site| site.measure(stage, &args)).collect();
            samples.push(round?);
        }
        Ok(Self { names: sites.iter().map(|site| site.name.clone()).collect(), samples })
    }

    fn has(&self, site: &str) -> bool {
        self.names.iter().any(|name| name == site)
    }

    /// For each round something made of two sites' samples.
    fn compare(&self, site: &str, with: &str, of: impl Fn(Sample, Sample) -> f64) -> Result<Vec<f64>> {
        let index = |name: &str| {
            self.names.iter().position(|n| n == name).ok_or_else(|| format!("{name} was not measured"))
        };
        let (site, with) = (index(site)?, index(with)?);
        let rounds = self.samples.iter();
        Ok(rounds.filter_map(|round| Some(of(*round.get(site)?, *round.get(with)?))).collect())
    }

    fn to_json(&self) -> Value {
        let sites = self.names.iter().enumerate().map(|(index, name)| {
            let column = |of: fn(&Sample) -> Option<f64>| -> Vec<f64> {
                self.samples.iter().filter_map(|round| round.get(index)).filter_map(of).map(rounded).collect()
            };
            let columns = [
                ("per_second", column(|s| Some(s.per_second))),
                ("p50_us", column(|s| Some(s.p50_us))),
                ("p99_us", column(|s| Some(s.p99_us))),
                ("cpu_us", column(|s| s.cpu_us)),
            ];
            let mut json = Map::new();
            for (key, all) in columns.into_iter().filter(|(_, all)| !all.is_empty()) {
                json.insert(key.to_owned(), json!(rounded(median(all.iter().copied()))));
                json.insert(format!("{key}_rounds"), json!(all));
            }
            (name.clone(), Value::Object(json))
        });
        Value::Object(sites.collect())
    }
}

/// As many calls as possible on 64 connections, in all four pairs of eras.
///
/// A pair that is translated is compared with nginx before the same upstream, which then is called in the
/// upstream's own era: nginx translates nothing.
pub fn throughput(stage: &Stage) -> Result<Measured> {
    let sites = Sites::start(stage, &["modern", "legacy"], &PAIRS)?;
    let connections = CONNECTIONS.to_string();
    let rounds = Rounds::measure(stage, &sites.all, &["--connections", &connections])?;
    let mut figures = Vec::new();
    for (client, upstream) in PAIRS {
        let bound = match (client, upstream) {
            ("modern", "modern") => Bound::AtLeast(0.7),
            ("legacy", "legacy") => Bound::None,
            _ => Bound::AtLeast(0.5),
        };
        let (site, with) = (format!("tidegate_{client}_{upstream}"), format!("nginx_{upstream}"));
        if rounds.has(&with) {
            let ratio = rounds.compare(&site, &with, |own, other| own.per_second / other.per_second)?;
            let what = format!("throughput, {client} client, {upstream} upstream, of nginx's");
            let name = format!("throughput_{client}_{upstream}");
            figures.push(Figure::of_rounds(&name, &what, &ratio, "×", bound));
        }
        let what = format!("processor time of a call, {client} client, {upstream} upstream");
        figures.push(cpu(&rounds, &format!("cpu_{client}_{upstream}"), &what, &site)?);
    }
    if rounds.has("nginx_modern") {
        figures.push(cpu(&rounds, "cpu_nginx", "processor time of a call, nginx", "nginx_modern")?);
    }
    Ok(Measured { figures, details: rounds.to_json() })
}

fn cpu(rounds: &Rounds, name: &str, what: &str, site: &str) -> Result<Figure> {
    let all = rounds.compare(site, site, |own, _| own.cpu_us.unwrap_or_default())?;
    Ok(Figure::of_rounds(name, what, &all, "µs", Bound::None))
}

/// A thousand calls a second on 64 connections, whatever became of the ones before.
pub fn paced(stage: &Stage) -> Result<Measured> {
    let sites = Sites::start(stage, &["modern"], &PAIRS)?;
    let (connections, rate) = (CONNECTIONS.to_string(), RATE.to_string());
    let rounds = Rounds::measure(stage, &sites.all, &["--connections", &connections, "--rate", &rate])?;
    let mut figures = added(&rounds, "paced", "at 1,000 calls/s", (300.0, 2_000.0))?;
    let offered = rounds.compare("tidegate_modern_modern", "direct_modern", |own, _| own.per_second)?;
    let what = "calls per second that were answered";
    figures.push(Figure::of_rounds("paced_rate", what, &offered, "/s", Bound::None));
    Ok(Measured { figures, details: rounds.to_json() })
}

/// One client that calls again as soon as it has its answer.
pub fn single(stage: &Stage) -> Result<Measured> {
    let sites = Sites::start(stage, &["modern"], &PAIRS)?;
    let rounds = Rounds::measure(stage, &sites.all, &["--connections", "1"])?;
    let figures = added(&rounds, "single", "one client", (60.0, 200.0))?;
    Ok(Measured { figures, details: rounds.to_json() })
}

/// What the gateway adds to a direct call, and for comparison what nginx adds.
fn added(rounds: &Rounds, name: &str, when: &str, (p50, p99): (f64, f64)) -> Result<Vec<Figure>> {
    let sites = [("tidegate_modern_modern", "", [Bound::AtMost(p50), Bound::AtMost(p99)])];
    let nginx = [("nginx_modern", "_nginx", [Bound::None, Bound::None])];
    let mut figures = Vec::new();
    for (site, suffix, bounds) in sites.into_iter().chain(nginx).filter(|(site, ..)| rounds.has(site)) {
        let middle = rounds.compare(site, "direct_modern", |own, direct| own.p50_us - direct.p50_us)?;
        let tail = rounds.compare(site, "direct_modern", |own, direct| own.p99_us - direct.p99_us)?;
        for ((value, quantile), bound) in [(middle, "p50"), (tail, "p99")].into_iter().zip(bounds) {
            let by = if suffix.is_empty() { "added" } else { "added by nginx" };
            let what = format!("{by} {quantile}, {when}");
            let name = format!("{name}_added_{quantile}{suffix}");
            figures.push(Figure::of_rounds(&name, &what, &value, "µs", bound));
        }
    }
    Ok(figures)
}

/// How many requests reach the upstream for each call once everything is known, by its own count and by the
/// gateway's.
pub fn requests(stage: &Stage) -> Result<Measured> {
    let gateway = stage.gateway("tidegate", &both_eras())?;
    let calls: u32 = stage.choose(2_000, 200);
    let (mut figures, mut details) = (Vec::new(), Map::new());
    for (client, upstream) in PAIRS {
        let site = gateway_site(&gateway, client, upstream);
        let count = calls.to_string();
        let args = ["calls", "--url", &site.url, "--era", client, "--tool", &site.tool, "--connections", "4"];
        stage.client(&[&args[..], &["--count", "40"]].concat())?;
        let (before, own_before) = (served(stage)?, sent(stage, &gateway, upstream)?);
        stage.client(&[&args[..], &["--count", &count]].concat())?;
        let (after, own_after) = (served(stage)?, sent(stage, &gateway, upstream)?);
        let each = (after - before) / f64::from(calls);
        let own = (own_after.0 - own_before.0) / (own_after.1 - own_before.1).max(1.0);
        let what = format!("requests upstream of a call, {client} client, {upstream} upstream");
        figures.push(Figure::new(
            &format!("requests_{client}_{upstream}"),
            &what,
            each.max(own),
            "",
            Bound::AtMost(1.0),
        ));
        let json = json!({"calls": calls, "by_upstream": rounded(each), "by_gateway": rounded(own)});
        details.insert(format!("{client}_{upstream}"), json);
    }
    Ok(Measured { figures, details: details.into() })
}

/// What the upstream has counted.
fn served(stage: &Stage) -> Result<f64> {
    number(&serde_json::from_str(&get(&stage.upstream, "/stats")?).map_err(|e| e.to_string())?, "/requests")
}

/// What the gateway has counted of one upstream: requests sent, and calls made.
fn sent(stage: &Stage, gateway: &Gateway, upstream: &str) -> Result<(f64, f64)> {
    debug_assert_ne!(gateway.url, stage.upstream, "the gateway counts, not the server");
    let text = get(&gateway.url, "/metrics")?;
    let read = |name: &str| {
        let begin = format!("tidegate_upstream_{name}_total{{upstream=\"{upstream}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(begin.as_str()));
        value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no {begin}in the metrics"))
    };
    Ok((read("requests")?, read("calls")?))
}

/// The body of a GET, from a server that closes the connection when it is asked to.
pub fn get(base: &str, path: &str) -> Result<String> {
    Ok(answer(base, path)?.1)
}

/// The head and the body of what a server answers.
pub fn answer(base: &str, path: &str) -> Result<(String, String)> {
    use std::io::{Read as _, Write as _};
    let authority = base.strip_prefix("http://").unwrap_or(base);
    let fail = |e: std::io::Error| format!("{base}{path}: {e}");
    let mut stream = std::net::TcpStream::connect(authority).map_err(fail)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").map_err(fail)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(fail)?;
    let parts = text.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned()));
    parts.ok_or_else(|| format!("{base}{path}: no answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_compared_within_a_round() {
        let sample = |per_second| Sample { per_second, p50_us: 1.0, p99_us: 2.0, cpu_us: None };
        let rounds = Rounds {
            names: vec!["a".to_owned(), "b".to_owned()],
            samples: vec![
                vec![sample(10.0), sample(20.0)],
                vec![sample(100.0), sample(200.0)],
                vec![sample(30.0), sample(30.0)],
            ],
        };
        assert_eq!(rounds.compare("a", "b", |a, b| a.per_second / b.per_second), Ok(vec![0.5, 0.5, 1.0]));
        assert!(rounds.has("a") && !rounds.has("c"));
        assert!(rounds.compare("a", "c", |a, _| a.per_second).is_err());
        let json = rounds.to_json();
        assert_eq!(json["a"]["per_second"], 30.0);
        assert_eq!(json["b"]["per_second_rounds"], json!([20.0, 200.0, 30.0]));
        assert!(json["a"].get("cpu_us").is_none());
    }
}
