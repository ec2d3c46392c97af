//! Why a proposal is where it is: what users see.

use std::fmt;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::Engine;
use super::demand::{Demand, View};
use super::work::Work;
use crate::state::{Route, State, Status};
use crate::time::Calendar;

/// Every rule that a proposal has to satisfy now: what it demands, what is there, what is missing, and when
/// next something happens by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The proposal's number.
    pub id: u64,
    /// What it is about.
    pub title: String,
    /// Where it is.
    pub status: Status,
    /// Where it is next, once all demands are met.
    pub then: Option<Status>,
    /// Who accepts.
    pub route: Route,
    /// And why it is they.
    pub route_reason: String,
    /// What its area changes, and why.
    pub priority: Option<String>,
    /// What the rules demand.
    pub demands: Vec<Demand>,
    /// When something happens by itself, if nobody does anything.
    pub next: Option<Timestamp>,
    /// Until when what is accepted can be vetoed.
    pub veto_until: Option<Timestamp>,
}

impl Engine {
    /// Why a proposal is where it is. What fell due before `now` is taken into account.
    #[must_use]
    pub fn why(&self, state: &State, id: u64, now: Timestamp) -> Option<Why> {
        let now = now.max(state.at);
        let work = Work::new(self, state, state.proposals.get(&id)?.clone(), now);
        let proposal = &work.proposal;
        let (route, route_reason) = self.route(state, proposal, now);
        let view = View { engine: self, state, proposal, route: &route, now };
        let provisional = proposal.status == Status::Provisional;
        let demands = if provisional { view.review() } else { view.demands() };
        let then = if provisional { Some(Status::Accepted) } else { view.gate().map(|(_, then)| then) };
        let weight = self.weight(proposal);
        let priority = weight.map(|weight| {
            let votes = match weight.votes {
                0 => String::new(),
                votes => format!(", {votes:+} votes"),
            };
            format!("{}% of the time{votes}: {}", weight.clock_percent, weight.reason)
        });
        let veto_until = view.veto_end().filter(|end| *end > now && proposal.status == Status::Accepted);
        let (status, title) = (proposal.status, proposal.new.title.clone());
        let next = work.next_due();
        Some(Why { id, title, status, then, route, route_reason, priority, demands, next, veto_until })
    }
}

impl Why {
    /// The demands that are not met.
    pub fn missing(&self) -> impl Iterator<Item = &Demand> {
        self.demands.iter().filter(|demand| !demand.met)
    }

    /// As text, with days as the calendar has them.
    #[must_use]
    pub fn text(&self, calendar: &Calendar) -> String {
        Text { why: self, calendar }.to_string()
    }
}

struct Text<'a> {
    why: &'a Why,
    calendar: &'a Calendar,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, calendar } = self;
        write!(f, "proposal {} ({}) is {}", why.id, why.title, why.status.as_str())?;
        if let Some(then) = why.then {
            write!(f, ", then {}", then.as_str())?;
        }
        let by = match &why.route {
            Route::Core => "the core",
            Route::Domain { grant } => grant,
        };
        write!(f, "\n  accepted by {by}: {}", why.route_reason)?;
        if let Some(priority) = &why.priority {
            write!(f, "\n  priority: {priority}")?;
        }
        for demand in &why.demands {
            let sign = if demand.met { "has  " } else { "needs" };
            write!(f, "\n  {sign} {}: {} ({})", demand.rule.as_str(), demand.demands, demand.have)?;
            if let Some(next) = demand.next {
                write!(f, ", until {}", calendar.date(next))?;
            }
        }
        if let Some(end) = why.veto_until {
            write!(f, "\n  can be vetoed until {}", calendar.date(end))?;
        }
        match why.next {
            Some(next) => write!(f, "\n  next, by itself: {}", calendar.date(next)),
            None => write!(f, "\n  nothing happens by itself"),
        }
    }
}
