//! What is written is read again as the same.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use portable::{
    Container, Deployment, Effect, Endpoint, Format as _, Gateway, Inline, Issuer, Limit, LimitKind, Oauth,
    Origin, Per, Piece, Rule, Server, Target, Text, Tidegate, Tools, Transport, Unknown, Who, inline, reduce,
};
use proptest::prelude::*;

use crate::format;

/// The formats that are written.
const WRITTEN: [&str; 6] = ["agentgateway", "contextforge", "docker", "litellm", "metamcp", "toolhive"];

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,10}"
}

/// Text with what tempts readers and writers.
fn odd() -> impl Strategy<Value = String> {
    "[ -~é\u{85}\u{2028}]{0,12}"
        .prop_filter("templates of Docker's mean something", |text| !text.contains("{{"))
}

fn value() -> impl Strategy<Value = Text> {
    prop_oneof![
        odd()
            .prop_filter("a place of LiteLLM's", |text| !text.starts_with("os.environ/"))
            .prop_map(Text::plain),
        "[A-Z][A-Z0-9_]{0,8}".prop_map(Text::env),
        "[A-Z]{1,8}".prop_map(|name| Text::plain("Bearer ").with(Piece::Env { name, default: None })),
        "/run/[a-z]{1,8}".prop_map(Text::file),
        ("[A-Z]{1,8}", "[a-z ]{0,5}")
            .prop_map(|(name, default)| Text::default().with(Piece::Env { name, default: Some(default) })),
    ]
}

fn values(names: &'static str) -> impl Strategy<Value = IndexMap<String, Text>> {
    prop::collection::vec((names, value()), 0..3).prop_map(|all| all.into_iter().collect())
}

fn tools() -> impl Strategy<Value = Tools> {
    let names = || prop::collection::vec(word(), 0..3);
    (prop::option::of(names()), names()).prop_map(|(allow, deny)| Tools { allow, deny })
}

fn server() -> impl Strategy<Value = Server> {
    let kind = prop_oneof![Just(0), Just(1), Just(2), Just(3)];
    let argv = prop::collection::vec(odd(), 0..3);
    let parts =
        (values("[A-Z][A-Z0-9_]{0,8}"), values("X-[A-Z][a-z]{0,8}|Authorization"), tools(), any::<bool>());
    let more = (prop::option::of(odd()), prop::option::of(1u64..100_000), prop::option::of(word()));
    (kind, word(), argv, parts, more).prop_map(|(kind, name, argv, (env, headers, tools, enabled), more)| {
        let (description, call_ms, client) = more;
        let mut server = Server { description, tools, enabled, ..Server::default() };
        server.timeouts.call_ms = call_ms;
        let words = |argv: Vec<String>| argv.into_iter().map(Text::plain).collect::<Vec<_>>();
        match kind {
            0 => {
                server.argv = vec![Text::plain(name)];
                server.argv.extend(words(argv));
                server.env = env;
            }
            1 => {
                let image = format!("registry.example.com/{name}:1");
                server.container = Some(Container { image, args: words(argv), ..Container::default() });
                server.env = env;
            }
            kind => {
                server.transport = if kind == 2 { Transport::Sse } else { Transport::StreamableHttp };
                server.url = Some(Text::plain(format!("https://{name}.example.com/mcp")));
                server.headers = headers;
                server.oauth =
                    client.map(|client| Oauth { client_id: Some(Text::plain(client)), ..Oauth::default() });
            }
        }
        server
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let who = prop_oneof![
        Just(Vec::new()),
        word().prop_map(|user| vec![Who::User(user)]),
        word().prop_map(|group| vec![Who::Group(group)]),
    ];
    let effect = prop_oneof![Just(Effect::Allow), Just(Effect::Deny), Just(Effect::Ask)];
    (effect, who, prop::option::of(word())).prop_map(|(effect, who, tool)| Rule {
        who,
        tools: tool.map(|tool| vec![tool]),
        ..Rule::new(effect)
    })
}

fn limit() -> impl Strategy<Value = Limit> {
    let per = prop_oneof![Just(Per::All), Just(Per::Caller), Just(Per::Tenant)];
    let burst = prop::option::of(1u64..1000);
    (per, 1u64..1000, 1u64..100, prop::option::of(word()), burst).prop_map(
        |(per, count, seconds, tool, burst)| Limit {
            name: None,
            per,
            servers: None,
            tools: tool.map(|tool| vec![tool]),
            kind: LimitKind::Requests,
            count,
            window_ms: seconds * 1000,
            burst,
            unknown: Unknown::new(),
        },
    )
}

fn gateway() -> impl Strategy<Value = Gateway> {
    let words = || prop::collection::vec(word(), 0..3);
    let jwks = prop::option::of(word().prop_map(|name| format!("https://{name}.example.com/keys")));
    let issuer = (word(), jwks, words(), words(), any::<bool>()).prop_map(
        |(name, jwks_url, audiences, scopes, optional)| Issuer {
            issuer: format!("https://{name}.example.com"),
            jwks_url,
            // Each once: that is how they are read.
            audiences: audiences.into_iter().collect::<BTreeSet<_>>().into_iter().collect(),
            scopes,
            optional,
            ..Issuer::default()
        },
    );
    let origin = "(https://[a-c][.]example[.]com|http://localhost:[*]|[*])";
    let origins = prop::option::of(prop::collection::btree_set(origin, 0..3));
    let tls = prop::option::of(("/[a-z]{1,5}", "/[a-z]{1,5}"));
    let rules = prop::collection::vec(rule(), 0..4);
    let limits = prop::collection::vec(limit(), 0..3);
    let port = prop::option::of(1u16..u16::MAX);
    let issuers = prop::collection::vec(issuer, 0..3);
    (port, rules, limits, issuers, origins, tls).prop_map(
        |(port, rules, limits, mut issuers, origins, tls)| {
            let mut seen = BTreeSet::new();
            issuers.retain(|issuer| seen.insert(issuer.issuer.clone()));
            Gateway {
                listen: port.map(|port| format!("0.0.0.0:{port}")),
                rules,
                limits,
                issuers,
                origins: origins.map(|all| all.into_iter().collect()),
                tls,
                ..Gateway::default()
            }
        },
    )
}

/// A configuration of ours that says who may call, and how much.
fn own() -> impl Strategy<Value = String> {
    let names = || prop::collection::btree_set("[a-z]{1,6}", 1..3);
    let scopes = || prop::collection::btree_set("[a-z]{1,4}:[a-z]{1,4}", 0..3);
    let audiences = prop::collection::btree_set("api://[a-z]{1,5}", 0..3);
    let rate = (1u64..1000, 1u64..3600, prop::option::of(1u64..300));
    let rates = prop::collection::vec(rate, 0..3);
    let origins = prop::option::of(prop::collection::btree_set("https://[a-c][.]example[.]com", 0..3));
    (names(), scopes(), audiences, any::<bool>(), rates, origins).prop_map(
        |(names, scopes, audiences, optional, rates, origins)| {
            let issuer = |name: &String| {
                let url = format!("https://{name}.example.com");
                (name.clone(), serde_json::json!({"issuer": url, "audiences": audiences}))
            };
            let mut allow: Vec<String> = names.iter().cloned().collect();
            allow.extend(optional.then(|| "anonymous".to_owned()));
            let issuers: serde_json::Map<_, _> = names.iter().map(issuer).collect();
            let rate = |(index, (count, seconds, burst)): (usize, &(u64, u64, Option<u64>))| {
                let pace = format!("{count}/{seconds}s");
                let mut rate = serde_json::json!({"name": format!("r{index}"), "rate": pace});
                if let Some(burst) = burst {
                    rate["burst"] = (*burst).into();
                }
                rate
            };
            let url = "https://mcp.example.com";
            let mut own = serde_json::json!({
                "auth": {"url": url, "allow": allow, "issuers": issuers, "scopes": scopes},
                "rates": rates.iter().enumerate().map(rate).collect::<Vec<_>>(),
                "upstreams": {"a": {"url": "https://a.example.com/mcp"}},
            });
            if let Some(origins) = origins {
                own["origins"] = serde_json::json!(origins);
            }
            own.to_string()
        },
    )
}

/// Virtual servers of some of these servers, with lists of tools of all kinds.
fn endpoints(servers: Vec<String>) -> impl Strategy<Value = IndexMap<String, Endpoint>> {
    let server = prop::sample::select(servers);
    let tool = (prop::option::of(server.clone()), "[a-zA-Z][a-z._/-]{0,6}|[a-z]{1,3}")
        .prop_map(|(server, tool)| server.map_or(tool.clone(), |server| format!("{server}/{tool}")));
    let list = || prop::collection::vec(tool.clone(), 0..4);
    let tools = (prop::option::weighted(0.8, list()), list());
    let one = (prop::collection::vec(server, 0..3), tools, prop::option::of(odd()), any::<bool>());
    let one = one.prop_map(|(servers, (allow, deny), description, enabled)| Endpoint {
        description,
        servers,
        tools: Tools { allow, deny },
        enabled,
        ..Endpoint::default()
    });
    prop::collection::vec((word(), one), 0..3).prop_map(|all| all.into_iter().collect())
}

/// The same with virtual servers.
fn with_endpoints() -> impl Strategy<Value = Deployment> {
    deployment().prop_flat_map(|deployment| {
        let names = deployment.servers.keys().cloned().collect();
        endpoints(names).prop_map(move |endpoints| {
            let mut deployment = deployment.clone();
            deployment.gateway.endpoints = endpoints;
            deployment
        })
    })
}

fn deployment() -> impl Strategy<Value = Deployment> {
    (prop::collection::vec((word(), server()), 1..4), gateway()).prop_map(|(servers, gateway)| Deployment {
        servers: servers.into_iter().collect(),
        gateway,
        ..Deployment::default()
    })
}

/// What a gateway says at another place, or says of itself where nothing is said.
fn comparable(mut deployment: Deployment, name: &str) -> Deployment {
    for server in deployment.servers.values_mut() {
        server.provenance = None;
        if name == "agentgateway" {
            // Which tools are offered becomes rules.
            server.tools = Tools::default();
        }
    }
    if name == "agentgateway" {
        deployment.gateway.listen.get_or_insert_with(|| "0.0.0.0:3000".to_owned());
        deployment.gateway.rules.retain(|rule| rule.when.is_none());
        let optional = deployment.gateway.issuers.iter().all(|issuer| issuer.optional);
        deployment.gateway.issuers.iter_mut().for_each(|issuer| issuer.optional = optional);
    }
    if name == "contextforge" {
        for endpoint in deployment.gateway.endpoints.values_mut() {
            // Names are told in small letters, with `-` for whatever else is in them.
            let mut names: Vec<String> = Vec::new();
            for tool in endpoint.tools.allow.iter().flatten() {
                let (server, tool) = tool.split_once('/').unwrap();
                let lower = tool.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "-");
                let words: Vec<&str> = lower.split('-').filter(|word| !word.is_empty()).collect();
                let name = format!("{server}/{}", words.join("-"));
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            endpoint.tools.allow = Some(names);
        }
    }
    deployment.gateway.limits.sort_by_key(|limit| format!("{limit:?}"));
    // One rule about several things is several rules elsewhere, and the format is whose it was.
    deployment.format = None;
    deployment
}

fn same(deployment: &Deployment, name: &str) -> Result<(), TestCaseError> {
    let format = format(name);
    let (left, _) = reduce(deployment, format);
    let written = format.export(deployment, &Target::default()).unwrap();
    let mut text = written.text.clone();
    for (_, beside) in &written.beside {
        text = format!("{text}---\n{beside}");
    }
    if left.servers.is_empty() {
        return Ok(());
    }
    let again = format.import(&text, &Origin::default());
    let again = again.unwrap_or_else(|fault| panic!("{name}: {fault}\n{text}"));
    prop_assert!(again.refused.is_empty(), "{}: {:?}\n{}", name, again.refused, text);
    prop_assert_eq!(comparable(again.deployment, name), comparable(left, name), "{}\n{}", name, text);
    // The same each time.
    let twice = format.export(deployment, &Target::default()).unwrap();
    prop_assert_eq!(twice.text, written.text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn to_read_what_was_written_gives_what_was_left(deployment in deployment()) {
        for name in WRITTEN {
            same(&deployment, name)?;
        }
    }

    #[test]
    fn virtual_servers_are_read_as_what_was_left_of_them(deployment in with_endpoints()) {
        same(&deployment, "contextforge")?;
    }

    #[test]
    fn a_virtual_server_has_no_tool_that_a_list_keeps_back(deployment in with_endpoints()) {
        let (left, _) = reduce(&deployment, format("contextforge"));
        for (name, endpoint) in &left.gateway.endpoints {
            let meant = &deployment.gateway.endpoints[name];
            prop_assert!(meant.enabled);
            for one in endpoint.tools.allow.as_ref().unwrap() {
                let (server, tool) = one.split_once('/').unwrap();
                let own = &deployment.servers[server].tools;
                let offers = |list: &Tools, is: &dyn Fn(&String) -> bool| {
                    list.allow.as_ref().is_none_or(|allow| allow.iter().any(is)) && !list.deny.iter().any(is)
                };
                // A name with `/` in it is another server's, or all of them have it.
                let is = |listed: &String| listed == one || listed == tool;
                prop_assert!(offers(own, &|listed| listed == tool), "{}: {}", name, one);
                prop_assert!(offers(&meant.tools, &is), "{}: {}", name, one);
                prop_assert!(meant.servers.iter().any(|of| of == server), "{}: {}", name, one);
            }
        }
    }

    #[test]
    fn what_our_own_sections_say_of_callers_comes_back_from_agentgateway(own in own()) {
        let ours = Tidegate.import(&own, &Origin::default()).unwrap_or_else(|fault| panic!("{fault}\n{own}"));
        let format = format("agentgateway");
        let written = format.export(&ours.deployment, &Target::default()).unwrap();
        let again = format.import(&written.text, &Origin::default()).unwrap().deployment.gateway;
        let ours = ours.deployment.gateway;
        prop_assert_eq!(&again.origins, &ours.origins);
        prop_assert_eq!(again.issuers.len(), ours.issuers.len());
        for (again, ours) in again.issuers.iter().zip(&ours.issuers) {
            prop_assert_eq!(&again.issuer, &ours.issuer);
            let mut audiences = ours.audiences.clone();
            audiences.push("https://mcp.example.com/mcp".to_owned());
            prop_assert_eq!(&again.audiences, &audiences);
            prop_assert_eq!(&again.scopes, &ours.scopes);
            prop_assert_eq!(again.optional, ours.optional && ours.scopes.is_empty());
            prop_assert!(again.jwks_url.as_ref() == ours.jwks_url.as_ref() || ours.jwks_url.is_none());
        }
        for one in &ours.limits {
            // The same limit again, or one that is no wider.
            let burst = one.burst.unwrap_or((one.count / 10).max(1));
            let fits = |again: &&Limit| {
                again.count * one.window_ms <= one.count * again.window_ms
                    && again.burst.is_some_and(|size| size + again.count <= burst.max(2))
            };
            prop_assert!(again.limits.iter().any(|again| fits(&again)), "{:?}\n{}", one, written.text);
        }
        // And it is a configuration of ours again.
        let taken = portable::migrate(Deployment { gateway: again, ..Deployment::default() });
        prop_assert!(taken.is_ok(), "{:?}", taken);
    }

    #[test]
    fn nothing_that_is_read_makes_it_panic(text in "[ -~\n\t\r]{0,200}") {
        for format in portable::GATEWAYS {
            let _ = format.detect("config.yaml", &text);
            let _ = format.import(&text, &Origin::default());
        }
    }
}

#[test]
fn a_guard_that_is_not_written_is_told_as_lost() {
    let mut server = Server::at("https://crm.example.com/mcp");
    server.tools.deny = vec!["delete".to_owned()];
    let mut deployment = Deployment::default();
    deployment.servers.insert("crm".to_owned(), server);
    deployment.gateway.rules.push(Rule { who: vec![Who::Key("ops".to_owned())], ..Rule::new(Effect::Deny) });
    for name in ["contextforge", "docker", "toolhive"] {
        let written = format(name).export(&deployment, &Target::default()).unwrap();
        assert!(written.report.guards_lost(), "{name}\n{}", written.report);
    }
    let secrets: Vec<Inline> = inline(&deployment);
    assert_eq!(secrets, []);
}

#[test]
fn what_holds_for_all_endpoints_is_shared_out_among_routes_and_read_once() {
    let own = |burst: u64| {
        format!(
            "auth: {{url: 'https://mcp.example.com', allow: [corp], issuers: {{corp: {{issuer: \
             'https://login.example.com', jwks_url: 'https://login.example.com/keys'}}}}}}\n\
             rates: [{{name: all, rate: 60/1m, burst: {burst}}}]\n\
             upstreams: {{crm: {{url: 'https://crm.example.com/mcp'}}, hr: {{url: \
             'https://hr.example.com/mcp'}}}}\n\
             endpoints: {{a: {{upstreams: [crm]}}, b: {{upstreams: [hr]}}}}\n"
        )
    };
    let format = format("agentgateway");
    let export = |burst| {
        let ours = Tidegate.import(&own(burst), &Origin::default()).unwrap().deployment;
        format.export(&ours, &Target::default()).unwrap()
    };
    let written = export(12);
    assert_eq!(written.text.matches("maxTokens: 3\n").count(), 2, "{}", written.text);
    assert_eq!(written.text.matches("fillInterval: \"6s\"").count(), 2, "{}", written.text);
    let again = format.import(&written.text, &Origin::default()).unwrap().deployment.gateway;
    assert_eq!(again.limits.len(), 1);
    assert_eq!(again.issuers.len(), 1);
    assert_eq!(again.issuers[0].audiences, ["https://mcp.example.com/mcp"]);
    // Two at once are one for each of two, and one is no bucket that can be held to.
    let few = export(2);
    assert!(few.report.guards_lost() && !few.text.contains("localRateLimit"), "{}\n{}", few.report, few.text);
}

#[test]
fn callers_other_than_those_of_issuers_are_lost_where_nothing_else_is_asked_for() {
    let base = "upstreams: {crm: {url: 'https://crm.example.com/mcp'}}\n";
    for (auth, path) in [
        ("{allow: []}", "gateway.auth.allow"),
        ("{allow: [keys]}", "gateway.auth.allow"),
        ("{allow: [anonymous], endpoints: {crm: {allow: []}}}", "gateway.auth.endpoints"),
        ("{scopes: ['a:b'], allow: [keys]}", "gateway.auth.scopes"),
        ("{dpop: {required: true}, allow: [anonymous]}", "gateway.auth.dpop"),
    ] {
        let own = format!("{base}listen: 0.0.0.0:7400\nauth: {auth}\n");
        let ours = Tidegate.import(&own, &Origin::default()).unwrap_or_else(|fault| panic!("{fault}\n{own}"));
        for name in WRITTEN {
            let report = format(name).export(&ours.deployment, &Target::default()).unwrap().report;
            let lost = |loss: &&portable::Loss| loss.guards && loss.fate == portable::Fate::Dropped;
            assert!(report.changed().filter(lost).any(|loss| loss.path == path), "{name} {auth}: {report}");
        }
        // And nothing is on the way back to ourselves.
        let back = Tidegate.export(&ours.deployment, &Target::default()).unwrap();
        assert!(!back.report.guards_lost(), "{}", back.report);
        let again = Tidegate.import(&back.text, &Origin::default()).unwrap().deployment.gateway;
        assert_eq!(again, ours.deployment.gateway);
    }
}
