//! The program as its user meets it: started for real, on loopback, and judged by what it prints and answers.

mod call;
mod config;
mod list;
mod program;
mod reload;
mod terminal;
mod up;
