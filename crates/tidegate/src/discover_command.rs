//! `tidegate discover`: what a domain publishes about its servers, and what of it contradicts.

mod html;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use config::Span;
use discovery::contradict::{Contradiction, Severity};
use discovery::polite::Manners;
use model::{Clock as _, SystemClock};
use scout::{CardReport, Crawler, Fetcher, Keep, Options, Reaching, Report, Seed, State};

use crate::cli::Output;
use crate::exit::{Coded, REFUSED, USAGE, failed};
use crate::progress::Bar;
use crate::{out, table};

/// Bytes of a list that are read.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// Where to look, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A domain, a URL (of a domain, a catalog, a card or an endpoint), or a file with one of them in each
    /// line.
    #[arg(value_name = "DOMAIN|URL|FILE")]
    what: String,
    /// Connect to the servers that cards lead to, and hold what they say against the cards.
    #[arg(long)]
    live: bool,
    /// Keep what came in this folder: a crawl that was interrupted goes on, and the next one fetches only
    /// what changed.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Write the report as a page for a browser, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also go to private addresses, to this machine, and over plain HTTP.
    #[arg(long)]
    private: bool,
    /// Read what cards say about authentication, which is a draft (SEP-2742).
    #[arg(long)]
    experimental_auth: bool,
    /// Requests at once, to all hosts.
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,
    /// The time between two requests to one host.
    #[arg(long, value_name = "DURATION", default_value = "200ms")]
    pause: Span,
    /// How long one document may take.
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    timeout: Span,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Looks, and says what there is.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let seeds = seeds(&arguments.what)?;
    let keep = arguments.keep.as_deref().map(Keep::open).transpose().map_err(failed)?;
    let total = Duration::from_millis(arguments.timeout.millis());
    let reaching = Reaching { private: arguments.private, total, ..Reaching::default() };
    let fetcher = Fetcher::new(&reaching).map_err(failed)?;
    let default = Options::default();
    let manners = Manners {
        at_once: usize::from(arguments.at_once),
        pause: Duration::from_millis(arguments.pause.millis()),
        ..default.manners
    };
    let options = Options { live: arguments.live, auth: arguments.experimental_auth, manners, ..default };
    let mut crawler = Crawler::new(fetcher, Arc::new(SystemClock), options, keep, seeds).map_err(failed)?;
    let mut bar = Bar::new();
    let done = crawler.run(&mut |at| bar.show(at.finished + at.given_up, at.known as u64, "documents")).await;
    bar.clear();
    done.map_err(failed)?;
    let report = crawler.report();
    if let Some(file) = &arguments.html {
        let page = html::page(&report, SystemClock.now());
        scout::replace(file, page.as_bytes()).with_context(|| format!("write {}", file.display()))?;
    }
    match arguments.output {
        Output::Json => out::line(serde_json::to_string_pretty(&report)?),
        Output::Table => print(&report),
    }
    Ok(if report.summary.found == 0 { REFUSED } else { 0 })
}

fn seeds(what: &str) -> anyhow::Result<Vec<Seed>> {
    let path = Path::new(what);
    if !path.is_file() {
        let seed = Seed::read(what).map_err(|why| Coded::new(USAGE, format!("look at {what:?}: {why}")))?;
        return Ok(vec![seed]);
    }
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LIST_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| Coded::new(USAGE, format!("read {}: {error}", path.display())))?;
    let seeds = scout::seeds(&text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
        Coded::new(USAGE, format!("use the list {}:{}", path.display(), lines.concat()))
    })?;
    if seeds.is_empty() {
        return Err(Coded::new(USAGE, format!("use the list {}: it is empty", path.display())).into());
    }
    Ok(seeds)
}

fn print(report: &Report) {
    let mut rows = table::new(&["domain", "state", "card", "version", "url", "live"]);
    let mut below = Vec::new();
    for seed in &report.seeds {
        let name = out::plain(&seed.seed).into_owned();
        if seed.entries.is_empty() {
            rows.add_row(vec![name.clone(), seed.state.word().to_owned()]);
        }
        below.extend(seed.why.iter().map(|why| format!("{name}: {why}")));
        let catalog = seed.catalog.iter().flat_map(|catalog| &catalog.faults);
        below.extend(catalog.map(|fault| format!("{name}: catalog: {fault}")));
        for entry in &seed.entries {
            let card = report.cards.get(&entry.url);
            rows.add_row(row(&name, entry.state, card, &entry.url));
            let of = card.map_or(entry.url.as_str(), |card| &card.name);
            below.extend(entry.why.iter().map(|why| format!("{name}: {of}: {why}")));
            below.extend(entry.contradictions.iter().map(|one| format!("{name}: {of}: {}", words(one))));
        }
    }
    for card in report.cards.values() {
        below.extend(card.faults.iter().map(|fault| format!("{}: {fault}", card.name)));
        below.extend(card.contradictions.iter().map(|one| format!("{}: {}", card.name, words(one))));
    }
    out::line(table::text(&rows));
    for line in below {
        out::line(format!(" {}", out::plain(&line)));
    }
    let sum = &report.summary;
    out::line(format!(
        "\n{} asked: {} with something published, {} without, {} refused, {} unreachable; {} cards, {} \
         servers answered; {} serious contradictions, {} warnings",
        sum.seeds,
        sum.found,
        sum.absent,
        sum.refused,
        sum.unreachable,
        sum.cards,
        sum.answered,
        sum.serious,
        sum.warnings
    ));
}

fn row(seed: &str, state: State, card: Option<&CardReport>, url: &str) -> Vec<String> {
    let text = |text: &str| out::plain(text).into_owned();
    let Some(card) = card else {
        return vec![seed.to_owned(), state.word().to_owned(), "-".to_owned(), "-".to_owned(), text(url)];
    };
    let urls: Vec<String> = card.remotes.iter().map(|remote| text(&remote.url)).collect();
    let live: Vec<&str> =
        card.remotes.iter().filter_map(|remote| Some(remote.live.as_ref()?.standing.word())).collect();
    let live = if live.is_empty() { "-".to_owned() } else { live.join("\n") };
    vec![
        seed.to_owned(),
        state.word().to_owned(),
        text(&card.name),
        text(&card.version),
        urls.join("\n"),
        live,
    ]
}

/// A contradiction in a line.
fn words(one: &Contradiction) -> String {
    format!("{}: {}: {}", severity(one.severity), one.about, one.what)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Serious => "serious",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
