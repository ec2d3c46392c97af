//! One question, asked as a client of every revision, at the operators' interface and on the command line:
//! the same is decided, by the same policies of the same version.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use store::Store;
use store_sqlite::SqliteStore;
use testkit::client::{Options, refusing};
use testkit::issuer::Issuer;
use testkit::{Client, Outcome, Revision, within};

use crate::operators::Office;
use crate::program::{DEMO, Folder};

const URL: &str = "https://gw.example";
const AUTHORIZATION: &str = "io.modelcontextprotocol/authorization";

const POLICIES: &str = r#"
@id("sales") permit(principal in Group::"acme/sales", action in Action::"use", resource in Upstream::"crm");
@id("readers") permit(principal in Group::"acme/finance", action == Action::"call_tool",
    resource in Upstream::"crm") when { resource.readOnly };
@id("everything") permit(principal in Group::"acme/finance", action == Action::"call_tool",
    resource in Endpoint::"mcp") when { resource.name == "counter" };
@id("guests") permit(principal is Anonymous, action == Action::"call_tool", resource == Tool::"crm/echo")
when { context has address && context.address.isInRange(ip("127.0.0.0/8")) && context.arguments has text };
@id("editors") permit(principal in Tenant::"globex", action == Action::"call_tool",
    resource == Tool::"crm/attach")
when { principal has client && principal.client == Client::"editor" && principal has issuer &&
    principal.issuer == "corp" };

@id("broken") @reason("It is being repaired.")
forbid(principal, action == Action::"call_tool", resource == Tool::"crm/fail");
@id("secrets") @reason("No secrets here.")
forbid(principal, action == Action::"call_tool", resource == Tool::"crm/echo")
when { context.arguments has text && context.arguments.text like "*secret*" };
@id("large") @ask("caller") @message("So much?")
forbid(principal, action == Action::"call_tool", resource == Tool::"crm/add")
when { context.arguments has a && context.arguments.a > 100 };
@id("touching") @ask("groups: finance") @stands("2h")
forbid(principal, action == Action::"call_tool", resource) when { resource.labels.contains("careful") };
@id("small") @result_bytes_max("65536")
forbid(principal, action == Action::"call_tool", resource == Tool::"crm/echo")
when { principal in Tenant::"acme" };
@id("plans") forbid(principal, action == Action::"get_prompt", resource == Prompt::"crm/plan");
@id("clock") forbid(principal, action == Action::"read_resource", resource == Resource::"crm/demo://clock");
"#;

/// What is expected: what is decided, and how a client learns of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Allow,
    /// With other arguments it may be called, so it is known that there is such a thing.
    Deny,
    /// It is as what does not exist.
    Hidden,
    AskCaller,
    AskOthers,
}

impl Expected {
    fn effect(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny | Self::Hidden => "deny",
            Self::AskCaller | Self::AskOthers => "ask",
        }
    }
}

struct Case {
    who: &'static str,
    path: &'static str,
    action: &'static str,
    name: &'static str,
    arguments: Value,
    expected: Expected,
    by: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    use Expected::{Allow, AskCaller, AskOthers, Deny, Hidden};
    let case = |who, name, arguments, expected, by| Case {
        who,
        path: "/crm/mcp",
        action: "call_tool",
        name,
        arguments,
        expected,
        by,
    };
    let of = |action, case: Case| Case { action, ..case };
    let text = |text: &str| json!({ "text": text });
    let none = || json!({});
    vec![
        case("ann", "echo", text("hello"), Allow, &["team/small", "team/sales"]),
        case("ann", "echo", text("a secret"), Deny, &["team/secrets"]),
        case("ann", "echo", json!({"text": 5}), Deny, &["team/secrets"]),
        case("ann", "add", json!({"a": 1, "b": 2}), Allow, &["team/sales"]),
        case("ann", "add", json!({"a": 101, "b": 2}), AskCaller, &["team/large", "team/sales"]),
        case("ann", "touch", none(), AskOthers, &["team/touching", "team/sales"]),
        case("ann", "fail", none(), Hidden, &["team/broken"]),
        case("fay", "attach", none(), Allow, &["team/readers"]),
        case("fay", "counter", none(), Hidden, &[]),
        Case { path: "/mcp", ..case("fay", "counter", none(), Allow, &["team/everything"]) },
        case("fay", "echo", text("a secret"), Deny, &["team/secrets"]),
        // A group of the same name in another tenant, and whoever is in none.
        case("eve", "echo", text("hello"), Hidden, &[]),
        case("eve", "attach", none(), Allow, &["team/editors"]),
        case("bob", "echo", text("hello"), Hidden, &[]),
        // Nobody has heard of his tenant.
        case("zoe", "echo", text("hello"), Hidden, &[]),
        case("nobody", "echo", text("hello"), Allow, &["team/guests"]),
        case("nobody", "echo", none(), Deny, &[]),
        case("nobody", "add", json!({"a": 1, "b": 2}), Hidden, &[]),
        of("get_prompt", case("ann", "greet", json!({"name": "x"}), Allow, &["team/sales"])),
        of("get_prompt", case("ann", "plan", none(), Hidden, &["team/plans"])),
        of("get_prompt", case("fay", "greet", json!({"name": "x"}), Hidden, &[])),
        of("read_resource", case("ann", "demo://readme", none(), Allow, &["team/sales"])),
        of("read_resource", case("ann", "demo://clock", none(), Hidden, &["team/clock"])),
        of("read_resource", case("bob", "demo://readme", none(), Hidden, &[])),
    ]
}

/// Somebody, and what he proves himself by.
struct Person {
    tenant: &'static str,
    subject: &'static str,
    groups: &'static [&'static str],
    token: Option<String>,
}

fn people(issuer: &Issuer) -> BTreeMap<&'static str, Person> {
    let now = SystemClock.now().0 / 1_000;
    let paths = ["/crm/mcp", "/crm/sse", "/mcp", "/sse"];
    let person = |name: &str, tenant, subject, groups: &'static [&'static str]| {
        let claims = json!({
            "aud": paths.map(|path| format!("{URL}{path}")), "sub": name, "tid": tenant, "groups": groups,
            "iat": now, "exp": now + 600, "scope": "mcp", "client_id": "editor",
        });
        Person { tenant, subject, groups, token: Some(issuer.token(&claims)) }
    };
    BTreeMap::from([
        ("ann", person("ann", "acme", "corp:ann", &["sales"])),
        ("fay", person("fay", "acme", "corp:fay", &["finance"])),
        ("bob", person("bob", "acme", "corp:bob", &[])),
        ("eve", person("eve", "globex", "corp:eve", &["sales"])),
        ("zoe", person("zoe", "initech", "corp:zoe", &["sales"])),
        ("nobody", Person { tenant: "default", subject: "anonymous", groups: &[], token: None }),
    ])
}

/// What was decided, in the words of all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decided {
    effect: String,
    policies: Vec<String>,
    version: String,
    reason: Option<String>,
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// As the operators' interface and the command line say it.
fn explained(found: &Value) -> Decided {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {found}")).to_owned();
    Decided {
        effect: text(&found["effect"]),
        policies: texts(&found["policies"]),
        version: text(&found["version"]),
        reason: found["fault"].as_str().or(found["reason"].as_str()).map(str::to_owned),
    }
}

/// The records of a tenant from an entry on: how many there are, and the first decision.
async fn recorded(store: &dyn Store, tenant: &str, from: u64) -> (u64, Option<Decided>) {
    let rows = store.audit_entries(tenant, from, 500).await.unwrap();
    let next = rows.last().map_or(from, |row| row.index + 1);
    let decided = rows.iter().find_map(|row| {
        let record: Value = serde_json::from_slice(&row.line).unwrap();
        let detail = &record["detail"];
        let text = |name: &str| detail[name].as_str().map(str::to_owned);
        Some(Decided {
            effect: text("decision")?,
            policies: texts(&detail["policies"]),
            version: text("policy_version")?,
            reason: text("reason"),
        })
    });
    (next, decided)
}

struct Asked<'a> {
    case: &'a Case,
    person: &'a Person,
}

impl Asked<'_> {
    fn endpoint(&self) -> &str {
        if self.case.path == "/mcp" { "mcp" } else { "crm" }
    }

    /// What a client calls it: where several servers are one, their names are in front.
    fn called(&self, name: &str) -> String {
        if self.endpoint() == "mcp" { format!("crm_{name}") } else { name.to_owned() }
    }

    async fn by_client(&self, client: &Client, name: &str) -> Outcome {
        let name = self.called(name);
        let arguments = &self.case.arguments;
        match self.case.action {
            "call_tool" => client.call_tool(&name, arguments.clone()).await,
            "get_prompt" => {
                client.request("prompts/get", json!({"name": name, "arguments": arguments})).await
            }
            _ => client.request("resources/read", json!({ "uri": name })).await,
        }
    }

    /// Whether the answer is what somebody gets of whom this is expected.
    async fn holds(&self, client: &Client, outcome: &Outcome, revision: Revision) {
        let said = || format!("{} {} {revision}: {outcome:?}", self.case.who, self.case.name);
        let envelope = |outcome: &Outcome| outcome.result()["_meta"][AUTHORIZATION]["remediation"].clone();
        match self.case.expected {
            Expected::Allow => assert!(outcome.result()["_meta"][AUTHORIZATION].is_null(), "{}", said()),
            Expected::Deny => {
                assert_eq!(outcome.result()["isError"], true, "{}", said());
                assert_eq!(envelope(outcome), "unavailable", "{}", said());
            }
            Expected::Hidden => {
                let missing = if self.case.action == "read_resource" { "demo://missing" } else { "missing" };
                let unknown = self.by_client(client, missing).await;
                let like = |outcome: &Outcome, name: &str| format!("{:?}", outcome.end).replace(name, "NAME");
                assert!(outcome.code().is_some(), "{}", said());
                assert_eq!(like(outcome, self.case.name), like(&unknown, missing), "{}", said());
            }
            Expected::AskCaller if revision >= Revision::V2025_06_18 => {
                assert!(!outcome.asked.is_empty(), "{}", said());
                assert_eq!(outcome.text(), "The user did not agree. Nothing was done.");
            }
            // Nobody can be asked.
            Expected::AskCaller => assert_eq!(outcome.result()["isError"], true, "{}", said()),
            Expected::AskOthers => assert_eq!(envelope(outcome), "undisclosed", "{}", said()),
        }
    }

    /// What a call is decided on with. A resource is read with nothing.
    fn arguments(&self) -> String {
        if self.case.action == "read_resource" { "{}".to_owned() } else { self.case.arguments.to_string() }
    }

    /// By the operators' interface, which knows what the server says of its tool.
    async fn by_admin(&self, office: &Office) -> Value {
        let Person { tenant, subject, groups, token } = self.person;
        let mut who = json!({"tenant": tenant, "subject": subject, "groups": groups});
        match token {
            Some(_) => {
                (who["scopes"], who["client"], who["issuer"]) =
                    (json!(["mcp"]), json!("editor"), json!("corp"));
            }
            None => who["kind"] = json!("anonymous"),
        }
        let arguments: Value = serde_json::from_str(&self.arguments()).unwrap();
        let question = json!({
            "who": who, "action": self.case.action, "endpoint": self.endpoint(),
            "target": format!("crm/{}", self.case.name), "arguments": arguments, "address": "127.0.0.1",
        });
        let request = office.request(Method::POST, "/v1/policy/explain").body(question.to_string());
        let reply = within(request.send()).await;
        assert_eq!(reply.status, 200, "{question}");
        reply.json().await
    }

    /// By the command line, which has to be told what the server says of its tool.
    async fn by_command(&self, folder: &Folder, hints: &[String]) -> Value {
        let Person { tenant, subject, groups, token } = self.person;
        let (who, target) = (format!("{tenant}/{subject}"), format!("crm/{}", self.case.name));
        let arguments = self.arguments();
        let mut words = vec!["policy", "explain", "--as", &who, "--action", self.case.action];
        words.extend(["--endpoint", self.endpoint(), "--tool", &target, "--arguments", &arguments]);
        words.extend(["--from", "127.0.0.1", "--output", "json"]);
        match token {
            Some(_) => words.extend(["--scope", "mcp", "--client", "editor", "--issuer", "corp"]),
            None => words.extend(["--kind", "anonymous"]),
        }
        words.extend(groups.iter().flat_map(|group| ["--group", group]));
        words.extend(hints.iter().flat_map(|hint| ["--hint", hint.as_str()]));
        let ran = folder.run(&words).await;
        let code = if self.case.expected == Expected::Allow { 0 } else { 4 };
        assert_eq!((ran.code, &*ran.stderr), (code, ""), "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

/// What the server says of each of its tools, as the command line takes it.
fn hints(tools: &Value) -> BTreeMap<String, Vec<String>> {
    let known = [
        ("readOnlyHint", "read-only"),
        ("destructiveHint", "destructive"),
        ("idempotentHint", "idempotent"),
        ("openWorldHint", "open-world"),
    ];
    let of = |tool: &Value| {
        let said = |(name, word): &(&str, &str)| {
            let says = tool["annotations"][*name].as_bool()?;
            Some(if says { (*word).to_owned() } else { format!("no-{word}") })
        };
        (tool["name"].as_str().unwrap().to_owned(), known.iter().filter_map(said).collect())
    };
    tools["tools"].as_array().unwrap().iter().map(of).collect()
}

fn configuration(issuer: &Issuer) -> Folder {
    let folder = Folder::with(&format!(
        "auth:\n  url: {URL}\n  allow: [corp, anonymous]\n  scopes: [mcp]\n  issuers:\n    corp: \
         {{issuer: '{}', tenant_claim: tid, groups_claim: groups}}\n\
         upstreams: {{crm: {{command: {DEMO}, trust_hints: true, labels: {{careful: [touch]}}}}}}\n\
         policy: {{presets: [operators], files: [team.cedar], arguments: {{text: string, a: long}}}}\n\
         store: {{url: 'sqlite:a.db'}}\naudit: {{mode: strict}}\n\
         admin: {{listen: 'localhost:0', token: {{file: token}}}}\n",
        issuer.url
    ));
    folder.write("team.cedar", POLICIES);
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_is_decided_the_same_for_clients_of_every_revision_operators_and_the_command_line() {
    let issuer = Issuer::start().await;
    let folder = configuration(&issuer);
    let office = Office::open(&folder).await;
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&folder.path("a.db"), SystemClock.now()).await.unwrap());
    let people = people(&issuer);
    let connect = async |person: &Person, path: &str, revision| {
        let authorization = person.token.as_ref().map(|token| format!("Bearer {token}"));
        let options = Options { authorization, answers: refusing(), ..Options::default() };
        Client::with(office.up.address, path, revision, options).await
    };
    let all = connect(&people["ann"], "/crm/mcp", Revision::V2025_06_18).await;
    let hints = hints(all.request("tools/list", json!({})).await.result());
    for case in &cases() {
        let (person, what) = (&people[case.who], format!("{} {} {}", case.who, case.action, case.name));
        let asked = Asked { case, person };
        let told = asked.by_admin(&office).await;
        let expected = explained(&told);
        let by: Vec<&str> = expected.policies.iter().map(String::as_str).collect();
        assert_eq!((&*expected.effect, &*by), (case.expected.effect(), case.by), "{what}: {told}");
        assert_eq!(told["seen"], case.expected != Expected::Hidden, "{what}: {told}");
        let of_tool = hints.get(case.name).filter(|_| case.action == "call_tool");
        let command = asked.by_command(&folder, of_tool.map(Vec::as_slice).unwrap_or_default()).await;
        assert_eq!(explained(&command), expected, "{what} on the command line: {command}");
        for revision in Revision::ALL {
            let client = connect(person, case.path, revision).await;
            let before = recorded(&*store, person.tenant, 0).await.0;
            let outcome = asked.by_client(&client, case.name).await;
            let (_, decided) = recorded(&*store, person.tenant, before).await;
            assert_eq!(decided.as_ref(), Some(&expected), "{what} in {revision}: {outcome:?}");
            asked.holds(&client, &outcome, revision).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_the_policies_is_recorded_and_its_right_can_be_taken_away_by_itself() {
    let issuer = Issuer::start().await;
    let folder = configuration(&issuer);
    let quiet = "@reason(\"Ask the owner.\") forbid(principal, action == Action::\"explain\", resource) \
                 when { context.weekday != \"\" };\n";
    let office = Office::open(&folder).await;
    let ask = async |question: &str| {
        let request = office.request(Method::POST, "/v1/policy/explain").body(question.to_owned());
        let reply = within(request.send()).await;
        (reply.status, reply.json().await)
    };
    let good =
        r#"{"who": {"tenant": "acme", "subject": "corp:ann", "groups": ["sales"]}, "target": "crm/echo"}"#;
    let (status, found) = ask(good).await;
    assert_eq!((status, &found["effect"], &found["seen"]), (200, &json!("allow"), &json!(true)), "{found}");
    for (wrong, part) in [
        ("", "this is no question"),
        ("[]", "expected an object"),
        (r#"{"target": "crm/echo", "expect": "allow"}"#, "unknown field `expect`"),
        (r#"{"target": "crm/echo", "whom": {}}"#, "unknown field `whom`"),
        (r#"{"target": "echo"}"#, "upstream/name"),
        (r#"{"target": "crm/echo", "action": "cal_tool"}"#, "there is no action"),
        (r#"{"target": "crm/echo", "at": "yesterday"}"#, "is no time"),
    ] {
        let (status, problem) = ask(wrong).await;
        assert_eq!(status, 400, "{wrong}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{wrong}: {detail}");
    }
    let (status, _) =
        ask(&format!(r#"{{"target": "crm/echo", "arguments": "{}"}}"#, "x".repeat(300_000))).await;
    assert_eq!(status, 400, "too large");
    let found = folder
        .run(&["audit", "query", "--kind", "admin_action", "--limit", "99", "--output", "json"])
        .await
        .json();
    let records: Vec<&Value> = found.as_array().unwrap().iter().map(|row| &row["record"]).collect();
    assert_eq!(records.len(), 18, "each has two: {found}");
    let details = &records[16]["detail"]["details"];
    assert_eq!(details["question"], "acme/corp:ann call_tool crm/echo", "{found}");
    assert_eq!((&details["decision"], &details["status"]), (&json!("allow"), &json!("200")));
    // Others of his rights stay.
    let mut office = office;
    folder.write("team.cedar", &format!("{POLICIES}{quiet}"));
    office.up.program.stderr.find("the new configuration is in force").await;
    let request = office.request(Method::POST, "/v1/policy/explain").body(good);
    let reply = within(request.send()).await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.json().await["detail"], "Ask the owner.");
    let cancel = office.request(Method::POST, "/v1/tasks/none/cancel").send().await;
    assert_eq!(cancel.status, 404);
}
