//! Which extensions of the protocol pass: what may not is taken out of what a client declares and out of what
//! an endpoint offers, so that neither side uses it.

use std::collections::HashMap;

use config::{Extension, ExtensionState, Glob};
use protocol::json::Object;
use protocol::{Call, Method, Raw};
use serde_json::Value;

use crate::app::Exchange;

/// The member of capabilities that names extensions.
const EXTENSIONS: &str = "extensions";

/// What the operator says of extensions.
pub(crate) struct Extensions {
    others: ExtensionState,
    named: HashMap<String, Named>,
}

struct Named {
    state: ExtensionState,
    settings: Option<Raw>,
    methods: Vec<Glob>,
}

impl Extensions {
    /// `None`: all pass as they are.
    pub fn new(config: &config::Config) -> Option<Self> {
        let section = &config.extensions;
        if section.is_plain() {
            return None;
        }
        let named = |(name, extension): (&String, &Extension)| {
            let Extension { state, settings, methods } = extension;
            let settings =
                settings.as_ref().map(|settings| Raw::from_value(&Value::Object(settings.clone())));
            (name.clone(), Named { state: *state, settings, methods: methods.clone() })
        };
        Some(Self { others: section.others, named: section.named.iter().map(named).collect() })
    }

    fn passes(&self, name: &str, experimental: bool) -> bool {
        self.named.get(name).map_or(self.others, |named| named.state).passes(experimental)
    }

    /// Capabilities without what may not pass; `change` makes others of the settings of the rest. `None`:
    /// they are as they were.
    fn kept(
        &self,
        capabilities: &Object,
        experimental: bool,
        change: impl Fn(&str, &Raw) -> Option<Raw>,
    ) -> Option<Raw> {
        let extensions = capabilities.get(EXTENSIONS)?;
        let Ok(Some(extensions)) = extensions.object() else {
            // What is no object names none, and nobody has to guess what else it might be.
            return Some(capabilities.edit().remove(EXTENSIONS).finish());
        };
        let mut edit = extensions.edit();
        let mut is_changed = false;
        for (name, settings) in extensions.iter() {
            let name = name.into_owned();
            if !self.passes(&name, experimental) {
                (edit, is_changed) = (edit.remove(name), true);
            } else if let Some(settings) = change(&name, &settings) {
                (edit, is_changed) = (edit.set(name, settings), true);
            }
        }
        is_changed.then(|| capabilities.edit().set(EXTENSIONS, edit.finish()).finish())
    }
}

/// A client's capabilities without the extensions that may not pass here.
pub(crate) fn declared(x: &Exchange, capabilities: Raw) -> Raw {
    let Some(rules) = &x.generation.extensions else { return capabilities };
    let Ok(Some(object)) = capabilities.object() else { return capabilities };
    rules.kept(&object, x.endpoint.is_experimental(), |_, _| None).unwrap_or(capabilities)
}

/// A call of a client that declares nothing that may not pass here.
pub(crate) fn narrowed(x: &Exchange, call: Call) -> Call {
    if x.generation.extensions.is_none() {
        return call;
    }
    let Some(own) = call.meta.client_capabilities.clone() else { return call };
    let kept = declared(x, own.clone());
    if kept.as_bytes() == own.as_bytes() { call } else { call.declaring(kept) }
}

/// The answer to `server/discover` without the extensions that may not pass here, and with the settings that
/// the operator has for the others.
pub(crate) fn offered(x: &Exchange, discover: Raw) -> Raw {
    let Some(rules) = &x.generation.extensions else { return discover };
    let Ok(Some(object)) = discover.object() else { return discover };
    let capabilities =
        object.get("capabilities").and_then(|capabilities| capabilities.object().ok().flatten());
    let Some(capabilities) = capabilities else { return discover };
    let settings = |name: &str, told: &Raw| {
        let own = rules.named.get(name)?.settings.clone()?;
        (own.as_bytes() != told.as_bytes()).then_some(own)
    };
    match rules.kept(&capabilities, x.endpoint.is_experimental(), settings) {
        Some(kept) => object.edit().set("capabilities", kept).finish(),
        None => discover,
    }
}

/// Whether a method belongs to an extension that may not pass here.
pub(crate) fn refuses(x: &Exchange, method: &Method) -> bool {
    let (Some(rules), Method::Other(method)) = (&x.generation.extensions, method) else { return false };
    let experimental = x.endpoint.is_experimental();
    let refused = rules.named.values().filter(|named| !named.state.passes(experimental));
    refused.flat_map(|named| &named.methods).any(|glob| glob.matches(method))
}
