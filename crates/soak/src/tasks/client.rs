//! A client that makes tasks and follows each to its end, whatever happens to replicas.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::World;
use super::api::{Answer, ask};
use super::record::{Kind, Task};
use crate::random::Random;

const UPSTREAMS: [&str; 3] = ["modern", "legacy", "stdio"];
/// The pause after nobody answered.
const PAUSE: Duration = Duration::from_millis(50);
/// How many tasks that have not ended are shown.
const SHOWN_MAX: usize = 200;
/// How often a task with a key is made.
const TRIES: u32 = 600;

/// Works until the world is over, and then until its last task has ended.
pub async fn work(world: Arc<World>, number: u64, mut random: Random) {
    let mut count = 0;
    while world.goes_on() {
        count += 1;
        let nonce = format!("task-{number}-{count}");
        let wanted = Wanted::any(&mut random);
        let Some(task) = make(&world, &nonce, wanted, &mut random).await else { continue };
        world.records.acknowledged(&task);
        follow(&world, &task, &mut random).await;
        // One that has ended long ago stays as it is.
        if let Some(old) = world.records.any_ended(random.next()) {
            compare(&world, &old, &mut random).await;
        }
    }
}

/// Makes tasks that run for about so many seconds or wait for their answers as long, and follows each to its
/// end. The first are there for all of that time.
pub async fn wait(world: Arc<World>, number: u64, count: u64, seconds: u64, mut random: Random) {
    let mut all = Vec::new();
    for at in 0..count {
        let nonce = format!("task-w{number}-{at}");
        let wanted = Wanted::waiting(seconds, &mut random);
        if let Some(task) = make(&world, &nonce, wanted, &mut random).await {
            world.records.acknowledged(&task);
            all.push(task);
        }
    }
    let mut over = world.over.subscribe();
    // Whoever is closed has seen the end, too.
    let _ = over.wait_for(|over| *over).await;
    for task in &all {
        follow(&world, task, &mut random).await;
    }
}

fn place<'a>(world: &'a World, random: &mut Random) -> &'a str {
    let count = world.places.len() as u64;
    let at = usize::try_from(random.between(0, count)).unwrap_or(0);
    &world.places[at]
}

/// A call that is to become a task.
struct Wanted {
    upstream: &'static str,
    tool: &'static str,
    keyed: bool,
    /// In how many seconds it is to be made.
    later: Option<u64>,
}

impl Wanted {
    fn any(random: &mut Random) -> Self {
        let upstream = UPSTREAMS[usize::try_from(random.between(0, 3)).unwrap_or(0)];
        let tools = [(4, "pay"), (4, "slow"), (2, "echo"), (2, "ask"), (2, "ask_safe")];
        let tool = random.weighed(&tools).unwrap_or("echo");
        Self { upstream, tool, keyed: random.between(0, 2) == 0, later: None }
    }

    /// One that has not ended before so many seconds, or not before it is answered.
    fn waiting(seconds: u64, random: &mut Random) -> Self {
        if random.between(0, 8) == 0 {
            return Self { upstream: "modern", tool: "ask", keyed: true, later: None };
        }
        let later = Some(random.between(0, seconds + 1));
        Self { tool: "slow", keyed: true, later, ..Self::any(random) }
    }
}

/// A time in so many seconds (RFC 3339).
fn in_seconds(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(now.as_millis()).unwrap_or(0).saturating_add(seconds * 1_000);
    seal::time_to_text(model::Timestamp(at))
}

/// Makes a task. `None`: nobody acknowledged it, so it may be there or not.
async fn make(world: &World, nonce: &str, wanted: Wanted, random: &mut Random) -> Option<Task> {
    let Wanted { upstream, tool, keyed, later } = wanted;
    let kind = if matches!(tool, "pay" | "ask") { Kind::Once } else { Kind::Again };
    world.records.begun(nonce, kind);
    let endpoint = format!("/{upstream}/mcp");
    let ms = random.between(0, 1_500);
    let mut params = json!({"name": tool, "arguments": {"nonce": nonce, "ms": ms, "steps": 2}});
    if keyed {
        params["_meta"]["io.tidegate/idempotency-key"] = json!(nonce);
    }
    if let Some(later) = later {
        params["_meta"]["io.tidegate/not-before"] = json!(in_seconds(later));
    }
    for _ in 0..TRIES {
        match ask(place(world, random), &endpoint, "tools/call", params.clone()).await {
            Answer::Result(result) if result["resultType"] == "task" => {
                let id = result["taskId"].as_str().unwrap_or_default().to_owned();
                return Some(Task { id, endpoint, nonce: nonce.to_owned() });
            }
            Answer::Result(result) => {
                world.records.violation(format!("{nonce}: {tool} is no task but {result}"));
                return None;
            }
            Answer::Error(error) if error["data"]["retry"] == "safe" || keyed => {
                world.records.refused(&error);
                sleep(PAUSE * 4).await;
            }
            Answer::Error(error) => {
                world.records.refused(&error);
                return None;
            }
            // With a key it is one task, however often it is made.
            Answer::None if keyed => sleep(PAUSE).await,
            Answer::None => {
                sleep(PAUSE).await;
                return None;
            }
        }
    }
    world.records.violation(format!("{nonce} is not made however often it is tried"));
    None
}

/// Asks for a task until it has ended.
async fn follow(world: &World, task: &Task, random: &mut Random) {
    loop {
        let found = match get(world, task, random).await {
            Found::Task(found) => found,
            Found::Gone => return,
        };
        match found["status"].as_str() {
            Some("working") => {}
            Some("input_required") => answer(world, task, &found, random).await,
            Some("completed" | "failed" | "cancelled") => {
                world.records.ended(task, found);
                return;
            }
            other => world.records.violation(format!("{}: the status is {other:?}", task.nonce)),
        }
        sleep(Duration::from_millis(random.between(20, 150))).await;
    }
}

enum Found {
    Task(Value),
    /// It is lost, which has been told.
    Gone,
}

async fn get(world: &World, task: &Task, random: &mut Random) -> Found {
    loop {
        match ask(place(world, random), &task.endpoint, "tasks/get", json!({"taskId": task.id})).await {
            Answer::Result(found) => return Found::Task(found),
            // The store may be busy: whatever passes is asked again.
            Answer::Error(error) if error["data"]["retry"] == "safe" => {
                world.records.refused(&error);
                sleep(PAUSE).await;
            }
            Answer::Error(error) => {
                world.records.violation(format!("{} is lost: {error}", task.nonce));
                return Found::Gone;
            }
            Answer::None => sleep(PAUSE).await,
        }
    }
}

async fn answer(world: &World, task: &Task, found: &Value, random: &mut Random) {
    let mut answers = json!({});
    for (key, question) in found["inputRequests"].as_object().into_iter().flatten() {
        if question["params"]["message"] != task.nonce {
            world.records.violation(format!("{}: the question is {question}", task.nonce));
        }
        let content = json!({"word": format!("w-{}", task.nonce)});
        answers[key] = json!({"action": "accept", "content": content});
    }
    let params = json!({"taskId": task.id, "inputResponses": answers});
    // Where nobody answers the next look shows whether it is still asked.
    if let Answer::Error(error) = ask(place(world, random), &task.endpoint, "tasks/update", params).await
        && error["data"]["retry"] != "safe"
    {
        world.records.violation(format!("{}: its answer is refused: {error}", task.nonce));
    }
}

/// Prints what some tasks are.
pub async fn show(world: &World, tasks: &[Task]) {
    let mut random = Random::new(1, 1);
    for task in tasks.iter().take(SHOWN_MAX) {
        if let Found::Task(found) = get(world, task, &mut random).await
            && !matches!(found["status"].as_str(), Some("completed" | "failed"))
        {
            println!("    {} is {found}", task.nonce);
        }
    }
}

async fn compare(world: &World, task: &Task, random: &mut Random) {
    if let Found::Task(found) = get(world, task, random).await {
        world.records.ended(task, found);
    }
}

/// Looks at every task that has ended once more.
pub async fn look_again(world: &World) {
    let mut random = Random::new(0, 0);
    for task in world.records.all_ended() {
        compare(world, &task, &mut random).await;
    }
}
