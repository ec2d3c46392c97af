//! What is in the audit log: of every route, every method, every exit of a call and every command, as
//! `docs/reference/recorded.md` says. One that is not there fails the check.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use store::Store;
use store_sqlite::SqliteStore;
use testkit::client::{Options, everything, refusing};
use testkit::issuer::Issuer;
use testkit::{Client, Revision, within};

use crate::operators::Office;
use crate::program::{DEMO, Folder};

/// What the log says of itself and of the process, at times of its own.
const OWN: [&str; 7] = [
    "gateway_start",
    "gateway_stop",
    "audit_gap",
    "outcome_unknown",
    "key_change",
    "audit_prune",
    "config_change",
];

/// The log of those who are in no other tenant, read on.
struct Log {
    store: Arc<dyn Store>,
    next: u64,
    /// Records that were waited for, and belong to what is asked for next.
    waiting: Vec<Value>,
}

impl Log {
    async fn open(file: &Path) -> Self {
        let store = SqliteStore::open(file, SystemClock.now()).await.expect("the store");
        let mut log = Self { store: Arc::new(store), next: 0, waiting: Vec::new() };
        log.take().await;
        log
    }

    /// The records since the last time.
    async fn take(&mut self) -> Vec<Value> {
        let rows = self.store.audit_entries("default", self.next, 500).await.expect("entries");
        self.next = rows.last().map_or(self.next, |row| row.index + 1);
        let records = rows.iter().map(|row| serde_json::from_slice::<Value>(&row.line).expect("JSON"));
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(records.filter(|record| !OWN.contains(&kind(record))));
        all
    }

    /// The same, once there is one of this kind among them, which nobody waits for where it is written.
    async fn until(&mut self, wanted: &str) -> Vec<Value> {
        within(async {
            loop {
                let found = self.take().await;
                if found.iter().any(|record| kind(record) == wanted) {
                    return found;
                }
                self.waiting = found;
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn kind(record: &Value) -> &str {
    record["event_type"].as_str().expect("a kind")
}

/// Records in words: their kinds, and of each which half it is, by which exit, and with what outcome.
fn words(records: &[Value]) -> String {
    let mut all: Vec<(&str, Vec<String>)> = Vec::new();
    for record in records {
        let detail = &record["detail"];
        let said = |name: &str| detail["details"][name].as_str().map(str::to_owned);
        let about = said("exit").or_else(|| said("why")).or_else(|| said("method"));
        let outcome = record["outcome"].as_str().filter(|outcome| *outcome != "allowed").map(str::to_owned);
        let mut about: Vec<String> = about.into_iter().chain(outcome).collect();
        about.dedup();
        let phase = detail["phase"].as_str().filter(|phase| *phase != "single");
        let text = match (phase, about.is_empty()) {
            (None, true) => String::new(),
            (None, false) => about.join(", "),
            (Some(phase), true) => phase.to_owned(),
            (Some(phase), false) => format!("{phase} ({})", about.join(", ")),
        };
        match all.last_mut() {
            Some((last, texts)) if *last == kind(record) => texts.push(text),
            _ => all.push((kind(record), vec![text])),
        }
    }
    if all.is_empty() {
        return "–".to_owned();
    }
    let one = |(kind, texts): (&str, Vec<String>)| {
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() { format!("`{kind}`") } else { format!("`{kind}`: {}", texts.join(", ")) }
    };
    all.into_iter().map(one).collect::<Vec<_>>().join("; ")
}

const POLICIES: &str = r#"
@id("secrets") forbid(principal, action == Action::"call_tool", resource == Tool::"crm/echo")
when { context.arguments has text && context.arguments.text like "*secret*" };
@id("hidden") forbid(principal, action == Action::"call_tool", resource == Tool::"crm/counter");
@id("ask") @ask("caller") forbid(principal, action == Action::"call_tool", resource == Tool::"crm/add");
@id("others") @ask("groups: finance")
forbid(principal, action == Action::"call_tool", resource == Tool::"crm/touch");
"#;

fn configuration(issuer: &Issuer) -> Folder {
    let folder = Folder::with(&format!(
        "auth:\n  allow: [anonymous]\n  issuers:\n    corp: {{issuer: '{}', groups_claim: groups, \
         sign_in: {{client_id: console}}}}\n\
         upstreams: {{crm: {{command: {DEMO}}}}}\n\
         policy: {{presets: [everyone, operators], files: [team.cedar], arguments: {{text: string}}}}\n\
         tasks: {{host: [{{tools: 'slow', when: always}}, {{tools: 'crm_slow', when: always}}]}}\n\
         store: {{url: 'sqlite:a.db'}}\naudit: {{mode: strict}}\n\
         admin: {{listen: 'localhost:0', token: {{file: token}}, sign_in: {{issuer: corp, roles: \
         {{admin: [platform]}}}}}}\n",
        issuer.url
    ));
    folder.write("team.cedar", POLICIES);
    folder
}

/// What operators ask for: what it needs, and what is recorded of it.
async fn routes(office: &Office, log: &mut Log) -> String {
    let mut table =
        "| Route | Needs the role | Policies call it | Recorded |\n| --- | --- | --- | --- |\n".to_owned();
    for right in admin::rights() {
        let path = right.path.replace('*', "none");
        let method: Method = right.method.parse().expect("a method");
        within(office.request(method, &path).send()).await;
        let records = log.take().await;
        assert_eq!(right.recorded, !records.is_empty(), "{} {}", right.method, right.path);
        for record in &records {
            let route = format!("{} {}", right.method, right.path);
            assert_eq!(record["detail"]["details"]["route"], route, "{record}");
        }
        let role = right.role.map_or("–", admin::Role::word);
        let action = right.action.map_or("–".to_owned(), |action| format!("`{}`", action.name()));
        let recorded = words(&records);
        writeln!(table, "| `{} {}` | {role} | {action} | {recorded} |", right.method, right.path)
            .expect("text");
    }
    table
}

/// What a method is called with.
fn params(method: &str) -> Value {
    match method {
        "tools/call" => json!({"name": "echo", "arguments": {"text": "x"}}),
        "resources/read" => json!({"uri": "demo://readme"}),
        "prompts/get" => json!({"name": "greet", "arguments": {"name": "x"}}),
        "completion/complete" => json!({
            "ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "language", "value": "e"},
        }),
        "resources/subscribe" | "resources/unsubscribe" => json!({"uri": "demo://clock"}),
        "logging/setLevel" => json!({"level": "info"}),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => {
            json!({"taskId": "none", "inputResponses": {}})
        }
        _ => json!({}),
    }
}

fn tasking() -> Options {
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
    Options { capabilities: Some(capabilities), ..Options::default() }
}

/// What clients ask for and tell, in a revision of each era.
async fn methods(office: &Office, log: &mut Log) -> String {
    let legacy = office.up.client("/crm/mcp", Revision::V2025_11_25).await;
    let modern = Client::with(office.up.address, "/crm/mcp", Revision::V2026_07_28, tasking()).await;
    log.take().await;
    let mut table = "| Method | 2025-11-25 | 2026-07-28 |\n| --- | --- | --- |\n".to_owned();
    for method in protocol::Method::NAMES {
        let mut cells = Vec::new();
        for client in [&legacy, &modern] {
            let records = match *method {
                // Its answer is a session, or a stream.
                "initialize" if !client.revision().is_modern() => {
                    let _other = office.up.client("/crm/mcp", client.revision()).await;
                    let mut all = log.take().await;
                    all.retain(|record| kind(record) != "notification");
                    all
                }
                "subscriptions/listen" if client.revision().is_modern() => {
                    client.watch(&[]).await.expect("a stream");
                    log.take().await
                }
                name if name.starts_with("notifications/") => {
                    client.notify(name, json!({})).await;
                    log.take().await
                }
                name => {
                    let _ = client.request(name, params(name)).await;
                    log.take().await
                }
            };
            cells.push(words(&records));
        }
        writeln!(table, "| `{method}` | {} |", cells.join(" | ")).expect("text");
    }
    drop(modern);
    log.until("listen_close").await;
    table
}

/// How calls end, and sessions and streams.
async fn exits(office: &Office, log: &mut Log) -> String {
    let address = office.up.address;
    let modern = Client::with(address, "/crm/mcp", Revision::V2026_07_28, tasking()).await;
    let no = Options { answers: refusing(), ..Options::default() };
    let declining = Client::with(address, "/crm/mcp", Revision::V2025_11_25, no).await;
    log.take().await;
    let mut table = "| What becomes of it | Recorded |\n| --- | --- |\n".to_owned();
    let mut row = |what: &str, records: &[Value]| {
        assert!(!records.is_empty(), "{what}: nothing is recorded");
        writeln!(table, "| {what} | {} |", words(records)).expect("text");
    };
    for (what, tool, arguments) in [
        ("a call has a result", "echo", json!({"text": "x"})),
        ("the tool says that it failed", "fail", json!({})),
        ("the server answers with an error", "rpc_error", json!({})),
        ("nobody has such a tool", "nothing", json!({})),
        ("a policy denies it", "echo", json!({"text": "a secret"})),
        ("a policy hides it", "counter", json!({})),
        ("somebody else is asked", "touch", json!({})),
    ] {
        let _ = modern.call_tool(tool, arguments).await;
        row(what, &log.take().await);
    }
    let _ = declining.call_tool("add", json!({"a": 1, "b": 2})).await;
    row("its caller is asked, and declines", &log.take().await);
    let asked = json!({"name": "confirm_order", "arguments": {}});
    let _ = modern.ask_once("tools/call", asked).await;
    row("the server asks, and is not answered yet", &log.take().await);
    let made = modern.call_tool("slow", json!({"seconds": 0})).await;
    let task = json!({"taskId": made.result()["taskId"]});
    let begun = log.until("tool_call").await;
    let (answered, mut made): (Vec<_>, Vec<_>) =
        begun.into_iter().partition(|record| record["detail"]["details"]["attempt_of"].is_null());
    row("it becomes a task", &answered);
    while !made.iter().any(|record| record["detail"]["phase"] == "completed") {
        made.extend(log.take().await);
        tokio::task::yield_now().await;
    }
    row("the call of that task is made", &made);
    let _ = modern.request("tasks/get", task).await;
    row("the outcome of a task is fetched", &log.take().await);
    declining.start("tools/call", json!({"name": "slow", "arguments": {"seconds": 3_000}})).cancel().await;
    let mut given_up = log.until("notification").await;
    // The end of the call may come with the notification, before it, or later.
    while !given_up.iter().any(|one| kind(one) == "tool_call" && one["detail"]["phase"] == "completed") {
        given_up.extend(log.until("tool_call").await);
    }
    given_up.retain(|record| kind(record) == "notification");
    row("its client cancels something", &given_up);
    declining.close().await;
    let mut ended = log.until("session_close").await;
    ended.retain(|record| kind(record) == "session_close");
    row("a client deletes its session", &ended);
    let oldest = office.up.client("/crm/mcp", Revision::V2024_11_05).await;
    log.take().await;
    drop(oldest);
    let mut ended = log.until("session_close").await;
    ended.retain(|record| kind(record) == "session_close");
    row("the stream of HTTP+SSE ends, and its session with it", &ended);
    let listening = office.up.client("/crm/mcp", Revision::V2026_07_28).await;
    listening.watch(&[]).await.expect("a stream");
    log.take().await;
    drop(listening);
    let mut ended = log.until("listen_close").await;
    ended.retain(|record| kind(record) == "listen_close");
    row("a stream of changes ends", &ended);
    table
}

/// Commands that change something, as they are called here; that there is no such thing is recorded as well.
const CHANGES: [(&str, &[&str]); 39] = [
    ("approvals approve", &["none", "--as", "me"]),
    ("approvals refuse", &["none", "--as", "me"]),
    ("bundle apply", &["b.bundle", "--to", ".", "--key"]),
    ("audit erase", &["--subject", "ann", "--reason", "asked"]),
    ("audit hold", &["--reason", "case 7"]),
    ("call", &["demo_echo", "--arg", "text=x"]),
    ("decide", &["1", "reject", "--as", "me", "--hash", "00000000", "--rationale", "no"]),
    ("governance answer", &["1", "return", "--as", "me", "--rationale", "go on"]),
    ("governance emergency", &["1", "--as", "me", "--hash", "00000000", "--reason", "fire"]),
    ("governance escalate", &["1", "--as", "me", "--reason", "stuck"]),
    ("governance revise", &["1", "--as", "me"]),
    ("governance rollback", &["1", "--as", "me", "--reason", "broken"]),
    ("governance tick", &[]),
    ("governance withdraw", &["1", "--as", "me"]),
    ("propose", &["--title", "x", "--as", "me"]),
    ("review", &["1", "--as", "me", "--comment", "x"]),
    ("veto", &["1", "--as", "me", "--reason", "no"]),
    ("vote", &["1", "yes", "--as", "me", "--hash", "00000000"]),
    ("keys rotate", &["--after", "5m"]),
    ("keys retire", &["00000000"]),
    ("migrate check", &["--old-config", "old.yaml", "--calls", "calls.json"]),
    ("pins approve", &["crm", "echo", "sha256:00"]),
    ("pins deny", &["crm", "echo"]),
    ("pins roll-back", &["crm", "echo"]),
    ("stdio", &[]),
    ("store backup", &["b.dump"]),
    ("tasks cancel", &["none"]),
    ("tasks retry", &["none"]),
    ("users disable", &["corp:ann"]),
    ("users enable", &["corp:ann"]),
    ("users revoke", &["none"]),
    ("users sign-out", &["corp:ann"]),
    ("store move", &["--to", "sqlite:c.db"]),
    ("store migrate", &["--to"]),
    ("up", &[]),
    ("registry sync", &["http://127.0.0.1:1", "--folder", "copies"]),
    ("add", &["https://mcp.example.com/mcp", "--name", "new", "--yes"]),
    ("import", &["cursor", "none.json", "--write"]),
    ("export", &["cursor", "new.json", "--write", "--url", "http://127.0.0.1:1"]),
];

/// Those that are tried in a folder of their own, below.
const ELSEWHERE: [&str; 2] = ["keys generate", "store restore"];

/// Those that change nothing: they look, or print.
const NOTHING: [&str; 43] = [
    "approvals list",
    "approvals show",
    "audit export",
    "audit keys",
    "audit prove",
    "audit query",
    "audit tail",
    "audit verify",
    "auth explain",
    "auth key",
    "config check",
    "config explain",
    "config reference",
    "config schema",
    "governance apply",
    "governance check",
    "governance explain",
    "governance list",
    "governance plan",
    "governance preset",
    "governance records",
    "governance simulate",
    "health",
    "history",
    "keys list",
    "limits",
    "pins diff",
    "pins list",
    "pins show",
    "policy check",
    "policy diff",
    "policy explain",
    "policy schema",
    "policy test",
    "prompts",
    "resources",
    "store check",
    "tasks export",
    "tasks list",
    "tasks show",
    "tasks watch",
    "tools",
    "upstreams",
];

/// As [`NOTHING`], where a line has room.
const NOTHING_EITHER: [&str; 14] = [
    "bundle create",
    "bundle inspect",
    "bundle keys",
    "bundle verify",
    "config diff",
    "config drift",
    "discover",
    "migrate deploy",
    "migrate from",
    "registry search",
    "registry show",
    "users grants",
    "users list",
    "users show",
];

/// Every command of the program, as its help lists them.
async fn commands(folder: &Folder) -> Vec<String> {
    let of = async |before: &[&str]| {
        let help = folder.run(&[before, &["--help"]].concat()).await.good();
        let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
        let lines = listed.lines().take_while(|line| !line.is_empty());
        let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
        names.filter(|name| *name != "help").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for command in of(&[]).await {
        let inner = of(&[&command]).await;
        if inner.is_empty() {
            all.push(command);
        } else {
            all.extend(inner.into_iter().map(|inner| format!("{command} {inner}")));
        }
    }
    all
}

/// What a command writes in a folder in which a gateway has run.
async fn by_command(folder: &Folder, log: &mut Log, command: &str, arguments: &[&str]) -> Vec<Value> {
    let latest = store_sqlite::LATEST;
    let (older, newest) = ((latest - 1).to_string(), latest.to_string());
    let words: Vec<&str> = command.split(' ').chain(arguments.iter().copied()).collect();
    match command {
        "up" => {
            let mut up = folder.up(&[]).await;
            assert_eq!(up.stop().await, 0);
            let rows = log.store.audit_entries("default", log.next, 500).await.expect("entries");
            let records = rows.iter().map(|row| serde_json::from_slice::<Value>(&row.line).expect("JSON"));
            records.filter(|record| kind(record).starts_with("gateway_")).collect()
        }
        "bundle apply" => {
            let made = folder.run(&["bundle", "create", "b.bundle", "--output", "json"]).await.json();
            let key = made["key"].as_str().expect("a key");
            folder.run(&[&words[..], &[key]].concat()).await;
            log.take().await
        }
        "store migrate" => {
            let back = folder.run(&[&words[..], &[&*older]].concat()).await;
            assert_eq!(back.code, 0, "{back:?}");
            let forth = folder.run(&[&words[..], &[&*newest]].concat()).await;
            assert_eq!(forth.code, 0, "{forth:?}");
            log.take().await
        }
        "stdio" => {
            let mut program = folder.start(&["stdio"]);
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                "name": "demo_echo", "arguments": {"text": "x"}, "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {}}}});
            let mut stdin = program.stdin.take().expect("an input");
            let line = format!("{call}\n");
            tokio::io::AsyncWriteExt::write_all(&mut stdin, line.as_bytes()).await.expect("written");
            drop(stdin);
            assert_eq!(program.ended().await, 0);
            log.take().await
        }
        _ => {
            let _ = folder.run(&words).await;
            log.take().await
        }
    }
}

async fn by_commands() -> String {
    let config = "store: {url: 'sqlite:a.db'}\naudit: {origin: gate.example}\n";
    let folder = Folder::with(config);
    // What stands in for another gateway has no log of its own.
    folder.write("old.yaml", "audit: {mode: 'off'}\n");
    folder.write("calls.json", "[{\"tool\": \"demo_echo\", \"arguments\": {\"text\": \"x\"}}]");
    let mut up = folder.up(&[]).await;
    assert_eq!(up.stop().await, 0);
    let mut log = Log::open(&folder.path("a.db")).await;
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (command, arguments) in CHANGES {
        let records = by_command(&folder, &mut log, command, arguments).await;
        assert!(!records.is_empty(), "{command}: nothing is recorded");
        for record in records.iter().filter(|record| kind(record) == "admin_action") {
            let details = &record["detail"]["details"];
            assert_eq!(
                (&details["command"], details["uid"].is_string()),
                (&json!(command), true),
                "{record}"
            );
        }
        found.insert(command.to_owned(), words(&records));
        if command == "users disable" {
            assert_eq!(records[0]["tool_name"], "default/corp:ann");
            assert_eq!(records[0]["detail"]["operation"], records[1]["detail"]["operation"]);
        }
    }
    let other = Folder::with(config);
    other.run(&["store", "migrate"]).await.good();
    let mut log = Log::open(&other.path("a.db")).await;
    other.run(&["keys", "generate"]).await.good();
    found.insert("keys generate".to_owned(), words(&log.take().await));
    let third = Folder::with(config);
    third.run(&["store", "migrate"]).await.good();
    let dump = folder.path("b.dump").display().to_string();
    third.run(&["store", "restore", &dump]).await.good();
    let mut log = Log::open(&third.path("a.db")).await;
    log.next = 0;
    let mut restored = log.take().await;
    restored.retain(|record| record["detail"]["details"]["command"] == "store restore");
    found.insert("store restore".to_owned(), words(&restored));
    let all = commands(&folder).await;
    let looked = NOTHING.iter().chain(&NOTHING_EITHER);
    let known: Vec<&str> =
        CHANGES.iter().map(|(name, _)| *name).chain(ELSEWHERE).chain(looked.copied()).collect();
    let unknown: Vec<&String> = all.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "what do these record? {unknown:?}");
    let gone: Vec<&&str> = known.iter().filter(|name| !all.iter().any(|one| one == *name)).collect();
    assert!(gone.is_empty(), "there are no such commands: {gone:?}");
    let mut table = "| Command | Recorded |\n| --- | --- |\n".to_owned();
    for name in &all {
        let recorded = found.get(name).map_or("–", String::as_str);
        writeln!(table, "| `tidegate {name}` | {recorded} |").expect("text");
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_method_exit_and_command_is_recorded_as_the_table_says() {
    let issuer = Issuer::start().await;
    let folder = configuration(&issuer);
    let office = Office::open(&folder).await;
    let mut log = Log::open(&folder.path("a.db")).await;
    let routes = routes(&office, &mut log).await;
    let methods = methods(&office, &mut log).await;
    let exits = exits(&office, &mut log).await;
    let commands = by_commands().await;
    hold(&routes, &methods, &exits, &commands);
}

/// The page is that of the repository, or becomes it.
fn hold(routes: &str, methods: &str, exits: &str, commands: &str) {
    let page = [
        "# What is recorded\n",
        "Made from gateways and commands that run, by `crates/tidegate/tests/it/recorded.rs`. A route, a",
        "method or a command that is not here fails the check. [The audit log](../audit.md) says what the",
        "kinds mean. After a kind stands which half of an operation it is, by which exit, and the outcome",
        "where it is not `allowed`; `–`: nothing is recorded.\n",
        "## Operators over HTTP\n",
        "Each route with the token of `admin.token`, which is an `admin`; no task, grant or approval is",
        "called `none`. Who gets what with less is in [routes.md](routes.md#operators).\n",
        routes,
        "## Methods of clients\n",
        "At an endpoint of one server. No task is called `none`; notifications are what the client sends.\n",
        methods,
        "## Exits of calls, sessions and streams\n",
        exits,
        "## Commands\n",
        "In a folder in which a gateway has run. There are no such tasks, approvals, grants and definitions,",
        "so that what changes them fails.\n",
        commands,
    ]
    .join("\n");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/recorded.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        found, page,
        "run UPDATE_DOCS=1 cargo test -p tidegate --test it recorded, and look at what changed"
    );
}
