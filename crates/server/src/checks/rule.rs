//! The rules, and what they say of a text.

use config::{CheckAction, CheckFail, CheckMode, CheckRule, Checked, Config, Detector, Glob};
use policy::content::{Detectors, SCANNED_BYTES_MAX, redact};
use protocol::Raw;

use crate::metrics::Metrics;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Arguments,
    Results,
    Questions,
    Descriptions,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Results => "results",
            Self::Questions => "questions",
            Self::Descriptions => "descriptions",
        }
    }

    fn of(checked: Checked) -> Self {
        match checked {
            Checked::Arguments => Self::Arguments,
            Checked::Results => Self::Results,
            Checked::Questions => Self::Questions,
            Checked::Descriptions => Self::Descriptions,
        }
    }
}

/// Where it passes.
pub(crate) struct Place<'a> {
    pub(super) endpoint: &'a str,
    /// Empty: several.
    pub(super) upstream: &'a str,
    pub(super) name: &'a str,
}

/// What becomes of a text.
pub(crate) enum Verdict {
    Pass,
    /// It passes like this.
    Changed(Raw),
    Blocked {
        rule: String,
        /// What was found, by its kinds.
        found: String,
    },
}

#[derive(Debug)]
struct Rule {
    name: String,
    on: Vec<Part>,
    detectors: Detectors,
    enforce: bool,
    closed: bool,
    redact: bool,
    endpoints: Option<Vec<Glob>>,
    upstreams: Option<Vec<Glob>>,
    tools: Option<Vec<Glob>>,
}

impl Rule {
    fn of(rule: &CheckRule) -> Self {
        let names = rule.detectors.iter().map(|detector| match detector {
            Detector::Secrets => "secrets",
            Detector::Pii => "pii",
            Detector::Injection => "injection",
            Detector::Hidden => "hidden",
        });
        Self {
            name: rule.name.clone(),
            on: rule.on.iter().map(|checked| Part::of(*checked)).collect(),
            // The four words are known, which a test holds.
            detectors: Detectors::named(names).unwrap_or_default(),
            enforce: rule.mode == CheckMode::Enforce,
            closed: rule.fail == CheckFail::Closed,
            redact: rule.action == CheckAction::Redact,
            endpoints: rule.endpoints.clone(),
            upstreams: rule.upstreams.clone(),
            tools: rule.tools.clone(),
        }
    }

    fn fits(&self, part: Part, place: &Place<'_>) -> bool {
        let fits = |globs: &Option<Vec<Glob>>, name: &str| {
            globs.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(name)))
        };
        // Of an entry among those of several upstreams nobody is left out.
        let upstream = place.upstream.is_empty() || fits(&self.upstreams, place.upstream);
        self.on.contains(&part)
            && fits(&self.endpoints, place.endpoint)
            && upstream
            && fits(&self.tools, place.name)
    }
}

/// All rules of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    rules: Vec<Rule>,
}

impl Checks {
    pub(crate) fn of(config: &Config) -> Self {
        Self { rules: config.checks.iter().map(Rule::of).collect() }
    }

    pub(super) fn are_none(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn look_at_descriptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.on.contains(&Part::Descriptions))
    }

    pub(super) fn fits_any(&self, part: Part, place: &Place<'_>) -> bool {
        self.rules.iter().any(|rule| rule.fits(part, place))
    }

    /// What the rules say of a text, one after another; each sees what the one before it left.
    pub(super) fn judge(&self, metrics: &Metrics, part: Part, place: &Place<'_>, text: &Raw) -> Verdict {
        let mut changed: Option<Raw> = None;
        for rule in self.rules.iter().filter(|rule| rule.fits(part, place)) {
            let now = changed.as_ref().unwrap_or(text);
            let report = rule.detectors.scan(now, SCANNED_BYTES_MAX);
            if report.is_clean() {
                continue;
            }
            let unseen = report.unscanned > 0 && rule.closed;
            let mut kinds = report.kinds();
            if report.unscanned > 0 {
                kinds.push("more than can be looked at".to_owned());
            }
            let found = kinds.join(", ");
            let blocks = rule.enforce && (unseen || (!report.findings.is_empty() && !rule.redact));
            told(metrics, rule, part, place, &found, blocks);
            if blocks {
                return Verdict::Blocked { rule: rule.name.clone(), found };
            }
            if rule.enforce && !report.findings.is_empty() {
                changed = Some(redact(now, &report.findings));
            }
        }
        changed.map_or(Verdict::Pass, Verdict::Changed)
    }

    /// The rule by which what cannot be looked at does not pass.
    pub(super) fn unseen(&self, metrics: &Metrics, part: Part, place: &Place<'_>) -> Option<String> {
        let mut stops = None;
        for rule in self.rules.iter().filter(|rule| rule.fits(part, place)) {
            let blocks = rule.enforce && rule.closed;
            told(metrics, rule, part, place, "more than can be looked at", blocks);
            if blocks {
                stops = stops.or(Some(rule.name.clone()));
            }
        }
        stops
    }
}

/// Says what was found, and never shows it.
fn told(metrics: &Metrics, rule: &Rule, part: Part, place: &Place<'_>, found: &str, blocks: bool) {
    let outcome = match (rule.enforce, blocks) {
        (false, _) => "observed",
        (true, true) => "blocked",
        (true, false) => "redacted",
    };
    metrics.checked(part.word(), outcome);
    let (check, part, Place { endpoint, upstream, .. }) = (&rule.name, part.word(), place);
    tracing::warn!(check, part, endpoint, upstream, found, outcome, "a check found something");
}
