//! Policies alone, in this process: what a decision takes, and a list.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use model::Timestamp;
use policy::{Action, ArgumentType, Circumstances, Effect, Engine, Options as Known, PolicyFile, Target};
use policy::{ToolHints, Who};
use serde_json::{Value, json};

use super::Quantiles;
use crate::Result;

/// How many upstreams the tools are spread over.
const UPSTREAMS: usize = 20;
/// How many principals ask, each in groups of his own.
const PRINCIPALS: usize = 100;

#[derive(Debug, Args)]
pub struct Options {
    /// How many policies there are.
    #[arg(long, default_value_t = 500)]
    policies: usize,
    /// How many tools there are.
    #[arg(long, default_value_t = 2_000)]
    tools: usize,
    /// How many decisions of each kind are timed.
    #[arg(long, default_value_t = 20_000)]
    count: usize,
    /// How many lists are timed.
    #[arg(long, default_value_t = 50)]
    lists: usize,
}

/// A tool, with values of its own.
struct Tool {
    upstream: String,
    name: String,
    hints: ToolHints,
    labels: Vec<String>,
}

impl Tool {
    fn target(&self) -> Target<'_> {
        Target {
            endpoint: "mcp",
            upstream: &self.upstream,
            name: &self.name,
            hints: self.hints,
            labels: &self.labels,
        }
    }
}

/// Policies as an organisation has them: groups that may use servers, tools that some may not, duties, and
/// rules on arguments.
fn text(count: usize) -> String {
    let one = |n: usize| {
        let (upstream, group) = (n % UPSTREAMS, n % PRINCIPALS);
        let call = "action == Action::\"call_tool\"";
        let at = format!("resource in Upstream::\"u{upstream}\"");
        match n % 10 {
            0..=4 => {
                format!("permit(principal in Group::\"acme/g{group}\", action in Action::\"use\", {at});")
            }
            5 => "permit(principal in Group::\"acme/all\", action == Action::\"call_tool\", resource)\n\
                  unless { resource.destructive || resource.labels.contains(\"pii\") };"
                .to_owned(),
            6 => format!("forbid(principal, {call}, resource == Tool::\"u{upstream}/t{n}\");"),
            7 => format!(
                "@result_bytes_max(\"65536\")\nforbid(principal, {call}, {at})\nwhen {{ \
                 resource.labels.contains(\"l{n}\") }};"
            ),
            8 => format!(
                "@ask(\"groups: g{group}\")\nforbid(principal in Group::\"acme/g{group}\", {call}, {at})\n\
                 when {{ resource.destructive }};"
            ),
            _ => format!(
                "forbid(principal, {call}, {at})\nwhen {{ context.arguments has amount && \
                 context.arguments.amount > {} }};",
                100 + n
            ),
        }
    };
    (0..count).map(|n| format!("@id(\"p{n}\")\n{}\n", one(n))).collect()
}

fn tool(n: usize) -> Tool {
    let hints = ToolHints {
        read_only: Some(n.is_multiple_of(3)),
        destructive: Some(n.is_multiple_of(7)),
        ..ToolHints::default()
    };
    let labels = if n.is_multiple_of(11) { vec!["pii".to_owned(), format!("l{n}")] } else { Vec::new() };
    Tool { upstream: format!("u{}", n % UPSTREAMS), name: format!("t{n}"), hints, labels }
}

/// Measures.
pub fn run(options: &Options) -> Result<Value> {
    let arguments = BTreeMap::from([("amount".to_owned(), ArgumentType::Long)]);
    let file = PolicyFile { name: "bench.cedar".to_owned(), text: text(options.policies) };
    let begun = Instant::now();
    let known = Known { arguments, ..Known::default() };
    let engine = Engine::load(vec![file], known).map_err(|faults| format!("{faults:?}"))?;
    let load_ms = begun.elapsed().as_secs_f64() * 1e3;
    let tools: Vec<Tool> = (0..options.tools).map(tool).collect();
    let groups: Vec<Vec<String>> =
        (0..PRINCIPALS).map(|n| vec!["all".to_owned(), format!("g{n}"), format!("g{}", n + 1)]).collect();
    let subjects: Vec<String> = (0..PRINCIPALS).map(|n| format!("user-{n}")).collect();
    let whos: Vec<Who<'_>> =
        subjects.iter().zip(&groups).map(|(subject, groups)| who(subject, groups)).collect();

    let mut lists = [Quantiles::default(), Quantiles::default()];
    let mut shown = 0;
    for n in 0..options.lists {
        // The first time nothing is remembered of this principal, the second time everything is.
        for took in &mut lists {
            let at = Instant::now();
            let lens = engine.lens(whos[n % PRINCIPALS]);
            let seen = |tool: &&Tool| {
                lens.decide(Action::CallTool, tool.target(), when(None)).effect != Effect::Deny
            };
            shown += tools.iter().filter(seen).count();
            took.add(at.elapsed());
        }
    }
    let decisions = |arguments: &str| {
        let (mut took, mut allowed) = (Quantiles::default(), 0);
        // Warm: each question was asked before, if only with other arguments.
        for timed in [false, true] {
            for n in 0..options.count {
                let (who, tool) = (whos[n % PRINCIPALS], &tools[n % tools.len().max(1)]);
                let question = policy::Question {
                    who,
                    action: Action::CallTool,
                    target: tool.target(),
                    circumstances: when(Some(arguments)),
                };
                let at = Instant::now();
                let decision = engine.decide(&question);
                if timed {
                    took.add(at.elapsed());
                    allowed += usize::from(decision.effect != Effect::Deny);
                }
            }
        }
        let mut measured = took.to_json();
        measured["allowed"] = json!(allowed);
        measured
    };
    let [first, again] = lists;
    Ok(json!({
        "policies": engine.len(),
        "tools": tools.len(),
        "load_ms": load_ms,
        "decide": decisions("{\"amount\": 50, \"text\": \"a short one\"}"),
        "decide_forbidden": decisions("{\"amount\": 5000}"),
        "list_first": first.to_json(),
        "list_again": again.to_json(),
        "shown": shown,
    }))
}

fn who<'a>(subject: &'a str, groups: &'a [String]) -> Who<'a> {
    Who {
        tenant: "acme",
        subject,
        kind: "user",
        groups,
        scopes: &[],
        client: Some("bench"),
        issuer: Some("corp"),
        actors: &[],
        issued: None,
        bound: false,
    }
}

fn when(arguments: Option<&str>) -> Circumstances<'_> {
    Circumstances { arguments, address: None, now: Timestamp(1_785_240_000_000), task: false }
}
