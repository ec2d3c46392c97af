//! Definitions: which were approved, what was seen instead, and what is to become of it.

use http::StatusCode;
use policy::pins::{Kind, diff, diff_text, suspicions};
use seal::time_to_text;
use serde_json::{Value, json};
use store::{PinError, PinKey, PinOffice, PinRow, PinVersion, StoreError};

use crate::admit::Operator;
use crate::listener::Own;
use crate::problem::{Answer, Problem, document};

/// Rows in one answer, at most.
const LIMIT_MAX: usize = 500;
/// Rows in one answer where nothing is said.
const LIMIT: usize = 50;

/// What is asked for.
#[derive(Debug, Default)]
struct Query {
    upstream: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    hash: Option<String>,
    state: Option<String>,
    also: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

impl Query {
    /// Reads the parameters of these names; others mean nothing here.
    fn read(text: Option<&str>, names: &[&str]) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
            let slot = match &*name {
                "upstream" => &mut query.upstream,
                "kind" => &mut query.kind,
                "name" => &mut query.name,
                "hash" => &mut query.hash,
                "state" => &mut query.state,
                "also" => &mut query.also,
                "after" => &mut query.after,
                _ => &mut query.limit,
            };
            if !names.contains(&&*name) {
                return Err(bad(format!("unknown parameter; there are {}", names.join(", "))));
            }
            if slot.replace(value.into_owned()).is_some() {
                return Err(bad(format!("the parameter {name} must be there once")));
            }
        }
        Ok(query)
    }

    fn limit(&self) -> Result<usize, Problem> {
        let Some(limit) = &self.limit else { return Ok(LIMIT) };
        let limit = limit.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let wanted = "the parameter limit must be a number from 1 to 500";
        limit.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, wanted))
    }

    /// Which definition is meant.
    fn key(&self) -> Result<PinKey, Problem> {
        let kind = self.kind.as_deref().and_then(Kind::of).map(|kind| kind.word().to_owned());
        let key = self.upstream.clone().zip(kind).zip(self.name.clone());
        let key = key.map(|((upstream, kind), name)| PinKey { upstream, kind, name });
        let wanted = "the parameters upstream, kind (tool, prompt or template) and name say which is meant";
        key.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, wanted))
    }
}

fn version_report(version: &PinVersion) -> Value {
    json!({
        "hash": version.hash,
        "bytes": version.bytes,
        "seen": time_to_text(version.seen),
        "approved": version.approved.as_ref().map(|approval| time_to_text(approval.at)),
        "approvedBy": version.approved.as_ref().map(|approval| &approval.by),
    })
}

/// What is told of a definition; times as in RFC 3339.
#[must_use]
pub fn pin_report(row: &PinRow) -> Value {
    let all = |versions: &[PinVersion]| versions.iter().map(version_report).collect::<Vec<_>>();
    json!({
        "upstream": row.key.upstream,
        "kind": row.key.kind,
        "name": row.key.name,
        "state": row.state().word(),
        "approved": all(&row.approved),
        "seen": all(&row.seen),
        "history": all(&row.history),
        "deniedBy": row.denied.as_ref().map(|denial| &denial.by),
        "denied": row.denied.as_ref().map(|denial| time_to_text(denial.at)),
    })
}

/// What is different in a definition, the one that was seen last where no hash says which, from the approved
/// one: in words, and what detectors say of the new one. What a person would not see is spelled out.
///
/// # Errors
/// [`PinError`]
pub async fn pin_diff(office: &PinOffice, row: &PinRow, hash: Option<&str>) -> Result<Value, PinError> {
    let new = match hash {
        Some(hash) => Some(row.version_of(hash)?),
        None => row.seen.first(),
    };
    let old = row.approved.first();
    let text_of = |version: Option<&PinVersion>| {
        let hash = version.map(|version| version.hash.clone());
        async move {
            match hash {
                Some(hash) => office.text(&row.key, &hash).await,
                None => Ok(Some("{}".to_owned())),
            }
        }
    };
    let (before, after) = (text_of(old).await?, text_of(new).await?);
    let difference = match (&before, &after) {
        (Some(before), Some(after)) if new.is_some() => diff_text(&diff(before, after)),
        (_, _) if new.is_none() => String::new(),
        _ => "(one of the two is too large to be kept: only hashes and lengths can be compared)\n".to_owned(),
    };
    let found = after.filter(|_| new.is_some()).map(|text| suspicions(&text)).unwrap_or_default();
    Ok(json!({
        "approved": old.map(|version| &version.hash),
        "seen": new.map(|version| &version.hash),
        "diff": difference,
        "findings": found,
    }))
}

/// `GET /v1/pins`
pub async fn list(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let query = Query::read(query, &["upstream", "kind", "state", "after", "limit"])?;
    let limit = query.limit()?;
    let (_, mut all) = own.pins.all().await.map_err(|error| failed(&error))?;
    let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    all.retain(|row| fits(&query.upstream, &row.key.upstream) && fits(&query.kind, &row.key.kind));
    all.retain(|row| fits(&query.state, row.state().word()));
    all.sort_by(|a, b| a.key.cmp(&b.key));
    let mut rest = all.iter().filter(|row| query.after.as_ref().is_none_or(|after| place(row) > *after));
    let found: Vec<&PinRow> = rest.by_ref().take(limit).collect();
    let next = found.last().filter(|_| rest.next().is_some()).map(|row| place(row));
    let found: Vec<Value> = found.into_iter().map(pin_report).collect();
    Ok(document(StatusCode::OK, &json!({"pins": found, "next": next})))
}

/// Where it stands among others.
fn place(row: &PinRow) -> String {
    let PinKey { upstream, kind, name } = &row.key;
    format!("{upstream}\n{kind}\n{name}")
}

/// `GET /v1/pins/diff`
pub async fn show(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let query = Query::read(query, &["upstream", "kind", "name", "hash"])?;
    let key = query.key()?;
    let row = own.pins.pin(&key).await.map_err(|error| failed(&error))?;
    let row = row.ok_or_else(|| refused(&PinError::Unknown(key)))?;
    let diff = pin_diff(&own.pins, &row, query.hash.as_deref()).await.map_err(|error| refused(&error))?;
    let mut report = pin_report(&row);
    report["difference"] = diff;
    Ok(document(StatusCode::OK, &report))
}

/// `POST /v1/pins/approve`
pub async fn approve(own: &Own, who: &Operator, query: Option<&str>) -> Result<Answer, Problem> {
    let query = Query::read(query, &["upstream", "kind", "name", "hash", "also"])?;
    let key = query.key()?;
    let wanted = "the parameter hash says which definition is approved";
    let hash = query.hash.clone().ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, wanted))?;
    let also = match query.also.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            let wanted = "the parameter also must be true or false";
            return Err(Problem::new(StatusCode::BAD_REQUEST, wanted));
        }
    };
    let done = own.pins.approve(&key, &hash, also, &who.name).await;
    done.map_err(|error| refused(&error)).map(|row| note("approve", who, &row))
}

/// `POST /v1/pins/roll-back`
pub async fn roll_back(own: &Own, who: &Operator, query: Option<&str>) -> Result<Answer, Problem> {
    let key = Query::read(query, &["upstream", "kind", "name"])?.key()?;
    let done = own.pins.roll_back(&key, &who.name).await;
    done.map_err(|error| refused(&error)).map(|row| note("roll_back", who, &row))
}

/// `POST /v1/pins/deny`
pub async fn deny(own: &Own, who: &Operator, query: Option<&str>) -> Result<Answer, Problem> {
    let key = Query::read(query, &["upstream", "kind", "name"])?.key()?;
    let done = own.pins.deny(&key, &who.name).await;
    done.map_err(|error| refused(&error)).map(|row| note("deny", who, &row))
}

/// Says what an operator has decided. The one place where decisions on definitions leave a trace.
fn note(what: &str, who: &Operator, row: &PinRow) -> Answer {
    let (operator, PinKey { upstream, kind, name }) = (&who.name, &row.key);
    let hash = row.approved.first().map_or("", |version| version.hash.as_str());
    tracing::info!(operator, upstream, kind, name, what, hash, "an operator decided on a definition");
    document(StatusCode::OK, &pin_report(row))
}

fn refused(error: &PinError) -> Problem {
    let status = match error {
        PinError::Store(error) => return failed(error),
        PinError::Unknown(_) => StatusCode::NOT_FOUND,
        PinError::Hash(_) | PinError::NothingBefore | PinError::TooMany => StatusCode::CONFLICT,
    };
    Problem::new(status, error.to_string())
}

fn failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "an operator's request failed");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; it is safe to try again"))
}
