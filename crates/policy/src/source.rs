//! From text to policies that were checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, ValidationWarning, Validator};
use miette::Diagnostic;

use crate::arguments::ArgumentType;
use crate::duty::{self, Annotations};
use crate::fault::{Fault, near, place};
use crate::limits::POLICIES_MAX;
use crate::reads::{Reads, undeclared, without_arguments};
use crate::{schema, text};

/// A file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name, for messages; without folder and ending it begins the names of its policies.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What policies may refer to. `None`: to anything.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The arguments that policies read, by name, for all tools.
    pub arguments: BTreeMap<String, ArgumentType>,
    /// The upstreams that there are.
    pub upstreams: Option<BTreeSet<String>>,
    /// The endpoints that there are.
    pub endpoints: Option<BTreeSet<String>>,
    /// The detectors that there are.
    pub detectors: Option<BTreeSet<String>>,
}

/// A policy that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// `file/name`.
    pub id: Arc<str>,
    /// Where it stands.
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
    /// Its text.
    pub text: Arc<str>,
    pub permits: bool,
    pub annotations: Annotations,
    pub policy: Policy,
    pub reads: Reads,
    /// The same for lists, where there are no arguments; `None`: it does not count there.
    pub seeing: Option<(Policy, Reads)>,
}

impl Checked {
    /// Whether it denies only where a duty is not carried out.
    pub fn is_condition(&self) -> bool {
        !self.permits && self.annotations.is_condition()
    }
}

/// Reads all files.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn read(files: &[PolicyFile], options: &Options) -> Result<Vec<Checked>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut found: Vec<Checked> = Vec::new();
    for file in files {
        match of_file(file, options, found.len(), &mut faults) {
            Ok(policies) => found.extend(policies),
            Err(more) => faults.extend(more),
        }
    }
    let mut ids = HashMap::new();
    for policy in &found {
        if let Some(other) = ids.insert(Arc::clone(&policy.id), policy) {
            let message =
                format!("there is another policy {:?}, at {}:{}", policy.id, other.file, other.line);
            faults.push(fault(policy, message).hint("give it another @id".to_owned()));
        }
    }
    if faults.is_empty() {
        validate(files, &found, options, &mut faults);
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn fault(policy: &Checked, message: impl Into<String>) -> Fault {
    let (file, line, column) = (policy.file.to_string(), policy.line, policy.column);
    Fault { file, line, column, message: message.into(), hint: None }
}

fn of_file(
    file: &PolicyFile,
    options: &Options,
    before: usize,
    faults: &mut Vec<Fault>,
) -> Result<Vec<Checked>, Vec<Fault>> {
    let pieces = text::pieces(&file.name, &file.text)?;
    if before + pieces.len() > POLICIES_MAX {
        let message = format!("there are more than {POLICIES_MAX} policies");
        return Err(vec![Fault::at(&file.name, &file.text, 0, message)]);
    }
    let set: PolicySet = file.text.parse().map_err(|errors| of_parser(file, &errors))?;
    if set.num_of_templates() > 0 || set.num_of_policies() != pieces.len() {
        let at = file.text.find('?').unwrap_or_default();
        let message = "templates are not supported";
        let hint = "write a name for ?principal or ?resource".to_owned();
        return Err(vec![Fault::at(&file.name, &file.text, at, message).hint(hint)]);
    }
    let mut found = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let Some(policy) = set.policy(&PolicyId::new(format!("policy{number}"))) else {
            return Err(vec![Fault::at(&file.name, &file.text, piece.0, "the policy cannot be found again")]);
        };
        found.push(of_policy(file, *piece, (policy, before + number), options, faults));
    }
    Ok(found)
}

fn of_parser(file: &PolicyFile, errors: &cedar_policy::ParseErrors) -> Vec<Fault> {
    let all = errors.iter().map(|error| of_diagnostic(file, error));
    let mut faults: Vec<_> = all.collect();
    faults.dedup();
    faults
}

fn of_diagnostic(file: &PolicyFile, error: &(impl Diagnostic + ?Sized)) -> Fault {
    let label = error.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map_or(0, |label| label.offset());
    let mut message = error.to_string();
    if let Some(expected) = label.as_ref().and_then(|label| label.label()) {
        message = format!("{message}: {expected}");
    }
    Fault::at(&file.name, &file.text, offset, message).hint(error.help().map(|help| help.to_string()))
}

fn of_policy(
    file: &PolicyFile,
    (start, end): (usize, usize),
    (policy, number): (&Policy, usize),
    options: &Options,
    faults: &mut Vec<Fault>,
) -> Checked {
    let permits = policy.effect() == Effect::Permit;
    let mut pairs: Vec<(&str, &str)> = policy.annotations().collect();
    pairs.sort_unstable();
    let mut wrong = Vec::new();
    let annotations = duty::read(&pairs, permits, &mut wrong);
    let piece = &file.text[start..end];
    for one in wrong {
        let at = start + piece.find(&format!("@{}", one.name)).unwrap_or_default();
        faults.push(Fault::at(&file.name, &file.text, at, one.message).hint(one.hint));
    }
    let json = policy.to_json().unwrap_or_default();
    let reads = Reads::of(&json);
    let own = PolicyId::new(number.to_string());
    let renamed = policy.new_id(own.clone());
    let seeing = match (reads.uses.arguments, permits) {
        (false, _) => Some((renamed.clone(), reads.clone())),
        (true, false) => None,
        (true, true) => {
            let json = without_arguments(&json);
            let reads = Reads::of(&json);
            Policy::from_json(Some(own), json).ok().map(|policy| (policy, reads))
        }
    };
    let (line, column) = place(&file.text, start);
    let stem = stem(&file.name);
    let id = match &annotations.id {
        Some(id) if id.contains('/') => Arc::from(id.as_str()),
        Some(id) => Arc::from(format!("{stem}/{id}")),
        None => Arc::from(format!("{stem}/line-{line}")),
    };
    let text = Arc::from(piece);
    let file_name = Arc::from(file.name.as_str());
    let found = Checked {
        id,
        file: file_name,
        line,
        column,
        text,
        permits,
        annotations,
        policy: renamed,
        reads,
        seeing,
    };
    let place = |needle: &str| start + piece.find(needle).unwrap_or_default();
    let mut say = |needle: &str, message: String, hint: Option<String>| {
        faults.push(Fault::at(&file.name, &file.text, place(needle), message).hint(hint));
    };
    references(&found, options, &mut say);
    found
}

fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.strip_suffix(".cedar").unwrap_or(file)
}

/// Finds what a policy refers to and is not there.
fn references(policy: &Checked, options: &Options, say: &mut dyn FnMut(&str, String, Option<String>)) {
    for literal in policy.policy.entity_literals() {
        let (kind, id) = (literal.type_name().basename(), literal.id().unescaped().to_owned());
        match kind {
            "Upstream" => known("upstream", &id, options.upstreams.as_ref(), say),
            "Endpoint" => known("endpoint", &id, options.endpoints.as_ref(), say),
            "Tool" | "Prompt" | "Resource" | "Task" => match id.split_once('/') {
                Some((upstream, _)) => known("upstream", upstream, options.upstreams.as_ref(), say),
                None => {
                    let hint = format!("write {kind}::\"upstream/{id}\"");
                    say(
                        &format!("{id:?}"),
                        format!("{kind}::{id:?} does not say which upstream's"),
                        Some(hint),
                    );
                }
            },
            "Group" | "User" | "Workload" | "Operator" | "Anonymous" if !id.contains('/') => {
                let hint = format!(
                    "write {kind}::\"tenant/{id}\"; where there are no tenants, that of all is \"default\""
                );
                say(&format!("{id:?}"), format!("{kind}::{id:?} does not say in which tenant"), Some(hint));
            }
            _ => {}
        }
    }
    for (kind, name) in &policy.reads.named {
        let list = if *kind == "upstream" { &options.upstreams } else { &options.endpoints };
        known(kind, name, list.as_ref(), say);
    }
    let duties = &policy.annotations.duties;
    for detector in duties.detect_arguments.iter().chain(&duties.detect_results) {
        known("detector", detector, options.detectors.as_ref(), say);
    }
    for path in &policy.reads.arguments {
        if let Some(member) = undeclared(path, &options.arguments) {
            let message = format!("the argument {member:?} is not declared");
            let hint = near(&member, options.arguments.keys().map(String::as_str));
            let declare = format!(
                "declare it in the configuration, as in `policy: {{ arguments: {{ {member}: string }} }}`"
            );
            say(path.first().map_or("", String::as_str), message, hint.or(Some(declare)));
        }
    }
}

fn known(
    kind: &str,
    name: &str,
    list: Option<&BTreeSet<String>>,
    say: &mut dyn FnMut(&str, String, Option<String>),
) {
    if let Some(list) = list.filter(|list| !list.contains(name)) {
        let hint = near(name, list.iter().map(String::as_str));
        say(name, format!("there is no {kind} {name:?}"), hint);
    }
}

/// Has Cedar check all policies against the schema.
fn validate(files: &[PolicyFile], policies: &[Checked], options: &Options, faults: &mut Vec<Fault>) {
    let schema = match schema::schema(&options.arguments) {
        Ok(schema) => schema,
        Err(error) => {
            let file = "policy.arguments".to_owned();
            return faults.push(Fault { file, line: 1, column: 1, message: error, hint: None });
        }
    };
    let set = match PolicySet::from_policies(policies.iter().map(|policy| policy.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            let file = files.first().map_or_else(String::new, |file| file.name.clone());
            return faults.push(Fault { file, line: 1, column: 1, message: error.to_string(), hint: None });
        }
    };
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let of = |id: &PolicyId, error: &dyn Diagnostic| {
        let index: Option<usize> = AsRef::<str>::as_ref(id).parse().ok();
        let policy = index.and_then(|index| policies.get(index))?;
        let file = files.iter().find(|file| *file.name == *policy.file)?;
        let located = error.labels().is_some_and(|mut labels| labels.next().is_some());
        let found = of_diagnostic(file, error);
        // Every message of Cedar's begins with the policy's number, which says nothing to its author.
        let message = found.message.replace(&format!("for policy `{}`, ", AsRef::<str>::as_ref(id)), "");
        let message = message.replace(&format!("policy `{}`", AsRef::<str>::as_ref(id)), "the policy");
        let (line, column) = if located { (found.line, found.column) } else { (policy.line, policy.column) };
        Some(Fault { message, line, column, ..found })
    };
    for error in result.validation_errors() {
        faults.extend(of(error.policy_id(), error));
    }
    for warning in result.validation_warnings() {
        // Words of several scripts in one text are no mistake.
        if !matches!(warning, ValidationWarning::MixedScriptString(_)) {
            faults.extend(of(warning.policy_id(), warning));
        }
    }
    if faults.is_empty() && !result.validation_passed() {
        let file = files.first().map_or_else(String::new, |file| file.name.clone());
        let message = "the policies contradict the schema".to_owned();
        faults.push(Fault { file, line: 1, column: 1, message, hint: None });
    }
}
