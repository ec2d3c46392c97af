//! A rate that several replicas keep together, by one store, while each is asked for far more than there is.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::client::{Ask, Client, End, Revision};
use crate::replicas::{Plan, Replica};
use crate::upstream::Upstreams;

/// Replicas find one another within this. Clients come at once, but are counted from then on only.
const WARM: Duration = Duration::from_secs(8);
/// The pause after nobody answered.
const PAUSE: Duration = Duration::from_millis(40);
/// The code of an answer that a limit has refused.
const LIMITED: i64 = -31_006;
/// How far off it may be: one of so many.
const PART: u64 = 20;

#[derive(Debug, Args)]
pub struct Options {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The store of all replicas.
    #[arg(long, env = "TIDEGATE_STORE_URL", hide_env_values = true)]
    store_url: String,
    /// The key ring of all replicas.
    #[arg(long)]
    keys: PathBuf,
    /// Where each replica listens.
    #[arg(long, value_delimiter = ',')]
    replicas: Vec<String>,
    /// For configurations and logs.
    #[arg(long)]
    folder: PathBuf,
    /// How long is counted.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many requests of a second are let through.
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Clients of each replica, each of which asks as fast as it is answered.
    #[arg(long, default_value_t = 4)]
    clients: u64,
}

/// What the clients of one replica were answered.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Count {
    through: u64,
    refused: u64,
    /// Anything else.
    other: u64,
    /// In words, the first of those.
    strange: Option<String>,
}

impl Count {
    fn add(&mut self, end: &End) {
        match end {
            End::Result(_) => self.through += 1,
            End::Error { code: LIMITED, .. } => self.refused += 1,
            other => {
                self.other += 1;
                self.strange.get_or_insert_with(|| format!("{other:?}"));
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.through += other.through;
        self.refused += other.refused;
        self.other += other.other;
        self.strange = self.strange.take().or(other.strange);
    }
}

/// Floods the replicas, tells, and gives back whether they kept the rate.
pub async fn run(options: &Options) -> Result<bool> {
    std::fs::create_dir_all(&options.folder).map_err(|e| format!("{}: {e}", options.folder.display()))?;
    let upstreams = Upstreams::start(&options.folder.join("ledger")).await?;
    let plan = plan(options, &upstreams);
    let mut replicas = Vec::new();
    for (number, address) in (1..).zip(&options.replicas) {
        replicas.push(Replica::start(number, address.clone(), plan.clone()).await?);
    }
    let from = Instant::now() + WARM;
    let end = from + Duration::from_secs(options.seconds);
    let mut clients = JoinSet::new();
    for (at, place) in options.replicas.iter().enumerate() {
        for number in 0..options.clients {
            let (place, name) = (place.clone(), format!("limits-{at}-{number}"));
            clients.spawn(async move { (at, flood(&place, &name, from, end).await) });
        }
    }
    let mut counts = vec![Count::default(); options.replicas.len()];
    while let Some(ended) = clients.join_next().await {
        let (at, count) = ended.map_err(|e| e.to_string())?;
        counts[at].merge(count);
    }
    for mut replica in replicas {
        replica.terminate().await?;
    }
    let faults = judge(&counts, options.rate * options.seconds);
    tell(&counts, options);
    faults.iter().for_each(|fault| println!("  {fault}"));
    Ok(faults.is_empty())
}

/// Calls until the end, and counts what was answered from `from` on.
async fn flood(place: &str, name: &str, from: Instant, end: Instant) -> Count {
    let (mut count, mut number) = (Count::default(), 0_u64);
    while Instant::now() < end {
        let Ok(mut client) = Client::open(place, "/modern/mcp", Revision::V2026_07_28).await else {
            sleep(PAUSE).await;
            continue;
        };
        number += 1;
        let nonce = format!("{name}-{number}");
        let params = json!({"name": "echo", "arguments": {"nonce": nonce}});
        let mut ask = Ask { nonce, strange: Vec::new(), think: Duration::ZERO };
        let answer = client.request("tools/call", params, &mut ask, false).await;
        let now = Instant::now();
        if from <= now && now < end {
            count.add(&answer);
        }
    }
    count
}

/// What is not as it must be, in words.
fn judge(counts: &[Count], wanted: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let through: u64 = counts.iter().map(|count| count.through).sum();
    if through * PART > wanted * (PART + 1) || through * PART < wanted * (PART - 1) {
        faults.push(format!("{through} were let through, and there are {wanted}"));
    }
    for (number, count) in (1..).zip(counts) {
        if count.through == 0 || count.refused == 0 {
            faults.push(format!("replica {number} was not asked for more than it had: nothing is shown"));
        }
        if let Some(strange) = &count.strange {
            faults.push(format!("replica {number}: {} other answers, such as {strange}", count.other));
        }
    }
    faults
}

fn tell(counts: &[Count], options: &Options) {
    let (through, wanted): (u64, _) =
        (counts.iter().map(|count| count.through).sum(), options.rate * options.seconds);
    let (rate, seconds) = (options.rate, options.seconds);
    println!("{through} of {wanted} in {seconds} s at {rate} a second");
    for (number, Count { through, refused, .. }) in (1..).zip(counts) {
        println!("  replica {number}: {through} let through, {refused} refused");
    }
}

fn plan(options: &Options, upstreams: &Upstreams) -> Plan {
    let text = format!(
        "upstreams: {{modern: {{url: \"http://{}/modern/mcp\"}}}}\n\
         rates: [{{name: all, rate: {}/1s, burst: 1, match: {{tools: [echo]}}}}]\n",
        upstreams.address, options.rate
    );
    Plan {
        gateway: options.gateway.clone(),
        store_url: options.store_url.clone(),
        keys: options.keys.clone(),
        folder: options.folder.clone(),
        upstreams: text,
        alone: options.replicas.len() == 1,
        database_restarts: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(through: [u64; 3]) -> Vec<Count> {
        through.map(|through| Count { through, refused: 9, ..Count::default() }).to_vec()
    }

    #[test]
    fn a_twentieth_more_or_less_is_let_pass_and_no_more() {
        for (through, good) in [(950, true), (949, false), (1_050, true), (1_051, false)] {
            let faults = judge(&counts([300, 300, through - 600]), 1_000);
            assert_eq!(faults.is_empty(), good, "{through}: {faults:?}");
        }
    }

    #[test]
    fn a_run_shows_nothing_where_a_replica_was_not_flooded_or_somebody_heard_of_something_else() {
        assert_eq!(judge(&counts([500, 500, 0]), 1_000).len(), 1);
        let mut idle = counts([300, 300, 400]);
        idle[1].refused = 0;
        assert_eq!(judge(&idle, 1_000).len(), 1);
        let mut odd = counts([300, 300, 400]);
        odd[0].add(&End::Status(503));
        odd[0].add(&End::Error { code: LIMITED, message: String::new() });
        assert_eq!((odd[0].other, odd[0].refused), (1, 10));
        assert_eq!(judge(&odd, 1_000).len(), 1);
    }
}
