//! The gateway as its clients see it: real sockets, fake clients of every revision, demo servers behind it.

mod asked_checks;
mod auth;
mod bad;
mod barred;
mod broker;
mod checks;
mod consent;
mod drain;
mod eras;
mod handles;
mod health;
mod links;
mod may;
mod mtls;
mod overload;
mod pins;
mod polling;
mod published;
mod rates;
mod records;
mod replicas;
mod sessions;
mod shared;
mod smoke;
mod tasks;
mod widen;
