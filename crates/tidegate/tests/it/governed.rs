//! Proposals under rules, at a gateway that runs: over the operators' interface and on the command line.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::harness::Demo;
use testkit::issuer::Issuer;
use testkit::{Revision, within};

use crate::operators::{Office, Page};
use crate::program::{DEMO, Folder, names};

/// The shipped ruleset of a company, without the times that a test cannot wait for.
fn rules() -> String {
    let text = governance::preset("enterprise").unwrap().text;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("comment_period:"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A gateway under rules, and the people who have signed in.
struct Company {
    folder: Folder,
    office: Office,
    issuer: Issuer,
    /// The server of every upstream that is proposed.
    payments: Demo,
    pages: BTreeMap<&'static str, Page>,
}

impl Company {
    async fn begin() -> Self {
        let issuer = Issuer::start().await;
        let folder = Folder::with(&format!(
            "auth:\n  allow: [anonymous]\n  issuers:\n    corp: {{issuer: '{}', groups_claim: groups, \
             sign_in: {{client_id: console}}}}\n\
             store: {{url: 'sqlite:a.db'}}\naudit: {{mode: strict, origin: gate.example}}\n\
             admin: {{listen: 'localhost:0', token: {{file: token}}, sign_in: {{issuer: corp, roles: \
             {{operator: [staff], viewer: [guests]}}}}}}\n\
             governance: {{rules: rules.yaml}}\n\
             upstreams:\n  crm:\n    command: {DEMO}\n",
            issuer.url
        ));
        folder.write("rules.yaml", &rules());
        let office = Office::open(&folder).await;
        let payments = Demo::speaking(Revision::V2026_07_28).await;
        Self { folder, office, issuer, payments, pages: BTreeMap::new() }
    }

    /// Somebody in a browser.
    async fn page(&mut self, name: &'static str) -> &Page {
        if !self.pages.contains_key(name) {
            let group = if name == "guest" { "guests" } else { "staff" };
            self.issuer.signs_in(Some(json!({"sub": name, "groups": [group]})));
            let mut page = Page::of(&self.office);
            page.sign_in(&self.issuer).await;
            assert!(page.session().await.is_some(), "{name} did not come in");
            self.pages.insert(name, page);
        }
        &self.pages[name]
    }

    /// What somebody does over HTTP.
    async fn post(&mut self, name: &'static str, path: &str, body: Value) -> (u16, Value) {
        let request = self.page(name).await.request("POST", path, true).await;
        let reply = request.header("content-type", "application/json").body(body.to_string()).send().await;
        (reply.status, reply.json().await)
    }

    async fn act(&mut self, name: &'static str, id: u64, act: Value) -> (u16, Value) {
        self.post(name, &format!("/v1/proposals/{id}/act"), act).await
    }

    /// What somebody does on the command line.
    async fn run(&self, name: &str, words: &[&str]) -> String {
        self.folder.run(&[words, &["--as", name]].concat()).await.good()
    }

    fn config(&self) -> String {
        self.folder.read("tidegate.yaml")
    }

    /// The configuration with one upstream more.
    fn with(&self, name: &str) -> String {
        format!("{}  {name}:\n    url: {}\n", self.config(), self.payments.url())
    }

    async fn show(&self, id: u64) -> Value {
        self.office.get(&format!("/v1/proposals/{id}")).await
    }

    /// Waits until the gateway serves an upstream, or no longer does: clients are offered its tools, and
    /// can call one.
    async fn serves(&self, name: &str, wanted: bool) {
        within(async {
            loop {
                let all = self.office.get("/v1/upstreams").await;
                let found = all["upstreams"].as_array().unwrap().iter().any(|one| one["name"] == name);
                let client = self.office.up.client("/mcp", Revision::V2025_06_18).await;
                let tool = format!("{name}_echo");
                let offered = names(&client).await.contains(&tool);
                let called = client.call_tool(&tool, json!({"text": "paid"})).await;
                if (found, offered, called.code().is_none()) == (wanted, wanted, wanted) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// A new upstream of the domain `payments`, up to its review; its number, and the hash of its revision.
    async fn reviewed(&mut self, name: &str) -> (u64, String) {
        let body = json!({
            "title": format!("Payments: {name}"), "files": {"tidegate.yaml": self.with(name)},
            "risk": "medium", "area": "customer-facing",
        });
        let (status, found) = self.post("pia", "/v1/proposals", body).await;
        assert_eq!((status, &found["status"]), (200, &json!("draft")), "{found}");
        let (id, hash) = (found["id"].as_u64().unwrap(), found["hash"].as_str().unwrap().to_owned());
        let shown = ["--evidence", "security-scan", "--about", "scan 7", "--hash", &hash];
        let said = self.run("fay", &[&["review", &id.to_string()], &shown[..]].concat()).await;
        assert!(said.starts_with(&format!("proposal {id} is in_review\n")), "{said}");
        (id, hash)
    }

    /// Accepted by its domain, at once in force.
    async fn accepted(&mut self, name: &str) -> u64 {
        let (id, hash) = self.reviewed(name).await;
        let yes = json!({"vote": {"hash": hash, "ballot": "yes"}});
        let (status, found) = self.act("hana", id, yes).await;
        assert_eq!((status, &found["status"]), (200, &json!("in_review")), "{found}");
        self.run("ivo", &["vote", &id.to_string(), "yes", "--hash", &hash[..16]]).await;
        let shown = json!({"attach": {
            "hash": hash, "kind": "owner-on-call", "outcome": "passed", "about": "jana until Friday",
        }});
        let (status, found) = self.act("jana", id, shown).await;
        assert_eq!((status, &found["status"]), (200, &json!("accepted")), "{found}");
        assert_eq!(found["needs"]["acceptedBy"], "payments/payments");
        assert_eq!(found["files"], json!({"inForce": true, "error": null}));
        self.serves(name, true).await;
        id
    }
}

/// What somebody did, as the audit log has it.
fn acts(entries: &Value) -> Vec<(String, String, String, String)> {
    let completed = |entry: &&Value| entry["record"]["detail"]["phase"] == "completed";
    let all = entries.as_array().unwrap().iter().filter(completed);
    let details = all.map(|entry| entry["record"]["detail"]["details"].clone());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    details
        .map(|d| {
            let what = if d["act"].is_null() { text(&d["command"]) } else { text(&d["act"]) };
            let who = if d["person"].is_null() { text(&d["as"]) } else { text(&d["person"]) };
            (who, what, text(&d["proposal_status"]), text(&d["revision"]))
        })
        .filter(|(.., status, revision)| !status.is_empty() || !revision.is_empty())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_lives_its_whole_life_and_all_of_it_is_in_the_log() {
    let mut company = Company::begin().await;
    // By its domain, and stopped by security.
    let first = company.accepted("pay-eu").await;
    let shown = company.folder.run(&["review", &first.to_string()]).await.good();
    assert!(
        shown.contains("can be vetoed until")
            && shown.contains(&format!("+    url: {}", company.payments.url())),
        "{shown}"
    );
    assert!(shown.contains("upstream pay-eu comes in") && shown.contains("gains pay-eu/*"), "{shown}");
    let said = company.run("bea", &["veto", &first.to_string(), "--reason", "it leaks"]).await;
    assert!(said.starts_with("proposal 1 is vetoed\n"), "{said}");
    company.serves("pay-eu", false).await;
    // Not decided in its domain, so that the council does.
    let (second, hash) = company.reviewed("pay-us").await;
    let (status, _) = company.act("pia", second, json!({"escalate": {"reason": "nobody answers"}})).await;
    assert_eq!(status, 200);
    let said = company.run("dora", &["governance", "answer", "2", "take-over", "--rationale", "ours"]).await;
    assert!(said.starts_with("proposal 2 is in_review\n"), "{said}");
    let yes = json!({"vote": {"hash": hash, "ballot": "yes"}});
    assert_eq!(company.act("ana", second, yes.clone()).await.0, 200);
    let (status, found) = company.act("dora", second, yes).await;
    assert_eq!((status, &found["needs"]["acceptedBy"]), (200, &json!("core")), "{found}");
    company.serves("pay-us", true).await;
    // And taken back by its owners.
    let (status, found) = company.act("hana", second, json!({"rollback": {"reason": "it is slow"}})).await;
    assert_eq!((status, &found["status"]), (200, &json!("rolled_back")), "{found}");
    company.serves("pay-us", false).await;
    assert!(!company.config().contains("pay-"), "{}", company.config());

    let history = company.folder.run(&["history", "2", "--output", "json"]).await.json();
    let events = history.as_array().unwrap().iter().flat_map(|entry| entry["events"].as_array().unwrap());
    let words: Vec<String> =
        events.filter_map(|event| event["what"].as_object()?.keys().next().cloned()).collect();
    for word in ["proposed", "attached", "escalated", "answered", "voted", "applied", "rolled_back"] {
        assert!(words.iter().any(|known| known == word), "{word}: {words:?}");
    }
    let query = ["audit", "query", "--kind", "admin_action", "--limit", "500", "--output", "json"];
    let found = acts(&company.folder.run(&query).await.json());
    let done = |who: &str, what: &str, status: &str| {
        let fits = |one: &&(String, String, String, String)| one.0 == who && one.1 == what && one.2 == status;
        assert!(found.iter().any(|one| fits(&one)), "{who} {what} {status}: {found:?}");
    };
    done("pia", "propose", "draft");
    done("fay", "review", "in_review");
    done("hana", "vote", "in_review");
    done("ivo", "vote", "in_review");
    done("jana", "attach", "accepted");
    done("bea", "veto", "vetoed");
    done("pia", "escalate", "in_review");
    done("dora", "governance answer", "in_review");
    done("dora", "vote", "accepted");
    done("hana", "rollback", "rolled_back");
    assert!(found.iter().all(|(.., revision)| revision.starts_with("sha256:")), "{found:?}");

    let keys = company.folder.run(&["audit", "keys"]).await.good();
    let key = keys.split_whitespace().find(|word| word.starts_with("gate.example")).unwrap().to_owned();
    company.office.up.stop().await;
    company.folder.run(&["audit", "export", "--format", "tiles", "--to", "log"]).await.good();
    let good = company.folder.run(&["audit", "verify", "log", "--key", &key]).await.good();
    assert!(good.contains("entries are as they were signed"), "{good}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_votes_for_another_on_what_was_replaced_or_on_his_own() {
    let mut company = Company::begin().await;
    let (id, old) = company.reviewed("pay-eu").await;
    let narrow = company.with("pay-eu").replace("/mcp\n", "/narrow\n");
    let (status, found) = company
        .post("pia", &format!("/v1/proposals/{id}/revise"), json!({"files": {"tidegate.yaml": narrow}}))
        .await;
    assert_eq!(status, 200, "{found}");
    let hash = found["hash"].as_str().unwrap().to_owned();
    assert_ne!(hash, old);
    let vote = |hash: &str| json!({"vote": {"hash": hash, "ballot": "yes", "by": "ivo"}});
    let (status, said) = company.act("hana", id, vote(&old)).await;
    assert!(status == 409 && said["detail"].as_str().unwrap().contains("was replaced"), "{said}");
    let (status, said) = company.act("pia", id, vote(&hash)).await;
    assert!(status == 403 && said["detail"].as_str().unwrap().contains("pia"), "{said}");
    let (status, said) = company.act("guest", id, vote(&hash)).await;
    assert!(status == 403 && said["detail"].as_str().unwrap().contains("operator"), "{said}");
    let token = company.office.request(http::Method::POST, &format!("/v1/proposals/{id}/act"));
    let reply = token.body(vote(&hash).to_string()).send().await;
    assert_eq!(reply.status, 403, "the token is nobody that the rules know");
    let (status, said) = company.act("hana", id, json!({"revise": {"hash": hash}})).await;
    assert!(status == 400, "{said}");
    assert_eq!(company.act("hana", 7, vote(&hash)).await.0, 404);
    let ran = company.folder.run(&["vote", "1", "yes", "--hash", &old[..20], "--as", "hana"]).await;
    assert!(ran.bad(4).contains("the one that counts is"));
    let reply = company.page("guest").await.ask("GET", "/v1/proposals/1/diff", true).await;
    assert_eq!(reply.status, 403);
    let shown = company.show(id).await;
    assert_eq!(shown["votes"], json!([]), "{shown}");
    assert_eq!(shown["revisions"].as_array().unwrap().len(), 2);
    // What is not a configuration is not proposed, nor what the rules would not survive.
    let broken = json!({"title": "x", "files": {"tidegate.yaml": "upstreams: 7\n"}});
    assert_eq!(company.post("pia", "/v1/proposals", broken).await.0, 409);
    let alone = json!({"title": "x", "files": {"rules.yaml": "name: x\npeople: []\ntracks: []\n"}});
    assert_eq!(company.post("pia", "/v1/proposals", alone).await.0, 409);
    // A change of the rules is one, whatever its author says of it.
    let eve = rules().replace(
        "  - { name: ana,",
        "  - { name: eve, role: steward, organization: acme, team: x }\n  - { name: ana,",
    );
    let (status, said) = company
        .post("hana", "/v1/proposals", json!({"title": "eve", "risk": "low", "files": {"rules.yaml": eve}}))
        .await;
    assert_eq!((status, &said["kind"], &said["risk"]), (200, &json!("ruleset"), &json!("high")), "{said}");
    assert_eq!(said["needs"]["acceptedBy"], "core");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rules_whoever_is_at_the_command_line_decides_alone_and_http_has_no_proposals() {
    let folder = Folder::with(
        "store: {url: 'sqlite:a.db'}\nadmin: {listen: 'localhost:0', token: {file: token}}\n\
         upstreams:\n  crm:\n    url: http://127.0.0.1:9/mcp\n",
    );
    let office = Office::open(&folder).await;
    let reply = office.request(http::Method::GET, "/v1/proposals").send().await;
    assert_eq!(reply.status, 404);
    let before = folder.read("tidegate.yaml");
    folder.write("new.yaml", &format!("{before}  hr:\n    url: http://127.0.0.1:9/mcp\n"));
    let tried = folder
        .run(&["propose", "--title", "hr", "--new", "new.yaml", "--as", "me", "--dry-run"])
        .await
        .good();
    assert!(
        tried.contains("+  hr:") && tried.contains("kind upstream, risk at least low: upstream:hr"),
        "{tried}"
    );
    assert_eq!(folder.read("tidegate.yaml"), before);
    let said = folder.run(&["propose", "--title", "hr", "--new", "new.yaml", "--as", "me"]).await.good();
    assert!(said.starts_with("proposal 1 is accepted; in force\n"), "{said}");
    assert!(folder.read("tidegate.yaml").contains("  hr:"));
    let listed = folder.run(&["governance", "list", "--status", "accepted"]).await.good();
    assert!(listed.contains("owner") && listed.contains("hr"), "{listed}");
    let said = folder.run(&["governance", "rollback", "1", "--reason", "no", "--as", "me"]).await.good();
    assert!(said.starts_with("proposal 1 is rolled_back\n"), "{said}");
    assert_eq!(folder.read("tidegate.yaml"), before);
    let told = folder.run(&["history", "1"]).await.good();
    assert!(told.contains("owner  proposed") && told.contains("(files)  taken_back"), "{told}");
    // With the section, whoever may do everything decides alone over HTTP, too.
    folder.configure(&format!("{before}governance: {{}}\n"));
    let commented = format!("{}# a comment\n", folder.read("tidegate.yaml"));
    let body = json!({"title": "hr", "files": {"tidegate.yaml": commented}});
    let reply = office.request(http::Method::POST, "/v1/proposals").body(body.to_string()).send().await;
    let status = reply.status;
    let found = reply.json().await;
    assert_eq!(
        (status, &found["status"], &found["by"]),
        (200, &json!("accepted"), &json!("owner")),
        "{found}"
    );
    assert!(folder.read("tidegate.yaml").ends_with("# a comment\n"));
}
