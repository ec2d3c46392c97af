use proptest::prelude::*;
use serde_json::json;

use super::*;

/// An AWS secret key that begins with `/`, and other things that nobody has.
const AWS: &str = "/nOt9aReal2kEy+With/Forty6charsIn8itsEl7f";

#[test]
fn each_of_these_is_a_secret() {
    let slack = "xoxb-12-34-none";
    let jwt = format!("eyJ{}", "a".repeat(40));
    let values: &[(&str, &str, &str)] = &[
        ("API_KEY", "hunter2", "hunter2"),
        ("apiKey", "hunter2", "hunter2"),
        ("AUTH_HEADER", "Bearer hunter2", "hunter2"),
        ("HEADER", "Bearer hunter2", "hunter2"),
        ("AWS_SECRET_ACCESS_KEY", AWS, AWS),
        ("DB_PASSWORD", "/hunter2", "/hunter2"),
        ("DB_PASSWORD", "4000", "4000"),
        ("SLACK", slack, slack),
        ("DATABASE_URL", "postgres://u:pw@h/db", "pw"),
        ("DATABASE_URL", "postgres://u:p/w@h/db", "p/w"),
        ("REDIS", "redis://:pw@h:1/0", "pw"),
        ("CONNECTION", "Server=h;User Id=u;Password=hunter2", "hunter2"),
        ("HEADERS", r#"{"Authorization": "Bearer hunter2"}"#, "hunter2"),
        ("OPTIONS", "-Dpassword=hunter2 -Xmx1g", "hunter2"),
        ("ARGS", "--verbose --token hunter2", "hunter2"),
        ("X", jwt.as_str(), jwt.as_str()),
        ("TOKEN", "${TOKEN:-hunter2}", "${TOKEN:-hunter2}"),
        ("Cookie", "id=hunter2", "id=hunter2"),
        ("GITHUBTOKEN", "hunter2", "hunter2"),
        ("MAX_TOKEN", "hunter2hunter2", "hunter2hunter2"),
    ];
    for (name, value, secret) in values {
        assert_eq!(in_value(name, value).first(), Some(secret), "{name}={value}");
    }
}

#[test]
fn none_of_these_is_a_secret() {
    let values: &[(&str, &str)] = &[
        ("TOKEN_LIMIT", "4000"),
        ("MAX_TOKENS", "4k"),
        ("maxOutputTokens", "8192"),
        ("TOKEN_TTL", "30s"),
        ("SESSION_TIMEOUT", "30"),
        ("AUTHORIZATION", "Bearer <token>"),
        ("Authorization", "Bearer {token}"),
        ("Authorization", "Bearer ${TOKEN}"),
        ("Authorization", "Bearer YOUR_TOKEN"),
        ("API_KEY", "<your key>"),
        ("API_KEY", "YOUR_API_KEY_HERE"),
        ("API_KEY", "xxxxxxxx"),
        ("API_KEY", "${input:key}"),
        ("API_KEY", "$API_KEY"),
        ("API_KEY", "$(cat /run/secrets/key)"),
        ("HEADERS", r#"{"Authorization": "Bearer ntn_****"}"#),
        ("TOKEN_FILE", "/run/secrets/token"),
        ("TOKEN", "/run/secrets/token"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "./key.json"),
        ("SSH_KEY", "~/.ssh/id_ed25519"),
        ("TOKEN_URL", "https://example.com/token"),
        ("AUTH_TYPE", "oauth"),
        ("AUTH", "none"),
        ("SECRET_NAME", "prod-database"),
        ("PUBLIC_KEY", "abc"),
        ("TOKENIZER", "cl100k_base"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("KEYBOARD", "de"),
        ("AUTHOR", "somebody"),
        ("MONKEY", "banana"),
        ("NODE_OPTIONS", "--max-old-space-size=4096"),
        ("TEXT", "a token of love, and Basic auth"),
        ("TEXT", "Bearer token"),
        ("URL", "https://u@example.com/mcp?page=2&limit=10#top"),
        ("URL", "https://example.com:8443/a@b/c"),
        ("DATABASE_URL", "postgres://u:<password>@h/db"),
        ("DATABASE_URL", "postgres://u:${PW}@h/db"),
        ("AUTH_SERVER", "https://login.example.com/realms/a"),
        ("SHEET", "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgVE2upms"),
        ("DIGEST", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ];
    for (name, value) in values {
        assert_eq!(in_value(name, value), [""; 0], "{name}={value}");
    }
}

/// A command, and which of its words have which secrets.
type Command<'a> = (&'a [&'a str], &'a [(usize, &'a str)]);

#[test]
fn secrets_are_found_among_the_words_of_a_command() {
    let commands: &[Command<'_>] = &[
        (&["mcp-remote", "https://h/mcp", "--header", "Authorization: Bearer abc"], &[(3, "abc")]),
        (&["mcp-remote", "https://h/mcp", "--header", "Authorization:Bearer abc"], &[(3, "abc")]),
        (&["mcp-remote", "https://h/mcp", "--header=X-Api-Key: abc"], &[(2, "abc")]),
        (&["curl", "-H", "Authorization: Bearer abc"], &[(2, "abc")]),
        (&["curl", "-HX-Api-Key: abc"], &[(1, "abc")]),
        (&["mcp-remote", "--static-oauth-client-info", r#"{"client_secret":"abc"}"#], &[(2, "abc")]),
        (&["docker", "run", "-e", "API_KEY=x", "img"], &[(3, "x")]),
        (&["docker", "run", "--env=API_KEY=x", "img"], &[(2, "x")]),
        (&["docker", "run", "-eAPI_KEY=x", "img"], &[(2, "x")]),
        (&["env", "API_KEY=x", "srv"], &[(1, "x")]),
        (&["sh", "-c", "API_KEY=x exec srv"], &[(2, "x")]),
        (&["sh", "-c", "cd /a && srv --token 'x y'"], &[(2, "x y")]),
        (&["sh", "-c", "curl -H 'Authorization: Bearer abc' h"], &[(2, "abc")]),
        (&["srv", "--token", "x", "--token=y"], &[(2, "x"), (3, "y")]),
        (&["srv", "postgresql://u:pw@h/db"], &[(1, "pw")]),
        (&["mcp-remote", "https://h/sse?api_key=x"], &[(1, "x")]),
        (&["npx", "-y", "server@1", "--root", "/home/me/my files", "--port", "80"], &[]),
        (&["docker", "run", "-i", "--rm", "-e", "API_KEY", "--env=TOKEN", "img"], &[]),
        (&["mcp-remote", "https://h/mcp", "--header", "Authorization: Bearer ${TOKEN}"], &[]),
        (&["sh", "-c", "API_KEY=$KEY exec srv --token \"$TOKEN\""], &[]),
        (&["srv", "--token-limit", "4000", "--api-key", "--verbose"], &[]),
        (&["uvx", "--from", "git+https://github.com/a/b", "srv"], &[]),
    ];
    for (words, secrets) in commands {
        let mut found = in_words(words);
        found.dedup();
        assert_eq!(found, *secrets, "{words:?}");
    }
}

#[test]
fn secrets_are_found_in_urls() {
    let key = "sk-ak-not-a-real-key-1";
    let long = "OTg3NmQ1NGEtbm90LWEtcmVhbC1rZXk6YWJjZA";
    let urls = [
        (format!("https://actions.zapier.com/mcp/{key}/sse"), Some(key)),
        (format!("https://mcp.zapier.com/api/mcp/s/{long}/mcp"), Some(long)),
        ("https://u:pw@h/mcp".to_owned(), Some("pw")),
        ("https://h/mcp?a=b&token=x".to_owned(), Some("x")),
        ("https://h/mcp?apiKey=x#y".to_owned(), Some("x")),
        ("https://h/mcp?key={key}".to_owned(), None),
        ("https://h/0123456789abcdef0123456789abcdef01234567/mcp".to_owned(), None),
        ("https://h/mcp?profile=my-profile".to_owned(), None),
    ];
    for (url, secret) in urls {
        assert_eq!(in_value("", &url).first().copied(), secret, "{url}");
    }
}

#[test]
fn what_is_masked_shows_the_rest() {
    let mut value = json!({"a": {"command": ["srv", "--token", "x"], "env": {"PIN": 1234, "LEVEL": "max"}},
        "headers": [{"name": "Authorization", "value": "Bearer abc"}], "url": "https://h/mcp?key=abc&b=c"});
    mask_tree("", &mut value);
    assert_eq!(
        value,
        json!({"a": {"command": ["srv", "--token", "[secret]"], "env": {"PIN": "[secret]", "LEVEL": "max"}},
            "headers": [{"name": "Authorization", "value": "Bearer [secret]"}],
            "url": "https://h/mcp?key=[secret]&b=c"})
    );
    let lines = "+  \"apiKey\": \"x\",\n-  token = \"y\"\n   image: x\n   url: https://u:pw@h/\n";
    assert_eq!(
        mask_lines(lines),
        "+  \"apiKey\": \"[secret]\",\n-  token = \"[secret]\"\n   image: x\n   url: https://u:[secret]@h/\n"
    );
    assert_eq!(mask("x=\"a\\\"b\" ax", &["a\"b".to_owned(), "x".to_owned()]), "[secret]=\"[secret]\" ax");
    let shared = ["abcdefgh".to_owned(), "efghijkl".to_owned(), "abcdefghij".to_owned()];
    assert_eq!(
        mask("1 abcdefghijkl 2 abcdefg", &shared),
        "1 [secret] 2 abcdefg",
        "what they share is hidden once"
    );
    let many: Vec<String> = (0..20_000).map(|n| format!("not-a-real-key-{n}")).collect();
    let text = many.join(" ");
    assert!(!mask(&text, &many).contains("not-a-real"), "once through the text, however many there are");
}

#[test]
fn texts_in_texts_end() {
    let mut text = "x".to_owned();
    for _ in 0..200 {
        text = format!("sh -c \"{text}; {{[( --token\"");
    }
    let _ = in_value("", &text);
    let deep = "[".repeat(100_000);
    let _ = in_value("", &deep);
    let many = "--header 'A: b' ".repeat(20_000);
    let _ = in_value("", &many);
}

/// Names of what is secret, in the ways in which programs write them.
fn secret_name() -> impl Strategy<Value = String> {
    let base = ["API_KEY", "TOKEN", "CLIENT_SECRET", "PASSWORD", "ACCESS_KEY", "PAT", "PRIVATE_KEY"];
    (prop::sample::select(base.to_vec()), "([A-Z]{1,6}_)?", 0..3u8).prop_map(|(base, before, style)| {
        let name = format!("{before}{base}");
        match style {
            0 => name,
            1 => name.to_lowercase(),
            _ => name.to_lowercase().replace('_', "-"),
        }
    })
}

proptest! {
    #[test]
    fn a_named_secret_is_found_wherever_it_stands(
        name in secret_name(), secret in "[a-z]{4}[0-9A-Za-z/+]{6,40}q",
    ) {
        prop_assert_eq!(in_value(&name, &secret), [secret.as_str()]);
        let (joined, header) = (format!("--{name}={secret}"), format!("{name}: {secret}"));
        let variable = format!("{name}={secret}");
        let shell = format!("{variable} exec srv");
        for words in [
            ["srv", joined.as_str(), "x"], ["--header", header.as_str(), "x"], ["-e", variable.as_str(), "x"],
            ["-c", shell.as_str(), "x"],
        ] {
            prop_assert!(in_words(&words).contains(&(1, secret.as_str())), "{:?}", words);
        }
        let tree = json!({"a": {"args": ["srv", joined, shell], "env": {name: secret}}});
        let mut masked = tree;
        mask_tree("", &mut masked);
        prop_assert!(!masked.to_string().contains(&secret), "{}", masked);
    }

    #[test]
    fn what_nothing_calls_a_secret_is_none(name in "(HOST|PORT|LEVEL|REGION|USER|DIR|MODEL)(_[A-Z]{1,2})?",
                                           value in "[a-z0-9.:/ -]{0,40}") {
        prop_assume!(!value.contains("://"));
        prop_assert_eq!(in_value(&name, &value), [""; 0]);
    }

    #[test]
    fn an_amount_of_tokens_is_no_secret(
        name in "(MAX_|NUM_)?(OUTPUT_)?TOKENS|TOKEN_(LIMIT|COUNT|TTL)", n in 0..1_000_000u32,
    ) {
        let amount = n.to_string();
        prop_assert_eq!(in_value(&name, &amount), [""; 0]);
    }

    #[test]
    fn no_text_is_too_odd(name in ".{0,20}", text in "(.|[-\"'{}=:/@ ]){0,200}") {
        let found = in_value(&name, &text);
        prop_assert!(found.iter().all(|span| text.contains(span)));
        let _ = mask_lines(&text);
        let _ = in_words(&[&name, &text]);
    }
}
