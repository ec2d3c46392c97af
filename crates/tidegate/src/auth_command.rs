//! `tidegate auth`: API keys, and what the configuration makes of a token.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use config::Span;
use identity::{Explanation, NewKey, Terms};
use model::{Clock as _, SystemClock, Timestamp};
use seal::{SystemRng, time_to_text};
use serde_json::json;

use crate::cli::{Output, Source};
use crate::exit::{Coded, REFUSED, USAGE};
use crate::{keys, load, out, state, table};

/// The longest token that is read.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an API key: the key itself is printed once and kept nowhere; what the configuration needs of it
    /// is printed with it.
    Key(KeyArguments),
    /// Tell step by step what the configuration makes of a token; exit with 0 if it lets its caller in, else
    /// with 4.
    Explain(ExplainArguments),
}

/// What the new key grants.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// Endpoints that it is for; `*` for all.
    #[arg(long = "endpoint", value_name = "NAME", required = true)]
    endpoints: Vec<String>,
    /// The tenant of whoever has it.
    #[arg(long)]
    tenant: Option<String>,
    /// Groups of whoever has it.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Scopes that it grants.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long it is good.
    #[arg(long, value_name = "DURATION", default_value = "90d")]
    lives: Span,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Which token, and where.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    #[command(flatten)]
    source: Source,
    /// The token or API key; read from standard input where it is not given. Others on this machine can see
    /// arguments.
    #[arg(long, value_name = "TOKEN", env = "TIDEGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The endpoint: the name of an upstream or of an endpoint; everything where none is named.
    #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
    endpoint: String,
    /// Ask the issuer about a token that says nothing itself. It is sent there.
    #[arg(long)]
    ask: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Key(arguments) => key(&arguments),
        Command::Explain(arguments) => explain(arguments).await,
    }
}

fn key(arguments: &KeyArguments) -> anyhow::Result<u8> {
    let KeyArguments { endpoints, tenant, groups, scopes, lives, output } = arguments;
    let new = NewKey::generate(&SystemRng);
    let hash: String = new.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let expires = SystemClock.now().plus(lives.duration());
    let expires = Timestamp(expires.0 / 1_000 * 1_000);
    let mut section = json!({
        "id": new.id,
        "hash": format!("sha256:{hash}"),
        "endpoints": endpoints,
        "expires": time_to_text(expires),
    });
    let more = [("groups", groups), ("scopes", scopes)];
    for (name, values) in more.into_iter().filter(|(_, values)| !values.is_empty()) {
        section[name] = json!(values);
    }
    if let Some(tenant) = tenant {
        section["tenant"] = json!(tenant);
    }
    match output {
        Output::Json => out::line(json!({"key": new.text, "config": section})),
        Output::Table => {
            out::line(&new.text);
            eprintln!("It is shown this once. For the configuration (JSON is YAML):");
            eprintln!("auth:\n  allow: [keys]\n  keys:\n    - {section}");
        }
    }
    Ok(0)
}

async fn explain(arguments: ExplainArguments) -> anyhow::Result<u8> {
    let ExplainArguments { source, token, endpoint, ask, output } = arguments;
    let token = token.map_or_else(read, Ok)?;
    if token.is_empty() {
        return Err(Coded::new(USAGE, "read a token: there is none".to_owned()).into());
    }
    let loaded = load::load(&source)?;
    let config = &loaded.config;
    let known = config.upstreams_enabled().map(|(name, _)| name);
    if !known
        .chain(config.endpoints.keys().map(String::as_str))
        .chain([server::EVERYTHING])
        .any(|it| it == endpoint)
    {
        return Err(Coded::new(USAGE, format!("find the endpoint {endpoint:?}: there is none")).into());
    }
    // The gateway's own tokens are known by its ring alone.
    let ring = match config.auth.broker {
        Some(_) => {
            let store = state::open(&loaded).await?;
            Some(Arc::clone(keys::Follow::start(config, store.as_ref()).await?.ring()))
        }
        None => None,
    };
    let clock = Arc::new(SystemClock);
    let told = server::explain(config, (clock, ring), &endpoint, &token, Terms { ask }).await;
    let told = told.map_err(|error| Coded::of_config(&error))?;
    match output {
        Output::Json => out::line(told.to_value()),
        Output::Table => print(&told),
    }
    Ok(if told.caller.is_some() { 0 } else { REFUSED })
}

fn read() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text).context("read a token")?;
    Ok(text.trim().to_owned())
}

fn print(told: &Explanation) {
    let mut rows = table::new(&["check", "", "found"]);
    for step in &told.steps {
        // What a token says is foreign text.
        let found = out::plain(&step.found).into_owned();
        rows.add_row(vec![step.what.to_owned(), if step.passed { "ok" } else { "no" }.to_owned(), found]);
    }
    out::line(table::text(&rows));
    let Some(caller) = &told.caller else { return out::line("\nnot let in") };
    let list = |values: &[String]| if values.is_empty() { "-".to_owned() } else { values.join(" ") };
    let mut rows = table::new(&["caller", ""]);
    for (what, found) in [
        ("tenant", caller.principal.tenant().to_owned()),
        ("subject", caller.principal.subject().to_owned()),
        ("kind", caller.kind.as_str().to_owned()),
        ("acting for it", list(&caller.actors)),
        ("groups", list(&caller.groups)),
        ("scopes", list(&caller.scopes)),
        ("client", caller.client.clone().unwrap_or_else(|| "-".to_owned())),
        ("until", caller.expires.map_or_else(|| "-".to_owned(), time_to_text)),
    ] {
        rows.add_row(vec![what.to_owned(), out::plain(&found).into_owned()]);
    }
    out::line(format!("\n{}", table::text(&rows)));
}
