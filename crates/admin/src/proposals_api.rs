//! Proposals: changes of the configuration, under rules of who may decide what.
//!
//! Who acts is whoever has come in, and never a name in a body.

use std::collections::BTreeMap;
use std::sync::Arc;

use governance::{Act, Effect, Risk, Rule, Status};
use governor::{Actor, Draft, Files, GovernError, Office};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admit::{Operator, Unread, whole};
use crate::listener::Own;
use crate::note::Said;
use crate::problem::{Answer, Problem, document};
use crate::role::Role;

/// How large a request may be, in bytes; the texts of files are most of it.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Proposals, or entries of their history, in one answer.
const LIST_MAX: usize = 500;

/// Whoever knows under which rules the configuration is.
pub trait Governs: Send + Sync {
    /// Where people propose, vote, stop and look back; `None` where the configuration is under no rules.
    ///
    /// # Errors
    /// Why that cannot be said, in words.
    fn office(&self) -> Result<Option<Arc<Office>>, String>;

    /// Who an operator is to the rules.
    ///
    /// # Errors
    /// Why that cannot be said, in words.
    fn actor(&self, operator: &OperatorName<'_>) -> Result<Actor, String>;
}

/// An operator, as whoever knows the rules knows him.
#[derive(Debug, Clone, Copy)]
pub struct OperatorName<'a> {
    /// His name in the log.
    pub name: &'a str,
    /// His name at whoever vouches for him.
    pub subject: &'a str,
    /// Whether he may do everything.
    pub is_admin: bool,
}

/// A change of files that somebody proposes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Proposed {
    title: String,
    /// Files as they are to be; `null` for one that goes. What is not named stays.
    files: BTreeMap<String, Option<String>>,
    risk: Option<Risk>,
    area: Option<String>,
    effect: Option<Effect>,
    authors: Vec<String>,
    supersedes: Option<u64>,
}

/// Files as they are to be, in place of those that were proposed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revised {
    files: BTreeMap<String, Option<String>>,
}

fn wrong(error: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, error.to_string())
}

fn unavailable(error: &str) -> Problem {
    tracing::warn!(%error, "the rules of the configuration cannot be had");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the rules cannot be had: {error}"))
}

fn office(own: &Own) -> Result<Arc<Office>, Problem> {
    let none = || {
        let text = "this configuration is under no rules; see `governance` in docs/reference/config.md";
        Problem::new(StatusCode::NOT_FOUND, text)
    };
    let governs = own.governs.as_ref().ok_or_else(none)?;
    governs.office().map_err(|error| unavailable(&error))?.ok_or_else(none)
}

fn actor(own: &Own, who: &Operator) -> Result<Actor, Problem> {
    let subject = who.session.as_ref().map_or(who.name.as_str(), |session| session.principal.subject());
    // Before it stands which issuer says so: all operators sign in at one.
    let subject = subject.split_once(':').map_or(subject, |(_, subject)| subject);
    let operator = OperatorName { name: &who.name, subject, is_admin: who.role == Role::Admin };
    let governs = own.governs.as_ref().ok_or_else(Problem::not_found)?;
    governs.actor(&operator).map_err(|error| unavailable(&error))
}

fn number(name: &str) -> Result<u64, Problem> {
    name.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "a proposal has a number"))
}

async fn read<T: serde::de::DeserializeOwned>(body: Unread) -> Result<T, Problem> {
    let too_large =
        || wrong(format!("a request has at most {REQUEST_BYTES_MAX} bytes, and comes within ten seconds"));
    let bytes = whole(body, REQUEST_BYTES_MAX).await.ok_or_else(too_large)?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(format!("the request is none: {error}")))
}

/// The files with changes.
fn with(office: &Office, changes: BTreeMap<String, Option<String>>) -> Result<Files, Problem> {
    let mut files = office.files().map_err(|error| problem(&error))?;
    for (name, text) in changes {
        match text {
            Some(text) => files.insert(name, text),
            None => files.remove(&name),
        };
    }
    Ok(files)
}

fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

fn limit(query: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = parameter(query, "limit") else { return Ok(50) };
    let limit = text.parse().ok().filter(|limit| (1..=LIST_MAX).contains(limit));
    limit.ok_or_else(|| wrong(format!("the parameter limit must be a number from 1 to {LIST_MAX}")))
}

/// `GET /v1/proposals`
pub async fn list(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let office = office(own)?;
    let status = parameter(query, "status");
    let status: Option<Status> = status
        .map(|word| serde_json::from_value(Value::String(word)).map_err(|_| wrong("there is no such status")))
        .transpose()?;
    let found = office.list(status, limit(query)?).await.map_err(|error| problem(&error))?;
    Ok(document(StatusCode::OK, &json!({"proposals": found, "rules": office.rules()})))
}

/// `GET /v1/proposals/ID`
pub async fn show(own: &Own, name: &str) -> Result<Answer, Problem> {
    told(&*office(own)?, number(name)?).await
}

/// `GET /v1/proposals/ID/diff`
pub async fn diff(own: &Own, name: &str) -> Result<Answer, Problem> {
    let office = office(own)?;
    let (_, hash) = office.standing(number(name)?).await.map_err(|error| problem(&error))?;
    let content = office.content(&hash).await.map_err(|error| problem(&error))?;
    Ok(document(
        StatusCode::OK,
        &json!({"hash": hash, "diff": content.change.text(), "change": content.change}),
    ))
}

/// `GET /v1/proposals/ID/history`
pub async fn history(own: &Own, name: &str, query: Option<&str>) -> Result<Answer, Problem> {
    let office = office(own)?;
    let after = parameter(query, "after").map(|text| text.parse().map_err(wrong)).transpose()?.unwrap_or(0);
    let found = office.history(Some(number(name)?), after, limit(query)?).await;
    Ok(document(StatusCode::OK, &json!({"history": found.map_err(|error| problem(&error))?})))
}

/// `POST /v1/proposals`
pub async fn propose(own: &Own, who: &Operator, body: Unread) -> Result<Answer, Problem> {
    let office = office(own)?;
    let Proposed { title, files, risk, area, effect, authors, supersedes } = read(body).await?;
    let draft = Draft { title, risk, area, effect, authors, supersedes };
    let (actor, after) = (actor(own, who)?, with(&office, files)?);
    let id = office.propose(&actor, draft, &after).await.map_err(|error| problem(&error))?;
    done(&office, id, ("propose", &actor)).await
}

/// `POST /v1/proposals/ID/revise`
pub async fn revise(own: &Own, who: &Operator, name: &str, body: Unread) -> Result<Answer, Problem> {
    let (office, id) = (office(own)?, number(name)?);
    let Revised { files } = read(body).await?;
    let (actor, after) = (actor(own, who)?, with(&office, files)?);
    office.revise(&actor, id, &after).await.map_err(|error| problem(&error))?;
    done(&office, id, ("revise", &actor)).await
}

/// `POST /v1/proposals/ID/act`
pub async fn act(own: &Own, who: &Operator, name: &str, body: Unread) -> Result<Answer, Problem> {
    let (office, id) = (office(own)?, number(name)?);
    let act: Act = read(body).await?;
    if matches!(act, Act::Revise { .. }) {
        return Err(wrong("a revision brings its files: POST /v1/proposals/ID/revise"));
    }
    let word = act_word(&act);
    let actor = actor(own, who)?;
    office.act(&actor, id, act).await.map_err(|error| problem(&error))?;
    done(&office, id, (&word, &actor)).await
}

/// The word for what somebody does.
#[must_use]
pub fn act_word(act: &Act) -> String {
    match serde_json::to_value(act) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

async fn told(office: &Office, id: u64) -> Result<Answer, Problem> {
    Ok(document(StatusCode::OK, &office.show(id).await.map_err(|error| problem(&error))?))
}

/// The proposal as it is now; the log learns who did what to which revision, and where that led.
async fn done(office: &Office, id: u64, (word, actor): (&str, &Actor)) -> Result<Answer, Problem> {
    let mut answer = told(office, id).await?;
    let (status, hash) = office.standing(id).await.map_err(|error| problem(&error))?;
    let (operator, person) = (&actor.operator, &actor.person);
    let what = word;
    tracing::info!(%operator, %person, proposal = id, what, "an operator did something about a proposal");
    answer.extensions_mut().insert(Said(vec![
        ("proposal", id.to_string()),
        ("act", word.to_owned()),
        ("person", person.clone()),
        ("revision", hash),
        ("proposal_status", status.as_str().to_owned()),
        ("rules", office.rules().to_owned()),
    ]));
    Ok(answer)
}

fn problem(error: &GovernError) -> Problem {
    let status = match error {
        GovernError::Unknown(_) => StatusCode::NOT_FOUND,
        GovernError::Nothing | GovernError::TooLarge => StatusCode::BAD_REQUEST,
        GovernError::Files(_) => StatusCode::CONFLICT,
        GovernError::Refused(refusal) => match refusal.rule {
            Rule::Membership | Rule::Separation | Rule::Apart => StatusCode::FORBIDDEN,
            Rule::Limits => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        },
        GovernError::Store(error) => {
            tracing::warn!(%error, "an operator's request failed");
            let text = format!("{error}; it is safe to try again");
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, text);
        }
    };
    Problem::new(status, error.to_string())
}
