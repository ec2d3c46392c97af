//! What operators do is recorded, and what waits for a yes is decided by those who may.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audit::{Event, Outcome, Phase, Recorded, Recorder, Unwritten};
use http::Method;
use model::Clock;
use store::{Approval, ApprovalOffice, ApprovalState};
use testkit::http::Http;

use crate::browser::Browser;
use crate::place::{Desk, token};

/// Keeps what it is told.
#[derive(Default)]
struct Tape {
    full: bool,
    events: Mutex<Vec<Event>>,
}

impl Tape {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

#[async_trait]
impl Recorder for Tape {
    fn is_strict(&self) -> bool {
        self.full
    }

    fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    async fn record(&self, _event: Event) -> Result<Recorded, Unwritten> {
        Err(Unwritten("the disk is full".to_owned()))
    }
}

fn with_token(http: &Http, method: &str, path: &str) -> testkit::http::Request {
    let request = http.request(method.parse().unwrap(), path);
    request.header("authorization", format!("Bearer {}", token()))
}

#[tokio::test]
async fn every_route_that_changes_something_is_recorded_and_none_that_shows_something() {
    let mut desk = Desk::open().await;
    let tape = Arc::new(Tape::default());
    let place = admin::Place { recorder: Some(tape.clone()), ..desk.place() };
    let http = desk.replica(place).await;
    for (method, path) in admin::routes() {
        let asked = path.replace('*', "none");
        let _ = with_token(&http, method, &asked).send().await;
        let events = tape.take();
        let said = |event: &Event| event.details.get("route").cloned();
        let route = Some(format!("{method} {path}"));
        match method {
            "GET" if path == "/callback" => {
                assert!(events.iter().all(|event| event.kind == "operator_sign_in"), "{events:?}");
                assert!(!events.is_empty());
            }
            "GET" => assert_eq!(events, [], "{path}"),
            _ => {
                let phases: Vec<Phase> = events.iter().map(|event| event.phase).collect();
                assert_eq!(phases, [Phase::Started, Phase::Completed], "{method} {path}");
                assert!(events.iter().all(|event| said(event) == route), "{events:?}");
                assert_eq!(events[0].operation, events[1].operation);
                assert_eq!(&*events[1].subject, "operator:admin.token");
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_is_recorded_too_and_without_a_record_nothing_is_done() {
    let mut desk = Desk::open().await;
    let tape = Arc::new(Tape::default());
    let place = admin::Place { recorder: Some(tape.clone()), ..desk.place() };
    let http = desk.replica(place).await;
    let viewer = desk.signed_in("sue", &["support"]).await.at(&http);
    let path = "/v1/users/disable?tenant=acme&subject=corp:eve";
    assert_eq!(viewer.post(path).await.send().await.status, 403);
    let [denied] = &tape.take()[..] else { panic!("one event") };
    assert_eq!((denied.outcome, &*denied.subject), (Outcome::Denied, "corp:sue"));
    let full = Tape { full: true, ..Tape::default() };
    let place = admin::Place { recorder: Some(Arc::new(full)), ..desk.place() };
    let http = desk.replica(place).await;
    assert_eq!(with_token(&http, "POST", path).send().await.status, 503);
    let users = store::UserOffice::new(Arc::clone(&desk.store), desk.clock.clone());
    assert_eq!(users.barred().await.unwrap(), [], "nothing was done");
}

fn asked(desk: &Desk, id: &str, subject: &str) -> Approval {
    let now = desk.clock.now();
    Approval {
        id: id.to_owned(),
        tenant: "acme".to_owned(),
        subject: subject.to_owned(),
        client: None,
        endpoint: "crm".to_owned(),
        upstream: "crm".to_owned(),
        tool: "delete".to_owned(),
        arguments: r#"{"id":7}"#.to_owned(),
        bound: "b".to_owned(),
        policies: vec!["team/delete".to_owned()],
        message: None,
        groups: vec!["oncall".to_owned()],
        task: None,
        operation: None,
        created: now,
        expires: now.plus(Duration::from_secs(900)),
        state: ApprovalState::Pending,
        decider: None,
        reason: None,
        decided: None,
    }
}

async fn decide(browser: &Browser, id: &str, word: &str) -> (u16, String) {
    let reply = browser.post(&format!("/v1/approvals/{id}/{word}?reason=seen")).await.send().await;
    (reply.status, reply.text().await)
}

#[tokio::test]
async fn a_call_is_approved_by_one_of_its_groups_and_not_by_whoever_asked_nor_twice_nor_too_late() {
    let mut desk = Desk::open().await;
    let office = ApprovalOffice::new(Arc::clone(&desk.store), desk.clock.clone());
    office.ask(&asked(&desk, "a1", "corp:ann")).await.unwrap();
    office.ask(&asked(&desk, "a2", "corp:bob")).await.unwrap();
    let viewer = desk.signed_in("sue", &["support"]).await;
    let (ann, root) = (desk.signed_in("ann", &["oncall"]).await, desk.signed_in("root", &["platform"]).await);
    let list = viewer.request(Method::GET, "/v1/approvals?state=pending").send().await.json().await;
    assert_eq!(list["approvals"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(list["approvals"][0]["arguments"], r#"{"id":7}"#, "as they will run");
    assert_eq!(decide(&viewer, "a1", "approve").await.0, 403, "his role is too low");
    let (status, text) = decide(&ann, "a1", "approve").await;
    assert!(status == 403 && text.contains("asked for himself"), "{status} {text}");
    assert_eq!(decide(&ann, "a2", "approve").await.0, 200);
    assert_eq!(decide(&root, "a2", "refuse").await.0, 409, "it was decided");
    assert_eq!(decide(&root, "nothing", "approve").await.0, 404);
    desk.clock.advance(Duration::from_secs(901));
    let root = desk.signed_in("root", &["platform"]).await;
    assert_eq!(decide(&root, "a1", "approve").await.0, 409, "too late");
    let found = office.find("a2").await.unwrap().unwrap();
    assert_eq!((found.state, found.decider.as_deref()), (ApprovalState::Approved, Some("corp:ann")));
    assert_eq!(found.reason.as_deref(), Some("seen"));
}
