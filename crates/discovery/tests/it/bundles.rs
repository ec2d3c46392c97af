//! Bundles: what is unpacked of them, and what would be started.

use discovery::launch::{Answers, Command, Draft, Rules};
use discovery::mcpb::{Bounds, Folders, Head, HeadKind, plan, read, unpack};
use serde_json::{Value, json};

use crate::{bytes, lines, schema, with};

fn file(name: &str) -> Head {
    let name = name.as_bytes().to_vec();
    Head { name, kind: HeadKind::File, size: 100, packed: 50, mode: Some(0o644), encrypted: false }
}

fn judged(heads: &[Head]) -> Result<Vec<String>, Vec<String>> {
    let mut all = vec![file("manifest.json")];
    all.extend_from_slice(heads);
    let files = unpack(&all, &Bounds::default()).map_err(|faults| lines(&faults))?;
    Ok(files.into_iter().skip(1).map(|file| file.path).collect())
}

#[test]
fn plain_files_are_unpacked_where_they_say() {
    let folder = Head { kind: HeadKind::Folder, size: 0, ..file("server/") };
    let program = Head { mode: Some(0o755), ..file("server/bin/run") };
    let files =
        unpack(&[file("manifest.json"), folder, program, file("server/a b (1).js")], &Bounds::default());
    let files = files.expect("plain files");
    let told: Vec<(&str, bool)> = files.iter().map(|file| (file.path.as_str(), file.executable)).collect();
    assert_eq!(told, [("manifest.json", false), ("server/bin/run", true), ("server/a b (1).js", false)]);
    assert_eq!(files[1].number, 2);
}

#[test]
fn names_that_lead_out_of_the_folder_or_mean_something_else_are_refused() {
    for name in [
        "../x",
        "a/../x",
        "a/..",
        "..",
        ".",
        "./x",
        "a/./b",
        "/etc/passwd",
        "//x",
        "a//b",
        "",
        "a\\..\\x",
        "..\\x",
        "C:x",
        "C:/x",
        "a\0b",
        "a\nb",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{7f}b",
        "a.",
        "a ",
        " a",
        "a./b",
        "con",
        "NUL.txt",
        "x/COM1",
        "a*",
        "a?",
        "a|b",
        "a/",
        "\u{1b}[2J",
    ] {
        assert!(judged(&[file(name)]).is_err(), "{name:?}");
    }
    assert!(judged(&[Head { name: vec![0xff, 0xfe], ..file("x") }]).is_err(), "no UTF-8");
    assert!(judged(&[file(&"a/".repeat(50))]).is_err());
    assert!(judged(&[file(&"a".repeat(300))]).is_err());
    assert!(judged(&[file(&"abc/".repeat(300))]).is_err());
}

#[test]
fn only_files_and_folders_are_unpacked() {
    for (name, head) in [
        ("a link", Head { kind: HeadKind::Link, ..file("a") }),
        ("a device", Head { kind: HeadKind::Other, ..file("a") }),
        ("encrypted", Head { encrypted: true, ..file("a") }),
        ("setuid", Head { mode: Some(0o4755), ..file("a") }),
        ("a folder with bytes", Head { kind: HeadKind::Folder, ..file("a/") }),
    ] {
        assert!(judged(&[head]).is_err(), "{name}");
    }
}

#[test]
fn two_entries_for_one_place_are_refused_on_every_file_system() {
    for (a, b) in [
        ("a", "a"),
        ("a", "A"),
        ("server/Index.js", "SERVER/index.js"),
        ("\u{e9}", "e\u{301}"),
        ("stra\u{df}e", "STRA\u{df}E"),
        ("\u{fb01}le", "file"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("A/b", "a"),
        ("Manifest.json", "x"),
    ] {
        let result = judged(&[file(a), file(b)]);
        assert!(result.is_err(), "{a:?} {b:?}: {result:?}");
    }
    assert!(judged(&[file("a/b"), file("a/c"), file("ab")]).is_ok());
}

#[test]
fn bombs_are_refused_by_what_they_say_and_bounded_by_it() {
    let bounds = Bounds { entries_max: 4, file_bytes_max: 10 << 20, bytes_max: 15 << 20, ratio_max: 100 };
    let manifest = file("manifest.json");
    let large = |name: &str, size: u64, packed: u64| Head { size, packed, ..file(name) };
    for (name, heads) in [
        ("one file", vec![manifest.clone(), large("a", 11 << 20, 11 << 20)]),
        ("all files", vec![manifest.clone(), large("a", 9 << 20, 9 << 20), large("b", 9 << 20, 9 << 20)]),
        ("too good to be true", vec![manifest.clone(), large("a", 9 << 20, 1_000)]),
        (
            "sizes that run over",
            vec![manifest.clone(), large("a", u64::MAX, u64::MAX), large("b", u64::MAX, u64::MAX)],
        ),
        ("too many", vec![manifest.clone(); 5]),
        ("no manifest", vec![file("a")]),
        ("a manifest somewhere else", vec![file("x/manifest.json")]),
        ("nothing", vec![]),
    ] {
        assert!(unpack(&heads, &bounds).is_err(), "{name}");
    }
    assert!(unpack(&[manifest, large("a", 1 << 20, 1_000)], &bounds).is_ok(), "zeros are packed well");
    let many: Vec<Head> = (0..1_000).map(|n| file(&format!("../{n}"))).collect();
    assert!(unpack(&many, &Bounds::default()).expect_err("refused").len() <= discovery::FAULTS_MAX + 2);
}

fn manifest() -> Value {
    json!({
        "manifest_version": "0.3", "name": "crm", "display_name": "CRM", "version": "1.0.0",
        "description": "Records",
        "author": {"name": "Acme"},
        "server": {"type": "node", "entry_point": "server/index.js", "mcp_config": {
            "command": "node",
            "args": ["${__dirname}/server/index.js", "--level", "${user_config.level}",
                     "${user_config.folders}"],
            "env": {"API_KEY": "${user_config.api_key}", "MODE": "x${/}y", "NODE_PATH": "${__dirname}/lib"},
            "platform_overrides": {"win32": {"command": "node.exe"}},
        }},
        "tools": [{"name": "search", "description": "d"}],
        "compatibility": {"platforms": ["linux", "darwin"]},
        "user_config": {
            "api_key": {"type": "string", "title": "Key", "description": "d", "sensitive": true,
                        "required": true},
            "folders": {"type": "directory", "title": "Folders", "description": "d", "multiple": true,
                        "default": ["${HOME}/Desktop"]},
            "level": {"type": "number", "title": "Level", "description": "d", "default": 3,
                      "min": 1, "max": 5},
        },
    })
}

fn planned(document: &Value, answers: &Answers) -> Draft<Command> {
    let manifest = read(&bytes(document)).unwrap_or_else(|faults| panic!("{:?}", lines(&faults))).value;
    let folders = Folders { bundle: "/var/b/1".into(), ..Folders::default() };
    plan(&manifest, "linux", &folders, answers, &Rules::default())
}

fn answers(values: &[(&str, &str)]) -> Answers {
    let mut answers = Answers::default();
    answers.secrets.insert("api_key".to_owned());
    for (key, value) in values {
        answers.values.entry((*key).to_owned()).or_default().push((*value).to_owned());
    }
    answers
}

fn line(draft: &Draft<Command>) -> Vec<String> {
    let plan = draft.plan.as_ref().unwrap_or_else(|| panic!("{:?}", lines(&draft.faults)));
    plan.argv.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bundle_becomes_a_command_with_its_settings() {
    assert_eq!(schema::manifest(&manifest()), Vec::<String>::new(), "the test's own manifest is one");
    let draft = planned(&manifest(), &answers(&[("folders", "/a b"), ("folders", "/c")]));
    assert_eq!(line(&draft), ["node", "/var/b/1/server/index.js", "--level", "3", "/a b", "/c"]);
    let plan = draft.plan.as_ref().expect("a plan");
    let environment: Vec<String> =
        plan.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(environment, ["API_KEY=[secret api_key]", "MODE=x/y", "NODE_PATH=/var/b/1/lib"]);
    assert_eq!(line(&planned(&manifest(), &answers(&[]))).len(), 4, "a folder of nobody is no default");
    let missing = planned(&manifest(), &Answers::default());
    assert_eq!((missing.plan.is_none(), missing.needed.len()), (true, 3));
}

#[test]
fn folders_of_a_person_are_there_only_where_the_operator_gives_them() {
    let mut document = manifest();
    document["user_config"]["folders"]["default"] = json!(["${HOME}/Desktop", "/srv", "${DOCUMENTS}"]);
    let manifest = read(&bytes(&document)).expect("a manifest").value;
    let planned = |others: &[(&str, &str)]| {
        let others = others.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        let folders = Folders { bundle: "/var/b/1".into(), others };
        line(&plan(&manifest, "linux", &folders, &answers(&[]), &Rules::default()))[4..].to_vec()
    };
    assert_eq!(planned(&[]), ["/srv"]);
    assert_eq!(planned(&[("HOME", "/home/ann")]), ["/home/ann/Desktop", "/srv"]);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    for (key, value) in [
        ("level", "9"),
        ("level", "0"),
        ("level", "x"),
        ("folders", "--eval"),
        ("folders", "a\nb"),
        ("other", "x"),
    ] {
        assert_eq!(planned(&manifest(), &answers(&[(key, value)])).plan, None, "{key} {value}");
    }
    let mut written = answers(&[("api_key", "hunter2")]);
    written.secrets.clear();
    let draft = planned(&manifest(), &written);
    assert!(draft.plan.is_none() && !format!("{draft:?}").contains("hunter2"));
}

#[test]
fn nothing_is_started_but_the_bundle() {
    let config = "/server/mcp_config";
    for (pointer, value) in [
        ("/command", json!("bash")),
        ("/command", json!("/bin/sh")),
        ("/command", json!("sh -c id")),
        ("/command", json!("../node")),
        ("/command", json!("${__dirname}/../node")),
        ("/command", json!("npx")),
        ("/args", json!(["-e", "process.exit()"])),
        ("/args", json!(["--eval=1"])),
        ("/args", json!(["/etc/passwd"])),
        ("/args", json!(["${__dirname}/../x.js"])),
        ("/args", json!(["../x.js"])),
        ("/args", json!([])),
        ("/args", json!(["${HOME}/x.js"])),
        ("/args", json!(["server/x.js", "${unknown}"])),
        ("/args", json!(["server/x.js", "${user_config.nothing}"])),
        ("/env", json!({"LD_PRELOAD": "x"})),
        ("/env", json!({"PATH": "x"})),
        ("/env", json!({"NODE_PATH": "/tmp"})),
        ("/env", json!({"NODE_PATH": "${__dirname}/lib:/tmp"})),
        ("/env", json!({"NODE_OPTIONS": "--require x"})),
    ] {
        let mut document = with(&manifest(), &format!("{config}{pointer}"), value.clone());
        document["user_config"] = json!({});
        if pointer == "/command" {
            document["server"]["mcp_config"]["args"] = json!(["server/index.js"]);
        }
        if pointer != "/env" {
            document["server"]["mcp_config"]["env"] = json!({});
        } else {
            document["server"]["mcp_config"]["args"] = json!(["server/index.js"]);
        }
        let draft = planned(&document, &Answers::default());
        assert_eq!(draft.plan, None, "{pointer} {value}");
        assert!(draft.faults.iter().all(|fault| fault.by == discovery::By::Publisher), "{:?}", draft.faults);
    }
    let elsewhere = with(&manifest(), "/compatibility/platforms", json!(["win32"]));
    assert_eq!(planned(&elsewhere, &answers(&[])).plan, None);
}

#[test]
fn programs_python_and_uv_are_started_in_their_ways() {
    let base = |kind: &str, config: Value| {
        json!({"manifest_version": "0.4", "name": "a", "version": "1", "description": "d",
               "author": {"name": "A"},
               "server": {"type": kind, "entry_point": "src/server.py", "mcp_config": config}})
    };
    for (kind, config, expected) in [
        ("binary", json!({"command": "server/run", "args": ["--x"]}), "/var/b/1/server/run --x"),
        ("binary", json!({"command": "${__dirname}/run"}), "/var/b/1/run"),
        ("python", json!({"command": "python3", "args": ["src/server.py"]}), "python3 src/server.py"),
        ("python", json!({"command": "python", "args": ["-m", "acme.server"]}), "python -m acme.server"),
        (
            "python",
            json!({"command": "server/venv/bin/python", "args": ["-c", "x"]}),
            "/var/b/1/server/venv/bin/python -c x",
        ),
    ] {
        assert_eq!(line(&planned(&base(kind, config), &Answers::default())).join(" "), expected);
    }
    assert_eq!(
        planned(&base("python", json!({"command": "python", "args": ["-c", "x"]})), &Answers::default()).plan,
        None
    );
    let mut uv = base("uv", json!({}));
    uv["server"].as_object_mut().expect("object").remove("mcp_config");
    let uv = planned(&uv, &Answers::default());
    assert_eq!(line(&uv).join(" "), "uv run --directory /var/b/1 src/server.py");
    assert_eq!(uv.risks.len(), 1);
}

#[test]
fn manifests_that_are_wrong_are_refused_with_their_place() {
    for (pointer, value, place) in [
        ("/manifest_version", Value::Null, "document: \"manifest_version\" is missing"),
        ("/manifest_version", json!("9.9"), "/manifest_version: \"9.9\" is not read"),
        ("/name", Value::Null, "document: \"name\" is missing"),
        ("/author", json!({}), "/author: \"name\" is missing"),
        ("/server/type", json!("shell"), "/server/type: \"shell\" is none of"),
        ("/server/entry_point", json!("../x"), "/server/entry_point: no file of the bundle"),
        ("/server/entry_point", json!("/x"), "/server/entry_point: no file of the bundle"),
        ("/server/mcp_config", Value::Null, "/server: \"mcp_config\" is missing"),
        ("/server/mcp_config/command", Value::Null, "/server/mcp_config: \"command\" is missing"),
        ("/server/mcp_config/args", json!("x"), "/server/mcp_config/args: has to be a list"),
        ("/server/mcp_config/env/A", json!(1), "/server/mcp_config/env/A: has to be a text"),
        ("/user_config/level/type", json!("color"), "/user_config/level/type: \"color\" is none of"),
        ("/user_config/level/min", json!("x"), "/user_config/level/min: has to be a number"),
        ("/user_config/level/default", json!({}), "/user_config/level/default: has to be a text"),
    ] {
        let faults = lines(&read(&bytes(&with(&manifest(), pointer, value))).expect_err(pointer));
        assert!(faults.iter().any(|line| line.starts_with(place)), "{pointer}: {faults:?}");
    }
    let mut old = manifest();
    old.as_object_mut().expect("object").remove("manifest_version");
    old["dxt_version"] = json!("0.1");
    assert!(read(&bytes(&old)).is_ok(), "as it was called first");
}
