//! From the start of a gateway to its first answer.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::Endpoint;
use super::calls::Caller;
use super::quantiles::micros;
use crate::Result;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How long to wait before trying again whether it listens.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Debug, Args)]
pub struct Options {
    /// Where it will listen.
    #[command(flatten)]
    endpoint: Endpoint,
    /// The tool to call.
    #[arg(long)]
    tool: String,
    /// How often to start it.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<PathBuf>,
}

/// A process that ends with this value.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn run(options: &Options) -> Result<Value> {
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        times.push(once(options).await?);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let all: Vec<f64> = times.into_iter().map(micros).collect();
    Ok(json!({"p50_us": micros(median), "all_us": all}))
}

async fn once(options: &Options) -> Result<Duration> {
    let target = options.endpoint.target()?;
    let (program, arguments) = options.command.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
    let _started = Started(child);
    loop {
        let answered = match Caller::open(&target, &options.tool, false).await {
            Ok(mut caller) => caller.call().await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => return Ok(begun.elapsed()),
            Err(error) if begun.elapsed() > LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::started;
    use crate::wire::Era;
    use tokio::task::LocalSet;

    #[tokio::test(flavor = "current_thread")]
    async fn each_start_is_timed() {
        let test = async {
            // What is started stands for a gateway; what answers is here already.
            let url = format!("{}/modern/3/mcp", started().await);
            let endpoint = Endpoint { url, era: Era::Modern };
            let command = vec![PathBuf::from("sleep"), PathBuf::from("60")];
            let options = Options { endpoint, tool: "echo".to_owned(), rounds: 3, command };
            let measured = run(&options).await.unwrap();
            assert_eq!(measured["all_us"].as_array().unwrap().len(), 3);
        };
        LocalSet::new().run_until(test).await;
    }
}
