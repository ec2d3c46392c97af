//! Calls that outlive their clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Glob, Size, Span};

/// Which calls of tools become durable tasks of the gateway, and how long those are kept.
///
/// A task is in the store before its client hears of it, and is finished by another replica where the first
/// one is lost. At a limit new tasks are refused, and those that were accepted are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tasks {
    /// Which tools run as tasks of the gateway: a list of rules, of which the first that fits a tool holds.
    ///
    /// `tasks` of an endpoint goes before it. A tool that no rule fits, and by default every one, has
    /// `for_upstreams_that_need_it`. Since 0.1.
    pub host: Vec<HostRule>,

    /// How long a task is kept from its creation on, which clients are told as `ttlMs`.
    ///
    /// A task that has not ended by then is given up. Since 0.1.
    pub ttl: Span,

    /// How long a result is kept after its task has ended, at least.
    ///
    /// This may be longer than what is left of `ttl`, but never ends after `retention_max`. Since 0.1.
    pub result_retention: Span,

    /// The longest time that any task is kept, from its creation on. Neither `ttl` nor `result_retention` is
    /// longer.
    ///
    /// Since 0.1.
    pub retention_max: Span,

    /// How long a task that is no longer kept is still told of as expired; `0s` is not at all.
    ///
    /// Later it is as unknown as one that never was. Since 0.1.
    pub tombstone: Span,

    /// How many tasks of one tenant are kept, those that have ended included.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub tasks_per_tenant_max: usize,

    /// How much the tasks of one tenant may take together: arguments, questions, answers and results.
    ///
    /// Since 0.1.
    pub bytes_per_tenant_max: Size,

    /// The largest result that is kept. A task with a larger one fails, with an error that says so.
    ///
    /// Since 0.1.
    pub result_bytes_max: Size,

    /// How many attempts may run at a time in one replica; others wait for their turn.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub running_max: usize,

    /// After so long of silence another replica takes a replica's tasks over; `1s` to `5m`.
    ///
    /// Since 0.1.
    pub lease: Span,

    /// How long clients are told to wait before they ask for a task again, at first (`pollIntervalMs`).
    ///
    /// It grows with the age of the task. Since 0.1.
    pub poll_interval: Span,

    /// How long clients are told to wait before they ask for a task again, at most.
    ///
    /// Since 0.1.
    pub poll_interval_max: Span,

    /// Whether `idempotencyKey` among the parameters of a call (draft SEP-3182) is taken as a key, too.
    ///
    /// Of a call that becomes a task, as `io.tidegate/idempotency-key` is. Endpoints with tasks then declare
    /// `tools.idempotency`. Since 0.1.
    pub sep_3182: bool,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            host: Vec::new(),
            ttl: Span::from_hours(1),
            result_retention: Span::from_hours(1),
            retention_max: Span::from_hours(24),
            tombstone: Span::from_hours(24),
            tasks_per_tenant_max: 10_000,
            bytes_per_tenant_max: Size::from_mib(256),
            result_bytes_max: Size::from_mib(16),
            running_max: 1024,
            lease: Span::from_secs(10),
            poll_interval: Span::from_secs(1),
            poll_interval_max: Span::from_secs(30),
            sep_3182: false,
        }
    }
}

impl Tasks {
    /// What holds for a tool, by its name as clients of the endpoint see it: the first of `rules` that fits,
    /// which are the endpoint's own, or where it has none of those in `host`.
    #[must_use]
    pub fn host(&self, rules: Option<&[HostRule]>, tool: &str) -> HostWhen {
        self.host_rule(rules, tool).map(|rule| rule.when).unwrap_or_default()
    }

    /// The rule that holds for a tool; `None` where none fits.
    #[must_use]
    pub fn host_rule<'a>(&'a self, rules: Option<&'a [HostRule]>, tool: &str) -> Option<&'a HostRule> {
        rules.unwrap_or(&self.host).iter().find(|rule| rule.tools.matches(tool))
    }
}

/// Which tools run as tasks of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// The tools that the rule is for, by their names as clients of the endpoint see them.
    ///
    /// Since 0.1.
    #[serde(default = "Glob::all")]
    pub tools: Glob,

    /// When a call of such a tool becomes a task. Required.
    ///
    /// Since 0.1.
    pub when: HostWhen,

    /// Whether clients that know nothing of tasks are refused, and do not wait for the result.
    ///
    /// Not with `never` and `for_upstreams_that_need_it`. Since 0.1.
    #[serde(default)]
    pub required: bool,
}

impl Default for HostRule {
    /// A rule for all tools that changes nothing.
    fn default() -> Self {
        Self { tools: Glob::all(), when: HostWhen::default(), required: false }
    }
}

/// When a call becomes a task of the gateway. Clients that know nothing of tasks wait for the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostWhen {
    /// Never.
    Never,
    /// At once.
    Always,
    /// Where the client could not have the tool otherwise: its server makes a task of the call, in a form
    /// that the client does not speak.
    #[default]
    ForUpstreamsThatNeedIt,
    /// When the client has answered what the tool asks first, or after two seconds without a question.
    ///
    /// With the others, what a tool asks of a call that is a task is a question of the task.
    AfterQuestions,
    /// When it has taken so long. The call to the server goes on and is not made again.
    WhenSlow(Span),
}

/// Who owns the tasks that a server hosts itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamTasks {
    /// The server: they are passed through to clients of its era.
    #[default]
    Pass,
    /// The gateway: it polls them and owns the record, so that every client is told of them in its own form.
    Adopt,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(tools: &str, when: HostWhen) -> HostRule {
        HostRule { tools: Glob::new(tools).expect("a valid pattern"), when, required: false }
    }

    #[test]
    fn the_first_rule_that_fits_a_tool_holds() {
        let slow = HostWhen::WhenSlow(Span::from_secs(2));
        let tasks = Tasks {
            host: vec![
                rule("report_*", HostWhen::Always),
                rule("report_old", HostWhen::Never),
                rule("b*", slow),
            ],
            ..Tasks::default()
        };
        assert_eq!(tasks.host(None, "report_year"), HostWhen::Always);
        assert_eq!(tasks.host(None, "report_old"), HostWhen::Always);
        assert_eq!(tasks.host(None, "build"), slow);
        assert_eq!(tasks.host(None, "other"), HostWhen::ForUpstreamsThatNeedIt);
    }

    #[test]
    fn an_endpoints_rules_stand_in_place_of_the_general_ones() {
        let tasks = Tasks { host: vec![rule("*", HostWhen::Always)], ..Tasks::default() };
        let own = [rule("a", HostWhen::Never)];
        assert_eq!(tasks.host(Some(&own), "a"), HostWhen::Never);
        assert_eq!(tasks.host(Some(&own), "b"), HostWhen::ForUpstreamsThatNeedIt, "not those of tasks.host");
        assert_eq!(tasks.host(Some(&[]), "b"), HostWhen::ForUpstreamsThatNeedIt);
        assert_eq!(tasks.host(None, "b"), HostWhen::Always);
    }
}
