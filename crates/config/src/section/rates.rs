//! How much of what callers may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Glob, Pace, Size};

/// A limit of what callers may do: a `rate`, a `concurrency` or a `quota`, exactly one of them.
///
/// A request that fits several rules is let through where all of them let it. A refused one runs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What errors, metrics and the command line call it: 1 to 32 of `a-z`, `0-9` and `-`. Required.
    ///
    /// Since 0.1.
    pub name: String,

    /// The requests that it is for.
    ///
    /// By default all calls of tools, prompts that are got and resources that are read. Since 0.1.
    #[serde(default, rename = "match")]
    pub fits: RateMatch,

    /// What is counted apart: each combination of these has the whole limit for itself.
    ///
    /// By default nothing: all requests that it is for share the limit. Since 0.1.
    #[serde(default)]
    pub per: Vec<RateKey>,

    /// How many requests in which time, as in `100/1m`; over a day at most.
    ///
    /// All replicas of a store keep it together. By default it is no rate. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Pace>,

    /// How many requests of a `rate` may come at once.
    ///
    /// In any time there are at most as many as the rate has in it, and so many. By default a tenth of what
    /// the rate has in its time, and at least 1. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u64>,

    /// How many calls may run at a time.
    ///
    /// Each replica lets through its share, rounded down and at least 1. A task that runs counts in no such
    /// limit; `tasks` has its own. By default it limits no concurrency. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub concurrency: Option<u64>,

    /// How much in a day or a month.
    ///
    /// Kept in the store: it goes on after a restart, and for all replicas. By default it is no quota.
    /// Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,

    /// What one call of a tool costs. Only with a quota of `cost`.
    ///
    /// The first that fits a tool holds; a call that none fits costs 1. Since 0.1.
    #[serde(default)]
    pub costs: Vec<CostRule>,
}

/// What one call of some tools costs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostRule {
    /// The tools, by the upstream's own names for them. Required.
    ///
    /// Since 0.1.
    pub tools: Glob,

    /// What one call costs; 0 is free. Required.
    ///
    /// Since 0.1.
    pub cost: u64,
}

/// The requests that a limit is for. A list that is empty or left out fits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateMatch {
    /// Tenants, as patterns.
    ///
    /// Since 0.1.
    pub tenants: Vec<Glob>,

    /// Subjects inside their tenants, as patterns.
    ///
    /// Since 0.1.
    pub principals: Vec<Glob>,

    /// Clients, as patterns over `client_id`. A caller without one fits no pattern.
    ///
    /// Since 0.1.
    pub clients: Vec<Glob>,

    /// Groups of the caller, as patterns: one of his has to fit.
    ///
    /// Since 0.1.
    pub groups: Vec<Glob>,

    /// Endpoints, by name: those of `endpoints`, those of single upstreams, and `mcp`, which has all.
    ///
    /// Since 0.1.
    pub endpoints: Vec<String>,

    /// Upstreams, by name.
    ///
    /// Since 0.1.
    pub upstreams: Vec<String>,

    /// Tools, as patterns over the upstream's own names for them. Only `tools/call` fits then.
    ///
    /// Since 0.1.
    pub tools: Vec<Glob>,

    /// Methods of the protocol, such as `tools/list`.
    ///
    /// By default `tools/call`, `prompts/get` and `resources/read`. Since 0.1.
    pub methods: Vec<String>,
}

/// What a limit counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateKey {
    /// Each tenant.
    Tenant,
    /// Each principal of a tenant.
    Principal,
    /// Each client.
    Client,
    /// Each endpoint.
    Endpoint,
    /// Each upstream.
    Upstream,
    /// Each tool of an upstream.
    Tool,
}

impl RateKey {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Principal => "principal",
            Self::Client => "client",
            Self::Endpoint => "endpoint",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
        }
    }
}

/// How much in a day or a month: `calls`, `bytes` or `cost`, exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// How many calls.
    ///
    /// By default they are not what is counted. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub calls: Option<u64>,

    /// How many bytes of answers.
    ///
    /// They are known once they have passed: the call that reaches the limit gets all of its answer.
    /// By default they are not what is counted. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Size>,

    /// How much the calls may cost together, by `costs` of the rule.
    ///
    /// By default it is not what is counted. Since 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cost: Option<u64>,

    /// From when to when: days and months begin at midnight UTC. Required.
    ///
    /// Since 0.1.
    pub per: QuotaTime,
}

/// For how long a quota is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaTime {
    /// A day of UTC.
    Day,
    /// A month of UTC.
    Month,
}

impl Rate {
    /// How many of a `rate` may come at once.
    #[must_use]
    pub fn burst(&self) -> u64 {
        let usual = self.rate.map_or(1, |rate| rate.amount() / 10);
        self.burst.unwrap_or(usual).max(1)
    }

    /// What one call of this tool costs.
    #[must_use]
    pub fn cost_of(&self, tool: &str) -> u64 {
        self.costs.iter().find(|rule| rule.tools.matches(tool)).map_or(1, |rule| rule.cost)
    }
}
