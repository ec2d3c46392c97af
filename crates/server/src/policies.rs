//! From the section `policy` to what decides by it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::Life;
use config::{Config, Glob, LifeStage};
use model::Timestamp;
use policy::{ArgumentType, Engine, Fault, Options, PolicyFile, limits};

use crate::app::EVERYTHING;

/// Why there is nothing to decide by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file could not be read.
    #[error("read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The policies are wrong.
    #[error("use the policies:\n{}", lines(.0))]
    Faults(Vec<Fault>),
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What decides for a configuration. Without the section everything is allowed.
///
/// # Errors
/// [`PolicyError`], with everything that is wrong with the policies.
pub fn engine(config: &Config) -> Result<Engine, PolicyError> {
    let Some(section) = &config.policy else { return Ok(Engine::allow_all()) };
    let shipped = section.presets.iter().filter_map(|preset| policy::preset(preset.as_str()));
    let mut files: Vec<PolicyFile> = shipped.collect();
    for path in &section.files {
        let text = read(path).map_err(|source| PolicyError::File { path: path.clone(), source })?;
        files.push(PolicyFile { name: path.display().to_string(), text });
    }
    Engine::load(files, options(config)).map_err(PolicyError::Faults)
}

fn read(path: &Path) -> io::Result<String> {
    let max = limits::FILE_BYTES_MAX as u64;
    let mut text = String::new();
    // One byte more than there may be, so that what is too large is seen to be.
    std::fs::File::open(path)?.take(max + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// What the policies of a configuration may refer to.
#[must_use]
pub fn options(config: &Config) -> Options {
    let upstreams: BTreeSet<String> = config.upstreams.keys().cloned().collect();
    let named = config.endpoints.keys().cloned().chain([EVERYTHING.to_owned()]);
    let endpoints = upstreams.iter().cloned().chain(named).collect();
    let declared = config.policy.iter().flat_map(|section| &section.arguments);
    let mut arguments = BTreeMap::new();
    for (name, kind) in declared {
        declare(&mut arguments, name, *kind);
    }
    let detectors = Some(policy::content::names().collect());
    Options { arguments, upstreams: Some(upstreams), endpoints: Some(endpoints), detectors }
}

/// Declares an argument: a member, or a member of a member where there are dots.
fn declare(members: &mut BTreeMap<String, ArgumentType>, name: &str, kind: config::ArgumentType) {
    let Some((outer, rest)) = name.split_once('.') else {
        let kind = match kind {
            config::ArgumentType::Long => ArgumentType::Long,
            config::ArgumentType::String => ArgumentType::String,
            config::ArgumentType::Boolean => ArgumentType::Boolean,
            config::ArgumentType::Longs => ArgumentType::Longs,
            config::ArgumentType::Strings => ArgumentType::Strings,
        };
        members.insert(name.to_owned(), kind);
        return;
    };
    let inner = members.entry(outer.to_owned()).or_insert_with(|| ArgumentType::Record(BTreeMap::new()));
    if let ArgumentType::Record(inner) = inner {
        declare(inner, rest, kind);
    }
}

/// What operators say of what upstreams offer: their labels, and where it is in its life, as the label
/// `lifecycle:deprecated` and the like on all that is not simply active.
#[derive(Debug, Clone, Default)]
pub struct Labels(HashMap<String, Labelled>);

#[derive(Debug, Clone)]
struct Labelled {
    labels: BTreeMap<String, Vec<Glob>>,
    life: Life,
}

impl Labels {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let of =
            |section: &config::Upstream| Labelled { labels: section.labels.clone(), life: Life::of(section) };
        let all = config.upstreams.iter().map(|(name, section)| (name.clone(), of(section)));
        Self(all.filter(|(_, of)| !of.labels.is_empty() || !of.life.is_plain()).collect())
    }

    /// The labels of what `upstream` calls `own`.
    #[must_use]
    pub fn get(&self, upstream: &str, own: &str, now: Timestamp) -> Vec<String> {
        let Some(Labelled { labels, life }) = self.0.get(upstream) else { return Vec::new() };
        let on = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(own));
        let mut all: Vec<String> =
            labels.iter().filter(|(_, globs)| on(globs)).map(|(label, _)| label.clone()).collect();
        match life.of_entry(own).at(now) {
            LifeStage::Active => {}
            stage => all.push(format!("lifecycle:{}", stage.as_str())),
        }
        all
    }

    /// Whether what `upstream` calls `own` is offered at a place, by where it is in its life.
    #[must_use]
    pub fn offers(&self, upstream: &str, own: &str, now: Timestamp, experimental: bool) -> bool {
        self.0.get(upstream).is_none_or(|of| of.life.offers(own, now, experimental))
    }

    /// Where upstreams are in their life, of those of which there is something to say.
    pub fn lives(&self) -> impl Iterator<Item = (&str, &Life)> {
        self.0.iter().map(|(name, of)| (name.as_str(), &of.life)).filter(|(_, life)| !life.is_plain())
    }
}

/// What decides, and what it has to know of targets.
#[derive(Debug)]
pub struct Policies {
    /// What decides.
    pub engine: Arc<Engine>,
    /// What operators say of targets.
    pub labels: Labels,
}

impl Policies {
    /// Those of a configuration.
    ///
    /// # Errors
    /// As [`engine`].
    pub fn of(config: &Config) -> Result<Self, PolicyError> {
        Ok(Self { engine: Arc::new(engine(config)?), labels: Labels::of(config) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        config::load_str(text, "f").unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn without_the_section_there_are_no_policies_and_with_it_presets_are_read() {
        assert!(!engine(&Config::default()).expect("nothing can be wrong").has_policies());
        let presets = "policy: {presets: [everyone, operators, read-only, \
                       no-destructive-without-approval, per-team-tools]}";
        let engine = engine(&config(presets)).expect("shipped policies are good");
        assert_eq!(engine.len(), 5);
    }

    #[test]
    fn a_file_that_is_not_there_and_one_that_is_wrong_are_named() {
        let gone = engine(&config("policy: {files: [/nowhere/x.cedar]}")).expect_err("there is no file");
        assert_eq!(gone.to_string(), "read /nowhere/x.cedar");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("team.cedar");
        std::fs::write(&path, "permit(principal, action, resource in Upstream::\"crn\");").expect("a file");
        let text = format!("upstreams: {{crm: {{url: 'http://a'}}}}\npolicy: {{files: [{path:?}]}}");
        let wrong = engine(&config(&text)).expect_err("there is no such upstream").to_string();
        let expected =
            format!("{}:1:50: there is no upstream \"crn\"; did you mean \"crm\"?", path.display());
        assert!(wrong.ends_with(&expected), "{wrong}");
    }

    #[test]
    fn a_detector_that_there_is_not_is_named_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("d.cedar");
        let of = |named: &str| {
            let text = format!(
                "permit(principal, action, resource);\n@detect_results(\"{named}\")\n\
                 forbid(principal, action, resource) when {{ false }};"
            );
            std::fs::write(&path, text).expect("a file");
            engine(&config(&format!("policy: {{files: [{path:?}]}}"))).map_err(|error| error.to_string())
        };
        for good in ["secrets", "pii/email", "hidden,injection/override"] {
            if let Err(error) = of(good) {
                assert!(!error.contains("detector"), "{good}: {error}");
            }
        }
        for bad in ["secret", "pii/emial", "hidden,pi"] {
            let error = of(bad).expect_err("there is no such detector");
            assert!(error.contains("d.cedar:2:") && error.contains("there is no detector"), "{bad}: {error}");
        }
        assert!(of("pii/emial").expect_err("there is none").contains("did you mean \"pii/email\"?"));
    }

    #[test]
    fn arguments_are_declared_with_their_members() {
        let config =
            config("policy: {presets: [everyone], arguments: {a.b: long, a.c: strings, d: boolean}}");
        let inner = [("b".to_owned(), ArgumentType::Long), ("c".to_owned(), ArgumentType::Strings)];
        let expected = [
            ("a".to_owned(), ArgumentType::Record(BTreeMap::from(inner))),
            ("d".to_owned(), ArgumentType::Boolean),
        ];
        assert_eq!(options(&config).arguments, BTreeMap::from(expected));
    }

    #[test]
    fn labels_are_those_whose_patterns_fit() {
        let config = config("upstreams: {crm: {url: 'http://a', labels: {pii: ['export_*'], all: ['*']}}}");
        let labels = Labels::of(&config);
        let get = |upstream: &str, own: &str| labels.get(upstream, own, Timestamp(0));
        assert_eq!(get("crm", "export_all"), ["all", "pii"]);
        assert_eq!((get("crm", "x"), get("files", "x")), (vec!["all".to_owned()], Vec::new()));
    }

    #[test]
    fn what_is_to_go_has_a_label_that_says_so() {
        let config = config(
            "upstreams: {crm: {url: 'http://a', labels: {pii: ['a']}, lifecycles: [{names: [a], lifecycle: \
             {deprecated_on: 1970-01-02}}]}, hr: {url: 'http://b', lifecycle: {state: experimental}}}",
        );
        let labels = Labels::of(&config);
        let day = 24 * 3_600_000;
        assert_eq!(labels.get("crm", "a", Timestamp(day - 1)), ["pii"]);
        assert_eq!(labels.get("crm", "a", Timestamp(day)), ["pii", "lifecycle:deprecated"]);
        assert_eq!(labels.get("crm", "b", Timestamp(day)), Vec::<String>::new());
        assert_eq!(labels.get("hr", "x", Timestamp(day)), ["lifecycle:experimental"]);
    }
}
