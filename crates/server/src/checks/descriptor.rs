//! What an MCP server says of its interceptors (SEP-2624, a draft), and what they say of a text.
//!
//! The draft moves: `hook` became `hooks`, a phase is one or `both`, results are flat or one level deep. All
//! spellings that its implementations have are read here, and nowhere else.

use protocol::Raw;
use protocol::json::Kind;

use super::passing::Phase;
use super::remote::{Failure, text_of, words};

/// The longest name of an interceptor that is called by it.
const NAME_BYTES_MAX: usize = 256;

const NO_SENSE: Failure = Failure::Garbage("it lists an interceptor that makes no sense");

/// What kind of interceptor it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    Validate,
    Mutate,
}

impl Does {
    fn word(self) -> &'static str {
        match self {
            Self::Validate => "validation",
            Self::Mutate => "mutation",
        }
    }
}

/// One interceptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) name: String,
    pub(super) does: Does,
    /// Events and the phases in which they are of interest, `None` for both.
    hooks: Vec<(Vec<String>, Option<Phase>)>,
    /// It says what it would do, and nothing is done.
    pub(super) audit: bool,
    pub(super) fail_open: bool,
    priority: (i64, i64),
}

impl Descriptor {
    /// Reads one. `Ok(None)`: it is of a kind that nobody knows here, as the one that only watched once was.
    ///
    /// # Errors
    /// Where it makes no sense: one that is left out would be one that lets everything pass.
    pub(super) fn read(raw: &Raw) -> Result<Option<Self>, Failure> {
        let does = match text_of(raw, "type").as_deref() {
            Some("validation") => Does::Validate,
            Some("mutation") => Does::Mutate,
            Some(_) => return Ok(None),
            None => return Err(NO_SENSE),
        };
        Self::of(raw, does).map(Some).ok_or(NO_SENSE)
    }

    fn of(raw: &Raw, does: Does) -> Option<Self> {
        let name = text_of(raw, "name")?.into_owned();
        let hooks = match (raw.get("hooks"), raw.get("hook")) {
            (Some(hooks), _) => hooks.items()?,
            (None, hook) => vec![hook?],
        };
        let hooks = hooks.iter().map(hook).collect::<Option<Vec<_>>>()?;
        let flag = |name: &str| raw.get(name).and_then(|flag| flag.as_bool()).unwrap_or(false);
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        fits.then(|| Self {
            name,
            does,
            hooks,
            audit: text_of(raw, "mode").is_some_and(|mode| mode == "audit"),
            fail_open: flag("failOpen"),
            priority: priority(raw.get("priorityHint").as_ref()),
        })
    }

    /// Whether it wants to see what happens there.
    pub(super) fn wants(&self, event: &str, phase: Phase) -> bool {
        let is_of = |pattern: &str| match pattern {
            "*" => true,
            "*/request" => phase == Phase::Request,
            "*/response" => phase == Phase::Response,
            pattern => match pattern.strip_suffix("/*") {
                Some(space) => event.split_once('/').is_some_and(|(of, _)| of == space),
                None => pattern == event,
            },
        };
        self.hooks.iter().any(|(events, of)| {
            of.is_none_or(|of| of == phase) && events.iter().any(|pattern| is_of(pattern))
        })
    }

    /// By what mutations follow one another.
    pub(super) fn order(&self, phase: Phase) -> (i64, &str) {
        let priority = match phase {
            Phase::Request => self.priority.0,
            Phase::Response => self.priority.1,
        };
        (priority, &self.name)
    }

    /// What its answer says. `None`: nothing that can be understood.
    pub(super) fn verdict(&self, answer: &Raw) -> Option<Verdict> {
        if answer.get("type").is_some_and(|kind| kind.as_str().as_deref() != Some(self.does.word())) {
            return None;
        }
        let inner = answer.get(self.does.word()).filter(|inner| inner.kind() == Kind::Object);
        let said = |name: &str| answer.get(name).or_else(|| inner.as_ref()?.get(name));
        match self.does {
            Does::Mutate => match said("modified")?.as_bool()? {
                false => Some(Verdict::Good),
                true => said("payload").map(Verdict::Made),
            },
            Does::Validate => {
                if said("valid")?.as_bool()? {
                    return Some(Verdict::Good);
                }
                let messages = said("messages").and_then(|messages| messages.items()).unwrap_or_default();
                let severity = |raw: Option<Raw>| raw.and_then(|raw| raw.as_str().map(|s| s.into_owned()));
                let own = severity(said("severity"));
                let gravest = |word: &str| {
                    own.as_deref() == Some(word)
                        || messages.iter().any(|m| severity(m.get("severity")).as_deref() == Some(word))
                };
                // What is not valid and does not say how bad that is, is not let through.
                let known = ["info", "warn"].into_iter().any(gravest);
                if !gravest("error") && known {
                    return Some(Verdict::Warned);
                }
                let message = messages.iter().find_map(|message| words(&text_of(message, "message")?));
                Some(Verdict::Bad(message))
            }
        }
    }
}

/// What an interceptor says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// It is not valid, and not so bad that it may not pass.
    Warned,
    /// It may not pass.
    Bad(Option<String>),
    /// It becomes this.
    Made(Raw),
}

fn hook(raw: &Raw) -> Option<(Vec<String>, Option<Phase>)> {
    let events = raw.get("events")?.items()?;
    let events = events.iter().map(|event| Some(event.as_str()?.into_owned())).collect::<Option<_>>()?;
    let phase = match text_of(raw, "phase").as_deref() {
        Some("request") => Some(Phase::Request),
        Some("response") => Some(Phase::Response),
        Some("both") | None => None,
        Some(_) => return None,
    };
    Some((events, phase))
}

/// One number for both phases, or one for each.
fn priority(hint: Option<&Raw>) -> (i64, i64) {
    let Some(hint) = hint else { return (0, 0) };
    if let Some(both) = hint.as_i64() {
        return (both, both);
    }
    let of = |name: &str| hint.get(name).and_then(|priority| priority.as_i64()).unwrap_or(0);
    (of("request"), of("response"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<Descriptor> {
        Descriptor::read(&Raw::literal(text)).ok().flatten()
    }

    #[test]
    fn both_spellings_of_the_draft_are_one_interceptor() {
        let old = read(
            r#"{"name":"n","type":"mutation","hook":{"events":["tools/call"],"phase":"both"},
            "mode":"audit","failOpen":true,"priorityHint":7}"#,
        );
        let new = read(
            r#"{"name":"n","type":"mutation","mode":"audit","failOpen":true,
            "priorityHint":{"request":7,"response":7},"hooks":[{"events":["tools/call"],"phase":"request"},
            {"events":["tools/call"],"phase":"response"}]}"#,
        );
        let (old, new) = (old.expect("a descriptor"), new.expect("a descriptor"));
        for phase in [Phase::Request, Phase::Response] {
            assert!(old.wants("tools/call", phase) && new.wants("tools/call", phase));
            assert!(!old.wants("prompts/get", phase) && !new.wants("prompts/get", phase));
            assert_eq!(old.order(phase), new.order(phase));
        }
        assert!(old.audit && old.fail_open && new.audit && new.fail_open);
        let plain = read(r#"{"name":"n","type":"validation","hook":{"events":["*"],"phase":"request"}}"#);
        let plain = plain.expect("a descriptor");
        assert!(!plain.audit && !plain.fail_open);
        assert!(plain.wants("x/y", Phase::Request) && !plain.wants("x/y", Phase::Response));
        let other = Raw::literal(r#"{"name":"n","type":"observability","hook":{"events":["*"]}}"#);
        assert_eq!(Descriptor::read(&other), Ok(None));
        for none in [
            "{}",
            r#"{"name":"","type":"validation","hook":{"events":["*"]}}"#,
            r#"{"name":"n","type":"validation"}"#,
            r#"{"name":"n","type":"validation","hook":{"events":[1]}}"#,
            r#"{"name":"n","type":"validation","hook":{"events":["*"],"phase":"sometimes"}}"#,
        ] {
            assert_eq!(Descriptor::read(&Raw::literal(none)), Err(NO_SENSE), "{none}");
        }
    }

    #[test]
    fn patterns_of_events_are_a_name_a_space_or_a_phase() {
        for (pattern, event, phase, wants) in [
            ("tools/*", "tools/list", Phase::Request, true),
            ("tools/*", "toolsets/list", Phase::Request, false),
            ("*/request", "tools/call", Phase::Request, true),
            ("*/request", "tools/call", Phase::Response, false),
            ("*/response", "tools/call", Phase::Response, true),
            ("tools/call", "tools/call", Phase::Response, true),
            ("tools", "tools/call", Phase::Response, false),
        ] {
            let hooks = vec![(vec![pattern.to_owned()], None)];
            let of = read(r#"{"name":"n","type":"mutation","hooks":[]}"#).expect("a descriptor");
            assert_eq!(Descriptor { hooks, ..of }.wants(event, phase), wants, "{pattern} {event} {phase:?}");
        }
    }

    #[test]
    fn only_an_error_blocks_and_what_says_nothing_is_one() {
        let validator = read(r#"{"name":"n","type":"validation","hooks":[]}"#).expect("a descriptor");
        let bad = |text: &str| Some(Verdict::Bad((!text.is_empty()).then(|| text.to_owned())));
        for (answer, verdict) in [
            (r#"{"type":"validation","valid":true}"#, Some(Verdict::Good)),
            (r#"{"valid":true,"severity":"error"}"#, Some(Verdict::Good)),
            (
                r#"{"valid":false,"severity":"error","messages":[{"message":"no","severity":"error"}]}"#,
                bad("no"),
            ),
            (r#"{"valid":false,"severity":"warn"}"#, Some(Verdict::Warned)),
            (r#"{"valid":false,"messages":[{"message":"hm","severity":"info"}]}"#, Some(Verdict::Warned)),
            (
                r#"{"valid":false,"severity":"warn","messages":[{"message":"x","severity":"error"}]}"#,
                bad("x"),
            ),
            (r#"{"valid":false}"#, bad("")),
            (r#"{"type":"validation","validation":{"valid":false,"severity":"error"}}"#, bad("")),
            (r#"{"type":"mutation","valid":true}"#, None),
            (r#"{"valid":"yes"}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(validator.verdict(&Raw::literal(answer)), verdict, "{answer}");
        }
        let mutator = read(r#"{"name":"n","type":"mutation","hooks":[]}"#).expect("a descriptor");
        for (answer, verdict) in [
            (r#"{"modified":false,"payload":{"a":1}}"#, Some(Verdict::Good)),
            (r#"{"modified":true,"payload":{"a":1}}"#, Some(Verdict::Made(Raw::literal(r#"{"a":1}"#)))),
            (r#"{"mutation":{"modified":true},"payload":1}"#, Some(Verdict::Made(Raw::literal("1")))),
            (r#"{"modified":true}"#, None),
            (r#"{"valid":true}"#, None),
        ] {
            assert_eq!(mutator.verdict(&Raw::literal(answer)), verdict, "{answer}");
        }
    }
}
