//! Rulesets that lie in files, without a store and a gateway.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use governance::simulate::{Figures, Habits, Parameters, plot, simulate as live, stream};
use governance::{Engine, Fault, Ruleset, limits};
use model::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::cli::Output;
use crate::exit::{CONFIG, Coded, FAILURE, USAGE};
use crate::out;

/// The largest file of commands that is played.
const COMMANDS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Which ruleset.
#[derive(Debug, Args)]
pub struct Rules {
    /// A file with a ruleset, or one that is shipped: `solo`, `team`, `enterprise`, `mcp-2026`.
    #[arg(value_name = "RULES")]
    rules: PathBuf,
}

/// Which ruleset to print.
#[derive(Debug, Args)]
pub struct Preset {
    /// Its name.
    #[arg(value_parser = ["solo", "team", "enterprise", "mcp-2026"])]
    name: String,
}

/// Prints a ruleset that is shipped.
pub fn preset(arguments: &Preset) -> anyhow::Result<u8> {
    let none = || Coded::new(USAGE, format!("print the ruleset {:?}: there is none", arguments.name));
    out::line(governance::preset(&arguments.name).ok_or_else(none)?.text.trim_end());
    Ok(0)
}

/// Which ruleset to check.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    rules: Rules,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Which year to live.
#[derive(Debug, Args)]
pub struct Simulate {
    #[command(flatten)]
    rules: Rules,
    /// Proposals that come in thirty days.
    #[arg(long, value_name = "COUNT", default_value_t = Parameters::default().per_month)]
    per_month: u32,
    /// Days on which proposals come.
    #[arg(long, value_name = "DAYS", default_value_t = Parameters::default().days,
        value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// So many of a hundred are of one domain.
    #[arg(long, value_name = "PERCENT", default_value_t = Parameters::default().in_domain_percent)]
    in_domain: u32,
    /// So many of a hundred are breaking.
    #[arg(long, value_name = "PERCENT", default_value_t = Parameters::default().high_risk_percent)]
    high_risk: u32,
    /// Another year of the same kind.
    #[arg(long, value_name = "NUMBER", default_value_t = Parameters::default().seed)]
    seed: u64,
    /// Write a plot here, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Which commands to play.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    rules: Rules,
    /// The file: a command on each line, `{"at": "2026-12-01T09:00:00Z", "command": {…}}`, in order.
    #[arg(value_name = "COMMANDS")]
    commands: PathBuf,
    /// Only this proposal.
    #[arg(long, value_name = "NUMBER")]
    id: Option<u64>,
    /// When, as in `2026-12-01T09:00:00Z`: what comes later in the file is not played. At the time
    /// of the last command where it is not said.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Reads a file up to a size.
pub fn text(path: &Path, max: u64) -> anyhow::Result<String> {
    let cannot = || format!("read {}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(cannot)?;
    file.take(max + 1).read_to_string(&mut text).with_context(cannot)?;
    if text.len() as u64 > max {
        return Err(Coded::new(FAILURE, format!("{}: it has more than {max} bytes", cannot())).into());
    }
    Ok(text)
}

impl Rules {
    /// The text of the ruleset. A name of one that is shipped means that one, unless a file has it.
    fn text(&self) -> anyhow::Result<String> {
        let shipped = self.rules.to_str().and_then(governance::preset).filter(|_| !self.rules.exists());
        match shipped {
            Some(preset) => Ok(preset.text.to_owned()),
            None => text(&self.rules, limits::FILE_BYTES_MAX as u64),
        }
    }

    /// The ruleset, and all that is wrong with it.
    fn load(&self) -> anyhow::Result<Result<Engine, Vec<Fault>>> {
        let text = self.text()?;
        Ok(Ruleset::from_yaml(&text).map_err(|fault| vec![fault]).and_then(Engine::new))
    }

    fn engine(&self) -> anyhow::Result<Engine> {
        self.load()?.map_err(|faults| refused(&faults).into())
    }
}

/// The rules cannot be used.
fn refused(faults: &[Fault]) -> Coded {
    let all: Vec<_> = faults.iter().map(ToString::to_string).collect();
    Coded::config(format!("use the rules:\n{}", all.join("\n")))
}

/// Checks.
pub fn check(arguments: &Check) -> anyhow::Result<u8> {
    let found = arguments.rules.load()?;
    let faults = found.as_ref().err().cloned().unwrap_or_default();
    match (arguments.output, &found) {
        (Output::Json, _) => {
            let report = json!({"good": faults.is_empty(), "faults": faults});
            out::line(serde_json::to_string_pretty(&report)?);
        }
        (Output::Table, Ok(engine)) => out::line(summary(engine.rules())),
        (Output::Table, Err(faults)) => faults.iter().for_each(|fault| eprintln!("{fault}")),
    }
    Ok(if faults.is_empty() { 0 } else { CONFIG })
}

fn summary(rules: &Ruleset) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let who = count(rules.people.len(), if rules.people.len() == 1 { "person" } else { "people" });
    let who = who.replace("peoples", "people");
    let grants = if rules.delegation.enabled { rules.delegation.grants.len() } else { 0 };
    let alone = if rules.solo { "; one person decides alone" } else { "" };
    format!(
        "{} is good: {who}, {}, {}, {} in force{alone}",
        rules.name,
        count(rules.tracks.len(), "track"),
        count(rules.domains.len(), "domain"),
        count(grants, "grant"),
    )
}

/// Simulates.
pub fn simulate(arguments: &Simulate) -> anyhow::Result<u8> {
    let Simulate { rules, per_month, days, in_domain, high_risk, seed, .. } = arguments;
    let rules = rules.engine()?.rules().clone();
    let parameters = Parameters {
        seed: *seed,
        days: *days,
        per_month: *per_month,
        in_domain_percent: *in_domain,
        high_risk_percent: *high_risk,
        ..Parameters::default()
    };
    let year = |delegation: bool| -> anyhow::Result<Figures> {
        let mut rules = rules.clone();
        rules.delegation.enabled = delegation;
        let arrivals = stream(&rules, &parameters);
        let engine = Engine::new(rules).map_err(|faults| refused(&faults))?;
        Ok(live(&engine, &arrivals, &Habits::default()))
    };
    let (off, on) = (year(false)?, year(true)?);
    let names = ["without delegation", "with delegation"];
    if let Some(file) = &arguments.plot {
        let title = format!("{days} days under {}", rules.name);
        let drawn = plot(&title, [(names[0], &off), (names[1], &on)]);
        std::fs::write(file, drawn).with_context(|| format!("write {}", file.display()))?;
    }
    match arguments.output {
        Output::Json => {
            let report = |figures: &Figures| {
                json!({
                    "waitingDays": figures.waiting(),
                    "reviewDays": figures.review(),
                    "accepted": figures.accepted(),
                    "coreActs": figures.core_acts(),
                    "otherActs": figures.other_acts(),
                    "byDomainPercent": figures.by_domain_percent(),
                    "proposals": figures.rows,
                })
            };
            let both = json!({"without": report(&off), "with": report(&on)});
            out::line(serde_json::to_string_pretty(&both)?);
        }
        Output::Table => {
            out::line(Figures::HEADING);
            out::line(off.summary(names[0]));
            out::line(on.summary(names[1]));
        }
    }
    Ok(0)
}

/// A command of a file, and when it is given.
fn command(line: &str) -> Result<(Timestamp, governance::Command), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let at = value["at"].as_str().and_then(seal::time_from_text);
    let at = at.ok_or_else(|| "\"at\" is a time such as 2026-12-01T09:00:00Z".to_owned())?;
    let command = serde_json::from_value(value["command"].clone()).map_err(|error| error.to_string())?;
    Ok((at, command))
}

/// Explains.
pub fn explain(arguments: &Explain) -> anyhow::Result<u8> {
    let engine = arguments.rules.engine()?;
    let lines = text(&arguments.commands, COMMANDS_BYTES_MAX)?;
    let asked = arguments.at.as_deref().map(|text| {
        let wrong = || Coded::new(USAGE, format!("read --at {text:?}: write 2026-12-01T09:00:00Z"));
        seal::time_from_text(text).ok_or_else(wrong)
    });
    let asked = asked.transpose()?;
    let mut state = None;
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", arguments.commands.display(), number + 1);
        let (at, command) =
            command(line).map_err(|error| Coded::new(USAGE, format!("read {place}: {error}")))?;
        if asked.is_some_and(|asked| at > asked) {
            break;
        }
        let state = state.get_or_insert_with(|| engine.begin(at));
        match engine.decide(state, &command, at) {
            Ok(events) => events.iter().for_each(|event| state.apply(event)),
            Err(refusal) => eprintln!("{place}: refused, {refusal}"),
        }
    }
    let mut state = state.unwrap_or_else(|| engine.begin(SystemClock.now()));
    let now = asked.unwrap_or(state.at);
    if let Ok(events) = engine.decide(&state, &governance::Command::Tick, now) {
        events.iter().for_each(|event| state.apply(event));
    }
    let wanted = state.proposals.keys().filter(|id| arguments.id.is_none_or(|only| only == **id));
    let why: Vec<_> = wanted.filter_map(|id| engine.why(&state, *id, now)).collect();
    if let (Some(id), true) = (arguments.id, why.is_empty()) {
        return Err(Coded::new(FAILURE, format!("find proposal {id}: there is none")).into());
    }
    match arguments.output {
        Output::Json => out::line(serde_json::to_string_pretty(&why)?),
        Output::Table if why.is_empty() => out::line("nothing was proposed"),
        Output::Table => {
            why.iter().for_each(|why| out::line(out::plain(&why.text(&engine.rules().calendar))));
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use governance::PRESETS;

    use super::*;

    #[test]
    fn every_shipped_ruleset_is_found_by_its_name() {
        for preset in PRESETS {
            let rules = Rules { rules: preset.name.into() };
            assert_eq!(rules.text().unwrap(), preset.text);
        }
        assert!(Rules { rules: "none".into() }.text().is_err());
    }

    #[test]
    fn a_command_says_when_it_is_given() {
        let line = r#"{"at": "2026-12-01T09:00:00Z", "command": "tick"}"#;
        let (at, found) = command(line).unwrap();
        assert_eq!(
            (seal::time_to_text(at).as_str(), found),
            ("2026-12-01T09:00:00Z", governance::Command::Tick)
        );
        assert!(command(r#"{"command": "tick"}"#).unwrap_err().contains("\"at\""));
        assert!(command(r#"{"at": "2026-12-01T09:00:00Z", "command": {"guess": {}}}"#).is_err());
    }
}
