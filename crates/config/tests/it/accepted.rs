//! Files that can be used.

use std::path::Path;

use tidegate_config::{
    Config, Glob, HostWhen, KeyPlace, LogFormat, LogLevel, RetryOn, RetryRule, Revision, Sandbox, Secret,
    Size, Span, Tasks, Timeouts, Transport, UpstreamTasks, load_slice, load_str,
};

fn load(text: &str) -> Config {
    load_str(text, "tidegate.yaml").unwrap_or_else(|faults| panic!("{faults}"))
}

/// Every key that there is, in no default.
pub(crate) const FULL: &str = include_str!("full.yaml");

#[test]
fn an_empty_file_is_all_defaults() {
    for text in ["", "\n", "# nothing yet\n", "---\n", "{}", "\u{feff}", "upstreams:\nendpoints:\nlimits:\n"]
    {
        assert_eq!(load(text), Config::default(), "{text:?}");
    }
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
    assert_eq!((config.tls.is_none(), config.hosts.is_none(), config.origins.is_none()), (true, true, true));
    assert_eq!((config.names.separator.as_str(), config.names.max), ("_", 64));
    assert_eq!(config.limits.request_bytes_max, Size::from_mib(4));
    assert_eq!(config.limits.response_buffer_bytes_max, Size::from_mib(1));
    assert_eq!((config.limits.page_size, config.limits.batch_max), (1000, 64));
    assert_eq!(config.telemetry.service_name, "tidegate");
    assert_eq!((config.telemetry.log_format, config.telemetry.log_level), (LogFormat::Auto, LogLevel::Info));
    let config = load("upstreams: {crm: {url: 'http://127.0.0.1:9100/mcp'}}");
    let crm = &config.upstreams["crm"];
    assert!(crm.enabled && crm.forward_headers.is_empty() && crm.headers.is_empty() && crm.env.is_empty());
    assert_eq!((crm.transport, crm.revision, crm.concurrency_max), (Transport::Auto, None, 64));
    let seconds = |secs| Span::from_secs(secs);
    let Timeouts { connect, first_byte, idle, total } = crm.timeouts;
    assert_eq!([connect, first_byte, idle, total], [seconds(5), seconds(60), seconds(120), seconds(600)]);
    assert_eq!((crm.stdio.processes_max, crm.stdio.idle_stop), (4, Span::from_mins(10)));
}

#[test]
fn the_defaults_of_tasks_are_those_that_are_promised() {
    let Tasks {
        host,
        ttl,
        result_retention,
        retention_max,
        tombstone,
        tasks_per_tenant_max,
        bytes_per_tenant_max,
        result_bytes_max,
        running_max,
        lease,
        poll_interval,
        poll_interval_max,
        sep_3182,
    } = load("tasks:\n").tasks;
    assert!(!sep_3182, "a draft is asked for by name");
    assert_eq!((host.len(), ttl, result_retention), (0, Span::from_hours(1), Span::from_hours(1)));
    assert_eq!((retention_max, tombstone), (Span::from_hours(24), Span::from_hours(24)));
    assert_eq!((tasks_per_tenant_max, running_max), (10_000, 1024));
    assert_eq!((bytes_per_tenant_max, result_bytes_max), (Size::from_mib(256), Size::from_mib(16)));
    let seconds = |secs| Span::from_secs(secs);
    assert_eq!([lease, poll_interval, poll_interval_max], [seconds(10), seconds(1), seconds(30)]);
    let config =
        load("upstreams: {a: {url: 'http://a', retries: [{max_attempts: 3}]}, b: {url: 'http://b'}}");
    assert_eq!(config.upstreams["b"].tasks, UpstreamTasks::Pass);
    assert_eq!(config.upstreams["b"].retry("x"), None, "nothing is tried again");
    let RetryRule { tools, max_attempts, backoff, backoff_max, retry_on, deadline, idempotency_key } =
        config.upstreams["a"].retry("x").expect("a rule for all");
    assert_eq!((tools.as_str(), *max_attempts), ("*", 3));
    assert_eq!((*backoff, *backoff_max), (Span::from_millis(500), seconds(30)));
    let statuses = [429, 502, 503, 504].map(RetryOn::Status);
    let all: Vec<_> = [RetryOn::Connect, RetryOn::Timeout].into_iter().chain(statuses).collect();
    assert_eq!((retry_on, *deadline, idempotency_key), (&all, None, &None));
}

#[test]
fn rules_hold_in_their_order_and_an_endpoint_has_its_own() {
    let config = load(
        r#"
tasks:
  host:
    - {tools: "report_*", when: always}
    - {tools: "*_now", when: never}
    - {tools: "ask_*", when: after_questions, required: true}
    - {when: {when_slow: 2s}}
upstreams: {crm: {url: 'http://a'}}
endpoints:
  general: {upstreams: [crm]}
  own: {upstreams: [crm], tasks: [{tools: "crm_*", when: for_upstreams_that_need_it}, {when: always}]}
  none: {upstreams: [crm], tasks: []}
"#,
    );
    let host = |endpoint: &str, tool| config.tasks.host(config.endpoints[endpoint].tasks.as_deref(), tool);
    assert_eq!(host("general", "report_now"), HostWhen::Always);
    assert_eq!(host("general", "crm_now"), HostWhen::Never);
    assert_eq!(host("general", "ask_me"), HostWhen::AfterQuestions);
    assert!(config.tasks.host_rule(None, "ask_me").is_some_and(|rule| rule.required));
    assert_eq!(host("general", "crm_get"), HostWhen::WhenSlow(Span::from_secs(2)));
    assert_eq!(host("own", "crm_now"), HostWhen::ForUpstreamsThatNeedIt);
    assert_eq!(host("own", "other"), HostWhen::Always);
    assert_eq!(host("none", "report_now"), HostWhen::ForUpstreamsThatNeedIt);
}

#[test]
fn failures_can_be_written_as_words_numbers_and_texts() {
    let config = load(
        r#"
upstreams:
  a:
    url: http://a
    tasks: adopt
    retries:
      - tools: "get_*"
        max_attempts: 1
        retry_on: []
        idempotency_key: {header: Idempotency-Key}
      - tools: "put_*"
        max_attempts: 100
        retry_on: [connect, "timeout", 429, "502", -32603, "-32000", {is_error: "[busy] *\n? {!}"}]
        idempotency_key: {argument: request_id}
      - {max_attempts: 2, idempotency_key: {meta: a/b.c-d_e}}
"#,
    );
    let a = &config.upstreams["a"];
    assert_eq!(a.tasks, UpstreamTasks::Adopt);
    let [get, put, rest] = a.retries.as_slice() else { panic!("three rules: {a:?}") };
    assert_eq!(a.retry("get_x"), Some(get));
    assert!(get.retry_on.is_empty(), "an empty list is not the default");
    assert_eq!(get.idempotency_key, Some(KeyPlace::Header("Idempotency-Key".to_owned())));
    let text = Glob::of_text("[busy] *\n? {!}").expect("a pattern");
    let (statuses, codes) = ([429, 502].map(RetryOn::Status), [-32603, -32000].map(RetryOn::Code));
    let mut all = vec![RetryOn::Connect, RetryOn::Timeout];
    all.extend(statuses.into_iter().chain(codes));
    all.push(RetryOn::IsError(text));
    assert_eq!((put.max_attempts, &put.retry_on), (100, &all));
    assert!(put.is_on_text("[busy] come back\n1 {!}") && !put.is_on_text("[busy]"));
    assert_eq!(put.idempotency_key, Some(KeyPlace::Argument("request_id".to_owned())));
    assert_eq!(rest.idempotency_key, Some(KeyPlace::Meta("a/b.c-d_e".to_owned())));
    let written = serde_json::to_string(&config).expect("JSON");
    assert_eq!(load(&written), config, "all of it is written as it is read");
}

#[test]
fn defaults_pass_the_rules_and_are_written_as_they_are_read() {
    let text = serde_json::to_string(&Config::default()).expect("a configuration is JSON");
    assert_eq!(load(&text), Config::default());
}

#[test]
fn the_example_of_the_readme_is_read() {
    let config = load(
        r#"
listen: 127.0.0.1:7400
upstreams:
  crm:
    url: http://127.0.0.1:9100/mcp
    revision: 2025-11-25          # optional: pin instead of detect
  files:
    command: [npx, -y, "@modelcontextprotocol/server-filesystem", /srv/data]
endpoints:
  support:                        # served at /support/mcp
    upstreams: [crm, files]
    expose: ["crm_*", "files_read_*"]
"#,
    );
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["crm", "files"]);
    assert_eq!(config.upstreams["crm"].revision, Some(Revision::V2025_11_25));
    let argv = config.upstreams["files"].command.as_ref().expect("a command");
    assert_eq!(argv, &["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/data"]);
    let support = &config.endpoints["support"];
    assert!(
        support.offers("crm_lookup") && support.offers("files_read_text") && !support.offers("files_write")
    );
}

#[test]
fn every_key_can_be_set() {
    let config = load(FULL);
    let default = serde_json::to_value(Config::default()).expect("JSON");
    let full = serde_json::to_value(&config).expect("JSON");
    // What another key of the file excludes.
    let besides = load("keys: {env: TIDEGATE_KEYS}");
    let besides = serde_json::to_value(&besides).expect("JSON");
    for path in tidegate_config::key_paths() {
        // `*` is the first name in the file's map, and `[]` the first item of a list.
        let value = |root: &serde_json::Value| {
            path.split('.').try_fold(root.clone(), |at, key| match (key, key.strip_suffix("[]")) {
                ("*", _) => at.as_object().and_then(|map| map.values().next().cloned()),
                (_, Some(list)) => at.get(list)?.get(0).cloned(),
                (key, None) => at.get(key).cloned(),
            })
        };
        let set = value(&full).or_else(|| value(&besides).filter(|_| path == "keys.env")).or_else(|| {
            // What the first one cannot have is in others: a program's keys, other proofs, a fixed tenant.
            let (rest, others) = match path.strip_prefix("auth.issuers.*.") {
                // Each is of one kind.
                None if path.starts_with("rates[].") => {
                    let others = (1..5).map(|n| &full["rates"][n]).collect();
                    (path.strip_prefix("rates[].")?, others)
                }
                None if path.starts_with("checks[].") => {
                    (path.strip_prefix("checks[].")?, (1..3).map(|n| &full["checks"][n]).collect())
                }
                None if path.starts_with("audit.exports.*.") => {
                    let others =
                        ["siem", "syslog", "otel", "lake"].map(|name| &full["audit"]["exports"][name]);
                    (path.strip_prefix("audit.exports.*.")?, others.to_vec())
                }
                Some(rest) => (rest, vec![&full["auth"]["issuers"]["partner"]]),
                None if path.starts_with("auth.broker.clients[].") => {
                    let robot = &full["auth"]["broker"]["clients"][1];
                    (path.strip_prefix("auth.broker.clients[].")?, vec![robot])
                }
                None => {
                    let others = ["files", "geo", "erp", "ads", "bi", "notes", "wiki", "desk", "pets"];
                    let others = others.map(|name| &full["upstreams"][name]);
                    (path.strip_prefix("upstreams.*.")?, others.to_vec())
                }
            };
            let found = |other: &serde_json::Value| {
                rest.split('.').try_fold(other.clone(), |at, key| match key.strip_suffix("[]") {
                    Some(list) => at.get(list)?.get(0).cloned(),
                    None => at.get(key).cloned(),
                })
            };
            others.into_iter().find_map(found)
        });
        assert!(set.is_some(), "{path} is not in full.yaml");
        assert_ne!(set, value(&default), "{path} has its default in full.yaml");
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let config = load(FULL);
    let text = serde_json::to_string(&config).expect("JSON");
    assert_eq!(load(&text), config);
}

#[test]
fn values_can_be_spelt_as_yaml_allows() {
    let config = load(
        "upstreams:\n  a:\n    command: [run, 8080, 0755, 1.10, true, no]\n    \
         env: {PORT: 8080, MODE: 0755, DEBUG: true}\n",
    );
    let a = &config.upstreams["a"];
    assert_eq!(a.command.as_deref().expect("a command"), ["run", "8080", "0755", "1.10", "true", "no"]);
    let env: Vec<_> = [("DEBUG", "true"), ("MODE", "0755"), ("PORT", "8080")]
        .map(|(name, value)| (name.to_owned(), Secret::plain(value)))
        .into();
    assert_eq!(a.env.clone().into_iter().collect::<Vec<_>>(), env);
    let sizes = load("limits: {request_bytes_max: 65536, response_buffer_bytes_max: '65536'}");
    assert_eq!(sizes.limits.request_bytes_max, sizes.limits.response_buffer_bytes_max);
    assert_eq!(sizes.limits.request_bytes_max, Size::from_kib(64));
}

#[test]
fn anchors_and_merges_repeat_a_section() {
    let config = load(
        "upstreams:\n  a: &a {url: 'http://a/mcp', timeouts: {idle: 1s}}\n  \
         b: {<<: *a, url: 'http://b/mcp'}\n",
    );
    assert_eq!(config.upstreams["b"].url.as_deref(), Some("http://b/mcp"));
    assert_eq!(config.upstreams["b"].timeouts.idle, Span::from_secs(1));
}

#[test]
fn anchors_repeat_a_list_of_rules() {
    let config = load(
        "upstreams:\n  a:\n    url: http://a\n    retries: &calm\n      \
         - {tools: 'get_*', max_attempts: 3}\n  \
         b: {url: 'http://b', retries: *calm}\n  \
         c: {url: 'http://c', retries: [{<<: &one {max_attempts: 5, backoff: 1s}, tools: x}, *one]}\n",
    );
    assert_eq!(config.upstreams["b"].retries, config.upstreams["a"].retries);
    let attempts =
        |tool| config.upstreams["c"].retry(tool).map(|rule| (rule.max_attempts, rule.tools.as_str()));
    assert_eq!((attempts("x"), attempts("y")), (Some((5, "x")), Some((5, "*"))));
}

#[test]
fn lines_may_end_as_on_windows() {
    assert_eq!(load(&FULL.replace('\n', "\r\n")), load(FULL));
}

#[test]
fn a_long_run_of_comments_is_no_fault() {
    let text = format!(
        "listen: 127.0.0.1:1\n{}limits:\n{}  page_size: 5\n",
        "# x\n".repeat(500),
        "  # x\n".repeat(500)
    );
    assert_eq!(load(&text).limits.page_size, 5);
}

#[test]
fn a_sandbox_of_which_nothing_is_said_is_one_that_lets_nothing_through() {
    for yaml in ["upstreams: {a: {command: [a], sandbox: {}}}", "upstreams: {a: {command: [a], sandbox: }}"] {
        assert_eq!(load(yaml).upstreams["a"].sandbox, Some(Sandbox::default()), "{yaml}");
    }
}

#[test]
fn an_upstream_that_is_switched_off_is_not_enabled() {
    let config = load("upstreams: {a: {url: 'http://a', enabled: false}, b: {url: 'http://b'}}");
    assert_eq!(config.upstreams_enabled().map(|(name, _)| name).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let mut config = load(
        "tls: {cert: c.pem, key: /k.pem}\nkeys: {file: keys.txt}\nstore: {url: 'sqlite:data/t.db'}\n\
         upstreams:\n  \
         a: {command: [./run], cwd: sub, env: {K: {file: secrets/k}}, sandbox: {read: [r, /s], home: h}}\n  \
         b: {url: 'https://b', tls: {ca: ca.pem}, headers: {x: {file: t}}}\n",
    );
    config.anchor_paths(Path::new("/etc/tidegate"));
    let tls = config.tls.as_ref().expect("it is configured");
    assert_eq!((tls.cert.to_str(), tls.key.to_str()), (Some("/etc/tidegate/c.pem"), Some("/k.pem")));
    assert_eq!(config.keys.file.as_deref(), Some(Path::new("/etc/tidegate/keys.txt")));
    assert_eq!(config.store.url, Some(Secret::plain("sqlite:/etc/tidegate/data/t.db")));
    let a = &config.upstreams["a"];
    assert_eq!(a.cwd.as_deref(), Some(Path::new("/etc/tidegate/sub")));
    assert_eq!(a.env["K"], Secret::file("/etc/tidegate/secrets/k"));
    let sandbox = a.sandbox.as_ref().expect("it is configured");
    assert_eq!(sandbox.read, [Path::new("/etc/tidegate/r"), Path::new("/s")]);
    assert_eq!(sandbox.home.as_deref(), Some(Path::new("/etc/tidegate/h")));
    assert_eq!(a.command.as_deref().expect("a command"), ["./run"]);
    let b = &config.upstreams["b"];
    assert_eq!(b.tls.ca.as_deref(), Some(Path::new("/etc/tidegate/ca.pem")));
    assert_eq!(b.headers["x"], Secret::file("/etc/tidegate/t"));
}

#[test]
fn hosts_and_origins_follow_the_configuration() {
    let config = load("listen: 10.0.0.7:7400\nauth: {allow: []}");
    assert!(config.host_list().allows("10.0.0.7:7400") && config.host_list().allows("localhost"));
    assert!(!config.host_list().allows("gw.example.com"));
    assert!(config.origin_list().allows("http://localhost:5173"));
    let config = load("hosts: [gw.example.com]\norigins: ['https://app.example.com']");
    assert!(config.host_list().allows("gw.example.com") && !config.host_list().allows("localhost"));
    assert!(config.origin_list().allows("https://app.example.com"));
    assert!(!config.origin_list().allows("http://localhost:5173"));
    let config = load("origins: []");
    assert!(!config.origin_list().allows("http://localhost:5173"));
}

#[test]
fn what_a_program_writes_wrongly_serves_nobody() {
    let config = Config { hosts: Some(vec!["http://x".to_owned()]), ..Config::default() };
    assert!(!config.host_list().allows("x") && !config.host_list().allows("localhost"));
    let config = Config { origins: Some(vec!["x".to_owned()]), ..Config::default() };
    assert!(!config.origin_list().allows("http://x") && !config.origin_list().allows("http://localhost"));
}

#[test]
fn secrets_are_not_shown_by_a_configuration() {
    let text = "upstreams:\n  a: {url: 'http://a', headers: {Authorization: Bearer hunter2}}\n  \
                b: {command: [b], env: {KEY: hunter2}}\nstore: {url: 'postgres://u:hunter2@h/d'}\n";
    let config = load(text);
    let shown = format!("{config:?} {config:#?} {}", serde_json::to_string(&config).expect("JSON"));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("[secret]"));
}

#[test]
fn equal_sections_have_equal_fingerprints() {
    let (one, other) = (load(FULL), load(FULL));
    for (name, upstream) in &one.upstreams {
        assert_eq!(upstream, &other.upstreams[name]);
        assert_eq!(upstream.fingerprint(), other.upstreams[name].fingerprint());
    }
}

#[test]
fn bytes_are_read_as_text_is() {
    assert_eq!(load_slice(FULL.as_bytes(), "f"), load_str(FULL, "f"));
}

#[test]
fn patterns_are_ready_to_match() {
    let config = load("upstreams: {a: {url: 'http://a', expose: ['read_*'], hide: [read_secret]}}");
    assert_eq!(config.upstreams["a"].hide, [Glob::new("read_secret").expect("valid")]);
    assert!(config.upstreams["a"].offers("read_file"));
    assert!(!config.upstreams["a"].offers("read_secret") && !config.upstreams["a"].offers("write_file"));
}
