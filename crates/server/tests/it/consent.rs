//! Users let the gateway use a server for them: with a browser, and with others who try to come in between.

use std::time::Duration;

use config::{Exchange, Issuer as IssuerSection, SignIn, Upstream, UpstreamAuth};
use serde_json::{Value, json};
use testkit::browser::Browser;
use testkit::client::Options;
use testkit::provider::Provider;
use testkit::{Client, Demo, Outcome, Revision, World};

/// The beginning of every test, in seconds.
const NOW: u64 = 1_785_196_800;
const GATEWAY: &str = "https://gw.example";

struct Stage {
    demo: Demo,
    provider: Provider,
    world: World,
}

/// A gateway whose only server wants to know its users. `knows`: the gateway knows them, too, by the same
/// identity provider.
async fn stage(knows: bool, change: impl FnOnce(&mut UpstreamAuth)) -> Stage {
    let demo = Demo::speaking(Revision::V2025_06_18).await;
    let provider = Provider::start(NOW, demo.address()).await;
    let mut auth = UpstreamAuth { per_user: true, ..UpstreamAuth::default() };
    change(&mut auth);
    let upstream = Upstream { url: Some(provider.server()), auth: Some(auth), ..Upstream::default() };
    let issuer = provider.url.clone();
    let world = World::builder().config(|config| {
        config.upstreams.insert("crm".to_owned(), upstream);
        if knows {
            let sign_in = Some(SignIn { client_id: "the gateway".to_owned(), ..SignIn::default() });
            let section = IssuerSection { issuer, sign_in, ..IssuerSection::default() };
            config.hosts =
                Some(vec!["gw.example".to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()]);
            config.auth.url = Some(GATEWAY.to_owned());
            config.auth.allow = Some(vec!["corp".to_owned()]);
            config.auth.issuers.insert("corp".to_owned(), section);
        }
    });
    Stage { world: world.start().await, demo, provider }
}

impl Stage {
    fn browser(&self) -> Browser {
        Browser::new().knowing("gw.example", self.world.address())
    }

    async fn client(&self, subject: &str) -> Client {
        let claims = json!({
            "aud": format!("{GATEWAY}/crm/mcp"), "sub": subject, "iat": NOW, "exp": NOW + 3_600,
            "client_id": "editor",
        });
        let token = self.provider.token(&claims);
        let options = Options { authorization: Some(format!("Bearer {token}")), ..Options::default() };
        self.world.client_with("crm", Revision::V2025_06_18, options).await
    }

    /// The link that a user is given who calls.
    async fn link(&self, client: &Client) -> String {
        let text = text(&client.call_tool("tidegate_sign_in", json!({})).await);
        let link = text.split_whitespace().find(|word| word.starts_with("http"));
        link.unwrap_or_else(|| panic!("no link: {text}")).to_owned()
    }

    fn back(&self) -> &'static str {
        "/oauth/callback"
    }

    /// Codes that were redeemed.
    fn redeemed(&self) -> usize {
        let forms = self.provider.forms();
        forms.iter().filter(|form| form["grant_type"] == "authorization_code").count()
    }
}

fn text(outcome: &Outcome) -> String {
    outcome.result()["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// The place where a browser is sent back with an answer.
async fn answer(browser: &mut Browser, stage: &Stage, link: &str) -> String {
    let base = link.split("/oauth/").next().expect("a base");
    let page = browser.go(link, &format!("{base}{}", stage.back())).await;
    page.location.clone().unwrap_or_else(|| panic!("it was not sent back: {page:?}"))
}

#[tokio::test]
async fn a_user_opens_the_link_and_his_calls_go_on() {
    let stage = stage(false, |_| {}).await;
    let client = stage.world.client("crm", Revision::V2025_06_18).await;
    let link = stage.link(&client).await;
    let page = stage.browser().walk(&link).await;
    assert!(page.status == 200 && page.text.contains("Done"), "{page:?}");
    let said = client.call_tool("echo", json!({"text": "hello"})).await;
    assert_eq!(text(&said), "hello");
    assert!(stage.demo.server.stats().requests_total() > 0);
}

#[tokio::test]
async fn an_answer_is_good_once() {
    let stage = stage(false, |_| {}).await;
    let client = stage.world.client("crm", Revision::V2025_06_18).await;
    let mut browser = stage.browser();
    let back = answer(&mut browser, &stage, &stage.link(&client).await).await;
    // Whoever sees the answer beside its browser can do as little as whoever comes later.
    let thief = browser.clone();
    assert_eq!(browser.open(&back).await.status, 200);
    for mut again in [browser, thief, stage.browser()] {
        let page = again.open(&back).await;
        assert!(page.status == 400 && page.text.contains("used already"), "{page:?}");
    }
    assert_eq!(stage.redeemed(), 1);
}

#[tokio::test]
async fn an_answer_is_good_for_ten_minutes() {
    let stage = stage(false, |_| {}).await;
    let client = stage.world.client("crm", Revision::V2025_06_18).await;
    let (mut late, mut in_time) = (stage.browser(), stage.browser());
    let old = answer(&mut late, &stage, &stage.link(&client).await).await;
    let old_link = stage.link(&client).await;
    stage.world.clock.advance(Duration::from_secs(1));
    let new = answer(&mut in_time, &stage, &stage.link(&client).await).await;
    stage.world.clock.advance(Duration::from_secs(599));
    assert_eq!(late.open(&old).await.status, 400);
    assert_eq!(late.open(&old_link).await.status, 400, "nor is the link itself good for longer");
    assert_eq!(stage.redeemed(), 0);
    assert_eq!(in_time.open(&new).await.status, 200);
}

#[tokio::test]
async fn an_answer_is_for_the_browser_that_was_sent() {
    let stage = stage(false, |_| {}).await;
    let client = stage.world.client("crm", Revision::V2025_06_18).await;
    let (mut own, mut other) = (stage.browser(), stage.browser());
    let first = answer(&mut own, &stage, &stage.link(&client).await).await;
    let second = answer(&mut other, &stage, &stage.link(&client).await).await;
    assert_eq!(stage.browser().open(&first).await.status, 400, "one that was sent nowhere");
    assert_eq!(other.open(&first).await.status, 400, "one that was sent on another way");
    assert_eq!(own.open(&second).await.status, 400);
    // A code of one way with the state of another is no answer of either.
    let code = |url: &str| url.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let mixed = first.replace(&code(&first), &code(&second));
    assert_eq!(own.open(&mixed).await.status, 502);
    assert_eq!(stage.redeemed(), 1, "the server refused it, as its verifier is another one");
    assert!(stage.provider.authorizations().is_empty());
}

#[tokio::test]
async fn a_state_that_was_changed_or_is_something_else_is_none() {
    let stage = stage(false, |_| {}).await;
    let client = stage.world.client("crm", Revision::V2025_06_18).await;
    let mut browser = stage.browser();
    let link = stage.link(&client).await;
    let back = answer(&mut browser, &stage, &link).await;
    let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let ticket = link.split("ticket=").nth(1).unwrap();
    let mut flipped = state.to_owned().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for other in
        ["", "x", ticket, &flipped, &state[1..], &format!("{state}A"), &format!("{state}&state={state}")]
    {
        let page = browser.open(&back.replace(state, other)).await;
        assert!(matches!(page.status, 400 | 502), "{other}: {page:?}");
    }
    for changed in [back.replace("iss=", "iss=x"), back.replace("iss=", "x="), format!("{back}&code=x")] {
        let mut fresh = stage.browser();
        let own = answer(&mut fresh, &stage, &stage.link(&client).await).await;
        let state = |url: &str| url.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let page = fresh.open(&changed.replace(&state(&changed), &state(&own))).await;
        assert_eq!(page.status, 502, "{changed}");
    }
    assert_eq!(stage.redeemed(), 0);
    assert!(stage.provider.authorizations().is_empty());
}

#[tokio::test]
async fn an_answer_under_another_name_is_not_believed() {
    let stage = stage(false, |_| {}).await;
    let client = stage.world.client("crm", Revision::V2025_06_18).await;
    for name in ["https://evil.example", &format!("{}/", stage.provider.url), "", "HTTP://127.0.0.1"] {
        stage.provider.calls_itself(name);
        let page = stage.browser().walk(&stage.link(&client).await).await;
        assert_eq!(page.status, 502, "{name}");
        assert!(!page.text.contains("evil"), "{page:?}");
    }
    assert_eq!(stage.redeemed(), 0);
}

#[tokio::test]
async fn a_link_is_for_the_user_whom_it_was_made_for() {
    let stage = stage(true, |_| {}).await;
    let ann = stage.client("ann").await;
    let link = stage.link(&ann).await;
    assert!(link.starts_with(GATEWAY), "{link}");
    // Ben opens a link that Ann has sent him: he would give her what is his.
    stage.provider.sits("ben");
    let mut browser = stage.browser();
    let page = browser.walk(&link).await;
    assert!(page.status == 403 && page.text.contains("somebody else"), "{page:?}");
    let ben = stage.client("ben").await;
    let page = browser.walk(&stage.link(&ben).await).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(browser.walk(&stage.link(&ann).await).await.status, 403, "also while he is signed in");
    assert_eq!(text(&ben.call_tool("echo", json!({"text": "x"})).await), "x");
    let said = text(&ann.call_tool("echo", json!({"text": "x"})).await);
    assert!(said.contains("/oauth/connect"), "what he granted is his: {said}");
    stage.provider.sits("ann");
    assert_eq!(stage.browser().walk(&stage.link(&ann).await).await.status, 200);
    assert_eq!(text(&ann.call_tool("echo", json!({"text": "x"})).await), "x");
}

#[tokio::test]
async fn who_has_signed_in_is_vouched_for_by_exchange_and_his_own_token_goes_nowhere() {
    let stage = stage(true, |auth| {
        auth.exchange = Some(Exchange { issuer: "corp".to_owned(), ..Exchange::default() });
    })
    .await;
    let ann = stage.client("ann").await;
    let page = stage.browser().walk(&stage.link(&ann).await).await;
    assert!(page.status == 200 && page.text.contains("Done"), "{page:?}");
    assert_eq!(text(&ann.call_tool("echo", json!({"text": "hello"})).await), "hello");
    let forms = stage.provider.forms();
    let exchanges: Vec<_> =
        forms.iter().filter(|form| form["grant_type"].ends_with("token-exchange")).collect();
    assert_eq!(exchanges.len(), 1, "{forms:?}");
    let part = exchanges[0]["subject_token"].split('.').nth(1).unwrap().to_owned();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).unwrap();
    let subject: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&subject["aud"], &subject["sub"]), (&json!("the gateway"), &json!("ann")));
    assert_eq!(exchanges[0]["resource"], stage.provider.server());
    // One that the server takes back is had anew, and nobody is asked.
    stage.provider.revoke();
    assert_eq!(text(&ann.call_tool("echo", json!({"text": "again"})).await), "again");
    let ben = stage.client("ben").await;
    assert!(stage.link(&ben).await.starts_with(GATEWAY), "who has not signed in is asked to");
    let brought = stage.provider.authorizations();
    assert!(brought.iter().all(|text| text.starts_with("Bearer s3cr3t-seed-access")), "{brought:?}");
}
