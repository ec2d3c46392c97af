//! What would be started of a bundle that was unpacked.

use std::collections::BTreeMap;

use super::manifest::{Manifest, Override, ServerKind, Setting, SettingKind};
use crate::fault::{By, shown};
use crate::input::{Format, Input};
use crate::launch::{Answers, Asker, Command, Draft, Place, Question, Rules, environment_fault};
use crate::template::{Template, Value};

/// Folders that a bundle may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// Where it was unpacked, absolute and without a slash at its end.
    pub bundle: String,
    /// Further ones that the operator lets it have: `HOME`, `DOCUMENTS`.
    pub others: BTreeMap<String, String>,
}

/// What would be started. `platform` is `linux`, `darwin` or `win32`.
#[must_use]
pub fn plan(
    manifest: &Manifest,
    platform: &str,
    folders: &Folders,
    answers: &Answers,
    rules: &Rules,
) -> Draft<Command> {
    let mut asker = Asker::new(answers, rules);
    let plan = command(&mut asker, manifest, platform, folders);
    Draft::new(asker, plan)
}

fn command(asker: &mut Asker<'_>, manifest: &Manifest, platform: &str, folders: &Folders) -> Option<Command> {
    if !manifest.platforms.is_empty() && !manifest.platforms.iter().any(|known| known == platform) {
        let what = format!("is not made for {platform}");
        asker.refuse(By::Publisher, "/compatibility/platforms", what);
        return None;
    }
    let settings = settings(asker, manifest, folders)?;
    let context = Context { folders, settings: &settings };
    let start = start_on(manifest, platform);
    if manifest.kind == ServerKind::Uv && start.command.is_none() {
        asker.risk("uv fetches what the bundle needs, which no hash of the bundle covers");
        let argv =
            ["uv", "run", "--directory", &folders.bundle, &manifest.entry_point].map(Value::text).to_vec();
        let (environment, url, file_sha256) = (BTreeMap::new(), None, None);
        return Some(Command { argv, environment, url, file_sha256 });
    }
    let program = program(asker, manifest, &start, &context)?;
    let mut argv = vec![program];
    for (n, argument) in start.args.iter().flatten().enumerate() {
        argv.extend(context.argument(asker, &format!("/server/mcp_config/args/{n}"), argument)?);
    }
    check_first(asker, manifest.kind, &argv, folders)?;
    let mut environment = BTreeMap::new();
    for (name, text) in start.env.iter().flatten() {
        let at = format!("/server/mcp_config/env/{}", name.chars().take(40).collect::<String>());
        let Some(value) = context.fill(asker, &at, text)? else { continue };
        let path = matches!(name.as_str(), "PYTHONPATH" | "NODE_PATH");
        let own =
            path && value.as_text().is_some_and(|text| text.split(':').all(|part| is_inside(part, folders)));
        match environment_fault(name) {
            Some(_) if own => {}
            Some(what) => asker.refuse(By::Publisher, &at, format!("{}: {what}", shown(name))),
            None => {}
        }
        environment.insert(name.clone(), value);
    }
    Some(Command { argv, environment, url: None, file_sha256: None })
}

fn start_on(manifest: &Manifest, platform: &str) -> Override {
    let over = manifest.overrides.get(platform).cloned().unwrap_or_default();
    let start = manifest.start.clone();
    Override {
        command: over.command.or(start.command),
        args: over.args.or(start.args),
        env: over.env.or(start.env),
    }
}

/// The program: the one of its kind, or a file of the bundle. Never a shell, and nothing found by chance.
fn program(
    asker: &mut Asker<'_>,
    manifest: &Manifest,
    start: &Override,
    context: &Context<'_>,
) -> Option<Value> {
    let at = "/server/mcp_config/command";
    let text = start.command.as_deref().unwrap_or_default();
    let usual: &[&str] = match manifest.kind {
        ServerKind::Node => &["node"],
        ServerKind::Python => &["python", "python3"],
        ServerKind::Uv => &["uv"],
        ServerKind::Binary => &[],
    };
    if usual.contains(&text) {
        return Some(Value::text(text));
    }
    let filled = context.fill(asker, at, text)??;
    let path = filled.as_text().unwrap_or_default();
    let path =
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", context.folders.bundle) };
    if !text.contains('/') && manifest.kind != ServerKind::Binary || !is_inside(&path, context.folders) {
        let what = format!("{} is neither {} nor a file of the bundle", shown(text), usual.join(", "));
        asker.refuse(By::Publisher, at, what);
        return None;
    }
    Some(Value::text(path))
}

/// What Node.js and Python run has to be of the bundle: they would also run what stands in an argument.
fn check_first(asker: &mut Asker<'_>, kind: ServerKind, argv: &[Value], folders: &Folders) -> Option<()> {
    let usual = argv.first().and_then(Value::as_text).is_some_and(|program| !program.contains('/'));
    if !usual || !matches!(kind, ServerKind::Node | ServerKind::Python) {
        return Some(());
    }
    let text = |n: usize| argv.get(n).and_then(Value::as_text).unwrap_or_default();
    let module = kind == ServerKind::Python && text(1) == "-m" && is_module(text(2));
    let file =
        if text(1).starts_with('/') { text(1).to_owned() } else { format!("{}/{}", folders.bundle, text(1)) };
    if module || !text(1).starts_with('-') && !text(1).is_empty() && is_inside(&file, folders) {
        return Some(());
    }
    let what = format!("{} is no file of the bundle", shown(text(1)));
    asker.refuse(By::Publisher, "/server/mcp_config/args/0", what);
    None
}

fn is_module(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.split('.').all(part)
}

/// Whether a path is of the bundle, as it is spelled. There are no links in what was unpacked.
fn is_inside(path: &str, folders: &Folders) -> bool {
    let inner = path.strip_prefix(folders.bundle.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let plain = |part: &str| !matches!(part, "" | "..");
    inner.is_some_and(|inner| inner.split('/').all(plain))
}

/// What stands for names.
struct Context<'c> {
    folders: &'c Folders,
    settings: &'c BTreeMap<String, Vec<Value>>,
}

impl Context<'_> {
    fn declared(&self, name: &str) -> bool {
        matches!(name, "__dirname" | "/" | "pathSeparator")
            || self.folders.others.contains_key(name)
            || name.strip_prefix("user_config.").is_some_and(|name| self.settings.contains_key(name))
    }

    /// An argument; a setting of which there are several becomes several.
    fn argument(&self, asker: &mut Asker<'_>, at: &str, text: &str) -> Option<Vec<Value>> {
        let whole = text.strip_prefix("${user_config.").and_then(|rest| rest.strip_suffix('}'));
        if let Some(values) = whole.and_then(|name| self.settings.get(name)) {
            let option = values.iter().find(|value| value.to_string().starts_with('-') && !is_number(value));
            if let Some(value) = option {
                let what = format!("{} could be taken for an option", shown(&value.to_string()));
                asker.refuse(By::Operator, at, what);
                return None;
            }
            return Some(values.clone());
        }
        Some(self.fill(asker, at, text)?.into_iter().collect())
    }

    /// A text with its names filled in. `Some(None)`: an optional setting that is not set leaves it out.
    #[expect(clippy::option_option, reason = "wrong, left out and there are three things")]
    fn fill(&self, asker: &mut Asker<'_>, at: &str, text: &str) -> Option<Option<Value>> {
        if text.chars().any(char::is_control) {
            asker.refuse(By::Publisher, at, "a value with a control character");
            return None;
        }
        let template = Template::parse_dollar(text, |name| self.declared(name));
        let mut unset = false;
        let filled = template.fill(|name| {
            Some(match name {
                "__dirname" => Value::text(&self.folders.bundle),
                "/" | "pathSeparator" => Value::text("/"),
                name => match name.strip_prefix("user_config.") {
                    None => Value::text(self.folders.others.get(name)?),
                    Some(name) => match self.settings.get(name)?.as_slice() {
                        [] => {
                            unset = true;
                            Value::default()
                        }
                        [one] => one.clone(),
                        // In the middle of a text there is no place for several.
                        _ => return None,
                    },
                },
            })
        });
        let Some(filled) = filled else {
            asker.refuse(By::Operator, at, "several values where one can stand");
            return None;
        };
        if filled.as_text().is_some_and(|text| text.contains("${")) {
            let what = format!("{} names what nothing is known of", shown(text));
            asker.refuse(By::Publisher, at, what);
            return None;
        }
        Some((!unset).then_some(filled))
    }
}

fn is_number(value: &Value) -> bool {
    value.as_text().is_some_and(|text| text.parse::<f64>().is_ok())
}

fn settings(
    asker: &mut Asker<'_>,
    manifest: &Manifest,
    folders: &Folders,
) -> Option<BTreeMap<String, Vec<Value>>> {
    let mut values = BTreeMap::new();
    let mut complete = true;
    for (name, setting) in &manifest.settings {
        let at = format!("/user_config/{}", name.chars().take(40).collect::<String>());
        let input = input(setting, folders);
        let marker = format!("${{user_config.{name}}}");
        let used_in_arguments = manifest.start.args.iter().flatten().any(|text| text.contains(&marker));
        let question = Question {
            key: name,
            place: if used_in_arguments { Place::Argument } else { Place::Environment },
            at: &at,
            input: &input,
            variables: &BTreeMap::new(),
            repeated: setting.multiple,
        };
        let Some(mut found) = asker.values(&question) else {
            complete = false;
            continue;
        };
        if setting.multiple && !asker.answers.values.contains_key(name) {
            // What is asked for has one default, and this one has several.
            let more = setting.default.iter().skip(1).filter_map(|text| default_of(text, folders));
            found.extend(more.filter(|text| input.check(text).is_ok()).map(Value::text));
        }
        for value in found.iter().filter_map(Value::as_text) {
            let number: Option<f64> = value.parse().ok();
            let small = number.zip(setting.min).is_some_and(|(number, min)| number < min);
            let large = number.zip(setting.max).is_some_and(|(number, max)| number > max);
            if setting.kind == SettingKind::Number && (small || large) {
                asker.refuse(By::Operator, &at, format!("{value} is not within its bounds"));
                complete = false;
            }
        }
        values.insert(name.clone(), found);
    }
    complete.then_some(values)
}

/// A default with its folders filled in. `None`: a folder that nobody lets it have is no default.
fn default_of(text: &str, folders: &Folders) -> Option<String> {
    let template = Template::parse_dollar(text, |name| folders.others.contains_key(name));
    let filled = template.fill(|name| folders.others.get(name).map(Value::text))?;
    filled.as_text().filter(|text| !text.contains("${")).map(str::to_owned)
}

/// A setting as something that is asked for.
fn input(setting: &Setting, folders: &Folders) -> Input {
    let format = match setting.kind {
        SettingKind::String => Format::String,
        SettingKind::Number => Format::Number,
        SettingKind::Boolean => Format::Boolean,
        SettingKind::Directory | SettingKind::File => Format::Filepath,
    };
    let default = setting.default.first().and_then(|text| default_of(text, folders));
    Input {
        description: Some(format!("{}: {}", setting.title, setting.description)),
        is_required: Some(setting.required),
        is_secret: Some(setting.sensitive),
        format: Some(format),
        default,
        ..Input::default()
    }
}
