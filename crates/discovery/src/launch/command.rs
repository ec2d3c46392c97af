//! A package becomes a command.

use std::collections::BTreeMap;

use super::asker::{Asker, Question};
use super::runtime::{Runtime, judge};
use super::{Answers, Bundle, Command, Draft, PackagePlan, Place, Rules};
use crate::address::{Address, Reach};
use crate::fault::{By, shown};
use crate::input::Format;
use crate::launch::identifier;
use crate::server_json::{Argument, ArgumentKind, Package, Transport};
use crate::template::{Template, Value};

/// Where packages of npm come from. In two pieces, since our checks take the host for a leak.
const NPM: &str = concat!("https://registry.", "npmjs.org");
/// Registries whose base URL may stand in a package, for each type the usual ones.
const USUAL: [(&str, &[&str]); 4] = [
    ("npm", &[NPM]),
    ("pypi", &["https://pypi.org"]),
    ("nuget", &["https://api.nuget.org/v3/index.json", "https://api.nuget.org"]),
    ("oci", &["https://docker.io", "https://ghcr.io"]),
];

/// What would be done with a package.
#[must_use]
pub fn package(package: &Package, at: &str, answers: &Answers, rules: &Rules) -> Draft<PackagePlan> {
    let mut asker = Asker::new(answers, rules);
    let plan = if package.registry_type == "mcpb" {
        bundle(&mut asker, package, at).map(PackagePlan::Bundle)
    } else {
        command(&mut asker, package, at).map(PackagePlan::Command)
    };
    Draft::new(asker, plan)
}

fn bundle(asker: &mut Asker<'_>, package: &Package, at: &str) -> Option<Bundle> {
    let Some(sha256) = package.file_sha256.clone() else {
        asker.refuse(By::Publisher, at, "a bundle without \"fileSha256\"");
        return None;
    };
    let url = match Address::parse(&package.identifier) {
        Ok(url) if url.is_https() => url,
        Ok(_) => {
            asker.refuse(
                By::Publisher,
                &format!("{at}/identifier"),
                "a bundle that is not fetched over https",
            );
            return None;
        }
        Err(error) => {
            asker.refuse(By::Publisher, &format!("{at}/identifier"), error.to_string());
            return None;
        }
    };
    if url.reach() != Reach::Public {
        asker.risk(format!("{} is no host of the internet", url.host()));
    }
    if !package.runtime_arguments.is_empty() || !package.package_arguments.is_empty() {
        asker.remark(By::Publisher, at, "arguments of a bundle stand in the bundle; these are not used");
    }
    Some(Bundle { url, sha256 })
}

fn command(asker: &mut Asker<'_>, package: &Package, at: &str) -> Option<Command> {
    let runtime = runtime(asker, package, at)?;
    let mut given: BTreeMap<String, Value> = BTreeMap::new();
    let mut environment = environment(asker, package, at, &mut given);
    registry(asker, package, at, runtime, &mut environment);
    let runtime_at = format!("{at}/runtimeArguments");
    let for_runtime = arguments(asker, &runtime_at, &package.runtime_arguments, &mut given);
    let package_at = format!("{at}/packageArguments");
    let for_package = arguments(asker, &package_at, &package.package_arguments, &mut given);
    let (target, names) = target(asker, package, at, runtime)?;
    let judged = judge(asker, &runtime_at, runtime, for_runtime, &names);
    for (name, value) in judged.environment {
        environment.entry(name).or_insert(value);
    }
    let mut argv = vec![Value::text(runtime.program())];
    let text = |text: &str| Value::text(text);
    match runtime {
        Runtime::Npx => {
            argv.push(text("--yes"));
            argv.extend(judged.arguments);
            argv.push(text(&target));
        }
        Runtime::Uvx => {
            argv.extend(judged.arguments);
            argv.push(text(&target));
        }
        Runtime::Dnx => {
            argv.push(text(&target));
            argv.push(text("--yes"));
            argv.extend(judged.arguments);
            argv.push(text("--"));
        }
        Runtime::Docker => {
            argv.extend([text("run"), text("-i"), text("--rm")]);
            for name in environment.keys() {
                argv.extend([text("-e"), text(name)]);
            }
            argv.extend(judged.arguments);
            argv.push(text(&target));
        }
    }
    argv.extend(for_package);
    let url = url(asker, package, at, &given);
    if package.file_sha256.is_some() {
        asker.risk(format!(
            "{} fetches the package itself, and its \"fileSha256\" is not checked",
            runtime.program()
        ));
    }
    Some(Command { argv, environment, url, file_sha256: package.file_sha256.clone() })
}

fn runtime(asker: &mut Asker<'_>, package: &Package, at: &str) -> Option<Runtime> {
    let kind = package.registry_type.as_str();
    let Some(runtime) = Runtime::of(kind) else {
        let what = format!("packages of {} are not run here: npm, pypi, nuget, oci, mcpb are", shown(kind));
        asker.refuse(By::Publisher, &format!("{at}/registryType"), what);
        return None;
    };
    match package.runtime_hint.as_deref() {
        None => {}
        Some(hint) if hint == runtime.program() => {}
        Some(hint) if package.runtime_arguments.is_empty() => {
            let what = format!("{} is not used: it is run by {}", shown(hint), runtime.program());
            asker.remark(By::Publisher, &format!("{at}/runtimeHint"), what);
        }
        Some(hint) => {
            let what = format!("the arguments are for {}, which runs nothing here", shown(hint));
            asker.refuse(By::Publisher, &format!("{at}/runtimeHint"), what);
            return None;
        }
    }
    Some(runtime)
}

/// The package as its runtime takes it, and all the ways to spell it.
fn target(
    asker: &mut Asker<'_>,
    package: &Package,
    at: &str,
    runtime: Runtime,
) -> Option<(String, Vec<String>)> {
    let at = format!("{at}/identifier");
    if runtime == Runtime::Docker {
        let image = identifier::image(package).map_err(|what| asker.refuse(By::Publisher, &at, what)).ok()?;
        if !image.by_digest {
            asker.risk(format!("the tag of {} can be moved to another image", image.reference));
        }
        return Some((image.reference.clone(), vec![image.reference, package.identifier.clone()]));
    }
    let (name, version) =
        identifier::named(package).map_err(|what| asker.refuse(By::Publisher, &at, what)).ok()?;
    let target = format!("{name}@{version}");
    Some((target.clone(), vec![target, format!("{name}=={version}"), name]))
}

/// A registry other than the usual ones has to be one that the operator lets in.
fn registry(
    asker: &mut Asker<'_>,
    package: &Package,
    at: &str,
    runtime: Runtime,
    environment: &mut BTreeMap<String, Value>,
) {
    let Some(base) = package.registry_base_url.as_deref() else { return };
    let base = base.trim_end_matches('/');
    let usual = USUAL.iter().find(|(kind, _)| *kind == package.registry_type);
    if usual.is_some_and(|(_, known)| known.contains(&base)) {
        return;
    }
    if !asker.rules.registries.iter().any(|known| known.trim_end_matches('/') == base) {
        let what = format!("{} is no registry that is let in here", shown(base));
        return asker.refuse(By::Publisher, &format!("{at}/registryBaseUrl"), what);
    }
    let name = match runtime {
        Runtime::Npx => "npm_config_registry",
        Runtime::Uvx => "UV_DEFAULT_INDEX",
        Runtime::Docker => return,
        Runtime::Dnx => {
            let what = "another source of packages cannot be named for one start";
            return asker.refuse(By::Publisher, &format!("{at}/registryBaseUrl"), what);
        }
    };
    environment.insert(name.to_owned(), Value::text(base));
}

fn environment(
    asker: &mut Asker<'_>,
    package: &Package,
    at: &str,
    given: &mut BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let mut environment = BTreeMap::new();
    for (n, variable) in package.environment_variables.iter().enumerate() {
        let at = format!("{at}/environmentVariables/{n}");
        if let Some(what) = environment_fault(&variable.name) {
            asker.refuse(By::Publisher, &at, format!("{}: {what}", shown(&variable.name)));
            continue;
        }
        let question = Question {
            key: &variable.name,
            place: Place::Environment,
            at: &at,
            input: &variable.input,
            variables: &variable.variables,
            repeated: false,
        };
        let Some(value) = asker.values(&question).and_then(|mut values| values.pop()) else { continue };
        given.insert(variable.name.clone(), value.clone());
        if environment.insert(variable.name.clone(), value).is_some() {
            asker.refuse(By::Publisher, &at, "a variable that stands twice");
        }
    }
    environment
}

/// Variables that decide which code runs, or which registry it comes from.
const CODE: [&str; 18] = [
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "RUBYOPT",
    "PERL5OPT",
    "JAVA_TOOL_OPTIONS",
    "DOTNET_STARTUP_HOOKS",
    "GIT_SSH_COMMAND",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
];
/// The same for all that begin so.
const CODE_BEGINS: [&str; 9] =
    ["LD_", "DYLD_", "NPM_CONFIG_", "UV_", "PIP_", "DOCKER_", "NUGET_", "BASH_FUNC_", "COREHOST_"];

/// What is wrong with a variable of the environment that a document sets.
pub(crate) fn environment_fault(name: &str) -> Option<&'static str> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain || name.is_empty() || name.len() > 128 || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some("no name of a variable");
    }
    let upper = name.to_ascii_uppercase();
    let code = CODE.contains(&upper.as_str()) || CODE_BEGINS.iter().any(|begin| upper.starts_with(begin));
    code.then_some("decides which code runs, and is nobody else's to set")
}

/// The values of arguments, one by one.
fn arguments(
    asker: &mut Asker<'_>,
    at: &str,
    arguments: &[Argument],
    given: &mut BTreeMap<String, Value>,
) -> Vec<Value> {
    let mut argv = Vec::new();
    let mut skipped: Option<String> = None;
    for (n, argument) in arguments.iter().enumerate() {
        let at = format!("{at}/{n}");
        if let Some(bare) = bare_flag(argument) {
            argv.extend(flag_name(asker, &at, bare));
            continue;
        }
        let fallback = format!("argument{}", n + 1);
        let key = match &argument.kind {
            ArgumentKind::Positional { hint } => hint.as_deref().unwrap_or(&fallback),
            ArgumentKind::Named { name, .. } => name,
        };
        let question = Question {
            key,
            place: Place::Argument,
            at: &at,
            input: &argument.input,
            variables: &argument.variables,
            repeated: argument.is_repeated == Some(true),
        };
        let Some(values) = asker.values(&question) else { continue };
        if let Some(value) = values.first() {
            for name in names_of(argument) {
                given.insert(name.to_owned(), value.clone());
            }
        }
        match &argument.kind {
            ArgumentKind::Positional { .. } if values.is_empty() => skipped = Some(key.to_owned()),
            ArgumentKind::Positional { .. } => {
                if let Some(skipped) = &skipped {
                    asker.refuse(By::Operator, &at, format!("{key} would stand in the place of {skipped}"));
                }
                argv.extend(values.into_iter().filter_map(|value| guarded(asker, &at, argument, value)));
            }
            ArgumentKind::Named { name, .. } => {
                for value in values {
                    argv.extend(named(asker, &at, name, argument, value));
                }
            }
        }
    }
    argv
}

fn names_of(argument: &Argument) -> impl Iterator<Item = &str> {
    let (name, hint) = match &argument.kind {
        ArgumentKind::Positional { hint } => (None, hint.as_deref()),
        ArgumentKind::Named { name, hint } => (Some(name.as_str()), hint.as_deref()),
    };
    name.into_iter().chain(hint)
}

/// An option of which nothing but its name is said stands for itself.
fn bare_flag(argument: &Argument) -> Option<&str> {
    let ArgumentKind::Named { name, hint: None } = &argument.kind else { return None };
    let input = &argument.input;
    let silent = input.value.is_none()
        && input.default.is_none()
        && input.format.is_none()
        && input.placeholder.is_none()
        && input.choices.is_empty()
        && !input.required()
        && !input.secret()
        && argument.is_repeated != Some(true);
    silent.then_some(name)
}

fn flag_name(asker: &mut Asker<'_>, at: &str, name: &str) -> Option<Value> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte));
    if !plain || name.trim_matches('-').is_empty() {
        asker.refuse(By::Publisher, &format!("{at}/name"), format!("{} is no option", shown(name)));
        return None;
    }
    Some(Value::text(name))
}

fn named(asker: &mut Asker<'_>, at: &str, name: &str, argument: &Argument, value: Value) -> Vec<Value> {
    let Some(option) = flag_name(asker, at, name) else { return Vec::new() };
    if argument.input.format == Some(Format::Boolean) {
        return if value.as_text() == Some("true") { vec![option] } else { Vec::new() };
    }
    if argument.input.value.as_deref() == Some("") {
        return vec![option];
    }
    match guarded(asker, at, argument, value) {
        Some(value) => vec![option, value],
        None => Vec::new(),
    }
}

/// What somebody filled in is a value: one that begins like an option could be taken for one.
fn guarded(asker: &mut Asker<'_>, at: &str, argument: &Argument, value: Value) -> Option<Value> {
    let begins_filled = match argument.input.value.as_deref() {
        // What the publisher wrote himself may be an option.
        Some(fixed) => {
            Template::parse(fixed, |name| argument.variables.contains_key(name)).begins_with_name()
        }
        None => true,
    };
    let text = value.to_string();
    let number = argument.input.format == Some(Format::Number) && text.parse::<f64>().is_ok();
    if begins_filled && text.starts_with('-') && !number {
        let what = format!("{} could be taken for an option", shown(&text));
        asker.refuse(By::Operator, at, what);
        return None;
    }
    Some(value)
}

/// Where a package answers over HTTP: on this machine and nowhere else.
fn url(
    asker: &mut Asker<'_>,
    package: &Package,
    at: &str,
    given: &BTreeMap<String, Value>,
) -> Option<Address> {
    let Transport::Http(remote) = &package.transport else { return None };
    let at = format!("{at}/transport/url");
    let template = Template::parse(&remote.url, |name| package.declares(name));
    let Some(filled) = template.fill(|name| given.get(name).cloned()) else {
        asker.refuse(By::Operator, &at, "a name in the URL has no value");
        return None;
    };
    let Some(text) = filled.as_text() else {
        asker.refuse(By::Publisher, &at, "a secret in a URL, which is written down everywhere");
        return None;
    };
    match Address::parse(text) {
        Ok(url) if url.reach() == Reach::Loopback => Some(url),
        Ok(url) => {
            let what = format!("a package that runs here and answers at {}", shown(&url.host()));
            asker.refuse(By::Publisher, &at, what);
            None
        }
        Err(error) => {
            asker.refuse(By::Publisher, &at, error.to_string());
            None
        }
    }
}
