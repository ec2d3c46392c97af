//! People sign in at their own provider, and their clients get tokens of the gateway: with a browser, and
//! with others who try to come in between.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use config::{Broker, BrokerClient, Issuer as IssuerSection, SignIn};
use http::Method;
use serde_json::{Value, json};
use testkit::browser::{Browser, Page};
use testkit::client::Options;
use testkit::http::{Http, Reply};
use testkit::provider::Provider;
use testkit::{Client, Demo, Revision, World};

const NOW: u64 = 1_785_196_800;
const GATEWAY: &str = "https://gw.example";
const BACK: &str = "https://editor.example/cb";
const VERIFIER: &str = "a verifier that is long enough for RFC 7636, and known to its client alone";

struct Stage {
    provider: Provider,
    world: World,
}

async fn stage() -> Stage {
    let demo = Demo::speaking(Revision::V2025_06_18).await;
    let provider = Provider::start(NOW, demo.address()).await;
    let issuer = provider.url.clone();
    let world = World::builder().demo("crm", demo::Server::builder()).config(|config| {
        let sign_in = Some(SignIn { client_id: "the gateway".to_owned(), ..SignIn::default() });
        let section = IssuerSection { issuer, sign_in, ..IssuerSection::default() };
        config.hosts = Some(vec!["gw.example".to_owned(), "127.0.0.1".to_owned()]);
        config.auth.url = Some(GATEWAY.to_owned());
        config.auth.allow = Some(vec!["broker".to_owned()]);
        config.auth.issuers.insert("corp".to_owned(), section);
        let editor = BrokerClient {
            client_id: "editor".to_owned(),
            name: Some("The <editor>".to_owned()),
            redirect_uris: vec![BACK.to_owned()],
            ..BrokerClient::default()
        };
        let sign_in = vec!["corp".to_owned()];
        config.auth.broker = Some(Broker { sign_in, clients: vec![editor], ..Broker::default() });
    });
    Stage { world: world.start().await, provider }
}

fn asked(more: &[(&str, &str)]) -> String {
    let challenge = BASE64.encode(seal::sha256(VERIFIER.as_bytes()));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([
        ("client_id", "editor"),
        ("response_type", "code"),
        ("redirect_uri", BACK),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", "https://gw.example/crm/mcp"),
        ("state", "the client's"),
    ]);
    query.extend_pairs(more);
    format!("{GATEWAY}/oauth/authorize?{}", query.finish())
}

fn answer(url: &str) -> HashMap<String, String> {
    let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Stage {
    fn browser(&self) -> Browser {
        Browser::new().knowing("gw.example", self.world.address())
    }

    /// Decides, and gives where that leads.
    async fn decide(&self, browser: &mut Browser, page: &Page, decision: &str) -> Page {
        let question = page.field("question").expect("a question");
        let form = [("question", question.as_str()), ("decision", decision)];
        browser.post(&format!("{GATEWAY}/oauth/authorize"), &form).await
    }

    /// Goes on to the client.
    async fn back(&self, browser: &mut Browser, from: &Page) -> HashMap<String, String> {
        let next = from.location.clone().expect("it leads on");
        if next.starts_with(BACK) {
            return answer(&next);
        }
        let page = browser.go(&next, BACK).await;
        let url = page.location.clone().unwrap_or_else(|| panic!("not sent back: {page:?}"));
        assert!(url.starts_with(BACK), "{url}");
        answer(&url)
    }

    async fn signed_in(&self, browser: &mut Browser) -> HashMap<String, String> {
        let page = browser.open(&asked(&[])).await;
        let decided = self.decide(browser, &page, "allow").await;
        self.back(browser, &decided).await
    }

    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Http::new(self.world.address()).request(Method::POST, "/oauth/token");
        let kind = "application/x-www-form-urlencoded";
        let reply: Reply =
            request.header("host", "gw.example").header("content-type", kind).body(form).send().await;
        (reply.status, reply.json().await)
    }

    async fn redeem(&self, code: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "editor"),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(&form).await
    }
}

#[tokio::test]
async fn whoever_allows_it_signs_in_and_his_client_calls_for_him() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let page = browser.open(&asked(&[])).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("The &lt;editor&gt;") && page.text.contains("editor.example"),
        "{}",
        page.text
    );
    assert_eq!(stage.provider.forms().len(), 0, "nobody else has heard of it");
    let decided = stage.decide(&mut browser, &page, "allow").await;
    let all = stage.back(&mut browser, &decided).await;
    assert_eq!((all["state"].as_str(), all["iss"].as_str()), ("the client's", GATEWAY));
    let (status, issued) = stage.redeem(&all["code"]).await;
    assert_eq!(status, 200, "{issued}");
    let authorization = Some(format!("Bearer {}", issued["access_token"].as_str().expect("a token")));
    let options = Options { authorization, ..Options::default() };
    for revision in [Revision::V2025_06_18, Revision::V2026_07_28] {
        let client = stage.world.client_with("crm", revision, options.clone()).await;
        let said = client.call_tool("echo", json!({"text": "hello"})).await;
        assert_eq!(said.result()["content"][0]["text"], "hello", "{revision}");
    }
    // It is for that endpoint alone.
    let refused = Client::try_with(stage.world.places(), "/mcp", Revision::V2026_07_28, options).await;
    assert_eq!(refused.err().expect("it is for another endpoint").status, 401);
}

#[tokio::test]
async fn who_was_asked_before_is_not_asked_again_in_the_same_browser_alone() {
    let stage = stage().await;
    let mut browser = stage.browser();
    stage.signed_in(&mut browser).await;
    let again = browser.open(&asked(&[])).await;
    assert!(answer(again.location.as_deref().expect("at once")).contains_key("code"), "{again:?}");
    let asked_anew = browser.open(&asked(&[("prompt", "consent")])).await;
    assert!(asked_anew.field("question").is_some(), "{asked_anew:?}");
    let mut other = stage.browser();
    assert!(other.open(&asked(&[])).await.field("question").is_some());
    let silent = other.open(&asked(&[("prompt", "none")])).await;
    assert_eq!(answer(silent.location.as_deref().expect("sent back"))["error"], "login_required");
}

#[tokio::test]
async fn who_does_not_allow_it_gives_nothing() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let page = browser.open(&asked(&[])).await;
    let decided = stage.decide(&mut browser, &page, "deny").await;
    let all = stage.back(&mut browser, &decided).await;
    assert_eq!((all["error"].as_str(), all.get("code")), ("access_denied", None));
    assert_eq!(stage.provider.forms().len(), 0);
}

#[tokio::test]
async fn a_question_is_answered_once_and_in_the_browser_that_was_asked() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let page = browser.open(&asked(&[])).await;
    let lured = stage.decide(&mut stage.browser(), &page, "allow").await;
    assert_eq!((lured.status, lured.location), (400, None), "another browser's form");
    assert_eq!(stage.decide(&mut browser.clone(), &page, "allow").await.status, 200);
    let twice = stage.decide(&mut browser, &page, "allow").await;
    assert_eq!((twice.status, twice.location), (400, None), "it was answered");
    let made_up = browser.post(&format!("{GATEWAY}/oauth/authorize"), &[("decision", "allow")]).await;
    assert_eq!((made_up.status, made_up.location), (400, None));
}

#[tokio::test]
async fn the_way_back_is_for_the_browser_that_went_and_once() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let page = browser.open(&asked(&[])).await;
    let decided = stage.decide(&mut browser, &page, "allow").await;
    let callback = format!("{GATEWAY}/oauth/callback");
    let sent = browser.go(&decided.location.expect("to the provider"), &callback).await;
    let back = sent.location.expect("the way back");
    let stolen = stage.browser().open(&back).await;
    assert_eq!((stolen.status, stolen.location), (400, None), "another browser's");
    let mut copy = browser.clone();
    assert_eq!(browser.open(&back).await.status, 303);
    assert_eq!(copy.open(&back).await.status, 400, "it was used");
}

#[tokio::test]
async fn nobody_is_sent_where_no_client_is() {
    let stage = stage().await;
    for url in ["https://editor.example/cb/", "https://evil.example/cb", "javascript:alert(1)"] {
        let page = stage.browser().open(&asked(&[]).replace("https%3A%2F%2Feditor.example%2Fcb", url)).await;
        assert_eq!((page.status, page.location), (400, None), "{url}");
    }
}

#[tokio::test]
async fn a_user_sees_what_he_has_granted_and_takes_it_back() {
    let stage = stage().await;
    let mut browser = stage.browser();
    let all = stage.signed_in(&mut browser).await;
    let (_, issued) = stage.redeem(&all["code"]).await;
    let account = format!("{GATEWAY}/oauth/account");
    let page = browser.open(&account).await;
    assert!(page.text.contains("corp:ann") && page.text.contains("The &lt;editor&gt;"), "{}", page.text);
    let (sheet, record) = (page.field("sheet").expect("a sheet"), page.field("record").expect("a record"));
    let form = [("sheet", sheet.as_str()), ("record", record.as_str())];
    assert_eq!(stage.browser().post(&account, &form).await.status, 400, "another browser's form");
    assert_eq!(browser.post(&account, &form).await.status, 200);
    assert!(!browser.open(&account).await.text.contains("The &lt;editor&gt;"));
    let refresh = issued["refresh_token"].as_str().expect("one");
    let form = [("grant_type", "refresh_token"), ("client_id", "editor"), ("refresh_token", refresh)];
    let (status, refused) = stage.token(&form).await;
    assert_eq!((status, refused["error"].as_str()), (400, Some("invalid_grant")));
}

#[tokio::test]
async fn clients_find_the_way_from_the_endpoint_alone() {
    let stage = stage().await;
    let get = async |path: &str| {
        let request =
            Http::new(stage.world.address()).request(Method::GET, path).header("host", "gw.example");
        request.send().await.json().await
    };
    let resource = get("/.well-known/oauth-protected-resource/crm/mcp").await;
    assert_eq!(resource["authorization_servers"], json!([GATEWAY]));
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        assert_eq!(get(place).await["token_endpoint"], "https://gw.example/oauth/token");
    }
    assert!(get("/oauth/jwks.json").await["keys"][0]["x"].is_string());
    let bodies = [("text/plain", "{}"), ("application/json", "["), ("application/json", "[]")];
    for (kind, body) in bodies {
        let request = Http::new(stage.world.address()).request(Method::POST, "/oauth/register");
        let reply = request.header("host", "gw.example").header("content-type", kind).body(body).send().await;
        assert_eq!(reply.status, 400, "{kind} {body}");
    }
    let large = "x=".to_owned() + &"y".repeat(70_000);
    let request = Http::new(stage.world.address()).request(Method::POST, "/oauth/token");
    assert_eq!(request.header("host", "gw.example").body(large).send().await.status, 413);
}
