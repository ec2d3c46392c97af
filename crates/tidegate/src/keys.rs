//! `tidegate keys`: the key ring, looked at and changed.

mod follow;
mod place;

use clap::{Args, Subcommand};
use config::{Config, Span};
use model::{Clock as _, SystemClock, Timestamp};
use seal::{CLOCK_SKEW_MAX, Key, KeyId, Rotation, State, SystemRng, Term, time_to_text};
use serde_json::{Value, json};

use crate::by_hand::ByHand;
use crate::cli::{Output, Source};
use crate::exit::{Coded, FAILURE};
use crate::{load, out, state, store_command, table};
pub use follow::Follow;
use place::Place;

/// How long cursors are good. Other handles have keys of the configuration for it.
const CURSOR_TIME: Span = Span::from_hours(24);
/// By then a replica has surely read a changed file; one that takes longer answers some clients as if it did
/// not know them.
const AFTER_MIN: Span = Span::from_secs(60);

/// What to do with the key ring.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the keys: which one seals, which ones open, and when that changes. Never the keys themselves.
    List(Ring),
    /// Make a first ring: in `keys.file` where the configuration names one, else on standard output.
    Generate {
        #[command(flatten)]
        ring: Ring,
        /// Print the ring and leave the file alone.
        #[arg(long)]
        print: bool,
    },
    /// Add a key that takes over soon; those before it open what they have sealed until that is over.
    Rotate {
        #[command(flatten)]
        ring: Ring,
        /// When the new key takes over. Every replica must have read it by then.
        #[arg(long, value_name = "DURATION", default_value = "5m")]
        after: Span,
        /// How long the keys before it still open from then on; as long as handles live, unless this says
        /// otherwise.
        #[arg(long, value_name = "DURATION")]
        keep: Option<Span>,
        /// Print the new ring and leave the old one alone.
        #[arg(long)]
        print: bool,
    },
    /// Retire a key at once: what it has sealed is unknown from then on.
    Retire {
        /// Its id, as `list` shows it.
        key: KeyId,
        #[command(flatten)]
        ring: Ring,
        /// Print the new ring and leave the old one alone.
        #[arg(long)]
        print: bool,
    },
}

/// Which ring, and how to tell of it.
#[derive(Debug, Args)]
pub struct Ring {
    #[command(flatten)]
    source: Source,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    let now = SystemClock.now();
    match command {
        Command::List(ring) => {
            let place = ring.place().await?;
            ring.tell(&place.parse(&place.read().await?)?, now)?;
        }
        Command::Generate { ring, print } => generate(&ring, print, now).await?,
        Command::Rotate { ring, after, keep, print } => {
            if after < AFTER_MIN {
                eprintln!(
                    "warning: a replica that has not read the new key after {after} answers as if it did not \
                     know what others seal with it"
                );
            }
            let keep = keep.unwrap_or_else(|| handle_time(&ring));
            let rotation = Rotation { after: after.into(), keep: keep.into() };
            let rotated = |keys: &[Key]| {
                // Read here, as the file may have been waited for.
                seal::rotate(keys, &SystemRng, SystemClock.now(), rotation)
            };
            change(&ring, ("rotate", None), print, rotated).await?;
        }
        Command::Retire { key, ring, print } => {
            let name = key.to_string();
            let retired = |keys: &[Key]| seal::retire(keys, key, SystemClock.now());
            change(&ring, ("retire", Some(&name)), print, retired).await?;
        }
    }
    Ok(0)
}

async fn generate(ring: &Ring, print: bool, now: Timestamp) -> anyhow::Result<()> {
    let keys = seal::first(&SystemRng, now);
    let text = seal::text::write(&keys);
    let place = if ring.is_named()? { ring.found().await? } else { None };
    let Some(place @ (Place::File(_) | Place::Store(_))) = place.filter(|_| !print) else {
        out::line(text.trim_end());
        return Ok(());
    };
    let there = || format!("make {}: it is there already; `tidegate keys rotate` adds a key", place.name());
    place
        .change("generate", |before| match before {
            Some(_) => Err(Coded::new(FAILURE, there()).into()),
            None => Ok(text),
        })
        .await?;
    // Before, there was no key to sign its record with.
    if let Some(store) = store_command::open_if_there(&ring.source).await? {
        ByHand::once(&ring.source, &store, "keys generate", "").await?;
    }
    ring.tell(&keys, now)
}

/// Changes the ring where it is, or prints what it would be.
async fn change(
    ring: &Ring,
    (command, key): (&str, Option<&str>),
    print: bool,
    change: impl FnOnce(&[Key]) -> Result<Vec<Key>, seal::ChangeError>,
) -> anyhow::Result<()> {
    let place = ring.place().await?;
    let changed = |text: &str| -> anyhow::Result<Vec<Key>> {
        let keys = place.parse(text)?;
        change(&keys).map_err(|error| {
            let hint = match error {
                seal::ChangeError::Unknown(_) => "; `tidegate keys list` shows which there are",
                seal::ChangeError::Last(_) => ": `tidegate keys rotate --after 0s`",
                seal::ChangeError::Full => "",
            };
            Coded::new(FAILURE, format!("{error}{hint}")).into()
        })
    };
    if print {
        let keys = changed(&place.read().await?)?;
        out::line(seal::text::write(&keys).trim_end());
        return Ok(());
    }
    let doing = match store_command::open_if_there(&ring.source).await? {
        Some(store) => {
            Some(ByHand::begin(&ring.source, &store, &format!("keys {command}"), key.unwrap_or("")).await?)
        }
        None => None,
    };
    let mut keys = Vec::new();
    let done = place.change(command, |before| {
        keys = changed(before.ok_or_else(|| place.missing())?)?;
        Ok(seal::text::write(&keys))
    });
    let done = done.await;
    match doing {
        Some(doing) => doing.end(done).await?,
        None => done?,
    }
    ring.tell(&keys, SystemClock.now())
}

/// How long the longest-lived handle is good, and the clocks of two replicas may be apart at either end.
fn handle_time(ring: &Ring) -> Span {
    let config = load::load(&ring.source).map(|loaded| loaded.config).unwrap_or_default();
    let Config { sessions, limits, tasks, admin, .. } = config;
    // A task may be asked for as long as anything of it is known.
    let task = Span::from_millis(tasks.retention_max.millis().saturating_add(tasks.tombstone.millis()));
    let operators = admin.sign_in.map_or(Span::default(), |sign_in| sign_in.session);
    let longest = sessions.ttl.max(limits.park_time_max).max(CURSOR_TIME).max(task).max(operators);
    let skew = u64::try_from(2 * CLOCK_SKEW_MAX.as_millis()).unwrap_or(u64::MAX);
    Span::from_millis(longest.millis().saturating_add(skew))
}

impl Ring {
    /// Where the ring is, if it is anywhere.
    async fn found(&self) -> anyhow::Result<Option<Place>> {
        let loaded = load::load(&self.source)?;
        if let Some(place) = Place::of(&loaded.config, None) {
            return Ok(Some(place));
        }
        let store = state::open(&loaded).await?;
        Ok(Place::of(&loaded.config, store.as_ref()))
    }

    /// Whether anybody said where the ring is, or would be.
    fn is_named(&self) -> anyhow::Result<bool> {
        let config = load::load(&self.source)?.config;
        Ok(config.store.url.is_some() || Place::of(&config, None).is_some())
    }

    /// Where the ring is.
    async fn place(&self) -> anyhow::Result<Place> {
        self.found().await?.ok_or_else(|| {
            let hint = "give `keys.file` a path and run `tidegate keys generate`";
            let text =
                "find a key ring: the configuration names none, and what there is ends with the process";
            Coded::config(format!("{text}; {hint}")).into()
        })
    }

    /// Prints what a ring consists of.
    fn tell(&self, keys: &[Key], now: Timestamp) -> anyhow::Result<()> {
        let rows = seal::overview(keys, now);
        match self.output {
            Output::Table => {
                let mut table = table::new(&["key", "state", "created", "active from", "retired at"]);
                for (term, state) in &rows {
                    let retired = term.retired_at.map_or_else(|| "-".to_owned(), time_to_text);
                    let (created, active) = (time_to_text(term.created), time_to_text(term.active_from));
                    let cells = [term.id.to_string(), state.as_str().to_owned(), created, active, retired];
                    table.add_row(cells.to_vec());
                }
                out::line(table::text(&table));
            }
            Output::Json => {
                let rows: Vec<Value> = rows
                    .iter()
                    .map(|(term, state)| {
                        json!({
                            "id": term.id.to_string(),
                            "state": state.as_str(),
                            "created": time_to_text(term.created),
                            "activeFrom": time_to_text(term.active_from),
                            "retiredAt": term.retired_at.map(time_to_text),
                        })
                    })
                    .collect();
                out::line(serde_json::to_string_pretty(&rows)?);
            }
        }
        if let Some(warning) = runs_dry(&rows) {
            eprintln!("warning: {warning}; `tidegate keys rotate --after 0s` adds a key that seals at once");
        }
        Ok(())
    }
}

/// What is said of a ring in which the time will come when no key seals.
fn runs_dry(rows: &[(Term, State)]) -> Option<String> {
    if rows.iter().all(|(_, state)| *state != State::Active) {
        return Some("no key is active".to_owned());
    }
    let open = rows.iter().filter(|(_, state)| *state != State::Retired).map(|(term, _)| term.retired_at);
    let ends: Option<Vec<Timestamp>> = open.collect();
    ends.and_then(|ends| ends.into_iter().max())
        .map(|at| format!("no key seals from {} on", time_to_text(at)))
}
