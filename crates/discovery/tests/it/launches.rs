//! Packages that become commands.

use std::collections::BTreeMap;

use discovery::launch::{Answers, Draft, PackagePlan, Place, Rules, package};
use discovery::server_json::read;
use serde_json::{Value, json};

use crate::{bytes, lines};

/// A draft of one package.
fn draft(document: &Value, answers: &Answers) -> Draft<PackagePlan> {
    draft_by(document, answers, &Rules::default())
}

fn draft_by(document: &Value, answers: &Answers, rules: &Rules) -> Draft<PackagePlan> {
    let server = json!({"name": "a/b", "description": "d", "version": "1", "packages": [document]});
    let server = read(&bytes(&server)).unwrap_or_else(|faults| panic!("{document}: {:?}", lines(&faults)));
    package(&server.value.packages[0], "/packages/0", answers, rules)
}

fn npm(more: &Value) -> Value {
    let mut package = json!({"registryType": "npm", "identifier": "@acme/crm", "version": "1.2.3",
                             "transport": {"type": "stdio"}});
    package.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    package
}

fn oci(arguments: &Value) -> Value {
    json!({"registryType": "oci", "identifier": "ghcr.io/acme/crm:1.2.3", "runtimeHint": "docker",
           "transport": {"type": "stdio"}, "runtimeArguments": arguments})
}

fn given(values: &[(&str, &str)]) -> Answers {
    let mut answers = Answers::default();
    for (key, value) in values {
        answers.values.entry((*key).to_owned()).or_default().push((*value).to_owned());
    }
    answers
}

/// The command of a draft, each argument in its own item, secrets by their names.
fn argv(draft: &Draft<PackagePlan>) -> Vec<String> {
    let Some(PackagePlan::Command(command)) = &draft.plan else {
        panic!("no command: {:?}", lines(&draft.faults));
    };
    command.argv.iter().map(ToString::to_string).collect()
}

fn environment(draft: &Draft<PackagePlan>) -> BTreeMap<String, String> {
    let Some(PackagePlan::Command(command)) = &draft.plan else { panic!("{:?}", lines(&draft.faults)) };
    command.environment.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn refused(draft: &Draft<PackagePlan>) -> Vec<String> {
    assert_eq!(draft.plan, None, "a plan where none should be");
    lines(&draft.faults)
}

#[test]
fn each_registry_has_its_runtime_and_its_pinned_package() {
    let none = Answers::default();
    for (document, expected) in [
        (npm(&json!({})), "npx|--yes|@acme/crm@1.2.3"),
        (
            json!({"registryType": "pypi", "identifier": "acme-crm", "version": "1.2.3", "runtimeHint": "uvx",
                   "transport": {"type": "stdio"}}),
            "uvx|acme-crm@1.2.3",
        ),
        (
            json!({"registryType": "nuget", "identifier": "Acme.Crm", "version": "1.2.3-beta",
                   "transport": {"type": "stdio"}}),
            "dnx|Acme.Crm@1.2.3-beta|--yes|--",
        ),
        (oci(&json!([])), "docker|run|-i|--rm|ghcr.io/acme/crm:1.2.3"),
    ] {
        assert_eq!(argv(&draft(&document, &none)).join("|"), expected);
    }
}

#[test]
fn a_bundle_is_a_file_to_fetch_with_its_hash_and_never_a_command() {
    let none = Answers::default();
    let hash = "f".repeat(64);
    let bundle = |identifier: &str, hash: Option<&str>| {
        let mut package =
            json!({"registryType": "mcpb", "identifier": identifier, "transport": {"type": "stdio"}});
        if let Some(hash) = hash {
            package["fileSha256"] = json!(hash);
        }
        package
    };
    let url = "https://github.com/acme/crm/releases/download/v1/crm.mcpb";
    let good = draft(&bundle(url, Some(&hash)), &none);
    let Some(PackagePlan::Bundle(plan)) = &good.plan else { panic!("{good:?}") };
    assert_eq!((plan.url.as_str(), plan.sha256.as_str()), (url, hash.as_str()));
    assert!(refused(&draft(&bundle(url, None), &none))[0].contains("without \"fileSha256\""));
    for identifier in ["http://a.example/x.mcpb", "file:///x.mcpb", "crm", "https://a@b.example/x", "-x"] {
        assert_eq!(refused(&draft(&bundle(identifier, Some(&hash)), &none)).len(), 1, "{identifier}");
    }
    let inner = draft(&bundle("https://db.internal/x.mcpb", Some(&hash)), &none);
    assert_eq!(inner.risks, ["db.internal is no host of the internet"]);
}

#[test]
fn packages_that_nothing_runs_here_are_refused_with_a_word() {
    let none = Answers::default();
    for kind in ["cargo", "maven", "NPM", "sh"] {
        let mut document = npm(&json!({}));
        document["registryType"] = json!(kind);
        let faults = refused(&draft(&document, &none));
        assert!(faults[0].contains("are not run here"), "{faults:?}");
    }
    let hint = npm(&json!({"runtimeHint": "bunx"}));
    let draft_of_hint = draft(&hint, &none);
    assert_eq!(argv(&draft_of_hint), ["npx", "--yes", "@acme/crm@1.2.3"]);
    assert_eq!(draft_of_hint.faults.len(), 1, "a remark");
    let arguments =
        npm(&json!({"runtimeHint": "bash", "runtimeArguments": [{"type": "positional", "value": "-c"}]}));
    assert!(refused(&draft(&arguments, &none))[0].contains("which runs nothing here"));
}

#[test]
fn whatever_is_in_a_value_it_is_one_argument() {
    let document = npm(&json!({"packageArguments": [
        {"type": "positional", "valueHint": "folder"},
        {"type": "named", "name": "--note"},
        {"type": "named", "name": "--tag", "valueHint": "tag", "isRepeated": true},
        {"type": "positional", "value": "url={host};x", "variables": {"host": {"isRequired": true}}},
    ]}));
    for hostile in [
        "a; rm -rf /",
        "$(id)",
        "`id`",
        "a && b",
        "a | b",
        "> /etc/passwd",
        "'; --x '",
        "\"",
        "{host}",
        "${IFS}",
        "%PATH%",
        "*",
        "~",
        "a b  c",
    ] {
        let answers =
            given(&[("folder", hostile), ("--tag", hostile), ("--tag", hostile), ("host", hostile)]);
        let expected: Vec<String> =
            ["npx", "--yes", "@acme/crm@1.2.3", hostile, "--note", "--tag", hostile, "--tag", hostile]
                .iter()
                .map(ToString::to_string)
                .chain([format!("url={hostile};x")])
                .collect();
        assert_eq!(argv(&draft(&document, &answers)), expected, "{hostile}");
    }
    for control in ["a\nb", "a\0", "\u{1b}[2J", "a\rb"] {
        assert!(!refused(&draft(&document, &given(&[("folder", control), ("host", "h")]))).is_empty());
        assert!(!refused(&draft(&document, &given(&[("host", control)]))).is_empty());
    }
}

#[test]
fn a_value_that_could_be_taken_for_an_option_is_refused() {
    let document = npm(&json!({"packageArguments": [
        {"type": "positional", "valueHint": "folder"},
        {"type": "named", "name": "--level", "format": "number", "valueHint": "n"},
        {"type": "named", "name": "--x", "value": "{v}", "variables": {"v": {"default": "1"}}},
    ]}));
    for (key, value) in [("folder", "--config=/etc/x"), ("folder", "-c"), ("v", "--eval"), ("folder", "-")] {
        let faults = refused(&draft(&document, &given(&[(key, value)])));
        assert!(
            faults.iter().any(|f| f.contains("could be taken for an option") && f.ends_with("(operator)"))
        );
    }
    let negative = draft(&document, &given(&[("--level", "-3")]));
    assert_eq!(argv(&negative)[3..], ["--level", "-3", "--x", "1"]);
    let own = npm(&json!({"packageArguments": [{"type": "positional", "value": "--stdio"}]}));
    assert_eq!(argv(&draft(&own, &Answers::default()))[3..], ["--stdio"], "the publisher's own option");
}

#[test]
fn what_is_asked_for_is_listed_and_what_is_missing_is_named() {
    let document = crate::servers::full();
    let document = &document["packages"][0];
    let empty = draft(document, &Answers::default());
    let keys: Vec<(&str, bool, bool, Place)> = empty
        .needed
        .iter()
        .map(|needed| (needed.key.as_str(), needed.required, needed.secret, needed.place))
        .collect();
    assert_eq!(
        keys,
        [
            ("CRM_KEY", true, true, Place::Environment),
            ("host", false, false, Place::Environment),
            ("folder", true, false, Place::Argument),
            ("--region", false, false, Place::Argument),
        ]
    );
    let faults = refused(&empty);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults.iter().all(|fault| fault.ends_with("is needed and was not given (operator)")),
        "{faults:?}"
    );
    let mut answers = given(&[("folder", "/srv"), ("--region", "us"), ("--region", "eu")]);
    answers.secrets.insert("CRM_KEY".to_owned());
    let whole = draft(document, &answers);
    assert_eq!(argv(&whole).join(" "), "npx --yes --quiet @acme/crm@1.2.3 /srv --region us --region eu");
    assert_eq!(
        environment(&whole),
        BTreeMap::from([
            ("CRM_KEY".to_owned(), "[secret CRM_KEY]".to_owned()),
            ("CRM_URL".to_owned(), "https://a.example/".to_owned()),
        ])
    );
}

#[test]
fn answers_that_nobody_asked_for_or_that_do_not_fit_are_refused() {
    let document = npm(&json!({
        "packageArguments": [{"type": "named", "name": "--region", "choices": ["eu"], "valueHint": "r"}],
        "environmentVariables": [{"name": "KEY", "isSecret": true}, {"name": "FIXED", "value": "1"}],
    }));
    for (answers, told) in [
        (given(&[("--region", "us")]), "is none of the choices"),
        (given(&[("--region", "eu"), ("--region", "eu")]), "may be given once"),
        (given(&[("other", "x")]), "nobody asked for \"other\""),
        (given(&[("FIXED", "2")]), "nobody asked for \"FIXED\""),
        (given(&[("KEY", "hunter2")]), "do not write it"),
    ] {
        let faults = refused(&draft(&document, &answers));
        assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
        assert!(!faults.iter().any(|fault| fault.contains("hunter2")), "a secret in a fault");
    }
}

#[test]
fn a_secret_in_an_argument_is_a_risk_that_is_told() {
    let document = npm(&json!({"packageArguments": [{"type": "named", "name": "--key", "isSecret": true}]}));
    let mut answers = Answers::default();
    answers.secrets.insert("--key".to_owned());
    let draft = draft(&document, &answers);
    assert_eq!(argv(&draft)[3..], ["--key", "[secret --key]"]);
    assert_eq!(draft.risks, ["the secret --key stands in an argument, which others here can read"]);
}

#[test]
fn variables_that_decide_which_code_runs_are_nobody_elses_to_set() {
    for name in [
        "PATH",
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "NODE_OPTIONS",
        "PYTHONPATH",
        "BASH_ENV",
        "npm_config_registry",
        "UV_INDEX_URL",
        "PIP_INDEX_URL",
        "DOCKER_HOST",
        "Path",
        "A B",
        "A=B",
        "1A",
        "A-B",
        "\u{e9}",
    ] {
        let document = npm(&json!({"environmentVariables": [{"name": name, "value": "x"}]}));
        assert_eq!(refused(&draft(&document, &Answers::default())).len(), 1, "{name}");
        if name.contains('=') {
            continue;
        }
        let document = oci(&json!([{"type": "named", "name": "-e", "value": format!("{name}=x")}]));
        assert_eq!(refused(&draft(&document, &Answers::default())).len(), 1, "-e {name}");
    }
}

/// A package with plain arguments for its runtime.
fn with(kind: &str, hint: &str, arguments: &[&str]) -> Value {
    let list: Vec<Value> = arguments.iter().map(|a| json!({"type": "positional", "value": a})).collect();
    let identifier = if kind == "oci" { "ghcr.io/acme/crm:1.2.3" } else { "acme" };
    let mut package = json!({"registryType": kind, "identifier": identifier, "runtimeHint": hint,
                             "transport": {"type": "stdio"}, "runtimeArguments": list});
    if kind != "oci" {
        package["version"] = json!("1.0.0");
    }
    package
}

#[test]
fn options_that_run_other_code_or_open_the_machine_do_not_reach_the_runtime() {
    let none = Answers::default();
    for (kind, hint, arguments) in [
        ("npm", "npx", vec!["-c", "id"]),
        ("npm", "npx", vec!["--call=id"]),
        ("npm", "npx", vec!["-p", "evil"]),
        ("npm", "npx", vec!["--package=evil"]),
        ("npm", "npx", vec!["--registry", "https://evil.example"]),
        ("npm", "npx", vec!["evil@1.0.0"]),
        ("npm", "npx", vec!["--yes=x"]),
        ("npm", "npx", vec!["--package"]),
        ("npm", "npx", vec!["--package", "--call"]),
        ("npm", "npx", vec!["--node-options=--require=/tmp/x"]),
        ("npm", "npx", vec!["--"]),
        ("pypi", "uvx", vec!["--from", "evil"]),
        ("pypi", "uvx", vec!["--with", "evil"]),
        ("pypi", "uvx", vec!["--python", "/tmp/x"]),
        ("pypi", "uvx", vec!["--index-url", "https://evil.example"]),
        ("pypi", "uvx", vec!["--env-file", "/etc/x"]),
        ("nuget", "dnx", vec!["--source", "https://evil.example"]),
        ("oci", "docker", vec!["--privileged"]),
        ("oci", "docker", vec!["--cap-add", "SYS_ADMIN"]),
        ("oci", "docker", vec!["--pid=host"]),
        ("oci", "docker", vec!["--entrypoint", "/bin/sh"]),
        ("oci", "docker", vec!["--security-opt", "seccomp=unconfined"]),
        ("oci", "docker", vec!["-v", "/:/host"]),
        ("oci", "docker", vec!["-v", "/var/run/docker.sock:/s"]),
        ("oci", "docker", vec!["-v", "//etc:/host"]),
        ("oci", "docker", vec!["-v", "/srv/../etc:/host"]),
        ("oci", "docker", vec!["--mount", "type=bind,src=/,dst=/host"]),
        ("oci", "docker", vec!["--mount=type=bind,source=/proc,dst=/p"]),
        ("oci", "docker", vec!["--mount", "type=volume,src=x,dst=/x,volume-opt=device=/dev/sda1"]),
        ("oci", "docker", vec!["--mount", "type=bind,src=/srv,src=/etc,dst=/x"]),
        ("oci", "docker", vec!["-v", "/srv:/x:/etc:/y"]),
        ("oci", "docker", vec!["-v", "/srv:/x:shared"]),
        ("oci", "docker", vec!["-v", "/srv"]),
        ("oci", "docker", vec!["-v", "~:/home"]),
        ("oci", "docker", vec!["-v", "$HOME:/home"]),
        ("oci", "docker", vec!["-e", "AWS_SECRET_ACCESS_KEY"]),
        ("oci", "docker", vec!["--env-file", "/etc/x"]),
        ("oci", "docker", vec!["--volumes-from", "x"]),
        ("oci", "docker", vec!["alpine", "sh"]),
        ("oci", "docker", vec!["-ti"]),
    ] {
        let faults = refused(&draft(&with(kind, hint, &arguments), &none));
        assert!(faults.iter().all(|fault| fault.ends_with("(publisher)")), "{arguments:?} {faults:?}");
    }
    for (kind, hint, arguments, expected) in [
        ("npm", "npx", vec!["-y", "--quiet", "--package=acme@1.0.0"], "npx --yes --quiet acme@1.0.0"),
        ("npm", "npx", vec!["-y", "acme"], "npx --yes acme@1.0.0"),
        ("pypi", "uvx", vec!["--from", "acme==1.0.0", "--python", "3.12"], "uvx --python 3.12 acme@1.0.0"),
        (
            "oci",
            "docker",
            vec!["run", "-i", "--rm", "--init"],
            "docker run -i --rm --init ghcr.io/acme/crm:1.2.3",
        ),
        (
            "oci",
            "docker",
            vec!["-e", "A=x y;z", "-m", "512m"],
            "docker run -i --rm -e A -m 512m ghcr.io/acme/crm:1.2.3",
        ),
    ] {
        assert_eq!(argv(&draft(&with(kind, hint, &arguments), &none)).join(" "), expected);
    }
}

#[test]
fn what_a_container_gets_to_see_is_told_and_its_secrets_stand_on_no_command_line() {
    let document = oci(&json!([
        {"type": "named", "name": "-v", "value": "{data}:/data", "variables": {"data": {"isRequired": true}}},
        {"type": "named", "name": "-e", "value": "TOKEN={t}", "variables": {"t": {"isSecret": true}}},
        {"type": "named", "name": "--network", "value": "host"},
    ]));
    let mut answers = given(&[("data", "/srv/crm")]);
    answers.secrets.insert("t".to_owned());
    let good = draft(&document, &answers);
    let line = argv(&good).join(" ");
    assert_eq!(line, "docker run -i --rm -e TOKEN -v /srv/crm:/data --network host ghcr.io/acme/crm:1.2.3");
    assert_eq!(environment(&good)["TOKEN"], "[secret t]");
    assert!(good.risks.iter().any(|risk| risk.contains("/srv/crm:/data")), "{:?}", good.risks);
    assert!(good.risks.iter().any(|risk| risk.contains("chooses the network")));
    assert!(good.risks.iter().any(|risk| risk.contains("can be moved to another image")));
    answers.values.insert("data".to_owned(), vec!["/".to_owned()]);
    assert!(refused(&draft(&document, &answers))[0].contains("the whole machine"));
}

#[test]
fn a_registry_that_nobody_let_in_is_refused() {
    let document = npm(&json!({"registryBaseUrl": "https://npm.acme.example"}));
    assert!(refused(&draft(&document, &Answers::default()))[0].contains("no registry that is let in"));
    let rules = Rules { registries: vec!["https://npm.acme.example/".to_owned()], ..Rules::default() };
    let good = draft_by(&document, &Answers::default(), &rules);
    assert_eq!(environment(&good)["npm_config_registry"], "https://npm.acme.example");
}

#[test]
fn a_package_answers_on_this_machine_and_nowhere_else() {
    let http = |url: &str| {
        npm(&json!({
            "transport": {"type": "streamable-http", "url": url},
            "packageArguments": [{"type": "named", "name": "--port", "default": "8080", "format": "number"}],
            "environmentVariables": [{"name": "HOST_NAME", "default": "localhost"}],
        }))
    };
    let good = draft(&http("http://{HOST_NAME}:{--port}/mcp"), &Answers::default());
    let Some(PackagePlan::Command(command)) = &good.plan else { panic!("{:?}", lines(&good.faults)) };
    assert_eq!(
        command.url.as_ref().map(|url| url.as_str().to_owned()).as_deref(),
        Some("http://localhost:8080/mcp")
    );
    for (url, answers) in [
        ("http://evil.example/mcp", Answers::default()),
        ("http://{HOST_NAME}/mcp", given(&[("HOST_NAME", "evil.example")])),
        ("http://{HOST_NAME}/mcp", given(&[("HOST_NAME", "localhost@evil.example")])),
        ("http://localhost/{unknown}", Answers::default()),
        ("http://10.0.0.1/mcp", Answers::default()),
    ] {
        assert_eq!(refused(&draft(&http(url), &answers)).len(), 1, "{url}");
    }
}

#[test]
fn an_argument_that_is_left_out_does_not_move_the_next_one_into_its_place() {
    let document = npm(&json!({"packageArguments": [
        {"type": "positional", "valueHint": "from"}, {"type": "positional", "valueHint": "to"},
    ]}));
    assert!(
        refused(&draft(&document, &given(&[("to", "b")])))[0].contains("to would stand in the place of from")
    );
    assert_eq!(argv(&draft(&document, &given(&[("from", "a")])))[3..], ["a"]);
}

#[test]
fn one_name_for_two_things_is_two_questions() {
    let document = npm(&json!({"environmentVariables": [
        {"name": "A", "value": "{id}", "variables": {"id": {"default": "1"}}},
        {"name": "B", "value": "{id}", "variables": {"id": {"default": "2"}}},
        {"name": "C", "value": "{id}", "variables": {"id": {"default": "1"}}},
    ]}));
    let whole = draft(&document, &given(&[("id", "x")]));
    let values: Vec<String> = environment(&whole).into_values().collect();
    assert_eq!(values, ["x", "2", "x"]);
    let keys: Vec<&str> = whole.needed.iter().map(|needed| needed.key.as_str()).collect();
    assert_eq!(keys, ["id", "id#2"]);
}
