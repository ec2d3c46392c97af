//! What the configuration says of tasks.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use config::{Config, HostRule, HostWhen, RetryRule, UpstreamTasks};
use model::task::TaskRules;

/// What holds for the tasks of one configuration.
#[derive(Debug, Clone, Default)]
pub struct Hosting {
    tasks: config::Tasks,
    /// By the endpoint's name; where there is none, those of all hold.
    endpoints: HashMap<String, Vec<HostRule>>,
    /// By the upstream's name.
    retries: HashMap<String, Vec<RetryRule>>,
    adopted: HashSet<String>,
}

impl Hosting {
    pub fn of(config: &Config) -> Self {
        let own =
            |(name, endpoint): (&String, &config::Endpoint)| Some((name.clone(), endpoint.tasks.clone()?));
        let upstreams = || config.upstreams.iter();
        Self {
            tasks: config.tasks.clone(),
            endpoints: config.endpoints.iter().filter_map(own).collect(),
            retries: upstreams().map(|(name, upstream)| (name.clone(), upstream.retries.clone())).collect(),
            adopted: upstreams()
                .filter(|(_, upstream)| upstream.tasks == UpstreamTasks::Adopt)
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// When calls of a tool become tasks, by its name at this endpoint.
    pub fn when(&self, endpoint: &str, tool: &str) -> HostWhen {
        self.tasks.host(self.endpoints.get(endpoint).map(Vec::as_slice), tool)
    }

    /// Whether such a tool is for clients alone that know what a task is.
    pub fn requires(&self, endpoint: &str, tool: &str) -> bool {
        let rules = self.endpoints.get(endpoint).map(Vec::as_slice);
        self.tasks.host_rule(rules, tool).is_some_and(|rule| rule.required)
    }

    /// Whether any call at this endpoint may become a task by rule, and not only where its server needs it.
    pub fn hosts(&self, endpoint: &str) -> bool {
        let rules = self.endpoints.get(endpoint).unwrap_or(&self.tasks.host);
        rules.iter().any(|rule| makes_tasks(rule.when))
    }

    /// Whether the tasks of this upstream become the gateway's.
    pub fn adopts(&self, upstream: &str) -> bool {
        self.adopted.contains(upstream)
    }

    /// What is done after failed calls of a tool, by the upstream's own name for it.
    pub fn retry(&self, upstream: &str, tool: &str) -> Option<&RetryRule> {
        self.retries.get(upstream)?.iter().find(|rule| rule.tools.matches(tool))
    }

    /// What a new task is bound to. `repeatable`: whether the tool may run twice by itself.
    pub fn rules(&self, retry: Option<&RetryRule>, repeatable: bool) -> TaskRules {
        let ms = |span: config::Span| span.millis();
        let takes_key = retry.is_some_and(|rule| rule.idempotency_key.is_some());
        let defaults = TaskRules::default();
        TaskRules {
            ttl_ms: ms(self.tasks.ttl),
            result_retention_ms: ms(self.tasks.result_retention),
            retention_max_ms: ms(self.tasks.retention_max),
            tombstone_ms: ms(self.tasks.tombstone),
            max_attempts: retry.map_or(1, |rule| rule.max_attempts),
            backoff_ms: retry.map_or(defaults.backoff_ms, |rule| ms(rule.backoff)),
            backoff_max_ms: retry.map_or(defaults.backoff_max_ms, |rule| ms(rule.backoff_max)),
            deadline_ms: retry.and_then(|rule| rule.deadline).map(ms),
            repeatable: repeatable || takes_key,
        }
    }

    /// Whether keys in the form of SEP-3182 are taken.
    pub fn takes_draft_keys(&self) -> bool {
        self.tasks.sep_3182
    }

    /// The least and the longest time between two polls.
    pub fn polls(&self) -> (Duration, Duration) {
        (self.tasks.poll_interval.duration(), self.tasks.poll_interval_max.duration())
    }

    /// Limits of all tasks of the process.
    pub fn options(&self) -> tasks::Options {
        tasks::Options {
            lease: self.tasks.lease.duration(),
            running_max: self.tasks.running_max,
            tasks_per_tenant_max: self.tasks.tasks_per_tenant_max as u64,
            bytes_per_tenant_max: self.tasks.bytes_per_tenant_max.bytes(),
            result_bytes_max: self.tasks.result_bytes_max.as_usize(),
            tombstone: self.tasks.tombstone.duration(),
        }
    }
}

/// Whether calls become tasks by this rule alone.
pub(super) fn makes_tasks(when: HostWhen) -> bool {
    match when {
        HostWhen::Always | HostWhen::AfterQuestions | HostWhen::WhenSlow(_) => true,
        HostWhen::Never | HostWhen::ForUpstreamsThatNeedIt => false,
    }
}
