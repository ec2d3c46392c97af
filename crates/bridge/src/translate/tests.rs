//! What must hold of every translation, whatever comes.

use bytes::Bytes;
use protocol::json::{Object, check};
use protocol::{Method, Raw, Revision};

use super::splice::object;
use super::testing::{LEGACY, line};
use super::{down, up};

/// Numbers that look random and are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    /// One of the words of a text.
    fn word<'a>(&mut self, text: &'a str) -> &'a str {
        let words: Vec<&str> = text.split_whitespace().collect();
        words[self.roll(words.len() as u64) as usize]
    }

    fn either<'a>(&mut self, one: &'a str, other: &'a str) -> &'a str {
        if self.roll(2) == 0 { one } else { other }
    }
}

/// Names that the translations look for, and some that they do not.
const NAMES: &str = "\
    _meta action annotations anyOf arguments blob cacheScope capabilities code completion const content \
    context data elicitation elicitationId elicitations enum execution extensions form inputResponses \
    inputSchema message messages method mimeType mode name oneOf outputSchema params progressToken \
    properties requestState requestedSchema resultType roots sampling serverInfo structuredContent task \
    title toolChoice toolResult tools ttlMs type uri url values x-vendor";

/// Values that the translations look for, and some that they do not; in more than one spelling.
const SCALARS: &str = r#"null true false 0 -1 1.0 1e400 -32602 -32002 -32042 -32022
    12345678901234567890 "" "\ud800"
    "te\u0078t" "text" "audio" "resource_link" "tool_use" "tool_result" "array" "object" "form" "url"
    "complete" "none" "public" "elicitation/create" "sampling/createMessage" "roots/list""#;

fn scribble(dice: &mut Dice, depth: u32) -> String {
    let kind = if depth == 0 { 0 } else { dice.roll(5) };
    match kind {
        0 | 1 => dice.word(SCALARS).to_owned(),
        2 => {
            let items: Vec<_> = (0..dice.roll(4)).map(|_| scribble(dice, depth - 1)).collect();
            format!("[{}]", items.join(dice.either(",", " , ")))
        }
        _ => scribbled_object(dice, depth, 6),
    }
}

fn scribbled_object(dice: &mut Dice, depth: u32, members_max: u64) -> String {
    let mut names = Vec::new();
    let mut members = Vec::new();
    for _ in 0..dice.roll(members_max) {
        let name = dice.word(NAMES);
        // Now and then a name stands twice: that too must be survived.
        if !names.contains(&name) || dice.roll(20) == 0 {
            names.push(name);
            members.push(format!("{name:?}{}{}", dice.either(":", ": "), scribble(dice, depth - 1)));
        }
    }
    format!("{{{}}}", members.join(dice.either(",", ", ")))
}

fn raw(text: String) -> Raw {
    Raw::parse(Bytes::from(text)).expect("JSON")
}

const METHODS: [Method; 15] = [
    Method::Discover,
    Method::ToolsList,
    Method::ToolsCall,
    Method::ResourcesList,
    Method::ResourcesRead,
    Method::PromptsList,
    Method::PromptsGet,
    Method::Complete,
    Method::TasksResult,
    Method::Elicit,
    Method::Sample,
    Method::RootsList,
    Method::Progress,
    Method::ToolsChanged,
    Method::TaskStatus,
];

/// Everything that the translations make of one value, for one revision and method.
fn all_of(revision: Revision, method: &Method, came: &Raw) -> Vec<Raw> {
    let info = Raw::literal(r#"{"name":"n","version":"1"}"#);
    let about = down::CallMeta { capabilities: came, client_info: Some(&info), log_level: Some(&info) };
    let mut made = vec![
        down::result(method, revision, came.clone()),
        down::error(method, revision, came.clone()),
        down::initialize_result(revision, came, &info, Some("i"), Some(came)),
        down::call(method, Some(came), about),
        down::client_capabilities(revision, came),
        up::result(method, revision, came.clone()),
        up::error(method, revision, came.clone()),
        up::missing_resource(came.clone(), &Raw::literal("\"a:b\"")),
        up::answer(revision, method, came),
        up::initialize_params(revision, came, &info),
        up::discover(revision, came),
    ];
    made.extend(down::notification(revision, method, Some(came)));
    made.extend(down::question(revision, came, &info).map(|(_, params)| params));
    made.extend(down::answer(method, revision, Ok(came.clone())).map_err(|e| e.to_raw()));
    made.extend(down::answer(method, revision, Err(came.clone())).map_err(|e| e.to_raw()));
    made.extend(up::notification(revision, method, Some(came)));
    made.extend(up::question(revision, method, Some(came)));
    made.extend(up::url_questions(method, revision, came).unwrap_or_default());
    made.extend(object(came).map(|came| up::params(revision, method, &came)));
    made
}

#[test]
fn whatever_comes_is_answered_with_json() {
    let mut dice = Dice(1);
    for _ in 0..600 {
        let came = raw(scribble(&mut dice, 5));
        let method = &METHODS[dice.roll(METHODS.len() as u64) as usize];
        for revision in Revision::ALL {
            for made in all_of(revision, method, &came) {
                assert_eq!(check(made.as_bytes()), Ok(()), "{revision} {method} {came}");
            }
        }
    }
}

/// An object of members that no rule names, spelled in every odd way, with this one in front.
fn with_strangers(known: &str) -> Raw {
    let strangers = line(
        r#""x-null":null,"x-number": 1.50e+1,"x-huge":12345678901234567890,"x-\u006eame":"\ud800 \/",
        "x-deep":{"resultType" : "complete","_meta":{},"ttlMs":[ 1 , 2 ]},"x-empty":"","":0"#,
    );
    let comma = if known.is_empty() { "" } else { "," };
    raw(format!("{{{known}{comma}{strangers}}}"))
}

fn strangers_survive(made: &Raw, case: &str) {
    let made = object(made).unwrap_or_else(|| panic!("{case}: {made} is no object"));
    for (name, value) in object(&with_strangers("")).expect("an object").iter() {
        assert_eq!(made.get(&name), Some(value), "{case}: {name}");
    }
}

#[test]
fn members_that_no_rule_names_survive_every_translation_in_their_spelling() {
    let meta = format!(r#""_meta":{}"#, with_strangers(""));
    let came = with_strangers(&meta);
    let meta_survives = |made: &Raw, case: &str| {
        strangers_survive(made, case);
        strangers_survive(&made.get("_meta").unwrap_or_else(|| panic!("{case}: _meta")), case);
    };
    let info = Raw::literal("{}");
    let about = down::CallMeta { capabilities: &came, client_info: None, log_level: None };
    for revision in LEGACY {
        for method in &METHODS {
            let case = format!("{revision} {method}");
            meta_survives(&down::result(method, revision, came.clone()), &case);
            meta_survives(&up::result(method, revision, came.clone()), &case);
            meta_survives(&down::call(method, Some(&came), about), &case);
            meta_survives(&up::params(revision, method, &object(&came).expect("an object")), &case);
            meta_survives(&up::answer(revision, method, &came), &case);
            meta_survives(&down::answer(method, revision, Ok(came.clone())).expect("an answer"), &case);
            for told in [
                down::notification(revision, method, Some(&came)),
                up::notification(revision, method, Some(&came)),
            ] {
                told.iter().for_each(|told| meta_survives(told, &case));
            }
        }
        let case = revision.as_str();
        meta_survives(&down::initialize_result(revision, &came, &info, None, None), case);
        meta_survives(&up::discover(revision, &came), case);
        strangers_survive(&down::client_capabilities(revision, &came), case);
        for code in ["-32602", "-32022", "-32002", "-32042", "5"] {
            let error = with_strangers(&format!(r#""code":{code}"#));
            strangers_survive(&down::error(&Method::ResourcesRead, revision, error.clone()), case);
            strangers_survive(&up::error(&Method::ResourcesRead, revision, error), case);
        }
        questions_keep_strangers(revision, &came);
    }
}

fn questions_keep_strangers(revision: Revision, params: &Raw) {
    for method in [Method::Elicit, Method::Sample, Method::RootsList] {
        let case = format!("{revision} {method}");
        let Some(asked) = up::question(revision, &method, Some(params)) else {
            assert!(!revision.features().elicitation, "{case}");
            continue;
        };
        strangers_survive(&asked.get("params").expect("params"), &case);
        let (again, params) = down::question(revision, &asked, &Raw::string("e")).expect(&case);
        assert_eq!(again, method);
        strangers_survive(&params, &case);
    }
}

/// The members of both, in any order.
fn same_members(one: &Raw, other: &Raw, case: &str) {
    let sorted = |raw: &Raw| {
        let object = object(raw).unwrap_or_else(Object::empty);
        let mut members: Vec<_> = object.iter().map(|(k, v)| (k.into_owned(), v)).collect();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        members
    };
    assert_eq!(sorted(one), sorted(other), "{case}");
}

#[test]
fn a_legacy_result_that_passes_the_gateway_is_the_one_that_was_sent() {
    let call = line(
        r#"{"content":[{"type":"text","text":"t"},{"type":"image","data":"","mimeType":"i/p"}],
            "isError":true}"#,
    );
    let tools = line(
        r#"{"tools":[{"name":"t","inputSchema":{"type":"object","required":[]},
            "annotations":{"title":"T"}}],"nextCursor":"","_meta":{}}"#,
    );
    let prompt = r#"{"messages":[{"role":"user","content":{"type":"text","text":"t"}}],"description":"d"}"#;
    let read = r#"{"contents":[{"uri":"a:b","blob":"AA=="}]}"#;
    let values = r#"{"completion":{"values":["v"],"total":1.0}}"#;
    let task = r#"{"task":{"taskId":"t","status":"working","ttl":null},"_meta":{"a.b/c":1}}"#;
    for revision in LEGACY {
        for (method, text) in [
            (Method::ToolsCall, call),
            (Method::ToolsCall, task),
            (Method::ToolsList, tools),
            (Method::PromptsGet, prompt),
            (Method::ResourcesRead, read),
            (Method::Complete, values),
        ] {
            let sent = Raw::literal(text);
            let inside = up::result(&method, revision, sent.clone());
            assert_eq!(inside.get("resultType").expect("a type").as_text(), "\"complete\"");
            same_members(&down::result(&method, revision, inside), &sent, revision.as_str());
        }
    }
}

#[test]
fn a_legacy_request_that_passes_the_gateway_is_the_one_that_was_sent() {
    let info = Raw::literal("{}");
    let about = down::CallMeta { capabilities: &info, client_info: Some(&info), log_level: Some(&info) };
    for text in [
        r#"{}"#,
        r#"{"name":"t","arguments":{"n": 1.0},"task":{"ttl":1},"_meta":{"progressToken":"p"}}"#,
        r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""},"_meta":{"a.b/c":1}}"#,
    ] {
        let sent = Raw::literal(text);
        for revision in LEGACY {
            for method in [Method::ToolsCall, Method::Complete, Method::ToolsList] {
                let inside = object(&down::call(&method, Some(&sent), about)).expect("an object");
                same_members(&up::params(revision, &method, &inside), &sent, text);
            }
        }
    }
}

#[test]
fn a_legacy_question_that_passes_the_gateway_is_the_one_that_was_asked() {
    let form = line(
        r#"{"message":"?","requestedSchema":{"type":"object",
            "properties":{"c":{"type":"string","enum":["r"],"enumNames":["R"]}}}}"#,
    );
    let url = r#"{"mode":"url","message":"?","url":"https://a.b","elicitationId":"e"}"#;
    let sample = r#"{"messages":[{"role":"user","content":{"type":"text","text":"?"}}],"maxTokens":1.0}"#;
    for (method, text, first) in [
        (Method::Elicit, form, Revision::V2025_06_18),
        (Method::Elicit, url, Revision::V2025_11_25),
        (Method::Sample, sample, Revision::V2024_11_05),
        (Method::RootsList, "{}", Revision::V2024_11_05),
    ] {
        for revision in LEGACY.into_iter().filter(|r| *r >= first) {
            let sent = Raw::literal(text);
            let inside = up::question(revision, &method, Some(&sent)).expect("a question");
            let (_, mut asked) = down::question(revision, &inside, &Raw::string("e")).expect("asked");
            if revision == Revision::V2025_11_25 && text == form {
                // The one difference: the mode that was meant is said.
                asked = object(&asked).expect("an object").edit().remove("mode").finish();
            }
            same_members(&asked, &sent, revision.as_str());
        }
    }
}

#[test]
fn a_handshake_that_passes_the_gateway_offers_what_was_offered() {
    let sent = Raw::literal(line(
        r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},
            "resources":{"subscribe":true},"completions":{},"logging":{},"experimental":{"x":{}}},
            "serverInfo":{"name":"s","version":"1","icons":[]},"instructions":"i"}"#,
    ));
    let inside = up::discover(Revision::V2025_11_25, &sent);
    let info = inside.get("_meta").and_then(|m| m.get(protocol::latest::meta::SERVER_INFO)).expect("info");
    let told = down::initialize_result(Revision::V2025_11_25, &inside, &info, None, None);
    same_members(&told, &sent, "2025-11-25");
}
