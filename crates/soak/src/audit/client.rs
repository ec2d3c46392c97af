//! A client that calls tools with arguments of which no two are alike, and keeps what it was answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::World;
use super::check::Answer;
use crate::client::{Ask, Client, End, Revision};
use crate::random::Random;

const UPSTREAMS: [&str; 2] = ["modern", "legacy"];
const REVISIONS: [Revision; 4] =
    [Revision::V2025_11_25, Revision::V2026_07_28, Revision::V2025_06_18, Revision::V2024_11_05];
/// The pause after nobody answered.
const PAUSE: Duration = Duration::from_millis(40);
/// How many calls one introduction is good for.
const CALLS: u64 = 25;
/// With these words begins an answer that says that it has no record.
const UNRECORDED: &str = "The audit log takes no record";

/// What is asked for, and whether that may be.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    tool: &'static str,
    denied: bool,
    /// Where it is denied for its arguments.
    mark: &'static str,
    ms: u64,
}

impl Wanted {
    fn any(random: &mut Random) -> Self {
        let may = |tool, ms| Self { tool, denied: false, mark: "", ms };
        let may_not = |tool, mark| Self { tool, denied: true, mark, ms: 0 };
        let slow = random.between(20, 400);
        let all = [
            (6, may("echo", 0)),
            (3, may("pay", 0)),
            (3, may("slow", slow)),
            (2, may("ask", 0)),
            (2, may("nothing", 0)),
            (3, may_not("model", "")),
            (3, may_not("echo", super::MARK)),
        ];
        random.weighed(&all).unwrap_or(may("echo", 0))
    }
}

/// Works until the world is over.
pub async fn work(world: Arc<World>, number: u64, mut random: Random) {
    let mut count = 0;
    let count_of = REVISIONS.len() as u64;
    let revision = REVISIONS[usize::try_from(number % count_of).unwrap_or(0)];
    while world.goes_on() {
        let at = usize::try_from(random.between(0, world.places.len() as u64)).unwrap_or(0);
        let upstream = UPSTREAMS[usize::try_from(random.between(0, 2)).unwrap_or(0)];
        let endpoint = format!("/{upstream}/mcp");
        let Ok(mut client) = Client::open(&world.places[at], &endpoint, revision).await else {
            sleep(PAUSE).await;
            continue;
        };
        for _ in 0..CALLS {
            count += 1;
            let wanted = Wanted::any(&mut random);
            let nonce = format!("audit-{number}-{count}{}", wanted.mark);
            let life = world.lives[at].load(Ordering::SeqCst);
            let arguments = json!({"nonce": nonce, "ms": wanted.ms, "steps": 2});
            let digest = seal::sha256(arguments.to_string().as_bytes());
            let params = json!({"name": wanted.tool, "arguments": arguments});
            let mut ask = Ask { nonce, strange: Vec::new(), think: Duration::ZERO };
            let end = client.request("tools/call", params, &mut ask, false).await;
            let same = world.lives[at].load(Ordering::SeqCst) == life;
            let about = format!("{} {upstream}/{} {}", revision.as_str(), wanted.tool, ask.nonce);
            let kept = keep(&world, &end, wanted, &about);
            if let Some(outcome) = kept {
                let digest = format!("sha256:{}", seal::hex(&digest));
                let life = same.then_some((at, life));
                world.journal.push(Answer { digest, outcome, life, about });
            }
            if !world.goes_on() || matches!(end, End::Cut(_) | End::Late | End::Status(_)) {
                sleep(PAUSE).await;
                break;
            }
        }
        client.close().await;
    }
}

/// What an answer makes certain of its record; `None` where it is none.
fn keep(world: &World, end: &End, wanted: Wanted, about: &str) -> Option<&'static str> {
    match end {
        End::Result(result) => {
            let failed = result["isError"] == Value::Bool(true);
            if wanted.denied && !failed {
                world.journal.wrong(format!("{about} was let through"));
            }
            Some(if wanted.denied {
                "denied"
            } else if failed {
                "error"
            } else {
                "allowed"
            })
        }
        End::Error { code, message } => {
            world.journal.refused(&format!("{code} {message}"));
            if message.starts_with(UNRECORDED) {
                return None;
            }
            Some(if wanted.denied { "denied" } else { "error" })
        }
        End::Status(_) | End::Cut(_) | End::Late => None,
    }
}
