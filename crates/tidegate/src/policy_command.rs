//! `tidegate policy`: policies of a configuration, without a gateway that runs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use config::{Case, Cases, Config, Expected};
use policy::{Decision, Effect, Engine, Explanation};
use serde_json::{Value, json};
use server::policies::{self, Labels};

use crate::cli::{Output, Source};
use crate::exit::{Coded, REFUSED, USAGE};
use crate::question::Asked;
use crate::{load, out, table};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with the policies, with file, line and hint.
    Check {
        #[command(flatten)]
        source: Source,
        /// How to print.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Hold the policies against a file of cases; exit with 0 if all come out as expected, else with 4.
    Test {
        #[command(flatten)]
        source: Source,
        /// The file of cases.
        cases: PathBuf,
        /// How to print.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Say what is decided over one question, by which policies and from which facts; exit with 0 if it is
    /// allowed, else with 4.
    Explain(Box<Explain>),
    /// Say which cases another configuration decides otherwise; exit with 0 if there are none, else with 4.
    Diff {
        #[command(flatten)]
        source: Source,
        /// The other configuration.
        #[arg(value_name = "NEW")]
        new: PathBuf,
        /// The file of cases.
        cases: PathBuf,
        /// How to print.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Print what policies can speak about, in Cedar's form, with the arguments that are declared.
    Schema {
        #[command(flatten)]
        source: Source,
    },
}

/// One question.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    source: Source,
    /// Who asks: his tenant and his id.
    #[arg(long = "as", value_name = "TENANT/SUBJECT", default_value = "default/anonymous")]
    who: String,
    /// What he is: `user`, `workload`, `operator` or `anonymous`.
    #[arg(long, value_parser = ["user", "workload", "operator", "anonymous"], default_value = "user")]
    kind: String,
    /// A group that he is in, without the tenant.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A scope that his client was granted.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// His client.
    #[arg(long)]
    client: Option<String>,
    /// His proof is bound to a key or a certificate.
    #[arg(long)]
    bound: bool,
    /// Who vouches for him, by the name of it in `auth.issuers`.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Who acts for him; the nearest first.
    #[arg(long = "actor", value_name = "SUBJECT")]
    actors: Vec<String>,
    /// When he proved himself, as in `2026-07-28T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    issued: Option<String>,
    /// What he wants to do, as policies name it.
    #[arg(long, default_value = "call_tool")]
    action: String,
    /// The endpoint that is asked.
    #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
    endpoint: String,
    /// With what; for what operators do, the word for it alone.
    #[arg(long, alias = "target", value_name = "UPSTREAM/NAME")]
    tool: String,
    /// A label, beside those of the configuration.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// What its server says of it and is believed: `read-only`, `destructive`, `idempotent` or `open-world`;
    /// with `no-` before it that it is not.
    #[arg(long = "hint", value_name = "HINT")]
    hints: Vec<String>,
    /// The arguments, as JSON. Without them it is asked whether it is seen in a list.
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    /// Where the request comes from.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// When, as in `2026-07-28T12:00:00Z`; now where it is not said.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// It becomes a task.
    #[arg(long)]
    task: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Does it.
pub fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Check { source, output } => check(&source, output),
        Command::Test { source, cases, output } => test(&source, &cases, output),
        Command::Explain(wanted) => explain(*wanted),
        Command::Diff { source, new, cases, output } => diff(&source, &new, &cases, output),
        Command::Schema { source } => {
            let options = policies::options(&load::load(&source)?.config);
            out::line(policy::schema_text(&options.arguments).trim_end());
            Ok(0)
        }
    }
}

/// The policies of a configuration.
fn engine(config: &Config) -> anyhow::Result<Engine> {
    policies::engine(config).map_err(|error| Coded::policies(&error).into())
}

fn check(source: &Source, output: Output) -> anyhow::Result<u8> {
    let config = load::load(source)?.config;
    let engine = engine(&config)?;
    let section = config.policy.unwrap_or_default();
    match output {
        Output::Json => {
            let report = json!({
                "good": true,
                "in_force": engine.has_policies(),
                "policies": engine.len(),
                "presets": section.presets.iter().map(|preset| preset.as_str()).collect::<Vec<_>>(),
                "files": section.files,
                "version": engine.version(),
            });
            out::line(serde_json::to_string_pretty(&report).context("print the report")?);
        }
        Output::Table if !engine.has_policies() => {
            out::line("there is no section \"policy\": everything is allowed");
        }
        Output::Table => {
            let version = engine.version().get(..12).unwrap_or_default();
            out::line(format!("the policies are good: {}, version {version}", engine.len()));
        }
    }
    Ok(0)
}

fn asked(file: &Path, config: &Config) -> anyhow::Result<Vec<Asked>> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| Coded::config(format!("read {name}: {error}")))?;
    let cases = Cases::load_slice(&bytes, &name).map_err(Coded::faults)?.cases;
    let labels = Labels::of(config);
    cases.into_iter().map(|case| Asked::new(case, &labels)).collect()
}

fn effect(decision: &Decision) -> Expected {
    match decision.effect {
        Effect::Allow => Expected::Allow,
        Effect::Deny => Expected::Deny,
        Effect::Ask(_) => Expected::Ask,
    }
}

fn policies_of(decision: &Decision) -> Vec<&str> {
    decision.policies.iter().map(|id| &**id).collect()
}

fn test(source: &Source, file: &Path, output: Output) -> anyhow::Result<u8> {
    let config = load::load(source)?.config;
    let engine = engine(&config)?;
    let cases = asked(file, &config)?;
    let mut rows = Vec::new();
    for asked in &cases {
        let decision = engine.decide(&asked.question());
        let found = policies_of(&decision);
        let expected = asked.case.policies.as_ref();
        let as_expected = effect(&decision) == asked.case.expect && expected.is_none_or(|ids| *ids == found);
        rows.push((asked.title(), as_expected, asked.case.expect.as_str(), decision));
    }
    let failed = rows.iter().filter(|row| !row.1).count();
    match output {
        Output::Json => {
            let cases: Vec<_> = rows
                .iter()
                .map(|(name, good, expected, decision)| {
                    let decision = policy::report(decision);
                    json!({"name": name, "as_expected": good, "expected": expected, "decision": decision})
                })
                .collect();
            let report = json!({"cases": cases, "failed": failed});
            out::line(serde_json::to_string_pretty(&report).context("print the report")?);
        }
        Output::Table => {
            for (name, _, expected, decision) in rows.iter().filter(|row| !row.1) {
                let (found, by) = (effect(decision).as_str(), policies_of(decision).join(", "));
                let fault = decision.fault.as_deref().map(|fault| format!("; {fault}")).unwrap_or_default();
                let text = format!("{name}: expected {expected}, found {found} by [{by}]{fault}");
                out::line(out::plain(&text));
            }
            out::line(format!("{} of {} cases are as expected", rows.len() - failed, rows.len()));
        }
    }
    Ok(if failed == 0 { 0 } else { REFUSED })
}

fn diff(source: &Source, new: &Path, file: &Path, output: Output) -> anyhow::Result<u8> {
    let old_config = load::load(source)?.config;
    let new_source = Source { config: Some(new.to_owned()), ..Source::default() };
    let new_config = load::load(&new_source)?.config;
    let (old, newer) = (engine(&old_config)?, engine(&new_config)?);
    // Labels may change too, so that each side is asked about its own.
    let (before, after) = (asked(file, &old_config)?, asked(file, &new_config)?);
    let mut changes = Vec::new();
    for (before, after) in before.iter().zip(&after) {
        let (a, b) = (old.decide(&before.question()), newer.decide(&after.question()));
        if (&a.effect, &a.duties) != (&b.effect, &b.duties) {
            changes.push((before.title(), a, b));
        }
    }
    match output {
        Output::Json => {
            let change = |(name, a, b): &(String, Decision, Decision)| {
                json!({
                    "name": name, "before": policy::report(a), "after": policy::report(b),
                })
            };
            let changes: Vec<_> = changes.iter().map(change).collect();
            let report = json!({"cases": before.len(), "changes": changes});
            out::line(serde_json::to_string_pretty(&report).context("print the report")?);
        }
        Output::Table if changes.is_empty() => {
            out::line(format!("none of {} cases is decided otherwise", before.len()));
        }
        Output::Table => {
            let mut rows = table::new(&["case", "before", "by", "after", "by"]);
            for (name, a, b) in &changes {
                let cell = |decision: &Decision| {
                    let duties = if decision.duties.are_none() { "" } else { ", with duties" };
                    (format!("{}{duties}", effect(decision).as_str()), policies_of(decision).join(", "))
                };
                let ((a, by_a), (b, by_b)) = (cell(a), cell(b));
                rows.add_row(vec![out::plain(name).into_owned(), a, by_a, b, by_b]);
            }
            out::line(table::text(&rows));
        }
    }
    Ok(if changes.is_empty() { 0 } else { REFUSED })
}

fn explain(wanted: Explain) -> anyhow::Result<u8> {
    let config = load::load(&wanted.source)?.config;
    let engine = engine(&config)?;
    let output = wanted.output;
    let asked = Asked::new(wanted.case()?, &Labels::of(&config))?;
    let found = engine.explain(&asked.question());
    match output {
        Output::Json => {
            out::line(serde_json::to_string_pretty(&found).context("print the explanation")?);
        }
        Output::Table => show(&found),
    }
    Ok(if found.decision["effect"] == "allow" { 0 } else { REFUSED })
}

impl Explain {
    fn case(self) -> anyhow::Result<Case> {
        let Some((tenant, subject)) = self.who.split_once('/') else {
            let text = format!("use --as {:?}: write it as tenant/subject", self.who);
            return Err(Coded::new(USAGE, text).into());
        };
        let mut hints = config::CaseHints::default();
        for hint in &self.hints {
            let (name, value) = hint.strip_prefix("no-").map_or((hint.as_str(), true), |name| (name, false));
            let place = match name {
                "read-only" => &mut hints.read_only,
                "destructive" => &mut hints.destructive,
                "idempotent" => &mut hints.idempotent,
                "open-world" => &mut hints.open_world,
                _ => {
                    let text = format!("use --hint {hint:?}: there is no such hint");
                    return Err(Coded::new(USAGE, text).into());
                }
            };
            *place = Some(value);
        }
        let who = config::CaseWho {
            tenant: tenant.to_owned(),
            subject: subject.to_owned(),
            kind: self.kind,
            groups: self.groups,
            scopes: self.scopes,
            client: self.client,
            bound: self.bound,
            issuer: self.issuer,
            actors: self.actors,
            issued: self.issued,
        };
        Ok(Case {
            name: "the question".to_owned(),
            who,
            action: self.action,
            endpoint: self.endpoint,
            target: self.tool,
            labels: self.labels,
            hints,
            arguments: self.arguments,
            address: self.from.map(|address| address.to_string()),
            at: self.at,
            task: self.task,
            ..Case::default()
        })
    }
}

/// Tells an explanation to people.
fn show(found: &Explanation) {
    let decision = &found.decision;
    let text = |key: &str| decision[key].as_str().unwrap_or_default().to_owned();
    out::line(format!("decision: {}", text("effect")));
    if found.seen == Some(false) {
        out::line("it is not seen in lists, and is as what does not exist");
    }
    for (key, title) in [("ask", "asks"), ("duties", "duties"), ("reason", "reason"), ("fault", "fault")] {
        let value = &decision[key];
        let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out::line(out::plain(&format!("{title}: {value}")));
        }
    }
    for policy in &found.deciding {
        out::line(format!("\n{} ({}) at {}:{}", policy.id, policy.kind, policy.file, policy.line));
        policy.text.lines().for_each(|line| out::line(out::plain(&format!("    {line}"))));
    }
    for near in &found.near {
        let policy = &near.policy;
        let missing = near.missing.join(", and ");
        let place = format!("{} at {}:{}", policy.id, policy.file, policy.line);
        out::line(out::plain(&format!("\nwould permit, if {missing}: {place}")));
    }
    if let Value::Object(facts) = &found.facts {
        out::line("\nfacts:");
        for key in ["principal", "action", "resource", "context", "arguments_of_another_type"] {
            if let Some(value) = facts.get(key) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                out::line(out::plain(&format!("    {key}: {value}")));
            }
        }
    }
}
