//! A caller says yes to his own call on a page where he is signed in, and no client says it for him.

use std::sync::Arc;

use config::{Issuer as IssuerSection, Policy, Preset, SignIn};
use demo::Server;
use serde_json::{Value, json};
use store::{ApprovalError, ApprovalOffice, Decider};
use testkit::browser::{Browser, Page};
use testkit::client::Options;
use testkit::provider::Provider;
use testkit::{Client, Outcome, Revision, World};

/// The beginning of every test, in seconds.
const NOW: u64 = 1_785_196_800;
const GATEWAY: &str = "https://gw.example";
const AGREE: &str = "https://gw.example/oauth/agree";
const ASK: &str = "@ask(\"caller: page\") @message(\"Really <so>?\") \
                   forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";

struct Stage {
    provider: Provider,
    world: World,
    _folder: tempfile::TempDir,
}

async fn stage(policy: &str) -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.cedar");
    std::fs::write(&path, policy).expect("written");
    let elsewhere = testkit::Demo::speaking(Revision::V2025_06_18).await;
    let provider = Provider::start(NOW, elsewhere.address()).await;
    let issuer = provider.url.clone();
    let world = World::builder().demo("a", Server::builder()).config(|config| {
        config.policy =
            Some(Policy { presets: vec![Preset::Everyone], files: vec![path], ..Policy::default() });
        let sign_in = Some(SignIn { client_id: "the gateway".to_owned(), ..SignIn::default() });
        let section = IssuerSection { issuer, sign_in, ..IssuerSection::default() };
        config.hosts = Some(vec!["gw.example".to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()]);
        config.auth.url = Some(GATEWAY.to_owned());
        config.auth.allow = Some(vec!["corp".to_owned()]);
        config.auth.issuers.insert("corp".to_owned(), section);
    });
    Stage { world: world.start().await, provider, _folder: folder }
}

impl Stage {
    fn browser(&self, user: &str) -> Browser {
        self.provider.sits(user);
        Browser::new().knowing("gw.example", self.world.address())
    }

    async fn client(&self, subject: &str, revision: Revision, capabilities: Value) -> Client {
        let claims = json!({
            "aud": format!("{GATEWAY}/a/mcp"), "sub": subject, "iat": NOW, "exp": NOW + 3_600,
            "client_id": "editor",
        });
        let authorization = Some(format!("Bearer {}", self.provider.token(&claims)));
        let options = Options { authorization, capabilities: Some(capabilities), ..Options::default() };
        self.world.client_with("a", revision, options).await
    }

    fn office(&self) -> ApprovalOffice {
        ApprovalOffice::new(self.world.shared_store(), Arc::clone(&self.world.clock) as Arc<dyn model::Clock>)
    }

    fn calls(&self) -> u64 {
        self.world.demo("a").server.stats().requests("tools/call")
    }
}

async fn echo(client: &Client, text: &str) -> Outcome {
    client.call_tool("echo", json!({ "text": text })).await
}

fn link(outcome: &Outcome) -> String {
    let text = outcome.text();
    let link = text.split_whitespace().find(|word| word.starts_with("http"));
    link.unwrap_or_else(|| panic!("no link: {text}")).to_owned()
}

async fn say(browser: &mut Browser, page: &Page, answer: &str) -> Page {
    let (sheet, call) = (page.field("sheet").expect("a sheet"), page.field("call").expect("a call"));
    browser.post(AGREE, &[("sheet", &sheet), ("call", &call), ("answer", answer)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_can_ask_nothing_names_the_page_and_calls_again_in_every_revision() {
    let stage = stage(ASK).await;
    for revision in Revision::ALL {
        let client = stage.client("ann", revision, json!({})).await;
        let waits = echo(&client, "a\u{202e}b").await;
        assert_eq!(waits.result()["isError"], true, "{revision}");
        let mut browser = stage.browser("ann");
        let page = browser.walk(&link(&waits)).await;
        assert!(page.text.contains("Really &lt;so&gt;?") && page.text.contains("echo"), "{}", page.text);
        assert!(!page.text.contains('\u{202e}'), "what nobody sees is spelled out: {}", page.text);
        assert_eq!(echo(&client, "a\u{202e}b").await.text(), waits.text(), "{revision}: nobody has said it");
        assert_eq!(say(&mut browser, &page, "yes").await.status, 200, "{revision}");
        assert_eq!(echo(&client, "other").await.result()["isError"], true, "a yes is for what was shown");
        assert_eq!(echo(&client, "a\u{202e}b").await.text(), "a\u{202e}b", "{revision}");
        assert_eq!(echo(&client, "a\u{202e}b").await.result()["isError"], true, "{revision}: for one call");
    }
    assert_eq!(stage.calls(), Revision::ALL.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_pages_is_given_one_and_says_nothing_for_its_user() {
    let stage = stage(ASK).await;
    let capabilities = json!({"elicitation": {"form": {}, "url": {}}});
    let client = stage.client("ann", Revision::V2026_07_28, capabilities).await;
    let call = json!({"name": "echo", "arguments": {"text": "hello"}});
    let asked = client.ask_once("tools/call", call.clone()).await;
    let params = &asked.result()["inputRequests"]["tidegate_confirm"]["params"];
    assert_eq!(params["mode"], "url", "{:?}", asked.end);
    let url = params["url"].as_str().expect("a page").to_owned();
    let retry = |action: &str| {
        let mut call = call.clone();
        call["requestState"] = asked.result()["requestState"].clone();
        call["inputResponses"] = json!({"tidegate_confirm": {"action": action}});
        call
    };
    let mut browser = stage.browser("ann");
    let page = browser.walk(&url).await;
    let declined = client.ask_once("tools/call", retry("decline")).await;
    assert_eq!(declined.text(), "The user did not agree. Nothing was done.");
    assert_eq!(say(&mut browser, &page, "yes").await.status, 200);
    assert_eq!(client.ask_once("tools/call", retry("accept")).await.text(), "hello");
    let page = browser.walk(&url).await;
    assert_eq!(page.status, 404, "it was used: {}", page.text);
    assert_eq!(stage.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_is_asked_anew_by_a_call_that_is_made_anew() {
    let stage = stage(ASK).await;
    let client = stage.client("ann", Revision::V2025_06_18, json!({})).await;
    let waits = echo(&client, "x").await;
    let mut browser = stage.browser("ann");
    let page = browser.walk(&link(&waits)).await;
    assert_eq!(say(&mut browser, &page, "no").await.status, 200);
    assert_eq!(browser.walk(&link(&waits)).await.status, 404, "it was decided");
    assert_eq!(echo(&client, "x").await.text(), waits.text());
    assert_eq!(browser.walk(&link(&waits)).await.status, 200);
    assert_eq!(stage.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_says_it_and_no_other_browser_or_form() {
    let stage = stage(ASK).await;
    let client = stage.client("ann", Revision::V2025_06_18, json!({})).await;
    let url = link(&echo(&client, "x").await);
    let mut ben = stage.browser("ben");
    let page = ben.walk(&url).await;
    assert!(page.status == 404 && !page.text.contains("echo"), "another user: {}", page.text);
    let mut ann = stage.browser("ann");
    let page = ann.walk(&url).await;
    assert_eq!(say(&mut ben, &page, "yes").await.status, 400, "another browser's form");
    assert_eq!(say(&mut ann, &page, "perhaps").await.status, 400);
    let call = page.field("call").expect("a call");
    assert_eq!(ann.post(AGREE, &[("call", &call), ("answer", "yes")]).await.status, 400, "no sheet");
    // Nor does who approves what others ask for, whatever his rights.
    let office = stage.office();
    let admin = Decider::Admin { tenant: "default", subject: "root" };
    for by in [admin, Decider::Operator("root")] {
        let refused = office.decide(&call, &by, true, None).await;
        assert!(matches!(refused, Err(ApprovalError::Unknown)), "{refused:?}");
    }
    assert!(office.list(None, 10).await.expect("a list").is_empty());
    assert_eq!(stage.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_signs_in_there_is_no_page_and_it_does_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.cedar");
    std::fs::write(&path, ASK).expect("written");
    let world = World::builder().demo("a", Server::builder()).config(|config| {
        config.policy =
            Some(Policy { presets: vec![Preset::Everyone], files: vec![path], ..Policy::default() });
    });
    let world = world.start().await;
    let client = world.client("a", Revision::V2026_07_28).await;
    let denied = echo(&client, "x").await;
    assert!(denied.text().contains("there is none where he could sign in"), "{:?}", denied.end);
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 0);
}
