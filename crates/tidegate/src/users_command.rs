//! `tidegate users`: users in the store, for whoever operates the gateway. It may run meanwhile.

use std::sync::Arc;

use clap::{Args, Subcommand};
use model::{Clock as _, SystemClock};
use seal::time_to_text;
use serde_json::{Value, json};
use store::{BarRow, Enabled, GrantFilter, GrantRow, StoreError, UserError, UserOffice};

use crate::by_hand::ByHand;
use crate::cli::Output;
use crate::exit::{Coded, FAILURE};
use crate::store_command::{self, Chosen};
use crate::{out, table};

/// What to do with users. Replicas that run follow within seconds.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List users who are barred, or have granted something.
    List {
        #[command(flatten)]
        chosen: Chosen,
        /// Only those of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
    },
    /// Show whether a user is barred, and what he has granted.
    Show {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        user: User,
    },
    /// Let a user in no more, whatever he has, and forget what he has granted.
    Disable {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        user: User,
    },
    /// Let a user in again. One who was disabled signs in anew; said of one who is signed out, what he had is
    /// good again.
    Enable {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        user: User,
    },
    /// Make all that was issued to a user before now useless, and forget what he has granted. He can sign in
    /// again.
    SignOut {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        user: User,
    },
    /// List what users have granted the gateway, never what it is.
    Grants {
        #[command(flatten)]
        chosen: Chosen,
        /// Only those of users of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only those of this user.
        #[arg(long, value_name = "ISSUER:NAME")]
        user: Option<String>,
        /// Only those for this upstream.
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
    },
    /// Forget a grant.
    Revoke {
        #[command(flatten)]
        chosen: Chosen,
        /// Its name, as `grants` prints it.
        name: String,
    },
}

/// Who.
#[derive(Debug, Args)]
pub struct User {
    /// The user, such as `corp:ann`; an API key is `keys:ID`.
    #[arg(value_name = "ISSUER:NAME")]
    subject: String,
    /// The user's tenant.
    #[arg(long, default_value = "default")]
    tenant: String,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::List { chosen, tenant, limit } => list(&chosen, tenant.as_deref(), limit).await,
        Command::Show { chosen, user } => show(&chosen, &user).await,
        Command::Disable { chosen, user } => {
            let (office, doing) = begin(&chosen, "users disable", &user.name()).await?;
            let gone = doing.end(office.disable(&user.tenant, &user.subject).await.map_err(refused)).await?;
            barred(&chosen, &user, "disabled", gone)
        }
        Command::Enable { chosen, user } => enable(&chosen, &user).await,
        Command::SignOut { chosen, user } => {
            let (office, doing) = begin(&chosen, "users sign-out", &user.name()).await?;
            let gone = doing.end(office.sign_out(&user.tenant, &user.subject).await.map_err(refused)).await?;
            barred(&chosen, &user, "signed_out", gone)
        }
        Command::Grants { chosen, tenant, user, upstream, limit } => {
            let filter = GrantFilter { tenant, holder: user, upstream };
            let found = open(&chosen).await?.grants(&filter, None, limit).await.map_err(failed)?;
            match chosen.output() {
                Output::Json => print_all(found.iter().map(admin::grant_report))?,
                Output::Table if found.is_empty() => out::line("there are no such grants"),
                Output::Table => out::line(grants_table(&found)),
            }
            Ok(0)
        }
        Command::Revoke { chosen, name } => {
            let (office, doing) = begin(&chosen, "users revoke", &name).await?;
            let none = || Coded::new(FAILURE, format!("revoke {name}: there is no such grant"));
            let gone = office.grant_remove(&name).await.map_err(failed).and_then(|row| row.ok_or_else(none));
            let row = doing.end(gone).await?;
            match chosen.output() {
                Output::Json => out::line(admin::grant_report(&row)),
                Output::Table => {
                    let (holder, upstream) = (out::plain(&row.holder), out::plain(&row.upstream));
                    out::line(format!("forgot what {holder} has granted for {upstream}"));
                }
            }
            Ok(0)
        }
    }
}

async fn open(chosen: &Chosen) -> anyhow::Result<UserOffice> {
    let store = store_command::open_in_use(chosen).await?;
    Ok(UserOffice::new(store, Arc::new(SystemClock)))
}

/// The same, for what changes something, which is recorded.
async fn begin(chosen: &Chosen, command: &str, whom: &str) -> anyhow::Result<(UserOffice, ByHand)> {
    let store = store_command::open_in_use(chosen).await?;
    let doing = ByHand::begin(chosen.source(), &store, command, whom).await?;
    Ok((UserOffice::new(store, Arc::new(SystemClock)), doing))
}

impl User {
    fn name(&self) -> String {
        format!("{}/{}", self.tenant, self.subject)
    }
}

fn failed(error: StoreError) -> Coded {
    Coded::store(&error)
}

fn refused(error: UserError) -> Coded {
    Coded::store(&error)
}

fn print_all(all: impl Iterator<Item = Value>) -> anyhow::Result<()> {
    out::line(serde_json::to_string_pretty(&all.collect::<Vec<_>>())?);
    Ok(())
}

fn barred(chosen: &Chosen, user: &User, state: &str, gone: u64) -> anyhow::Result<u8> {
    let User { subject, tenant } = user;
    match chosen.output() {
        Output::Json => out::line(json!({
            "tenant": tenant, "subject": subject, "state": state, "grantsRemoved": gone,
        })),
        Output::Table => {
            out::line(format!(
                "{subject} of {tenant} is {}; grants removed: {gone}",
                state.replace('_', " ")
            ));
        }
    }
    Ok(0)
}

async fn enable(chosen: &Chosen, user: &User) -> anyhow::Result<u8> {
    let User { subject, tenant } = user;
    let (office, doing) = begin(chosen, "users enable", &user.name()).await?;
    let done = doing.end(office.enable(tenant, subject).await.map_err(refused)).await?;
    match chosen.output() {
        Output::Json => out::line(admin::enabled_report((tenant, subject), done)),
        Output::Table => out::line(match done {
            Enabled::Anew => format!("{subject} of {tenant} is let in again by what is issued from now on"),
            Enabled::Wholly => format!("{subject} of {tenant} is let in again"),
            Enabled::Already => format!("{subject} of {tenant} was not barred"),
        }),
    }
    Ok(0)
}

async fn list(chosen: &Chosen, tenant: Option<&str>, limit: usize) -> anyhow::Result<u8> {
    let (all, now) = (open(chosen).await?.users(tenant, limit).await.map_err(failed)?, SystemClock.now());
    let reports =
        all.iter().map(|((tenant, subject), view)| admin::user_report((tenant, subject), view, now));
    match chosen.output() {
        Output::Json => print_all(reports)?,
        Output::Table if all.is_empty() => out::line("nobody is barred or has granted anything"),
        Output::Table => {
            let mut rows = table::new(&["user", "tenant", "state", "grants", "since"]);
            for report in reports {
                let text = |name: &str| match &report[name] {
                    Value::Null => "-".to_owned(),
                    Value::String(text) => out::plain(&text.replace('_', " ")).into_owned(),
                    other => other.to_string(),
                };
                let subject = out::plain(report["subject"].as_str().unwrap_or_default()).into_owned();
                let tenant = out::plain(report["tenant"].as_str().unwrap_or_default()).into_owned();
                rows.add_row(vec![subject, tenant, text("state"), text("grants"), text("since")]);
            }
            out::line(table::text(&rows));
        }
    }
    Ok(0)
}

async fn show(chosen: &Chosen, user: &User) -> anyhow::Result<u8> {
    let office = open(chosen).await?;
    let (tenant, subject) = (user.tenant.as_str(), user.subject.as_str());
    let mut bars = office.barred().await.map_err(failed)?;
    bars.retain(|bar| bar.tenant == tenant && bar.holder == subject);
    let (owner, holder) = (Some(tenant.to_owned()), Some(subject.to_owned()));
    let filter = GrantFilter { tenant: owner, holder, upstream: None };
    let grants = office.grants(&filter, None, usize::MAX).await.map_err(failed)?;
    let state = bars.iter().find(|bar| bar.grant.is_none()).map(state);
    if chosen.output() == Output::Json {
        let bars: Vec<Value> = bars.iter().map(admin::bar_report).collect();
        let grants: Vec<Value> = grants.iter().map(admin::grant_report).collect();
        let state = state.unwrap_or("active").replace(' ', "_");
        let report = json!({
            "tenant": tenant, "subject": subject, "state": state, "bars": bars, "grants": grants,
        });
        out::line(serde_json::to_string_pretty(&report)?);
        return Ok(0);
    }
    out::line(format!("{subject} of {tenant} is {}", state.unwrap_or("not barred")));
    for bar in &bars {
        let what = bar.grant.as_ref().map_or_else(String::new, |grant| format!(", the grant {grant}"));
        let until = if bar.lasts() { String::new() } else { format!(", until {}", time_to_text(bar.until)) };
        let before = bar.before.map_or_else(
            || ", whatever there is".to_owned(),
            |before| format!(", what was issued before {}", time_to_text(before)),
        );
        out::line(out::plain(&format!("barred since {}{what}{before}{until}", time_to_text(bar.since))));
    }
    out::line(if grants.is_empty() { "has granted nothing".to_owned() } else { grants_table(&grants) });
    Ok(0)
}

fn state(bar: &BarRow) -> &'static str {
    if bar.is_disabled() { "disabled" } else { "signed out" }
}

fn grants_table(found: &[GrantRow]) -> String {
    let mut rows = table::new(&["grant", "user", "tenant", "upstream", "expires"]);
    for row in found {
        let plain = |text: &str| out::plain(text).into_owned();
        let (name, expires) = (row.name.clone(), time_to_text(row.expires));
        rows.add_row(vec![name, plain(&row.holder), plain(&row.tenant), plain(&row.upstream), expires]);
    }
    table::text(&rows)
}
