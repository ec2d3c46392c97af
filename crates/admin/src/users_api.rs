//! Users: who is let in no more, and what they have granted.

use http::StatusCode;
use model::Timestamp;
use seal::time_to_text;
use serde_json::{Value, json};
use store::{BarRow, Enabled, GrantFilter, GrantRow, StoreError, UserError, UserView};

use crate::listener::Own;
use crate::problem::{Answer, Problem, document};

/// Rows in one answer, at most.
const LIMIT_MAX: usize = 500;
/// Rows in one answer where nothing is said.
const LIMIT: usize = 50;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    tenant: Option<String>,
    subject: Option<String>,
    upstream: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

impl Query {
    /// Reads the parameters of these names; others mean nothing here.
    fn read(text: Option<&str>, names: &[&str]) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            let bad = |expected: &str| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the parameter {name} must be {expected}"))
            };
            // One that was misspelt and passed over would mean more than was asked for.
            if !names.contains(&&*name) {
                let text = format!("unknown parameter; there are {}", names.join(", "));
                return Err(Problem::new(StatusCode::BAD_REQUEST, text));
            }
            let value = value.into_owned();
            let again = match &*name {
                "tenant" => query.tenant.replace(value).is_some(),
                "subject" => query.subject.replace(value).is_some(),
                "upstream" => query.upstream.replace(value).is_some(),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    query.limit.replace(limit.ok_or_else(|| bad("a number from 1 to 500"))?).is_some()
                }
                _ => query.after.replace(value).is_some(),
            };
            if again {
                return Err(bad("there once"));
            }
        }
        Ok(query)
    }

    /// Who is meant, where it must be said.
    fn user(text: Option<&str>) -> Result<(String, String), Problem> {
        let query = Self::read(text, &["tenant", "subject"])?;
        let wanted = "the parameters tenant and subject say who is meant";
        let user = query.tenant.zip(query.subject);
        user.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, wanted))
    }
}

/// What is told of a bar; times as in RFC 3339, `null` for never.
#[must_use]
pub fn bar_report(bar: &BarRow) -> Value {
    let state = match (&bar.grant, bar.is_disabled()) {
        (Some(_), _) => "grant_revoked",
        (None, true) => "disabled",
        (None, false) => "signed_out",
    };
    json!({
        "tenant": bar.tenant,
        "subject": bar.holder,
        "state": state,
        "grant": bar.grant,
        "before": bar.before.map(time_to_text),
        "until": (!bar.lasts()).then(|| time_to_text(bar.until)),
        "since": time_to_text(bar.since),
    })
}

/// What is told of a grant: what it is stays sealed.
#[must_use]
pub fn grant_report(row: &GrantRow) -> Value {
    json!({
        "name": row.name,
        "tenant": row.tenant,
        "subject": row.holder,
        "upstream": row.upstream,
        "version": row.version,
        "expires": time_to_text(row.expires),
    })
}

/// What is told of somebody.
#[must_use]
pub fn user_report((tenant, subject): (&str, &str), view: &UserView, now: Timestamp) -> Value {
    let state = view
        .bar
        .as_ref()
        .filter(|bar| now < bar.until)
        .map_or(json!("active"), |bar| bar_report(bar)["state"].take());
    json!({
        "tenant": tenant,
        "subject": subject,
        "state": state,
        "since": view.bar.as_ref().map(|bar| time_to_text(bar.since)),
        "grants": view.grants,
        "grantsRevoked": view.grant_bars.len(),
    })
}

/// What became of somebody who was to be let in again: whether he has to sign in anew for that.
#[must_use]
pub fn enabled_report((tenant, subject): (&str, &str), done: Enabled) -> Value {
    json!({
        "tenant": tenant,
        "subject": subject,
        "state": "active",
        "wasBarred": done != Enabled::Already,
        "mustSignIn": done == Enabled::Anew,
    })
}

/// `GET /v1/users/barred`
pub async fn barred(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let query = Query::read(query, &["tenant", "after", "limit"])?;
    let limit = query.limit.unwrap_or(LIMIT);
    let mut all = own.users.barred().await.map_err(|error| failed(&error))?;
    all.retain(|bar| query.tenant.as_ref().is_none_or(|tenant| *tenant == bar.tenant));
    let mut rest = all.iter().filter(|bar| query.after.as_ref().is_none_or(|after| bar.name() > *after));
    let found: Vec<&BarRow> = rest.by_ref().take(limit).collect();
    let next = found.last().filter(|_| rest.next().is_some()).map(|bar| bar.name());
    let found: Vec<Value> = found.into_iter().map(bar_report).collect();
    Ok(document(StatusCode::OK, &json!({"barred": found, "next": next})))
}

/// `POST /v1/users/disable`
pub async fn disable(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let (tenant, subject) = Query::user(query)?;
    let removed = own.users.disable(&tenant, &subject).await.map_err(|error| refused(&error))?;
    tracing::info!(tenant, subject, removed, "an operator disabled a user");
    let told = json!({"tenant": tenant, "subject": subject, "state": "disabled", "grantsRemoved": removed});
    Ok(document(StatusCode::OK, &told))
}

/// `POST /v1/users/enable`
pub async fn enable(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let (tenant, subject) = Query::user(query)?;
    let done = own.users.enable(&tenant, &subject).await.map_err(|error| refused(&error))?;
    tracing::info!(tenant, subject, ?done, "an operator enabled a user");
    Ok(document(StatusCode::OK, &enabled_report((&tenant, &subject), done)))
}

/// `POST /v1/users/sign-out`
pub async fn sign_out(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let (tenant, subject) = Query::user(query)?;
    let removed = own.users.sign_out(&tenant, &subject).await.map_err(|error| refused(&error))?;
    tracing::info!(tenant, subject, removed, "an operator signed a user out");
    let told = json!({"tenant": tenant, "subject": subject, "state": "signed_out", "grantsRemoved": removed});
    Ok(document(StatusCode::OK, &told))
}

/// `GET /v1/grants`
pub async fn grants(own: &Own, query: Option<&str>) -> Result<Answer, Problem> {
    let query = Query::read(query, &["tenant", "subject", "upstream", "after", "limit"])?;
    let limit = query.limit.unwrap_or(LIMIT);
    let filter = GrantFilter { tenant: query.tenant, holder: query.subject, upstream: query.upstream };
    let found = own.users.grants(&filter, query.after.as_deref(), limit + 1).await;
    let mut found = found.map_err(|error| failed(&error))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|row| row.name.clone());
    let found: Vec<Value> = found.iter().map(grant_report).collect();
    Ok(document(StatusCode::OK, &json!({"grants": found, "next": next})))
}

/// `POST /v1/grants/NAME/revoke`
pub async fn revoke(own: &Own, name: &str) -> Result<Answer, Problem> {
    // Names have a slash, which stands in a path as what it is written by.
    let name = name.replace("%2F", "/").replace("%2f", "/");
    let gone = own.users.grant_remove(&name).await.map_err(|error| failed(&error))?;
    let Some(row) = gone else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is no such grant"));
    };
    let (tenant, subject, upstream) = (&row.tenant, &row.holder, &row.upstream);
    tracing::info!(tenant, subject, upstream, "an operator revoked a grant");
    Ok(document(StatusCode::OK, &grant_report(&row)))
}

fn refused(error: &UserError) -> Problem {
    match error {
        UserError::Store(error) => failed(error),
        error => Problem::new(StatusCode::CONFLICT, error.to_string()),
    }
}

fn failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "an operator's request failed");
    let text = format!("{error}; it is safe to try again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
}
