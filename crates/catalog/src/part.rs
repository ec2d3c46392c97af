//! One upstream of an endpoint.

use std::sync::Arc;

use crate::filter::Filter;
use crate::groups::Group;
use crate::life::Life;
use crate::names::Naming;
use crate::source::Source;

/// One upstream of an endpoint.
pub struct Part {
    /// The upstream and its lists.
    pub source: Arc<Source>,
    /// How its names look here.
    pub naming: Naming,
    /// Which of its own names it offers anywhere.
    pub filter: Filter,
    /// Where it is in its life.
    pub life: Life,
    /// The group that it is here, where groups are told.
    pub group: Option<Group>,
}
