//! What is looked at in what passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Fetch, Glob, Secret, SecretError, SecretText, Size, Span};

/// A rule by which contents are looked at, and what becomes of what is found.
///
/// A rule has one of `detectors`, `webhook` and `interceptors`. All rules that fit are applied, in their
/// order. See the page on checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckRule {
    /// What the rule is called, in logs and in the answers that it makes.
    ///
    /// Since 0.1.
    pub name: String,

    /// What is looked at.
    ///
    /// By default arguments and results. Since 0.1.
    pub on: Vec<Checked>,

    /// What is looked for.
    ///
    /// Since 0.1.
    pub detectors: Vec<Detector>,

    /// Who is asked by HTTP.
    ///
    /// By default nobody. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<CheckWebhook>,

    /// Which server's interceptors are asked (SEP-2624, a draft).
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interceptors: Option<CheckInterceptors>,

    /// Whether anything is done about what is found, or it is only logged and counted.
    ///
    /// Since 0.1.
    pub mode: CheckMode,

    /// What becomes of what cannot be looked at: it is too large, or whoever is asked gives no good answer.
    ///
    /// Since 0.1.
    pub fail: CheckFail,

    /// What is done about what detectors find. Whoever else is asked says himself what is done.
    ///
    /// Since 0.1.
    pub action: CheckAction,

    /// The endpoints for which the rule holds, as patterns.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Glob>>,

    /// The upstreams for which the rule holds, as patterns.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstreams: Option<Vec<Glob>>,

    /// The tools and prompts for which the rule holds, as patterns over the upstreams' own names; of a
    /// resource its URI.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Glob>>,
}

impl Default for CheckRule {
    fn default() -> Self {
        Self {
            name: String::new(),
            on: vec![Checked::Arguments, Checked::Results],
            detectors: Vec::new(),
            webhook: None,
            interceptors: None,
            mode: CheckMode::Enforce,
            fail: CheckFail::Closed,
            action: CheckAction::Block,
            endpoints: None,
            upstreams: None,
            tools: None,
        }
    }
}

/// Somebody who is asked by a POST, and says whether it passes and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckWebhook {
    /// Where he is.
    ///
    /// Since 0.1.
    pub url: String,

    /// The secret by which each request is signed, as Standard Webhooks has it: `whsec_` and 24 to 64 bytes
    /// in Base64.
    ///
    /// By default requests are not signed. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,

    /// Headers for every request, such as `Authorization`.
    ///
    /// Since 0.1.
    pub headers: BTreeMap<String, Secret>,

    /// A file with certificate authorities (PEM) to trust besides the system's, for `https`.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,

    /// How long an answer may take, with the wait for a turn. What takes longer is a failure.
    ///
    /// Since 0.1.
    pub timeout: Span,

    /// How large what is sent and what is answered may be, each. What is larger is not sent, or a failure.
    ///
    /// Since 0.1.
    pub bytes_max: Size,

    /// How many requests may be under way at a time. Others wait for their turn.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub concurrency_max: usize,
}

impl Default for CheckWebhook {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: None,
            headers: BTreeMap::new(),
            ca: None,
            timeout: Span::from_secs(2),
            bytes_max: Size::from_mib(1),
            concurrency_max: 64,
        }
    }
}

/// An MCP server whose interceptors are asked, by SEP-2624. That is a draft, and may change with any version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckInterceptors {
    /// Says that the operator knows it for a draft. Without it the configuration is refused.
    ///
    /// Since 0.1.
    pub experimental: bool,

    /// Where the server is. It speaks Streamable HTTP, in any revision.
    ///
    /// Since 0.1.
    pub url: String,

    /// The names of the interceptors that are asked. One that the server does not have is a failure.
    ///
    /// By default all that it has. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,

    /// Headers for every request, such as `Authorization`.
    ///
    /// Since 0.1.
    pub headers: BTreeMap<String, Secret>,

    /// A file with certificate authorities (PEM) to trust besides the system's, for `https`.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,

    /// How long one interceptor may take, with the wait for a turn. What takes longer is a failure.
    ///
    /// Since 0.1.
    pub timeout: Span,

    /// How large what is sent and what is answered may be, each. What is larger is not sent, or a failure.
    ///
    /// Since 0.1.
    pub bytes_max: Size,

    /// How many requests may be under way at a time. Others wait for their turn.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub concurrency_max: usize,
}

impl Default for CheckInterceptors {
    fn default() -> Self {
        let CheckWebhook { timeout, bytes_max, concurrency_max, .. } = CheckWebhook::default();
        Self {
            experimental: false,
            url: String::new(),
            names: None,
            headers: BTreeMap::new(),
            ca: None,
            timeout,
            bytes_max,
            concurrency_max,
        }
    }
}

/// What goes along with each request, looked up. The values are marked as sensitive.
type Headers = Vec<(HeaderName, HeaderValue)>;

impl CheckWebhook {
    /// The headers and the secret, looked up: variables with `env`, files with `read`.
    ///
    /// # Errors
    /// [`SecretError`] for the first one that cannot be had or cannot be sent. It contains no secret.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &Fetch<'_>,
    ) -> Result<(Headers, Option<SecretText>), SecretError> {
        let headers = super::upstream::look_up_headers(&self.headers, env, read)?;
        let secret = self.secret.as_ref().map(|secret| secret.resolve(env, read)).transpose();
        Ok((headers, secret.map_err(|kind| SecretError { at: "secret".to_owned(), kind })?))
    }
}

impl CheckInterceptors {
    /// The headers, looked up: variables with `env`, files with `read`.
    ///
    /// # Errors
    /// [`SecretError`] for the first one that cannot be had or cannot be sent. It contains no secret.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &Fetch<'_>,
    ) -> Result<Headers, SecretError> {
        super::upstream::look_up_headers(&self.headers, env, read)
    }
}

impl CheckRule {
    /// Paths start at the configuration's folder.
    pub(super) fn anchor(&mut self, folder: &Path) {
        let anchor = |headers: &mut BTreeMap<String, Secret>, ca: &mut Option<PathBuf>| {
            headers.values_mut().for_each(|secret| secret.anchor(folder));
            if let Some(ca) = ca {
                *ca = folder.join(&*ca);
            }
        };
        if let Some(CheckWebhook { headers, ca, secret, .. }) = &mut self.webhook {
            anchor(headers, ca);
            if let Some(secret) = secret {
                secret.anchor(folder);
            }
        }
        if let Some(CheckInterceptors { headers, ca, .. }) = &mut self.interceptors {
            anchor(headers, ca);
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// What clients send with a call.
    Arguments,
    /// What servers answer, errors included.
    Results,
    /// What servers ask in the middle of a call, and what is answered.
    Questions,
    /// Entries of lists: what servers say of their tools, prompts and resources.
    Descriptions,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Keys and tokens of known shapes, private keys, and what looks like a password.
    Secrets,
    /// E-mail addresses, telephone numbers, IBANs, cards, US social security numbers.
    Pii,
    /// Texts that talk to a model. A heuristic: it finds usual ways to write them, and is written around.
    Injection,
    /// Characters that a person does not see: direction overrides, zero-width ones, tags.
    Hidden,
}

/// Whether anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckMode {
    /// The action is taken.
    Enforce,
    /// It is logged and counted.
    Observe,
}

/// What becomes of what cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckFail {
    /// It does not pass.
    Closed,
    /// It passes.
    Open,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckAction {
    /// A call is not made, an answer is withheld, an entry is not listed.
    Block,
    /// What was found is blanked, and the rest passes as it is.
    Redact,
}
