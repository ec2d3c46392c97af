//! Lists of tools never let more through here than where they were read, whatever tools are called.

use config::Config;
use portable::{Deployment, Endpoint, Format, GATEWAYS, Origin, Server, Target, Tidegate, Tools, reduce};
use proptest::prelude::*;

/// Names as servers have them, and as they should not.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c_]{1,4}", "[a-c*?_]{1,4}", "[a-c \\[\\]{}!/é*?]{0,5}", "[a-c]{60,70}",]
}

fn tools() -> impl Strategy<Value = Tools> {
    let names = || prop::collection::vec(name(), 0..4);
    (prop::option::of(names()), names()).prop_map(|(allow, deny)| Tools { allow, deny })
}

/// Servers with lists of tools, and endpoints of them with lists of their own.
fn deployment() -> impl Strategy<Value = Deployment> {
    let servers = prop::collection::vec(tools(), 1..3);
    let of_endpoint = (
        prop::option::of(prop::collection::vec((any::<bool>(), name()), 0..4)),
        prop::collection::vec((any::<bool>(), name()), 0..4),
    );
    (servers, of_endpoint).prop_map(|(servers, (allow, deny))| {
        let mut deployment = Deployment::default();
        for (index, tools) in servers.into_iter().enumerate() {
            let server = Server { tools, ..Server::program(&["server"]) };
            deployment.servers.insert(format!("s{index}"), server);
        }
        let named = |names: Vec<(bool, String)>| {
            names.into_iter().map(|(one, name)| if one { format!("s0/{name}") } else { name }).collect()
        };
        let tools = Tools { allow: allow.map(named), deny: named(deny) };
        let servers = deployment.servers.keys().cloned().collect();
        deployment
            .gateway
            .endpoints
            .insert("e".to_owned(), Endpoint { servers, tools, ..Endpoint::default() });
        deployment
    })
}

/// Whether a list of names lets a tool through. Names are names.
fn lets(tools: &Tools, is: impl Fn(&str) -> bool) -> bool {
    tools.allow.as_ref().is_none_or(|allow| allow.iter().any(|name| is(name)))
        && !tools.deny.iter().any(|name| is(name))
}

/// Names that a pattern might take for one of those.
fn near(tools: &Tools) -> Vec<String> {
    let mut all: Vec<String> = vec!["x".to_owned(), "a_b".to_owned()];
    for name in tools.allow.iter().flatten().chain(&tools.deny) {
        let name = name.strip_prefix("s0/").unwrap_or(name);
        all.push(name.to_owned());
        all.push(name.replace('*', "zz"));
        all.push(name.replace('*', ""));
        all.push(name.replace('?', "z"));
        all.push(format!("z_{name}"));
        all.push(format!("{name}z"));
    }
    // No tool has an empty name.
    all.retain(|name| !name.is_empty());
    all
}

fn check(of: &str, config: &Config, meant: &Deployment) -> Result<(), TestCaseError> {
    for (name, upstream) in &config.upstreams {
        let Some(server) = meant.servers.get(name) else { continue };
        for tool in near(&server.tools) {
            let offered = upstream.offers(&tool);
            prop_assert!(!offered || lets(&server.tools, |one| one == tool), "{}: {}: {:?}", of, name, tool);
        }
    }
    for (name, endpoint) in &config.endpoints {
        let Some(before) = meant.gateway.endpoints.get(name) else { continue };
        for server in &before.servers {
            for tool in near(&before.tools) {
                let is = |one: &str| one == tool || one == format!("{server}/{tool}");
                let joined = format!("{server}_{tool}");
                // A longer one has another name.
                let offered = joined.chars().count() <= 64 && endpoint.offers(&joined);
                prop_assert!(!offered || lets(&before.tools, is), "{}: {}: {:?}", of, name, joined);
            }
        }
    }
    Ok(())
}

fn loaded(text: &str) -> Config {
    config::load_str(text, "tidegate.yaml").unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// Formats whose lists of tools are names.
fn with_names() -> Vec<&'static dyn Format> {
    let all = portable::clients().into_iter().chain(GATEWAYS.iter().copied());
    all.filter(|format| format.imports() && format.exports() && format.name() != "agentgateway").collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_here_offers_no_tool_that_was_not_offered(deployment in deployment()) {
        let written = Tidegate.export(&deployment, &Target::default()).unwrap();
        check("ours", &loaded(&written.text), &deployment)?;
        let migrated = portable::migrate(deployment.clone()).unwrap();
        check("migrated", &loaded(&migrated.config), &deployment)?;
    }

}

proptest! {
    // Each case goes through every format.
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_from_others_offers_no_tool_that_was_not_offered(deployment in deployment()) {
        for format in with_names() {
            let (meant, _) = reduce(&deployment, format);
            let Ok(written) = format.export(&deployment, &Target::default()) else { continue };
            let join = |text, (_, more): &(String, String)| format!("{text}\n---\n{more}");
            let text = written.beside.iter().fold(written.text, join);
            let Ok(read) = format.import(&text, &Origin::default()) else { continue };
            let here = Tidegate.export(&read.deployment, &Target::default()).unwrap();
            check(format.name(), &loaded(&here.text), &meant)?;
            let migrated = portable::migrate(read.deployment).unwrap();
            check(format.name(), &loaded(&migrated.config), &meant)?;
        }
    }
}

#[test]
fn a_pattern_of_ours_is_no_name_elsewhere_and_that_is_said() {
    let own = "upstreams:\n  crm: {command: [x], expose: [find, 'get_*'], hide: ['*_all']}\n\
               endpoints:\n  e: {upstreams: [crm], hide: ['*_drop']}\n\
               auth: {allow: [corp], issuers: {corp: {issuer: 'https://login.example.com'}}}\n";
    let read = Tidegate.import(own, &Origin::default()).unwrap().deployment;
    let litellm = GATEWAYS.iter().find(|format| format.name() == "litellm").unwrap();
    let written = litellm.export(&read, &Target::default()).unwrap();
    assert!(written.text.contains("- find") && !written.text.contains('*'), "{}", written.text);
    assert!(written.report.guards_lost(), "{}", written.report);
    // This one has patterns, and names of tools without their servers'.
    let agentgateway = GATEWAYS.iter().find(|format| format.name() == "agentgateway").unwrap();
    let written = agentgateway.export(&read, &Target::default()).unwrap();
    for pattern in ["^get_.*$", "^.*_all$", "^.*_drop$", "mcp.tool.name == \\\"drop\\\""] {
        assert!(written.text.contains(pattern), "{pattern}: {}", written.text);
    }
    assert!(!written.report.guards_lost(), "{}", written.report);
}
