//! The clients whose files are JSON.

use super::dialect::{Dialect, OauthStyle, Remote, Settings, Switch};
use crate::format::{Known, Tested};
use crate::model::{Scope, Server};
use crate::report::Report;
use crate::variables::{Spelling, Variables};

pub(super) const ALL: &[&Dialect] = &[
    &CLAUDE_DESKTOP,
    &CLAUDE_CODE,
    &VSCODE,
    &COPILOT,
    &CURSOR,
    &WINDSURF,
    &ZED,
    &GEMINI,
    &KIRO,
    &CLINE,
    &ROO,
    &LANGCHAIN,
    &MCP_JSON,
];

const fn user(path: &'static str) -> Known {
    Known { path, scope: Scope::User }
}

const fn project(path: &'static str) -> Known {
    Known { path, scope: Scope::Project }
}

const fn managed(path: &'static str) -> Known {
    Known { path, scope: Scope::Managed }
}

static CLAUDE_DESKTOP: Dialect = Dialect {
    name: "claude-desktop",
    title: "Claude Desktop",
    known: &[
        user(".config/Claude/claude_desktop_config.json"),
        user("Library/Application Support/Claude/claude_desktop_config.json"),
        user("AppData/Roaming/Claude/claude_desktop_config.json"),
    ],
    tested: Tested::Other("FastMCP 4.2.3 of PyPI, which connects and calls"),
    ..Dialect::PLAIN
};

static CLAUDE_CODE: Dialect = Dialect {
    name: "claude-code",
    title: "Claude Code",
    known: &[
        user(".claude.json"),
        project(".mcp.json"),
        managed("etc/claude-code/managed-mcp.json"),
        managed("Library/Application Support/ClaudeCode/managed-mcp.json"),
    ],
    settings: Settings::Named(".claude.json"),
    remote: Remote::Typed { url: "url", key: "type", stdio: Some("stdio"), http: "http", sse: Some("sse") },
    variables: Variables::of(Spelling::BracesWithDefault),
    headers_command: "headersHelper",
    oauth: OauthStyle::ClaudeCode,
    tested: Tested::Program("2.1.332 of npm, `claude mcp list` and `get`, which connects"),
    ..Dialect::PLAIN
};

static VSCODE: Dialect = Dialect {
    name: "vscode",
    title: "VS Code",
    known: &[
        user(".config/Code/User/mcp.json"),
        user("Library/Application Support/Code/User/mcp.json"),
        user("AppData/Roaming/Code/User/mcp.json"),
        project(".vscode/mcp.json"),
    ],
    root: &["servers"],
    remote: Remote::Typed { url: "url", key: "type", stdio: Some("stdio"), http: "http", sse: Some("sse") },
    variables: Variables {
        inputs: true,
        places: true,
        vaults: &["command", "config"],
        ..Variables::of(Spelling::Scheme)
    },
    cwd: "cwd",
    env_file: "envFile",
    oauth: OauthStyle::Code,
    inputs: true,
    tested: Tested::Parser("jsonc-parser 3.3.1 of npm, the program's own"),
    ..Dialect::PLAIN
};

static COPILOT: Dialect = Dialect {
    name: "copilot",
    title: "VS Code, portable (Copilot)",
    known: &[user(".copilot/mcp-config.json")],
    remote: Remote::Typed { url: "url", key: "type", stdio: Some("local"), http: "http", sse: Some("sse") },
    variables: Variables { everywhere: false, ..Variables::of(Spelling::BracesWithDefault) },
    cwd: "cwd",
    allow: "tools",
    allow_star: true,
    call_timeout: ("timeout", 1),
    tested: Tested::Program("Copilot CLI 1.0.102 of npm, `copilot mcp list`, which does not connect"),
    ..Dialect::PLAIN
};

static CURSOR: Dialect = Dialect {
    name: "cursor",
    title: "Cursor",
    known: &[user(".cursor/mcp.json"), project(".cursor/mcp.json")],
    remote: Remote::Found("url"),
    variables: Variables { places: true, ..Variables::of(Spelling::Scheme) },
    env_file: "envFile",
    oauth: OauthStyle::Cursor,
    tested: Tested::Other("FastMCP 4.2.3 of PyPI, which connects and calls; variables are not its own"),
    ..Dialect::PLAIN
};

static WINDSURF: Dialect = Dialect {
    name: "windsurf",
    title: "Windsurf",
    known: &[user(".codeium/windsurf/mcp_config.json")],
    remote: Remote::Found("serverUrl"),
    variables: Variables { files: true, ..Variables::of(Spelling::Scheme) },
    switch: Switch::Disabled,
    deny: "disabledTools",
    tested: Tested::Documentation("docs.windsurf.com/windsurf/cascade/mcp"),
    ..Dialect::PLAIN
};

static ZED: Dialect = Dialect {
    name: "zed",
    title: "Zed",
    known: &[user(".config/zed/settings.json"), project(".zed/settings.json")],
    root: &["context_servers"],
    settings: Settings::Always,
    remote: Remote::Found("url"),
    switch: Switch::Enabled,
    tested: Tested::Parser("serde_json_lenient 0.2.4, by which Zed reads its settings"),
    ..Dialect::PLAIN
};

static GEMINI: Dialect = Dialect {
    name: "gemini-cli",
    title: "Gemini CLI",
    known: &[user(".gemini/settings.json"), project(".gemini/settings.json")],
    settings: Settings::Always,
    remote: Remote::Keys { http: "httpUrl", sse: "url" },
    variables: Variables::of(Spelling::Dollar),
    cwd: "cwd",
    description: "description",
    switch: Switch::Excluded { excluded: &["mcp", "excluded"], allowed: &["mcp", "allowed"] },
    allow: "includeTools",
    deny: "excludeTools",
    trust_all: "trust",
    call_timeout: ("timeout", 1),
    oauth: OauthStyle::Gemini,
    tested: Tested::Program("0.61.0 of npm, which connects, keeps to the lists of tools, and calls"),
    ..Dialect::PLAIN
};

static KIRO: Dialect = Dialect {
    name: "kiro",
    title: "Kiro",
    known: &[user(".kiro/settings/mcp.json"), project(".kiro/settings/mcp.json")],
    remote: Remote::Found("url"),
    variables: Variables { everywhere: false, ..Variables::of(Spelling::Braces) },
    switch: Switch::Disabled,
    deny: "disabledTools",
    trust_tools: ("autoApprove", true),
    oauth: OauthStyle::Kiro,
    tested: Tested::Other("FastMCP 4.2.3 of PyPI, which connects and calls; variables are not its own"),
    ..Dialect::PLAIN
};

static CLINE: Dialect = Dialect {
    name: "cline",
    title: "Cline",
    known: &[
        user(".cline/data/settings/cline_mcp_settings.json"),
        user(".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
        user(
            "Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings/\
             cline_mcp_settings.json",
        ),
    ],
    remote: Remote::Typed { url: "url", key: "type", stdio: None, http: "streamableHttp", sse: Some("sse") },
    variables: Variables { everywhere: false, ..Variables::of(Spelling::Scheme) },
    switch: Switch::Disabled,
    trust_tools: ("autoApprove", false),
    call_timeout: ("timeout", 1000),
    tested: Tested::Program(
        "the CLI 3.0.65 of npm, `cline config mcp`: names and transports, it does not connect",
    ),
    ..Dialect::PLAIN
};

static ROO: Dialect = Dialect {
    name: "roo",
    title: "Roo Code",
    known: &[
        user(".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
        user(
            "Library/Application Support/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/\
             mcp_settings.json",
        ),
        project(".roo/mcp.json"),
    ],
    remote: Remote::Typed { url: "url", key: "type", stdio: None, http: "streamable-http", sse: Some("sse") },
    variables: Variables { everywhere: false, ..Variables::of(Spelling::Scheme) },
    cwd: "cwd",
    switch: Switch::Disabled,
    deny: "disabledTools",
    trust_tools: ("alwaysAllow", false),
    call_timeout: ("timeout", 1000),
    tested: Tested::Documentation("docs.roocode.com/features/mcp"),
    ..Dialect::PLAIN
};

static LANGCHAIN: Dialect = Dialect {
    name: "langchain",
    title: "LangChain MCP adapters",
    remote: Remote::Typed {
        url: "url",
        key: "transport",
        stdio: Some("stdio"),
        http: "streamable_http",
        sse: Some("sse"),
    },
    cwd: "cwd",
    tested: Tested::Program("0.3.2 of PyPI, which connects and calls"),
    ..Dialect::PLAIN
};

static MCP_JSON: Dialect = Dialect {
    name: "mcp-json",
    title: "mcp.json (SEP-2633, draft)",
    known: &[project("mcp.json")],
    remote: Remote::Typed {
        url: "url",
        key: "type",
        stdio: Some("stdio"),
        http: "streamable-http",
        sse: Some("sse"),
    },
    variables: Variables { inputs: true, vaults: &["op"], ..Variables::of(Spelling::SchemeWithDefault) },
    title_key: "title",
    description: "description",
    oauth: OauthStyle::Portable,
    names: |name| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_[]-".contains(&byte);
        !name.is_empty() && name.bytes().all(fits)
    },
    own: portable,
    tested: Tested::Other(
        "the MCP Inspector 2.12.0 of npm and FastMCP 4.2.3 of PyPI, which connect and call; variables are \
         not theirs",
    ),
    ..Dialect::PLAIN
};

/// What the proposal does not allow.
fn portable(path: &str, server: &mut Server, report: &mut Report) {
    let authorization = server.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
    if authorization && server.oauth.take().is_some() {
        let meaning = "it cannot stand beside an Authorization header: the header stays";
        report.dropped(format!("{path}.oauth"), false, meaning);
    }
    for (name, text, max) in
        [("title", &mut server.title, 100), ("description", &mut server.description, 500)]
    {
        if let Some(text) = text.as_mut().filter(|text| text.chars().count() > max) {
            *text = text.chars().take(max).collect();
            report.approximated(format!("{path}.{name}"), false, format!("cut after {max} characters"));
        }
    }
}
