//! The rules, and what they say of a text.

use config::{CheckAction, CheckFail, CheckMode, CheckRule, Checked, Config, Detector, Glob};
use policy::content::{Detectors, SCANNED_BYTES_MAX, redact};
use protocol::{Method, Raw};

use super::passing::Shape;
use super::remote::{About, Answered, CheckError, Failure, Remote, Said, Unprepared};
use crate::app::Exchange;
use crate::compose::Shared;

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
#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub(super) endpoint: &'a str,
    /// Empty: several.
    pub(super) upstream: &'a str,
    /// Empty: nobody knows.
    pub(super) name: &'a str,
}

/// What becomes of a text.
pub(crate) enum Verdict {
    Pass,
    /// It passes like this.
    Changed {
        text: Raw,
        /// Whether somebody else has changed it: then it may say anything.
        by_others: bool,
    },
    Blocked(Blocked),
}

/// Why something does not pass.
pub(crate) struct Blocked {
    pub(super) rule: String,
    pub(super) why: Why,
}

/// By what.
pub(crate) enum Why {
    /// This was found, by its kinds.
    Found(String),
    /// Whoever was asked says no, and perhaps why.
    Denied(Option<String>),
    /// Whoever was asked gave no good answer.
    Unasked,
}

/// How a rule looks.
#[derive(Debug)]
pub(super) enum Look {
    Detectors(Detectors),
    Remote(Box<Remote>),
}

#[derive(Debug)]
pub(super) struct Rule {
    name: String,
    on: Vec<Part>,
    pub(super) look: Look,
    enforce: bool,
    closed: bool,
    redact: bool,
    endpoints: Option<Vec<Glob>>,
    upstreams: Option<Vec<Glob>>,
    tools: Option<Vec<Glob>>,
}

/// What a rule makes of a text.
pub(super) enum Made {
    Pass,
    Changed(Raw),
    Blocked(Blocked),
}

impl Rule {
    fn of(rule: &CheckRule, index: usize, shared: &Shared) -> Result<Self, CheckError> {
        let names = rule.detectors.iter().map(|detector| match detector {
            Detector::Secrets => "secrets",
            Detector::Pii => "pii",
            Detector::Injection => "injection",
            Detector::Hidden => "hidden",
        });
        let look = match Remote::of(rule, index, shared)? {
            Some(remote) => Look::Remote(Box::new(remote)),
            // The four words are known, which a test holds.
            None => Look::Detectors(Detectors::named(names).unwrap_or_default()),
        };
        Ok(Self {
            name: rule.name.clone(),
            on: rule.on.iter().map(|checked| Part::of(*checked)).collect(),
            look,
            enforce: rule.mode == CheckMode::Enforce,
            closed: rule.fail == CheckFail::Closed,
            redact: rule.action == CheckAction::Redact,
            endpoints: rule.endpoints.clone(),
            upstreams: rule.upstreams.clone(),
            tools: rule.tools.clone(),
        })
    }

    pub(super) fn fits(&self, part: Part, place: &Place<'_>) -> bool {
        let fits = |globs: &Option<Vec<Glob>>, name: &str| {
            globs.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(name)))
        };
        // Of an entry among those of several upstreams nobody is left out, nor of what has no name.
        let upstream = place.upstream.is_empty() || fits(&self.upstreams, place.upstream);
        let name = place.name.is_empty() || fits(&self.tools, place.name);
        self.on.contains(&part) && fits(&self.endpoints, place.endpoint) && upstream && name
    }
}

impl Rule {
    /// What it makes of a text.
    pub(super) async fn judge(&self, asked: &Asked<'_>, text: &Raw) -> Made {
        match &self.look {
            Look::Detectors(detectors) => self.scan(*detectors, asked, text),
            // Boxed: most rules ask nobody.
            Look::Remote(remote) => Box::pin(self.ask(remote, asked, text)).await,
        }
    }

    fn scan(&self, detectors: Detectors, asked: &Asked<'_>, text: &Raw) -> Made {
        let report = detectors.scan(text, SCANNED_BYTES_MAX);
        if report.is_clean() {
            return Made::Pass;
        }
        let unseen = report.unscanned > 0 && self.closed;
        let mut kinds = report.kinds();
        if report.unscanned > 0 {
            kinds.push(UNSEEN.to_owned());
        }
        let found = kinds.join(", ");
        let blocks = self.enforce && (unseen || (!report.findings.is_empty() && !self.redact));
        let outcome = match (self.enforce, blocks) {
            (false, _) => "observed",
            (true, true) => "blocked",
            (true, false) => "redacted",
        };
        self.told(asked, outcome, &found);
        if blocks {
            return Made::Blocked(Blocked { rule: self.name.clone(), why: Why::Found(found) });
        }
        if self.enforce && !report.findings.is_empty() {
            return Made::Changed(redact(text, &report.findings));
        }
        Made::Pass
    }

    async fn ask(&self, remote: &Remote, asked: &Asked<'_>, text: &Raw) -> Made {
        let about = About {
            x: asked.x,
            part: asked.part.word(),
            place: &asked.place,
            method: asked.method,
            shape: &asked.shape,
        };
        let Answered { said, notes } = match remote.ask(&about, text, !self.closed).await {
            Ok(answered) => answered,
            Err(failure) => return self.unasked(asked, &failure),
        };
        let notes = if notes.is_empty() { String::new() } else { format!(": {}", notes.join(", ")) };
        match said {
            Said::Pass if notes.is_empty() => Made::Pass,
            Said::Pass => {
                self.told(asked, "observed", &format!("passed{notes}"));
                Made::Pass
            }
            Said::Changed(made) => {
                self.told(
                    asked,
                    if self.enforce { "changed" } else { "observed" },
                    &format!("changed{notes}"),
                );
                if self.enforce { Made::Changed(made) } else { Made::Pass }
            }
            Said::Denied { reason, code } => {
                let code = code.map(|code| format!(" {code}")).unwrap_or_default();
                let outcome = if self.enforce { "blocked" } else { "observed" };
                self.told(asked, outcome, &format!("denied{code}{notes}"));
                if !self.enforce {
                    return Made::Pass;
                }
                Made::Blocked(Blocked { rule: self.name.clone(), why: Why::Denied(reason) })
            }
        }
    }

    /// What comes of it where there is no good answer.
    fn unasked(&self, asked: &Asked<'_>, failure: &Failure) -> Made {
        let blocks = self.enforce && self.closed;
        let (check, part) = (&self.name, asked.part.word());
        tracing::warn!(check, part, error = %failure, blocks, "a check could not be made");
        self.counted(asked, if blocks { "failed_closed" } else { "failed_open" }, failure.word());
        if !blocks {
            return Made::Pass;
        }
        Made::Blocked(Blocked { rule: self.name.clone(), why: Why::Unasked })
    }

    /// Says what was found, and never shows it.
    fn told(&self, asked: &Asked<'_>, outcome: &'static str, found: &str) {
        self.counted(asked, outcome, found);
        let (check, part, Place { endpoint, upstream, .. }) = (&self.name, asked.part.word(), &asked.place);
        tracing::warn!(check, part, endpoint, upstream, found, outcome, "a check found something");
    }

    /// For metrics and the record of the call.
    fn counted(&self, asked: &Asked<'_>, outcome: &'static str, found: &str) {
        let part = asked.part.word();
        asked.x.app.metrics.checked(part, outcome);
        if let Some(noted) = &asked.x.noted {
            noted.checked(&format!("{} {outcome} {part} ({found})", self.name));
        }
    }
}

/// What is said of what is larger than what is looked at.
const UNSEEN: &str = "more than can be looked at";

/// What is looked at.
pub(crate) struct Asked<'a> {
    pub(super) x: &'a Exchange,
    pub(super) part: Part,
    pub(super) place: Place<'a>,
    pub(super) method: &'a Method,
    pub(super) shape: Shape<'a>,
}

/// All rules of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    rules: Vec<Rule>,
}

impl Checks {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config, shared: &Shared) -> Result<Self, Unprepared> {
        let rules = config.checks.iter().enumerate().map(|(index, rule)| {
            Rule::of(rule, index, shared)
                .map_err(|source| Unprepared { check: rule.name.clone(), source: Box::new(source) })
        });
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    pub(super) fn are_none(&self) -> bool {
        self.rules.is_empty()
    }

    /// Those that look at this part of anything.
    pub(super) fn on(&self, part: Part) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.on.contains(&part))
    }

    pub(super) fn fits_any(&self, part: Part, place: &Place<'_>) -> bool {
        self.rules.iter().any(|rule| rule.fits(part, place))
    }

    /// What the rules say of a text, one after another; each sees what the one before it left.
    pub(super) async fn judge(&self, asked: &Asked<'_>, text: &Raw) -> Verdict {
        let mut changed: Option<(Raw, bool)> = None;
        for rule in self.rules.iter().filter(|rule| rule.fits(asked.part, &asked.place)) {
            let now = changed.as_ref().map_or(text, |(text, _)| text);
            match rule.judge(asked, now).await {
                Made::Pass => {}
                Made::Changed(text) => {
                    let before = changed.is_some_and(|(_, by_others)| by_others);
                    changed = Some((text, before || matches!(rule.look, Look::Remote(_))));
                }
                Made::Blocked(blocked) => return Verdict::Blocked(blocked),
            }
        }
        changed.map_or(Verdict::Pass, |(text, by_others)| Verdict::Changed { text, by_others })
    }

    /// By what does not pass what cannot be looked at.
    pub(super) fn unseen(&self, asked: &Asked<'_>) -> Option<Blocked> {
        let mut stops = None;
        for rule in self.rules.iter().filter(|rule| rule.fits(asked.part, &asked.place)) {
            let blocks = rule.enforce && rule.closed;
            rule.told(asked, if blocks { "blocked" } else { "observed" }, UNSEEN);
            if blocks && stops.is_none() {
                stops = Some(Blocked { rule: rule.name.clone(), why: Why::Found(UNSEEN.to_owned()) });
            }
        }
        stops
    }
}
