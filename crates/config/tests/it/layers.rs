//! Files over one another, variables, what is different, and where things stand.

use std::collections::BTreeMap;

use tidegate_config::{
    Change, Difference, Given, Layer, Layered, Meaning, Secret, VariableType, diff, explain, load_layers,
};

const BASE: &str = "\
listen: 127.0.0.1:7400
upstreams:
  crm:
    url: http://127.0.0.1:9100/mcp
    headers: {authorization: {file: token}}
    expose: [\"get_*\"]
  old: {url: 'http://127.0.0.1:9200/mcp'}
";

fn layered(texts: &[&str], given: &[(&str, &str)]) -> Result<Layered, String> {
    let names = ["tidegate.yaml", "tidegate.production.yaml", "tidegate.local.yaml"];
    let layers: Vec<_> =
        names.iter().zip(texts).map(|(name, text)| Layer { name, bytes: text.as_bytes() }).collect();
    let variables = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let env = |name: &str| (name == "REGION").then(|| "from-env".to_owned());
    load_layers(&layers, &Given { variables: &variables, env: &env }).map_err(|faults| faults.to_string())
}

fn good(texts: &[&str]) -> Layered {
    layered(texts, &[]).unwrap_or_else(|faults| panic!("{faults}"))
}

fn bad(texts: &[&str], given: &[(&str, &str)]) -> String {
    layered(texts, given).expect_err("it is refused")
}

#[test]
fn an_overlay_takes_the_keys_of_both_and_stands_in_place_of_values_and_lists() {
    let over = "\
listen: 127.0.0.1:80
upstreams:
  crm: {headers: {x-team: blue}, expose: [a, b], timeouts: {connect: 1s}}
  new: {command: [server]}
";
    let config = good(&[BASE, over]).config;
    assert_eq!(config.listen.port(), 80);
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["crm", "old", "new"], "in the base's order");
    let crm = &config.upstreams["crm"];
    assert_eq!(crm.url.as_deref(), Some("http://127.0.0.1:9100/mcp"));
    assert_eq!(crm.headers.len(), 2);
    assert_eq!(crm.expose.as_ref().map(Vec::len), Some(2), "a list is replaced as a whole");
}

/// What files say together, as one file.
fn whole(layered: &Layered) -> String {
    serde_json::to_string(&layered.origins.whole()).expect("JSON")
}

#[test]
fn several_files_are_one_that_means_the_same() {
    let base = "variables: {region: {default: eu}, size: {type: number, default: '5'}}\n".to_owned()
        + BASE
        + "  web: {url: 'https://${region}.example.com', headers: {A: '$${x}', B: '0755', C: 1.10}, \
           concurrency_max: '${size}'}\n";
    let over = "upstreams: {crm: {hide: [\"drop*\"]}, old: ~}\nlimits: {page_size: 50}\n";
    let layered = layered(&[&base, over], &[("region", "us")]).unwrap_or_else(|faults| panic!("{faults}"));
    let text = whole(&layered);
    assert!(text.contains("https://us.example.com") && !text.contains("variables"), "{text}");
    let alone = good(&[&text]).config;
    assert_eq!(alone, tidegate_config::Config { variables: Default::default(), ..layered.config });
    for text in [include_str!("full.yaml"), BASE, ""] {
        let one = good(&[text]);
        let alone = good(&[&whole(&one)]).config;
        assert_eq!(alone, tidegate_config::Config { variables: Default::default(), ..one.config });
    }
}

#[test]
fn a_secret_is_replaced_as_a_whole() {
    let over = "upstreams: {crm: {headers: {authorization: {env: CRM}}}}";
    let config = good(&[BASE, over]).config;
    assert_eq!(config.upstreams["crm"].headers["authorization"], Secret::env("CRM"));
}

#[test]
fn a_written_null_takes_a_key_out_and_a_missing_value_is_a_fault() {
    let config = good(&[BASE, "upstreams: {old: null, crm: {headers: ~}}"]).config;
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["crm"]);
    assert!(config.upstreams["crm"].headers.is_empty());
    let over = "upstreams:\n  crm:\n    expose:\n#     - get_*\n";
    let said = bad(&[BASE, over], &[]);
    assert!(
        said.starts_with("tidegate.production.yaml:3:5: upstreams.crm.expose: expected a list"),
        "{said}"
    );
    let said = bad(&[BASE, "upstreams: {odl: null}"], &[]);
    assert_eq!(said, "tidegate.production.yaml:1:13: upstreams.odl: there is nothing below to take out");
    let said = bad(&["listen: null"], &[]);
    assert!(said.starts_with("tidegate.yaml:1:9: listen: "), "the lowest file has nothing below: {said}");
}

#[test]
fn each_fault_names_the_file_in_which_it_stands() {
    let said = bad(&["limits: {page_size: 0}\nupstreams: {a: {ulr: x}}\n", "listen: nowhere\n"], &[]);
    let lines: Vec<_> =
        said.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "tidegate.yaml:1:21 limits.page_size",
            "tidegate.yaml:2:17 upstreams.a.ulr",
            "tidegate.production.yaml:1:9 listen",
        ],
        "{said}"
    );
    let said = bad(&[BASE, "upstreams: [\n"], &[]);
    assert!(said.starts_with("tidegate.production.yaml:"), "{said}");
    let said = bad(&[BASE, "upstreams: {crm: {command: [x]}}"], &[]);
    assert!(said.contains("give either \"url\" or \"command\", not both"), "{said}");
    let good = good(&[BASE, "upstreams: {crm: {url: null, headers: null, command: [x]}}"]);
    assert_eq!(good.config.upstreams["crm"].url, None);
}

#[test]
fn where_a_value_stands_is_known_and_what_it_covers() {
    let both = good(&[BASE, "upstreams: {crm: {expose: [\"x\"]}}"]);
    let found: Vec<_> = both.origins.under("upstreams.crm.expose").map(|(_, at)| at.to_string()).collect();
    assert_eq!(found, ["tidegate.production.yaml:1:28"]);
    let covered: Vec<_> =
        both.origins.covered("upstreams").map(|(path, at)| format!("{path} {at}")).collect();
    assert_eq!(covered, ["upstreams.crm.expose tidegate.yaml:6:13"]);
    let text = explain("upstreams").expect("a key");
    assert!(text.contains("\n  overlay  the keys of both files, one by one\n"), "{text}");
    let text = explain("upstreams.*.expose").expect("a key");
    assert!(text.contains("\n  overlay  stands in place of the whole list\n"), "{text}");
}

const VARIABLES: &str = "\
variables:
  host: {default: localhost}
  size: {type: number, default: 7}
  on: {type: flag, default: true}
  region: {default: none, env: REGION}
upstreams:
  a: {url: 'http://${host}:80/$${x}', enabled: '${on}', concurrency_max: '${size}', headers: {r: '${region}'}}
";

#[test]
fn a_variable_stands_for_its_value_in_its_type() {
    let config = good(&[VARIABLES]).config;
    let a = &config.upstreams["a"];
    assert_eq!(a.url.as_deref(), Some("http://localhost:80/${x}"));
    assert_eq!((a.enabled, a.concurrency_max), (true, 7));
    assert_eq!(a.headers["r"], Secret::plain("from-env"));
    assert_eq!(config.variables["size"].r#type, VariableType::Number);
    let given = [("host", "there"), ("on", "false"), ("region", "given")];
    let config = layered(&[VARIABLES, "variables: {host: {default: over}, size: {default: 9}}"], &given);
    let config = config.expect("it is good").config;
    let a = &config.upstreams["a"];
    assert_eq!(a.url.as_deref(), Some("http://there:80/${x}"), "what is given goes first");
    assert_eq!((a.enabled, a.concurrency_max), (false, 9), "then an overlay's default");
    assert_eq!(a.headers["r"], Secret::plain("given"));
}

#[test]
fn without_variables_a_dollar_is_text_like_any_other() {
    let text = "upstreams: {a: {url: 'http://localhost/${x}', headers: {r: '$${y}'}}}";
    let a = &good(&[text]).config.upstreams["a"];
    assert_eq!(a.url.as_deref(), Some("http://localhost/${x}"));
    assert_eq!(a.headers["r"], Secret::plain("$${y}"));
}

#[test]
fn what_is_wrong_with_variables_is_said_where_it_stands() {
    let with = |tail: &str| format!("variables: {{host: {{}}, n: {{type: number, default: 1}}}}\n{tail}");
    for (text, given, said) in [
        (
            with(""),
            vec![],
            "1:13: variables.host: the variable has no value; give it a default, or --set host=VALUE",
        ),
        (
            with("origins: ['${hots}']"),
            vec![("host", "x")],
            "2:11: origins[0]: there is no variable \"hots\"; did you mean \"host\"?",
        ),
        (
            with("origins: ['${a b']"),
            vec![("host", "x")],
            "2:11: origins[0]: the value has \"${\" without \"}\"; write \"$${\" where no variable is meant",
        ),
        (with(""), vec![("host", "x"), ("n", "many")], "1:23: variables.n: the value is no number"),
        (
            with(""),
            vec![("host", "x"), ("m", "1")],
            "1:1: variables: a value is given for \"m\", which is no variable",
        ),
        ("{}".to_owned(), vec![("m", "1")], "1:1: a value is given for \"m\", and there are no variables"),
        ("variables: {a: {type: word}}".to_owned(), vec![], "1:23: variables.a.type: unknown value \"word\""),
    ] {
        let found = bad(&[&text], &given);
        assert!(found.contains(&format!("tidegate.yaml:{said}")), "{text} {given:?}\n{found}");
    }
    let found = bad(&[&with("limits: {page_size: '${host}'}")], &[("host", "x")]);
    assert!(found.contains("2:21: limits.page_size: "), "a text is no number: {found}");
    let long = "x".repeat(5000);
    assert!(bad(&[&with("")], &[("host", &long)]).contains("more than 4096 bytes"));
}

fn different(a: &[&str], b: &[&str]) -> Vec<String> {
    let (a, b) = (good(a), good(b));
    let meaning = |side: &Layered| Meaning::of(&side.config, None).value().clone();
    let (one, other) =
        (Meaning::told(meaning(&a), Some(&a.origins)), Meaning::told(meaning(&b), Some(&b.origins)));
    diff(&one, &other).iter().map(Difference::to_string).collect()
}

#[test]
fn what_is_written_differently_and_means_the_same_is_no_difference() {
    let one = "limits: {page_size: 1000}\n\
               upstreams: {a: {command: [x], timeouts: {connect: 5000ms}}, b: {command: [y]}}";
    let other = "# b first\nupstreams:\n  b: {command: [y]}\n  a:\n    command:\n      - x\n";
    assert_eq!(different(&[one], &[other]), Vec::<String>::new());
    let variable = "variables: {p: {default: x}}\nupstreams: {a: {command: ['${p}']}, b: {command: [y]}}";
    assert_eq!(different(&[variable], &[other]), Vec::<String>::new(), "a variable is what it stands for");
}

#[test]
fn what_means_something_else_is_told_by_its_key() {
    let one = "upstreams: {a: {url: 'http://h/', headers: {k: hunter2}}, b: {command: [y]}}\n\
               rates: [{name: r, per: [principal], rate: 1/s}]";
    let other = "listen: 127.0.0.1:1\nupstreams: {a: {url: 'http://h/', headers: {k: hunter3}}}\n\
                 rates: [{name: r, per: [principal], rate: 2/s}]";
    let found = match (layered(&[one], &[]), layered(&[other], &[])) {
        (Ok(_), Ok(_)) => different(&[one], &[other]),
        (a, b) => panic!("{:?} {:?}", a.err(), b.err()),
    };
    assert!(found.contains(&"~ listen: 127.0.0.1:7400 -> 127.0.0.1:1".to_owned()), "{found:?}");
    assert!(found.iter().any(|line| *line == "- upstreams.b"), "{found:?}");
    assert!(found.iter().any(|line| line.starts_with("~ rates[r].rate: 1/1s -> 2/1s")), "{found:?}");
    let secret = "~ upstreams.a.headers.k: [secret] -> [secret]";
    assert!(
        found.contains(&secret.to_owned()),
        "another secret is a difference, and is not shown: {found:?}"
    );
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(!format!("{found:?}").contains("hunter"));
}

#[test]
fn secrets_and_what_is_referred_to_are_found() {
    let config =
        good(&["upstreams: {a: {url: 'http://h/', headers: {k: v, l: {env: L}, m: {command: [p, q]}}}}\n\
                         store: {url: {credential: db}}\nkeys: {file: ring}\n"]);
    let meaning = Meaning::of(&config.config, None);
    assert_eq!(meaning.secrets_written_out(), ["upstreams.a.headers.k"]);
    let found = meaning.references();
    let told: BTreeMap<_, _> =
        found.iter().map(|one| (one.key.as_str(), (one.kind.as_str(), one.name.as_str()))).collect();
    assert_eq!(
        told,
        BTreeMap::from([
            ("keys", ("file", "ring")),
            ("store.url", ("credential", "db")),
            ("upstreams.a.headers.l", ("env", "L")),
            ("upstreams.a.headers.m", ("command", "p")),
        ])
    );
}

#[test]
fn a_change_says_what_it_is() {
    let (a, b) = (good(&[""]), good(&["takeover: /t"]));
    let found = diff(&Meaning::of(&a.config, None), &Meaning::of(&b.config, None));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].change, found[0].path.as_str()), (Change::Added, "takeover"));
}

#[test]
fn a_secret_that_stands_in_a_file_is_told_from_what_is_none() {
    let config = good(&["upstreams:\n  a: {url: 'http://h/', \
         headers: {x-team: blue, x-api-key: hunter2, Authorization: hunter2}}\n  \
         b: {command: [x], env: {MODE: fast, DB_PASSWORD: hunter2}}\nstore: {url: 'sqlite:a.db'}\n\
         admin: {listen: 'localhost:0', token: hunter2hunter2hunter2hunter2hunter2}\n"]);
    let meaning = Meaning::told(Meaning::of(&config.config, None).value().clone(), Some(&config.origins));
    let mut found = meaning.secrets_at_risk();
    found.sort();
    assert_eq!(
        found,
        [
            "admin.token",
            "upstreams.a.headers.Authorization",
            "upstreams.a.headers.x-api-key",
            "upstreams.b.env.DB_PASSWORD",
        ]
    );
    let postgres = good(&["store: {url: 'postgres://u:hunter2@h/d'}"]);
    let meaning = Meaning::told(Meaning::of(&postgres.config, None).value().clone(), Some(&postgres.origins));
    assert_eq!(meaning.secrets_at_risk(), ["store.url"]);
}
