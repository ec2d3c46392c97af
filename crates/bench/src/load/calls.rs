//! Calls of the tool `echo` with 1 KiB in and out: as fast as possible, so many, or at a rate.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Endpoint, Quantiles, pace};
use crate::Result;
use crate::wire::{Client, Connection, Target, Template};

/// What goes in, and comes out.
const TEXT_BYTES: usize = 1024;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    endpoint: Endpoint,
    /// What the endpoint calls the tool.
    #[arg(long, default_value = "echo")]
    tool: String,
    /// Connections, each with one call at a time; a legacy one is a session.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long to call before that.
    #[arg(long, default_value_t = 0.3)]
    warmup: f64,
    /// Make so many calls instead and measure them all.
    #[arg(long, conflicts_with_all = ["rate", "warmup"])]
    count: Option<u64>,
    /// Calls a second, begun when their time has come and not when another one ends.
    #[arg(long)]
    rate: Option<u32>,
    /// Go on where a call is refused because the server has too much to do (503).
    #[arg(long)]
    refusals: bool,
    /// Make tasks of the calls, or ask for one that has ended.
    #[arg(long, value_enum, conflicts_with = "refusals")]
    tasks: Option<Tasks>,
    /// Bring proof of who calls, issued by the authorization server at `--issuer`.
    #[arg(long, value_enum, requires = "issuer", conflicts_with = "tasks")]
    auth: Option<Auth>,
    /// The URL of the authorization server.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Auth {
    /// All calls with one token.
    Token,
    /// Each call with another token, signed with ES256.
    Tokens,
    /// The same, signed with `EdDSA`.
    TokensEddsa,
    /// All calls with one token that is bound to a key, each with another proof (DPoP).
    Proofs,
}

/// How many tokens or proofs are issued beforehand for each caller; no run makes more calls.
const ISSUED: usize = 60_000;

/// Blocks of headers, one for each call.
async fn issued(auth: Auth, issuer: &str, url: &str) -> Result<Vec<String>> {
    let (kind, count) = match auth {
        Auth::Token => ("tokens", 1),
        Auth::Tokens => ("tokens", ISSUED),
        Auth::TokensEddsa => ("tokens-eddsa", ISSUED),
        Auth::Proofs => ("proofs", ISSUED),
    };
    let (authority, path) = issuer
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| format!("{issuer} is not http://HOST:PORT/PATH"))?;
    let mut connection = Connection::open(authority).await?;
    let request = format!(
        "POST /{path}/{kind}/{count} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\n\r\n{url}",
        url.len()
    );
    connection.send(request.as_bytes()).await?;
    let head = connection.head().await?;
    let mut body = Vec::new();
    connection.body(&mut body).await?;
    if head.status != 200 {
        return Err(format!("nothing was issued: {}", head.status));
    }
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}

/// What is done with tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tasks {
    /// Each call makes one.
    Create,
    /// Each caller makes one, and asks for it again and again once it has ended.
    Get,
}

/// What one connection needs to call.
#[derive(Debug)]
pub struct Caller {
    client: Client,
    template: Template,
    body: Vec<u8>,
    /// What each answer holds.
    wanted: &'static [u8],
    refusals: bool,
    /// Headers that the next calls bring, the last one for good.
    proofs: Vec<String>,
}

fn wanted(tasks: Tasks) -> &'static [u8] {
    match tasks {
        Tasks::Create => br#""resultType":"task""#,
        Tasks::Get => br#""status":"completed""#,
    }
}

impl Caller {
    pub async fn open(target: &Target, tool: &str, refusals: bool) -> Result<Self> {
        let client = Client::open(target).await?;
        let text: String = ('a'..='z').cycle().take(TEXT_BYTES).collect();
        let fields = format!(r#""name":"{tool}","arguments":{{"text":"{text}"}}"#);
        let template = client.template("tools/call", Some(tool), &fields, None);
        Ok(Self { client, template, body: Vec::new(), wanted: b"", refusals, proofs: Vec::new() })
    }

    /// One that makes tasks, or asks for one.
    pub async fn with_tasks(target: &Target, tool: &str, tasks: Tasks) -> Result<Self> {
        let mut client = Client::open(target).await?;
        client.knows_tasks();
        let text: String = ('a'..='z').cycle().take(TEXT_BYTES).collect();
        let fields = format!(r#""name":"{tool}","arguments":{{"text":"{text}"}}"#);
        let mut template = client.template("tools/call", Some(tool), &fields, None);
        let mut body = Vec::new();
        if tasks == Tasks::Get {
            client.exchange(&mut template, &mut body).await?;
            let made: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
            let id = made["result"]["taskId"].as_str().ok_or("no task was made")?;
            template = client.template("tasks/get", Some(id), &format!(r#""taskId":"{id}""#), None);
            while memchr::memmem::find(&body, br#""status":"completed""#).is_none() {
                client.exchange(&mut template, &mut body).await?;
            }
        }
        Ok(Self { client, template, body, wanted: wanted(tasks), refusals: false, proofs: Vec::new() })
    }

    /// Brings this with its next calls.
    fn prove(&mut self, proofs: Vec<String>) {
        self.proofs = proofs;
        if let [only] = &*self.proofs {
            self.template.authorize(only);
            self.proofs.clear();
        }
    }

    pub async fn call(&mut self) -> Result<()> {
        if let Some(next) = self.proofs.pop() {
            if self.proofs.is_empty() {
                return Err("more calls than proofs were issued".to_owned());
            }
            self.template.authorize(&next);
        }
        if self.refusals {
            return self.client.try_exchange(&mut self.template, &mut self.body).await.map(drop);
        }
        self.client.exchange(&mut self.template, &mut self.body).await?;
        if !self.wanted.is_empty() {
            let found = memchr::memmem::find(&self.body, self.wanted).is_some();
            return if found { Ok(()) } else { Err("no task, or not its end".to_owned()) };
        }
        if self.body.len() > TEXT_BYTES { Ok(()) } else { Err("the text did not come back".to_owned()) }
    }
}

/// When calls count.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
    count: u64,
}

pub async fn run(options: &Options) -> Result<Value> {
    let target = options.endpoint.target()?;
    let mut callers = Vec::new();
    for _ in 0..options.connections {
        // It takes a while, for which no connection waits.
        let proofs = match (options.auth, &options.issuer) {
            (Some(auth), Some(issuer)) => issued(auth, issuer, &options.endpoint.url).await?,
            _ => Vec::new(),
        };
        let mut caller = match options.tasks {
            Some(tasks) => Caller::with_tasks(&target, &options.tool, tasks).await?,
            None => Caller::open(&target, &options.tool, options.refusals).await?,
        };
        caller.prove(proofs);
        callers.push(caller);
    }
    let warmup = Duration::from_secs_f64(options.warmup);
    let time = Duration::from_secs_f64(options.seconds);
    let (took, made) = match (options.rate, options.count) {
        (Some(rate), _) => pace::run(callers, rate, warmup, time).await?,
        (None, Some(count)) => {
            let now = Instant::now();
            let share = count / options.connections.max(1) as u64;
            flat_out(callers, Window { from: now, until: now + Duration::from_secs(600), count: share })
                .await?
        }
        (None, None) => {
            let from = Instant::now() + warmup;
            flat_out(callers, Window { from, until: from + time, count: u64::MAX }).await?
        }
    };
    let mut measured = took.to_json();
    measured["calls"] = json!(took.count());
    measured["made"] = json!(made);
    measured["per_second"] = json!((took.count() as f64 / options.seconds).round());
    Ok(measured)
}

/// Each caller calls again as soon as it has its answer. Gives the times of the calls that count, and how
/// many there were in all.
async fn flat_out(callers: Vec<Caller>, window: Window) -> Result<(Quantiles, u64)> {
    let all = Rc::new(RefCell::new(Quantiles::default()));
    let made = Rc::new(Cell::new(0));
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let (all, made) = (Rc::clone(&all), Rc::clone(&made));
        tasks.spawn_local(async move {
            for _ in 0..window.count {
                let begun = Instant::now();
                caller.call().await?;
                made.set(made.get() + 1);
                let now = Instant::now();
                if now >= window.until {
                    break;
                }
                if now >= window.from {
                    all.borrow_mut().add(now - begun);
                }
            }
            Ok::<(), String>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|e| e.to_string())??;
    }
    Ok((all.take(), made.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::started;
    use crate::wire::Era;
    use tokio::task::LocalSet;

    fn options(url: String, era: Era) -> Options {
        Options {
            endpoint: Endpoint { url, era },
            tool: "echo".to_owned(),
            connections: 4,
            seconds: 1.0,
            warmup: 0.0,
            count: Some(40),
            rate: None,
            refusals: false,
            tasks: None,
            auth: None,
            issuer: None,
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn every_call_of_a_count_is_measured_in_both_eras() {
        let test = async {
            let url = started().await;
            for (era, path) in [(Era::Modern, "modern/3/mcp"), (Era::Legacy, "legacy/3/mcp")] {
                let measured = run(&options(format!("{url}/{path}"), era)).await.unwrap();
                assert_eq!(measured["calls"], 40, "{measured}");
            }
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn paced_calls_are_as_many_as_the_rate_says() {
        let test = async {
            let url = started().await;
            let options = Options {
                count: None,
                rate: Some(500),
                seconds: 0.2,
                warmup: 0.02,
                ..options(format!("{url}/modern/3/mcp"), Era::Modern)
            };
            assert_eq!(run(&options).await.unwrap()["calls"], 100);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_that_is_no_result_fails_the_run() {
        let test = async {
            let url = started().await;
            let unknown =
                Options { tool: "none".to_owned(), ..options(format!("{url}/modern/3/mcp"), Era::Modern) };
            let told = run(&unknown).await.unwrap_err();
            assert!(told.contains("unknown tool"), "{told}");
            let other_era = options(format!("{url}/modern/3/mcp"), Era::Legacy);
            assert!(run(&other_era).await.is_err());
        };
        LocalSet::new().run_until(test).await;
    }
}
