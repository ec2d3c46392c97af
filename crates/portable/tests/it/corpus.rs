//! Files as people have them, and what is made of each: `tests/corpus/expected.txt`, for a person to read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use portable::{
    Deployment, Format, Imported, Likeness, Origin, Report, Server, Target, Text, Tidegate, inline,
    move_inline,
};

use crate::matrix::formats;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// All files, with the format in whose folder they are.
fn files() -> Vec<(&'static dyn Format, String, String)> {
    let mut all = Vec::new();
    for format in formats() {
        let entries = std::fs::read_dir(folder().join(format.name())).expect("files of every format");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        for name in names {
            let text = std::fs::read_to_string(folder().join(format.name()).join(&name)).expect("text");
            all.push((format, name, text));
        }
    }
    all
}

fn words(text: &Text) -> String {
    let shown = format!("{:?}", text.pieces());
    shown.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn one(name: &str, server: &Server) -> String {
    let mut line = format!("  {name:?} {:?}", server.transport);
    let mut put = |what: &str, value: String| {
        if !value.is_empty() {
            let _ = write!(line, " {what}={value}");
        }
    };
    let list = |texts: &[Text]| texts.iter().map(words).collect::<Vec<_>>().join(" ");
    let map = |values: &indexmap::IndexMap<String, Text>| {
        let each = values.iter().map(|(name, value)| format!("{name}:{}", words(value)));
        each.collect::<Vec<_>>().join(",")
    };
    put("argv", list(&server.argv));
    if let Some(container) = &server.container {
        put("image", container.image.clone());
        put("args", list(&container.args));
    }
    put("url", server.url.as_ref().map(words).unwrap_or_default());
    put("cwd", server.cwd.as_ref().map(words).unwrap_or_default());
    put("env", map(&server.env));
    put("env_file", server.env_file.as_ref().map(words).unwrap_or_default());
    put("headers", map(&server.headers));
    put("headers_command", server.headers_command.clone().unwrap_or_default());
    put("oauth", server.oauth.as_ref().map(|oauth| oauth.scopes.join(" ") + ".").unwrap_or_default());
    put("off", if server.enabled { String::new() } else { "yes".to_owned() });
    put("allow", server.tools.allow.as_ref().map(|tools| format!("{tools:?}")).unwrap_or_default());
    put("deny", server.tools.deny.join(" "));
    put("trust", if server.trust.all { "all".to_owned() } else { server.trust.tools.join(" ") });
    let times = server.timeouts;
    put(
        "ms",
        [times.start_ms, times.call_ms, times.read_ms]
            .into_iter()
            .flatten()
            .map(|ms| ms.to_string())
            .collect::<Vec<_>>()
            .join(" "),
    );
    put("title", server.title.clone().unwrap_or_default());
    put("about", server.description.clone().unwrap_or_default());
    put("unknown", server.unknown.keys().cloned().collect::<Vec<_>>().join(" "));
    line
}

fn told(out: &mut String, report: &Report) {
    for loss in report.changed() {
        let guards = if loss.guards { "GUARDS " } else { "" };
        let _ = writeln!(out, "  {guards}{} {}: {}", loss.fate, loss.path, loss.meaning);
    }
}

/// What is made of a file: what it says, what is refused, and what becomes of it in the gateway.
fn outcome(format: &dyn Format, name: &str, text: &str) -> String {
    let mut out = format!("{}/{name}\n", format.name());
    let read = match format.import(text, &Origin { file: name, ..Origin::default() }) {
        Ok(read) => read,
        Err(fault) => return out + &format!("  unusable: {fault}\n"),
    };
    let Imported { mut deployment, report, refused } = read;
    for (name, server) in &deployment.servers {
        let _ = writeln!(out, "{}", one(name, server));
    }
    for (id, input) in &deployment.inputs {
        let secret = if input.secret { "secret" } else { "open" };
        let _ = writeln!(out, "  asked for {id}: {secret} {:?}", input.options);
    }
    for (name, endpoint) in &deployment.gateway.endpoints {
        let _ = writeln!(out, "  endpoint {name}: {:?} deny={:?}", endpoint.servers, endpoint.tools.deny);
    }
    if !deployment.unknown.is_empty() {
        let _ = writeln!(out, "  unknown at the top: {:?}", deployment.unknown.keys().collect::<Vec<_>>());
    }
    told(&mut out, &report);
    for one in refused {
        let _ = writeln!(out, "  refused {:?}: {}", one.name, one.fault);
    }
    for found in inline(&deployment) {
        let movable = if found.movable { "can be moved" } else { "cannot be moved" };
        let _ = writeln!(out, "  secret at {}, {movable}", found.path);
    }
    let _ = move_inline(&mut deployment, &mut |_| Some("/secrets/x".to_owned()));
    in_the_gateway(&mut out, &deployment);
    out
}

/// What is another in the gateway's own configuration.
fn in_the_gateway(out: &mut String, deployment: &Deployment) {
    match Tidegate.export(deployment, &Target::default()) {
        Err(fault) => {
            let _ = writeln!(out, "  not written: {fault}");
        }
        Ok(written) => {
            let config = config::load_str(&written.text, "f").expect("a configuration");
            let _ = writeln!(
                out,
                "  in the gateway: {}",
                config.upstreams.keys().cloned().collect::<Vec<_>>().join(" ")
            );
            let mut changed = String::new();
            told(&mut changed, &written.report);
            out.push_str(&changed.replace("\n  ", "\n    ").replacen("  ", "    ", 1));
        }
    }
}

#[test]
fn what_is_made_of_every_file_is_what_was_read_over() {
    let files = files();
    assert!(files.len() >= 150, "there are {} files", files.len());
    let page: String = files.iter().map(|(format, name, text)| outcome(*format, name, text)).collect();
    let path = folder().join("expected.txt");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (found, expected) in page.lines().zip(kept.lines()) {
        assert_eq!(found, expected, "tests/corpus/expected.txt is old: read the difference over");
    }
    assert_eq!(page.len(), kept.len(), "tests/corpus/expected.txt is old: read the difference over");
}

#[test]
fn no_secret_of_a_file_is_in_what_is_said_of_it() {
    for (format, name, text) in files() {
        let said = outcome(format, &name, &text);
        let shown = said.lines().filter(|line| !line.starts_with("  \""));
        for line in shown {
            assert!(!line.contains("not-a-real"), "{}/{name}: {line}", format.name());
        }
    }
}

#[test]
fn no_secret_that_can_be_moved_is_in_what_the_gateway_gets() {
    for (format, name, text) in files() {
        let Ok(read) = format.import(&text, &Origin::default()) else { continue };
        let mut deployment = read.deployment;
        move_inline(&mut deployment, &mut |_| Some("/secrets/x".to_owned()));
        let stuck: Vec<String> = inline(&deployment).into_iter().map(|found| found.path).collect();
        deployment
            .servers
            .retain(|name, _| !stuck.iter().any(|path| path.starts_with(&format!("servers.{name}."))));
        let Ok(written) = Tidegate.export(&deployment, &Target::default()) else { continue };
        let leaks = written.text.lines().filter(|line| line.contains("not-a-real"));
        assert_eq!(leaks.count(), 0, "{}/{name}: {}", format.name(), written.text);
    }
}

#[test]
fn every_file_that_can_be_used_is_written_again_as_it_stands() {
    for (format, name, text) in files() {
        let Ok(read) = format.import(&text, &Origin::default()) else { continue };
        if format.name() == "server-json" || !read.refused.is_empty() {
            continue;
        }
        let mut deployment = read.deployment;
        deployment.servers.values_mut().for_each(|server| server.provenance = None);
        let target = Target { file: &name, existing: Some(&text), remove: &[] };
        let Ok(written) = format.export(&deployment, &target) else {
            // The one that is not in lines of its own, and names that cannot be written.
            assert!(name.contains("flow") || name.contains("anchors"), "{}/{name}", format.name());
            continue;
        };
        let again = format.import(&written.text, &Origin::default()).expect("read again").deployment;
        let bare = |deployment: &Deployment| {
            let bare = deployment
                .servers
                .iter()
                .map(|(name, server)| (name.clone(), Server { provenance: None, ..server.clone() }));
            bare.collect::<Vec<_>>()
        };
        for one in bare(&deployment) {
            assert!(
                bare(&again).contains(&one) || written.report.changed().next().is_some(),
                "{}/{name}: {one:?}",
                format.name()
            );
        }
    }
}

#[test]
fn a_file_is_known_by_its_name_and_by_what_is_in_it() {
    for (format, name, text) in files().into_iter().filter(|(_, name, _)| name.starts_with("01")) {
        let file = format.known().first().and_then(|known| known.path.rsplit('/').next()).unwrap_or(&name);
        let own = format.detect(file, &text);
        assert!(own >= Likeness::Maybe, "{}", format.name());
        if !format.known().is_empty() {
            assert_eq!(own, Likeness::Surely, "{}", format.name());
        }
        assert_eq!(format.detect("x.txt", "\u{0}\u{1}"), Likeness::No, "{}", format.name());
    }
}

/// The big one, and texts that are meant to break a reader.
#[test]
fn a_text_that_is_too_much_is_refused_and_one_that_is_large_is_read() {
    let large: String =
        (0..900).map(|n| format!("\"s{n}\": {{\"command\": \"{}\"}},\n", "x".repeat(10_000))).collect();
    let large = format!("{{\"mcpServers\": {{{large}}}}}");
    assert!(large.len() > 8 * 1024 * 1024);
    let cursor = formats().into_iter().find(|format| format.name() == "cursor").expect("a format");
    assert_eq!(cursor.import(&large, &Origin::default()).expect("read").deployment.servers.len(), 900);
    let many: String = (0..1001).map(|n| format!("\"s{n}\": {{\"command\": \"x\"}},")).collect();
    let deep = "[".repeat(200_000);
    let huge = format!("{{\"mcpServers\": {{}}, \"x\": \"{}\"}}", "x".repeat(17 * 1024 * 1024));
    let laughs = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nextensions: {a: *e}\n";
    let deeper = format!("a = {}{}", "[".repeat(5_000), "]".repeat(5_000));
    for format in formats() {
        for text in [&*many, &deep, &huge, laughs, &deeper] {
            let read = format.import(text, &Origin { file: "f", ..Origin::default() });
            let is_ours = text == many && format.name() != "codex";
            assert!(
                read.is_err() || !is_ours || read.is_ok_and(|read| read.deployment.servers.len() <= 1000)
            );
            let _ = format.detect("mcp.json", text);
        }
        assert!(format.import(&huge, &Origin::default()).is_err(), "{}", format.name());
        assert!(format.import(&deep, &Origin::default()).is_err(), "{}", format.name());
    }
    let fault =
        cursor.import(&format!("{{\"mcpServers\": {{{many}}}}}"), &Origin::default()).expect_err("too many");
    assert!(fault.message.contains("1000"), "{fault}");
}
