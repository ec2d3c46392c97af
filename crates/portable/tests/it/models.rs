//! Deployments of any kind.

use indexmap::IndexMap;
use portable::{
    Container, Deployment, Effect, Endpoint, Gateway, Input, Isolation, Issuer, Limit, LimitKind, Oauth, Per,
    Piece, Place, Rule, Server, Text, Timeouts, Tls, Tools, Transport, Trust,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Text of all kinds that people write, `$` and quotes among it.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 ./_-]{1,12}",
        1 => "[ -~]{0,16}",
        1 => "\\PC{0,8}",
        1 => Just("${HOME} and $PATH".to_owned()),
        1 => Just("a: b # c".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("tab\tline\nend\\".to_owned()),
    ]
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![5 => "[a-z][a-z0-9-]{0,10}[a-z0-9]", 1 => "[A-Za-z_][A-Za-z0-9_ .]{0,8}", 1 => "\\PC{1,6}"]
}

fn tools() -> impl Strategy<Value = Vec<String>> {
    vec("[a-z_]{1,8}", 0..3)
}

fn piece() -> impl Strategy<Value = Piece> {
    let env = "[A-Z][A-Z_]{0,8}";
    prop_oneof![
        4 => words().prop_map(Piece::Plain),
        2 => env.prop_map(|name| Piece::Env { name, default: None }),
        1 => (env, "[a-z]{0,4}").prop_map(|(name, default)| Piece::Env { name, default: Some(default) }),
        1 => "[a-z]{1,5}".prop_map(Piece::Input),
        1 => "/[a-z]{1,5}".prop_map(Piece::File),
        1 => ("(op|keyring|command)", "[A-Z]{1,5}")
            .prop_map(|(scheme, reference)| Piece::Vault { scheme, reference }),
        1 => Just(Piece::Place(Place::Workspace)),
        1 => Just(Piece::Place(Place::Home)),
    ]
}

fn value() -> impl Strategy<Value = Text> {
    prop_oneof![
        3 => words().prop_map(Text::plain),
        2 => "[A-Z][A-Z_]{0,8}".prop_map(Text::env),
        1 => "[A-Z][A-Z_]{0,8}".prop_map(|name| {
            Text::plain("Bearer ").with(Piece::Env { name, default: None })
        }),
        2 => vec(piece(), 0..4).prop_map(|pieces| pieces.into_iter().collect()),
    ]
}

fn values(name: &'static str) -> impl Strategy<Value = IndexMap<String, Text>> {
    vec((name, value()), 0..3).prop_map(|pairs| {
        let own = |(name, value): (String, Text)| match value.as_env() {
            // Half of the time a variable is passed under its own name.
            Some(variable) if variable.len() % 2 == 0 => (variable.to_owned(), value),
            _ => (name, value),
        };
        pairs.into_iter().map(own).collect()
    })
}

fn oauth() -> impl Strategy<Value = Oauth> {
    let text = || option::of("[a-z:/.]{1,8}");
    (
        (option::of(value()), option::of(value()), tools(), text(), option::of(any::<u16>())),
        (text(), text(), text(), text(), text()),
    )
        .prop_map(|((client_id, client_secret, scopes, redirect_uri, callback_port), places)| Oauth {
            client_id,
            client_secret,
            scopes,
            redirect_uri,
            callback_port,
            metadata_url: places.0,
            authorization_url: places.1,
            token_url: places.2,
            issuer: places.3,
            audience: places.4,
            ..Oauth::default()
        })
}

fn target() -> impl Strategy<Value = Server> {
    let word = || prop_oneof![6 => words().prop_map(Text::plain), 1 => value()];
    let url = prop_oneof![
        4 => "https://[a-z]{1,8}\\.example/[a-z]{0,4}".prop_map(Text::plain),
        1 => value(),
    ];
    let remote = prop_oneof![
        Just(Transport::StreamableHttp),
        Just(Transport::Sse),
        Just(Transport::Auto),
        Just(Transport::WebSocket)
    ];
    let program = (word(), vec(word(), 0..3)).prop_map(|(program, args)| {
        // A program has a name, whatever its arguments are.
        let argv = std::iter::once(program).chain(args).skip_while(|word| word.as_plain() == Some(""));
        let argv: Vec<Text> = argv.collect();
        Server { argv: if argv.is_empty() { vec![Text::plain("x")] } else { argv }, ..Server::default() }
    });
    let image = prop_oneof![
        3 => "(ghcr\\.io/)?[a-z]{1,4}/[a-z]{1,4}:[0-9]{1,3}",
        1 => Just(format!("a/b@sha256:{}", "0a".repeat(32))),
        1 => Just("a/b:latest".to_owned()),
        1 => Just("--privileged".to_owned()),
    ];
    let contained = (image, vec(value(), 0..2)).prop_map(|(image, args)| Server {
        container: Some(Container { image, args, ..Container::default() }),
        ..Server::default()
    });
    let at =
        (remote, url).prop_map(|(transport, url)| Server { transport, url: Some(url), ..Server::default() });
    prop_oneof![4 => program, 4 => at, 1 => contained]
}

fn times() -> impl Strategy<Value = Timeouts> {
    let time = || option::of(prop_oneof![1_u64..100_000, (1_u64..600).prop_map(|seconds| seconds * 1000)]);
    (time(), time(), time()).prop_map(|(start_ms, call_ms, read_ms)| Timeouts { start_ms, call_ms, read_ms })
}

/// Such strategies are large: each is kept on the heap.
fn server() -> BoxedStrategy<Server> {
    let texts = (option::of("[a-z ]{1,9}"), option::of(words()), option::of(value()), option::of(value()));
    let more = (values("[A-Z][A-Z0-9_]{0,5}"), values("X-[A-Z][a-z]{0,5}"), option::of("[a-z/]{1,8}"));
    let policy = (any::<bool>(), option::of(tools()), tools(), any::<bool>(), tools());
    let rest = (option::of(oauth()), times(), any::<bool>(), option::weighted(0.1, "[a-z/]{1,8}"));
    (target(), texts, more, policy, rest)
        .prop_map(|(server, texts, more, policy, rest)| {
            let mut server = Server {
                title: texts.0,
                description: texts.1.filter(|text| !text.is_empty()),
                cwd: texts.2,
                env_file: texts.3,
                env: more.0,
                headers: more.1,
                headers_command: more.2,
                enabled: policy.0,
                tools: Tools { allow: policy.1, deny: policy.2 },
                trust: Trust { all: policy.3, tools: policy.4 },
                oauth: rest.0,
                timeouts: rest.1,
                ..server
            };
            if rest.2 {
                server.unknown.insert("x-other".to_owned(), serde_json::json!({"a": [1, null, "b"]}));
            }
            if let Some(ca) = rest.3 {
                server.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
                server.isolation = Some(Isolation { read: Some(Vec::new()), ..Isolation::default() });
            }
            server
        })
        .boxed()
}

fn issuer() -> BoxedStrategy<Issuer> {
    let url = prop_oneof![
        6 => "https://[a-c]{1,2}\\.example".prop_map(String::from),
        1 => Just("http://a.example".to_owned()),
        1 => Just("https://a.example:x/#".to_owned()),
    ];
    let words = |pattern: &'static str| vec(pattern, 0..3);
    let more = (option::of("[a-z]{1,5}"), option::of("[a-z]{1,5}"), any::<bool>());
    let jwks = option::of("(https|http)://[a-c]\\.example/keys");
    (url, jwks, words("[a-z:/]{1,6}"), words("[a-z:\"]{1,4}"), words("(RS256|ES256|HS256)"), more)
        .prop_map(|(issuer, jwks_url, audiences, scopes, algorithms, more)| Issuer {
            issuer,
            jwks_url,
            audiences,
            scopes,
            algorithms,
            subject_claim: more.0,
            groups_claim: more.1,
            optional: more.2,
            ..Issuer::default()
        })
        .boxed()
}

fn limit() -> BoxedStrategy<Limit> {
    let per = prop_oneof![
        Just(Per::All),
        Just(Per::Caller),
        Just(Per::Tenant),
        Just(Per::Key),
        Just(Per::Address),
        Just(Per::Server),
        Just(Per::Other("team".to_owned())),
    ];
    let kind = prop_oneof![
        4 => Just(LimitKind::Requests),
        2 => Just(LimitKind::Concurrent),
        1 => Just(LimitKind::Tokens),
    ];
    let times = (0_u64..300, prop_oneof![4 => 0_u64..100_000, 1 => Just(40 * 86_400_000)]);
    let of = (option::of(vec("[a-z]{1,3}", 0..2)), option::of(vec("[a-z*]{1,8}", 1..3)));
    (per, kind, times, option::of(0_u64..400), of)
        .prop_map(|(per, kind, (count, window_ms), burst, (servers, tools))| Limit {
            name: None,
            per,
            servers,
            tools,
            kind,
            count,
            window_ms,
            burst,
            unknown: portable::Unknown::new(),
        })
        .boxed()
}

fn gateway() -> BoxedStrategy<Gateway> {
    let callers = (vec(issuer(), 0..3), vec(limit(), 0..3));
    let origins = option::of(vec("(https://[a-c]\\.example|http://localhost:\\*|\\*|[a-z]{1,4})", 0..3));
    let tls = option::of(("/[a-z]{1,4}", "/[a-z]{1,4}"));
    let listen = option::of(prop_oneof![Just("0.0.0.0:7400".to_owned()), Just("127.0.0.1:7400".to_owned())]);
    (any::<bool>(), option::of(tools()), callers, origins, tls, listen)
        .prop_map(|(is_there, allow, (issuers, limits), origins, tls, listen)| {
            let mut gateway = Gateway { issuers, limits, origins, tls, listen, ..Gateway::default() };
            if is_there {
                let tools = Tools { allow, deny: vec!["x".to_owned()] };
                let endpoint = Endpoint { servers: vec!["nobody".to_owned()], tools, ..Endpoint::default() };
                gateway.endpoints.insert("some".to_owned(), endpoint);
                gateway.rules.push(Rule::new(Effect::Deny));
            }
            gateway
        })
        .boxed()
}

/// A deployment of up to four servers.
pub fn deployment() -> impl Strategy<Value = Deployment> {
    let inputs = vec("[a-z]{1,5}", 0..2);
    (vec((names(), server()), 0..4), inputs, gateway()).prop_map(|(servers, inputs, gateway)| Deployment {
        servers: servers.into_iter().collect(),
        inputs: inputs
            .into_iter()
            .map(|id| (id, Input { description: Some("which".to_owned()), secret: true, ..Input::default() }))
            .collect(),
        gateway,
        ..Deployment::default()
    })
}
