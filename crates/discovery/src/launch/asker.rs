//! Who asks, and takes the answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answers, Needed, Place, Rules};
use crate::fault::{By, Fault, shown};
use crate::input::Input;
use crate::read::FAULTS_MAX;
use crate::template::{Template, Value};

/// Answers for one argument that may be repeated.
const REPEATS_MAX: usize = 50;

/// Collects what is asked for and what is wrong while a plan is made.
pub(crate) struct Asker<'a> {
    pub answers: &'a Answers,
    pub rules: &'a Rules,
    needed: Vec<Needed>,
    asked: BTreeMap<String, Input>,
    used: BTreeSet<String>,
    faults: Vec<Fault>,
    risks: Vec<String>,
}

/// One input in its place.
pub(crate) struct Question<'q> {
    pub key: &'q str,
    pub place: Place,
    /// Where it stands in the document.
    pub at: &'q str,
    pub input: &'q Input,
    pub variables: &'q BTreeMap<String, Input>,
    pub repeated: bool,
}

impl<'a> Asker<'a> {
    /// Nobody was asked yet.
    pub fn new(answers: &'a Answers, rules: &'a Rules) -> Self {
        let (needed, asked, used) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self { answers, rules, needed, asked, used, faults: Vec::new(), risks: Vec::new() }
    }

    /// Tells a reason to refuse.
    pub fn refuse(&mut self, by: By, at: &str, what: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::refused(by, at, what));
        }
    }

    /// Tells something that is no reason to refuse.
    pub fn remark(&mut self, by: By, at: &str, what: impl Into<String>) {
        if self.faults.len() + 1 < FAULTS_MAX {
            self.faults.push(Fault::remark(by, at, what));
        }
    }

    /// Tells what a person should know before he agrees.
    pub fn risk(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.risks.len() < FAULTS_MAX && !self.risks.contains(&what) {
            self.risks.push(what);
        }
    }

    /// The values of an input: several where it is repeated, none where it is optional and was not given.
    /// `None`: something is missing or wrong, and was told.
    pub fn values(&mut self, question: &Question<'_>) -> Option<Vec<Value>> {
        let Some(fixed) = &question.input.value else {
            let key = self.key(question.key, question.at, question.input);
            return self.ask(&key, question.place, question.at, question.input, question.repeated);
        };
        if fixed.chars().any(char::is_control) {
            self.refuse(By::Publisher, question.at, "a value with a control character");
            return None;
        }
        let template = Template::parse(fixed, |name| question.variables.contains_key(name));
        let mut known: BTreeMap<&str, Value> = BTreeMap::new();
        for name in template.names() {
            if known.contains_key(name) {
                continue;
            }
            let variable = &question.variables[name];
            known.insert(name, self.variable(name, question.place, question.at, variable)?);
        }
        template.fill(|name| known.get(name).cloned()).map(|value| vec![value])
    }

    /// The value of a variable in a template, which has to have one.
    pub fn variable(&mut self, name: &str, place: Place, at: &str, input: &Input) -> Option<Value> {
        let at = format!("{at}/variables/{}", name.chars().take(40).collect::<String>());
        if let Some(fixed) = &input.value {
            if let Err(what) = input.check(fixed) {
                self.refuse(By::Publisher, &at, what);
                return None;
            }
            return Some(Value::text(fixed));
        }
        let key = self.key(name, &at, input);
        let value = self.ask(&key, place, &at, input, false)?.pop();
        if value.is_none() {
            // Optional or not, a template without it is no value.
            self.refuse(By::Operator, &at, format!("{key} is needed and was not given"));
        }
        value
    }

    /// A key of its own for each input; the same input in several places is asked for once.
    fn key(&mut self, wanted: &str, at: &str, input: &Input) -> String {
        let mut key = wanted.to_owned();
        let mut n = 2;
        while self.asked.get(&key).is_some_and(|known| known != input) {
            key = format!("{wanted}#{n}");
            n += 1;
        }
        if key != wanted && n == 3 {
            let what = format!("{wanted} is asked for twice, differently: this one is {key}");
            self.remark(By::Publisher, at, what);
        }
        self.asked.entry(key.clone()).or_insert_with(|| input.clone());
        key
    }

    fn ask(
        &mut self,
        key: &str,
        place: Place,
        at: &str,
        input: &Input,
        repeated: bool,
    ) -> Option<Vec<Value>> {
        self.used.insert(key.to_owned());
        let given = self.answers.values.get(key);
        let named = self.answers.secrets.contains(key);
        if !self.needed.iter().any(|needed| needed.key == key) {
            let answered = named || given.is_some_and(|given| !given.is_empty());
            self.needed.push(Needed::of(key, place, input, repeated, answered));
        }
        if input.secret() || named {
            return self.secret(key, place, at, input, given.is_some());
        }
        let values = match given {
            Some(values) if values.len() > 1 && !repeated => {
                self.refuse(By::Operator, at, format!("{key} may be given once"));
                return None;
            }
            Some(values) if values.len() > REPEATS_MAX => {
                self.refuse(By::Operator, at, format!("{key} was given more than {REPEATS_MAX} times"));
                return None;
            }
            Some(values) => values.clone(),
            None => input.default.iter().cloned().collect(),
        };
        let by = if given.is_some() { By::Operator } else { By::Publisher };
        for value in &values {
            if let Err(what) = input.check(value) {
                self.refuse(by, at, format!("{key}: {what}"));
                return None;
            }
        }
        if values.is_empty() && input.required() {
            self.refuse(By::Operator, at, format!("{key} is needed and was not given"));
            return None;
        }
        Some(values.into_iter().map(Value::text).collect())
    }

    fn secret(
        &mut self,
        key: &str,
        place: Place,
        at: &str,
        input: &Input,
        written: bool,
    ) -> Option<Vec<Value>> {
        if written {
            self.refuse(
                By::Operator,
                at,
                format!("{key} is a secret: name where it is kept, do not write it"),
            );
            return None;
        }
        if self.answers.secrets.contains(key) {
            match place {
                Place::Url => {
                    self.refuse(By::Publisher, at, "a secret in a URL, which is written down everywhere");
                    return None;
                }
                Place::Argument => {
                    self.risk(format!("the secret {key} stands in an argument, which others here can read"));
                }
                Place::Header | Place::Environment => {}
            }
            return Some(vec![Value::secret(key)]);
        }
        if input.required() {
            self.refuse(By::Operator, at, format!("{key} is needed and was not given"));
            return None;
        }
        Some(Vec::new())
    }

    /// What was asked, what is wrong and what is risky; answers that nobody asked for are wrong, too.
    pub fn finish(mut self) -> (Vec<Needed>, Vec<Fault>, Vec<String>) {
        let given = self.answers.values.keys().chain(&self.answers.secrets);
        let strange: Vec<String> = given.filter(|key| !self.used.contains(*key)).cloned().collect();
        for key in strange {
            self.refuse(By::Operator, "", format!("nobody asked for {}", shown(&key)));
        }
        (self.needed, self.faults, self.risks)
    }
}
