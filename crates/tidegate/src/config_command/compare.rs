//! `tidegate config diff` and `drift`: what is different in meaning between files, the store and what runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use config::{Config, Difference, Meaning, Origins};
use model::SystemClock;
use serde_json::{Value, json};
use store::PinOffice;

use crate::cli::{self, Output, Source};
use crate::exit::{Coded, REFUSED, USAGE};
use crate::{load, out, running_command, store_command};

/// What stands for the gateway that runs.
const RUNNING: &str = "running";

/// Which two configurations.
#[derive(Debug, Args)]
pub struct Diff {
    /// A file, with overlays where some are named (`tidegate.yaml@production`, or `@production,eu`), or
    /// `running` for what the gateway that runs here has in force.
    before: String,
    /// The same.
    after: String,
    #[command(flatten)]
    chosen: Chosen,
}

/// Where what runs is found, and how to tell of it.
#[derive(Debug, Args)]
pub struct Chosen {
    #[command(flatten)]
    source: Source,
    /// Ask the gateway that runs at this address, and not at `admin.listen`.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// One of the two.
struct Side {
    value: Value,
    origins: Option<Origins>,
}

impl Side {
    fn of(mut config: Config, origins: Origins, folder: Option<&Path>) -> Self {
        if let Some(folder) = folder {
            config.anchor_paths(folder);
        }
        Self { value: Meaning::of(&config, None).value().clone(), origins: Some(origins) }
    }

    fn meaning(&self) -> Meaning<'_> {
        Meaning::told(self.value.clone(), self.origins.as_ref())
    }

    /// A file and its overlays. Paths stay as they are written, so that two folders can be compared, unless
    /// the other side is a gateway, for which they begin at its folder.
    fn file(text: &str, source: &Source, anchored: bool) -> anyhow::Result<Self> {
        let (file, envs) = text.rsplit_once('@').unwrap_or((text, ""));
        let envs = envs.split(',').filter(|env| !env.is_empty()).map(cli::environment);
        let wrong = |error: String| Coded::new(USAGE, format!("read {text:?}: {error}"));
        let own = envs.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        // What is said for both is the lower one.
        let env = [source.env.clone(), own].concat();
        let source =
            Source { config: Some(PathBuf::from(file)), env, set: source.set.clone(), mcp_json: None };
        let layered = load::layered(&source, Path::new(file))?;
        let folder = Path::new(file).parent().unwrap_or(Path::new("."));
        Ok(Self::of(layered.config, layered.origins, anchored.then_some(folder)))
    }

    async fn running(chosen: &Chosen) -> anyhow::Result<Self> {
        let found =
            running_command::ask_running(&chosen.source, chosen.admin.as_deref(), "/v1/config").await?;
        Ok(Self { value: found["config"].clone(), origins: None })
    }
}

fn told(output: Output, found: &[Difference], besides: &[String]) -> anyhow::Result<u8> {
    match output {
        Output::Json => {
            let report = json!({"same": found.is_empty() && besides.is_empty(), "differences": found,
                "besides": besides});
            out::line(serde_json::to_string_pretty(&report)?);
        }
        Output::Table => {
            found.iter().for_each(|one| out::line(out::plain(&one.to_string())));
            besides.iter().for_each(|line| out::line(format!("! {line}")));
            if found.is_empty() && besides.is_empty() {
                out::line("they mean the same");
            }
        }
    }
    Ok(if found.is_empty() && besides.is_empty() { 0 } else { REFUSED })
}

/// Says what is different between two.
pub async fn diff(arguments: Diff) -> anyhow::Result<u8> {
    let Diff { before, after, chosen } = arguments;
    let anchored = before == RUNNING || after == RUNNING;
    if !anchored && (chosen.source.config.is_some() || chosen.source.mcp_json.is_some()) {
        let text = "compare files: --config and --mcp-json say which gateway runs, and neither is `running`";
        return Err(Coded::new(USAGE, text.to_owned()).into());
    }
    let mut sides = Vec::new();
    for text in [&before, &after] {
        sides.push(match text.as_str() {
            RUNNING => Side::running(&chosen).await?,
            file => Side::file(file, &chosen.source, anchored)?,
        });
    }
    let [a, b] = sides.as_slice() else { anyhow::bail!("compare two configurations") };
    told(chosen.output, &config::diff(&a.meaning(), &b.meaning()), &[])
}

/// Says what is different between the file, the gateway that runs and what the store knows.
pub async fn drift(chosen: Chosen) -> anyhow::Result<u8> {
    let file = chosen.source.config.clone().unwrap_or_else(|| PathBuf::from(load::DEFAULT_FILE));
    let layered = load::layered(&chosen.source, &file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let upstreams: BTreeSet<String> = layered.config.upstreams.keys().cloned().collect();
    let own = Side::of(layered.config, layered.origins, Some(folder));
    let running = Side::running(&chosen).await?;
    let found = config::diff(&running.meaning(), &own.meaning());
    let mut besides = Vec::new();
    if let Some(store) = store_command::open_if_there(&chosen.source).await? {
        let office = PinOffice::new(Arc::clone(&store), Arc::new(SystemClock));
        let (_, pins) = office.all().await.context("read the pins in the store")?;
        let gone: BTreeSet<&String> = pins.iter().map(|pin| &pin.key.upstream).collect();
        for name in gone.into_iter().filter(|name| !upstreams.contains(*name)) {
            besides.push(format!("the store has definitions of {name}, which is no upstream of the file"));
        }
        for pin in pins.iter().filter(|pin| pin.state() == store::PinState::Drifted) {
            let (name, upstream) = (policy::pins::visible(&pin.key.name), &pin.key.upstream);
            besides.push(format!("{} {name} of {upstream} is another one than was approved", pin.key.kind));
        }
        store.close().await;
    }
    told(chosen.output, &found, &besides)
}
