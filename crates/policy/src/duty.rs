//! What annotations of a policy say.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::near;
use crate::{Ask, Duties, Requirement, Whom};

/// How long a question stands where the policy does not say.
pub const STANDS: Duration = Duration::from_secs(15 * 60);

/// How long a question may stand.
pub const STANDS_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The annotations that there are.
pub const ANNOTATIONS: [&str; 13] = [
    "id",
    "reason",
    "ask",
    "message",
    "stands",
    "redact_arguments",
    "redact_results",
    "detect_arguments",
    "detect_results",
    "result_bytes_max",
    "require",
    "require_sign_in",
    "capture",
];

/// What a policy's annotations say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Annotations {
    /// What it is called.
    pub id: Option<String>,
    /// Why it is there.
    pub reason: Option<Arc<str>>,
    /// Who has to say yes.
    pub ask: Option<Ask>,
    /// What has to be done.
    pub duties: Duties,
}

impl Annotations {
    /// Whether the policy forbids only where a duty is not carried out.
    pub fn is_condition(&self) -> bool {
        self.ask.is_some() || !self.duties.are_none()
    }
}

/// What is wrong with an annotation.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Which.
    pub name: String,
    /// What.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Wrong {
    fn new(name: &str, message: impl Into<String>, hint: impl Into<Option<&'static str>>) -> Self {
        Self { name: name.to_owned(), message: message.into(), hint: hint.into().map(str::to_owned) }
    }
}

/// Reads the annotations of a policy. `permits`: it is a permit, which may have no duties.
pub(crate) fn read(annotations: &[(&str, &str)], permits: bool, wrong: &mut Vec<Wrong>) -> Annotations {
    let mut found = Annotations::default();
    let (mut message, mut stands) = (None, None);
    for (name, value) in annotations {
        if permits && ANNOTATIONS.contains(name) && !matches!(*name, "id" | "reason") {
            let hint = "write it on a forbid, which then denies unless the duty is carried out";
            wrong.push(Wrong::new(name, format!("@{name} has no meaning on a permit"), hint));
            continue;
        }
        match *name {
            "message" => message = Some(Arc::from(*value)),
            "stands" => stands = Some(*value),
            name => {
                if let Err(fault) = one(name, value, &mut found) {
                    wrong.push(fault);
                }
            }
        }
    }
    match (&mut found.ask, stands.map(span)) {
        (Some(ask), stands) => {
            ask.message = message;
            match stands {
                None => {}
                Some(Some(time)) if time <= STANDS_MAX && !time.is_zero() => ask.stands = time,
                Some(_) => {
                    let hint = "write a time such as \"15m\", \"8h\" or \"2d\"; at most 7d";
                    wrong.push(Wrong::new("stands", "not a time that a question can stand", hint));
                }
            }
        }
        (None, stands) => {
            let hint = "add @ask(\"caller\") or @ask(\"groups: …\")";
            if stands.is_some() {
                wrong.push(Wrong::new("stands", "@stands has no meaning without @ask", hint));
            }
            if message.is_some() {
                wrong.push(Wrong::new("message", "@message has no meaning without @ask", hint));
            }
        }
    }
    found
}

fn one(name: &str, value: &str, found: &mut Annotations) -> Result<(), Wrong> {
    let duties = &mut found.duties;
    match name {
        "id" => found.id = Some(id(value)?),
        "reason" => found.reason = Some(Arc::from(value)),
        "ask" => found.ask = Some(ask(value)?),
        "redact_arguments" => duties.redact_arguments = pointers(name, value)?,
        "redact_results" => duties.redact_results = pointers(name, value)?,
        "detect_arguments" => duties.detect_arguments = words(name, value)?,
        "detect_results" => duties.detect_results = words(name, value)?,
        "result_bytes_max" => {
            let max = value.parse().map_err(|_| {
                Wrong::new(name, format!("{value:?} is no number of bytes"), "write for example \"65536\"")
            })?;
            duties.result_bytes_max = Some(max);
        }
        "require" if value == "bound_proof" => duties.requires.push(Requirement::BoundProof),
        "require" => {
            let hint = "the one thing that can be required is \"bound_proof\"";
            return Err(Wrong::new(name, format!("{value:?} cannot be required"), hint));
        }
        "require_sign_in" => {
            let time = span(value).ok_or_else(|| {
                Wrong::new(name, format!("{value:?} is no time"), "write for example \"15m\"")
            })?;
            duties.requires.push(Requirement::FreshSignIn(time));
        }
        "capture" if value == "true" => duties.capture = true,
        "capture" => {
            return Err(Wrong::new(
                name,
                format!("{value:?} is not \"true\""),
                "leave @capture out, or write \"true\"",
            ));
        }
        other => {
            let hint = near(other, ANNOTATIONS);
            let message = format!("there is no annotation @{other}");
            return Err(Wrong { name: other.to_owned(), message, hint });
        }
    }
    Ok(())
}

fn id(value: &str) -> Result<String, Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !value.is_empty() && value.len() <= 100 && value.chars().all(fits) {
        return Ok(value.to_owned());
    }
    let hint = "use 1 to 100 of letters, digits, \"-\", \"_\", \".\" and \"/\"";
    Err(Wrong::new("id", format!("{value:?} is no name for a policy"), hint))
}

fn ask(value: &str) -> Result<Ask, Wrong> {
    let whom = match value.split_once(':') {
        None if value.trim() == "caller" => Whom::Caller,
        Some((kind, groups)) if kind.trim() == "groups" => Whom::Groups(words("ask", groups)?),
        _ => {
            let hint = "write \"caller\", or \"groups: security, oncall\"";
            return Err(Wrong::new("ask", format!("{value:?} says not whom to ask"), hint));
        }
    };
    Ok(Ask { whom, message: None, stands: STANDS })
}

fn words(name: &str, value: &str) -> Result<Vec<Arc<str>>, Wrong> {
    let list: Vec<Arc<str>> = value.split(',').map(|word| Arc::from(word.trim())).collect();
    if list.iter().any(|word| word.is_empty()) {
        let message = format!("@{name} has an empty entry");
        return Err(Wrong::new(name, message, "separate names with one comma each"));
    }
    Ok(list)
}

fn pointers(name: &str, value: &str) -> Result<Vec<Arc<str>>, Wrong> {
    let list = words(name, value)?;
    let fits = |pointer: &str| {
        let mut rest = pointer.split('~').skip(1);
        pointer.starts_with('/') && rest.all(|after| after.starts_with(['0', '1']))
    };
    match list.iter().find(|pointer| !fits(pointer)) {
        None => Ok(list),
        Some(odd) => {
            let message = format!("{odd:?} is no JSON pointer");
            Err(Wrong::new(name, message, "a pointer begins with \"/\", as in \"/customer/email\""))
        }
    }
}

/// `90s`, `15m`, `8h` or `2d`.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

/// Adds what one more policy demands. What is demanded only ever grows.
pub(crate) fn add(duties: &mut Duties, more: &Duties) {
    let union = |list: &mut Vec<Arc<str>>, more: &[Arc<str>]| {
        for item in more {
            if !list.contains(item) {
                list.push(Arc::clone(item));
            }
        }
    };
    union(&mut duties.redact_arguments, &more.redact_arguments);
    union(&mut duties.redact_results, &more.redact_results);
    union(&mut duties.detect_arguments, &more.detect_arguments);
    union(&mut duties.detect_results, &more.detect_results);
    duties.result_bytes_max = match (duties.result_bytes_max, more.result_bytes_max) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    for requirement in &more.requires {
        require(&mut duties.requires, *requirement);
    }
    duties.capture |= more.capture;
}

fn require(list: &mut Vec<Requirement>, more: Requirement) {
    for known in list.iter_mut() {
        match (known, more) {
            (Requirement::BoundProof, Requirement::BoundProof) => return,
            (Requirement::FreshSignIn(a), Requirement::FreshSignIn(b)) => {
                *a = (*a).min(b);
                return;
            }
            (Requirement::BoundProof | Requirement::FreshSignIn(_), _) => {}
        }
    }
    list.push(more);
}

/// Joins two questions into one that is at least as hard to get past.
///
/// Somebody else is harder than the caller himself, and whoever answers for two lists of groups has to be in
/// a group that is on both.
pub(crate) fn join(a: Ask, b: &Ask) -> Ask {
    let stands = a.stands.min(b.stands);
    let whom = match (a.whom, &b.whom) {
        (Whom::Caller, other) => other.clone(),
        (Whom::Groups(list), Whom::Caller) => Whom::Groups(list),
        (Whom::Groups(list), Whom::Groups(others)) => {
            Whom::Groups(list.into_iter().filter(|group| others.contains(group)).collect())
        }
    };
    let message = match (a.message, &b.message) {
        (Some(a), Some(b)) if a != *b => Some(Arc::from(format!("{a}\n{b}"))),
        (a, b) => a.or_else(|| b.clone()),
    };
    Ask { whom, message, stands }
}
