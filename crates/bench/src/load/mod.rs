//! The clients that measure, one file each.

pub mod admit;
pub mod calls;
pub mod decide;
pub mod fill;
pub mod find;
pub mod idle;
pub mod list;
mod pace;
mod quantiles;
pub mod start;
pub mod transfer;

use quantiles::Quantiles;

use clap::Args;

use crate::Result;
use crate::wire::{Era, Target};

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Endpoint {
    /// The URL of the endpoint.
    #[arg(long)]
    url: String,
    /// What to speak with it.
    #[arg(long, value_enum, default_value = "modern")]
    era: Era,
}

impl Endpoint {
    fn target(&self) -> Result<Target> {
        Target::new(&self.url, self.era)
    }
}
