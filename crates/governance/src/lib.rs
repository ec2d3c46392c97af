//! Who may decide what: roles on a ladder, domains that decide for themselves, a core with a veto, quorums
//! and clocks.
//!
//! Pure: rules are a text, time is an argument, and the state is what events add up to. [`Engine::decide`]
//! turns a command into events or into a refusal that names the rule; [`Engine::why`] says what a proposal
//! still needs. Rules that deadlock, go in a circle or let somebody decide alone are refused with an example.

mod check;
mod command;
mod engine;
pub mod limits;
mod presets;
mod ruleset;
pub mod simulate;
mod state;
mod time;

pub use check::{Fault, Witness, WitnessStep};
pub use command::{Act, Command, Refusal, Rule};
pub use engine::{Demand, Engine, Useful, Why, grant_name};
pub use presets::{PRESETS, Preset, preset};
pub use ruleset::{
    Apart, Area, Base, Body, Deadline, Decision, Delegation, Distinct, Domain, Emergency, Entry, Escalation,
    EvidenceRule, Gate, Glob, Grant, Group, Lazy, Level, Lifecycle, Limit, Membership, Objection, OnSilence,
    Oversight, Part, Person, Priorities, Risk, Role, Ruleset, Sample, Share, Since, Sponsors, Then, Track,
    Veto, VoteRule, Weight,
};
pub use state::{
    Answer, Audit, Ballot, Block, Comment, Effect, Escalated, Event, Evidence, EvidenceOutcome, GrantState,
    NewProposal, Nomination, NominationStatus, Outcome, PersonState, Proposal, Record, Revision, Route,
    Ruling, Stage, Standing, State, Status, Vote, What,
};
pub use time::{Calendar, Date, Span, Weekday};
